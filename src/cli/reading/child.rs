//! The inside: the subcommand that nobody types, which limits itself, reads one file and answers on stdout.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use glauber::archive::{self, ArchiveError};
use glauber::proto::v1;
use glauber::recording;

use super::reply::Reply;
use super::{ReadRecording, boundary};
use crate::cli::client::Asked;
use crate::cli::error::CliError;
use crate::cli::plot::{self, Choice};
use crate::cli::{Manner, equilibrium, inspect, output};

/// Read a file on behalf of another process of this program
#[derive(Debug, Clone, Args)]
pub(crate) struct ChildArgs {
    /// What to answer with
    what: What,
    /// Address space, bytes
    #[arg(long)]
    memory: u64,
    /// Processor time, seconds
    #[arg(long)]
    seconds: u64,
    /// Recording to read
    #[arg(long)]
    part: Option<String>,
    /// Strongest pairs to list
    #[arg(long, default_value_t = 0)]
    top: usize,
    /// Whose couplings to plot
    #[arg(long)]
    estimator: Option<Asked>,
    /// Whose equilibrium model to plot
    #[arg(long, value_parser = equilibrium::parse_method)]
    equilibrium: Option<v1::EquilibriumMethod>,
    /// File to read
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// A recording.
    Recording,
    /// The text of `glauber inspect`.
    Inspection,
    /// A recording, or what a snapshot holds to be plotted.
    Plot,
}

/// Read the file and answer; an error is an answer, too.
pub(crate) fn run(args: &ChildArgs, manner: Manner) -> Result<(), CliError> {
    boundary::confine(args.memory, args.seconds)
        .map_err(|source| CliError::System { doing: "limiting the process that reads the file", source })?;
    let answer = match args.what {
        What::Recording => read(&args.file, args.part.as_deref()).map(Box::new).map(Reply::Recording),
        What::Inspection => {
            output::captured(|| inspect::show(&args.file, args.part.as_deref(), args.top, manner))
                .map(Reply::Text)
        }
        What::Plot => plot(args),
    };
    let reply = answer.unwrap_or_else(|error| Reply::Error { text: error.to_string(), code: error.code() });
    reply.send(io::stdout().lock()).map_err(|source| CliError::Stdout { source })
}

fn plot(args: &ChildArgs) -> Result<Reply, CliError> {
    match archive::describe(&args.file) {
        Ok(_) => {
            let choice = Choice { estimator: args.estimator, method: args.equilibrium };
            plot::read_snapshot(&args.file, &choice).map(Box::new).map(Reply::Material)
        }
        Err(ArchiveError::NotASnapshot { .. }) => {
            read(&args.file, args.part.as_deref()).map(Box::new).map(Reply::Recording)
        }
        Err(error) => Err(error.into()),
    }
}

fn read(path: &Path, part: Option<&str>) -> Result<ReadRecording, CliError> {
    let recording = recording::open_part(path, part)?;
    let problems = recording.problems.iter().map(ToString::to_string).collect();
    Ok(ReadRecording { session: recording.session, metadata: recording.facts.metadata, problems })
}
