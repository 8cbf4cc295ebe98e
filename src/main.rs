//! The `glauber` program: arguments → configuration → one call per subcommand → exit code.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)
)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
