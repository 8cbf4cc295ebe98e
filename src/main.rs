//! The `glauber` program: arguments → configuration → one call per subcommand → exit code.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
