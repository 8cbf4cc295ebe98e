//! The command line: one file per subcommand, each `arguments → one call → exit code`.

mod access;
mod bridge;
mod client;
mod close;
mod compare;
mod completions;
mod config;
mod couplings;
mod demo;
mod equilibrium;
mod error;
#[cfg(test)]
mod examples;
mod fit;
mod health;
mod inspect;
mod load;
mod log;
mod man;
mod metadata;
mod output;
mod pairs;
mod plot;
mod predict;
mod progress;
mod reading;
mod reconstruct;
mod recordings;
mod recovery;
mod refit;
mod replay;
mod score;
mod serve;
mod service;
mod simulate;
mod status;
mod stream;
mod text;
mod trust;
mod values;
mod watch;

use std::future::Future;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use error::CliError;

const ABOUT: &str = "Live couplings between neurons: kinetic Ising inference on streaming spikes";

const AFTER_HELP: &str = "\
Start here:
  glauber demo                                    a simulated rig, inferred live
  glauber serve                                   the daemon, for rigs and replays
  glauber replay session.nwb --bin-width 20ms     a recording through the daemon
  glauber couplings --top 20                      the strongest couplings right now

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 130 interrupted.";

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(name = "glauber", version, about = ABOUT, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Arguments every subcommand takes.
#[derive(Debug, Clone, Copy, Args)]
struct GlobalArgs {
    /// Print JSON on stdout instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Log more on stderr (-v debug, -vv trace)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// No progress and no log on stderr but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// How the log on stderr is written: for people, or one JSON object a line
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "GLAUBER_LOG_FORMAT",
        default_value = "text"
    )]
    log_format: log::LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Replay(Box<replay::ReplayArgs>),
    Fit(fit::FitArgs),
    Compare(compare::CompareArgs),
    Inspect(inspect::InspectArgs),
    Simulate(simulate::SimulateArgs),
    Load(Box<load::LoadArgs>),
    Bridge(bridge::BridgeArgs),
    Close(close::CloseArgs),
    Status(status::StatusArgs),
    Couplings(couplings::CouplingsArgs),
    Watch(watch::WatchArgs),
    Predict(predict::PredictArgs),
    Refit(refit::RefitArgs),
    Equilibrium(equilibrium::EquilibriumArgs),
    Reconstruct(reconstruct::ReconstructArgs),
    Plot(Box<plot::PlotArgs>),
    Health(health::HealthArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(name = "read-in-child", hide = true)]
    ReadInChild(reading::ChildArgs),
}

/// The program with what is shown of it alone, for what is generated from it.
fn shown() -> clap::Command {
    let program = Arguments::command();
    let subcommands = program.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned();
    clap::Command::new("glauber")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .args(program.get_arguments().cloned())
        .subcommands(subcommands)
}

/// How a command is to speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// JSON on stdout.
    pub(crate) json: bool,
    /// Nothing on stderr but errors.
    pub(crate) quiet: bool,
}

/// Parse the arguments, do what they say, report how it went.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let global = arguments.global;
    if let Err(error) = log::start(global, matches!(arguments.command, Command::Serve(_))) {
        output::error(&error);
        return error.exit_code();
    }
    let manner = Manner { json: global.json, quiet: global.quiet };
    match dispatch(arguments.command, manner) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                output::error(&error);
            }
            error.exit_code()
        }
    }
}

fn dispatch(command: Command, manner: Manner) -> Result<(), CliError> {
    match command {
        Command::Demo(args) => block_on(demo::run(args, manner)),
        Command::Serve(args) => block_on(serve::run(args, manner)),
        Command::Replay(args) => block_on(replay::run(*args, manner)),
        Command::Fit(args) => fit::run(&args, manner),
        Command::Compare(args) => compare::run(&args, manner),
        Command::Inspect(args) => inspect::run(&args, manner),
        Command::Simulate(args) => simulate::run(&args, manner),
        Command::Load(args) => block_on(load::run(*args, manner)),
        Command::Bridge(args) => block_on(bridge::run(args, manner)),
        Command::Close(args) => block_on(close::run(args, manner)),
        Command::Status(args) => block_on(status::run(args, manner)),
        Command::Couplings(args) => block_on(couplings::run(args, manner)),
        Command::Watch(args) => block_on(watch::run(args, manner)),
        Command::Predict(args) => block_on(predict::run(args, manner)),
        Command::Refit(args) => block_on(refit::run(args, manner)),
        Command::Equilibrium(args) => block_on(equilibrium::run(args, manner)),
        Command::Plot(args) => block_on(plot::run(*args, manner)),
        Command::Reconstruct(args) => reconstruct::run(&args, manner),
        Command::Health(args) => block_on(health::run(args, manner)),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(&args, manner),
        Command::Config(args) => config::run(&args, manner),
        Command::ReadInChild(args) => reading::run_child(&args, manner),
    }
}

/// Run a command that talks to a daemon.
fn block_on<F: Future<Output = Result<(), CliError>>>(command: F) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| CliError::System { doing: "starting the runtime", source })?;
    let done = runtime.block_on(command);
    // What still runs then was given up: it must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Help and version go to stdout as they are; a wrong argument gets one line.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let text = error.render().to_string();
            let what = text.split("\n\nUsage:").next().unwrap_or(&text);
            let what = what.split("\n\nFor more information").next().unwrap_or(what);
            let problem = what.trim_start_matches("error: ").to_owned();
            output::error(&CliError::Usage { problem });
            ExitCode::from(2)
        }
    }
}
