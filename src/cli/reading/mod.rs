//! Files of strangers, read in a process of their own.
//!
//! Our own code checks what a file declares before it believes it, but the HDF5 library parses the file first, and a damaged or
//! crafted one can crash it or keep it busy for ever. So every command that reads a file runs this same program again, with a hidden
//! subcommand (`child`), under limits on memory, processor time and open files (`boundary`); what was read comes back over a pipe in
//! one checked frame (`reply`). A crash of the child is one error like any other. The daemon never parses users' files: bins reach it
//! over gRPC, and the recordings it replays are read by the clients. The library's `recording::open` reads in the calling process.

mod boundary;
mod child;
mod error;
mod reply;

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use glauber::model::{RecordedSession, SessionMetadata};
use serde::{Deserialize, Serialize};

use super::Manner;
use super::error::CliError;
use super::plot::material::Material;
use boundary::Limits;
pub(crate) use child::{ChildArgs, run as run_child};
pub(crate) use error::ReadingError;
use reply::Reply;

/// What reading a file may take.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReadingArgs {
    /// Memory that reading the file may take, such as 512MiB or 16GiB
    #[arg(long, value_name = "BYTES", env = "GLAUBER_READ_MEMORY", default_value = "4GiB",
          value_parser = boundary::parse_bytes, hide_short_help = true)]
    read_memory: u64,
    /// Seconds of processor time that reading the file may take, and twice as many by the clock [default: 4, and 1 more for
    /// every 4 MB of the file]
    #[arg(long, value_name = "SECONDS", env = "GLAUBER_READ_SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400), hide_short_help = true)]
    read_seconds: Option<u64>,
    /// Recording to read of a file that holds several, such as well001: a group's path, the end of one, or a name in one
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
}

/// A recording as the child read it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadRecording {
    /// Units, trials and invalid intervals.
    pub(crate) session: RecordedSession,
    /// What the file says about the session.
    pub(crate) metadata: SessionMetadata,
    /// Oddities that were dealt with, in words.
    pub(crate) problems: Vec<String>,
}

/// Read a recording.
pub(crate) fn recording(path: &Path, args: &ReadingArgs) -> Result<ReadRecording, CliError> {
    match ask("recording", path, args, Vec::new())? {
        Reply::Recording(recording) => Ok(*recording),
        other => Err(unexpected(path, &other)),
    }
}

/// What a recording or snapshot holds, as text to print.
pub(crate) fn inspection(
    path: &Path,
    top: usize,
    args: &ReadingArgs,
    manner: Manner,
) -> Result<String, CliError> {
    let mut options = vec!["--top".into(), top.to_string().into()];
    if manner.json {
        options.push("--json".into());
    }
    match ask("inspection", path, args, options)? {
        Reply::Text(text) => Ok(text),
        other => Err(unexpected(path, &other)),
    }
}

/// What there is to plot.
pub(crate) enum Plottable {
    /// Of a snapshot.
    Snapshot(Box<Material>),
    /// The spikes of a recording.
    Recording(Box<ReadRecording>),
}

/// Read a snapshot or a recording to plot it; `choice` says whose couplings, in the words of the hidden subcommand.
pub(crate) fn plottable(path: &Path, args: &ReadingArgs, choice: Vec<String>) -> Result<Plottable, CliError> {
    match ask("plot", path, args, choice.into_iter().map(OsString::from).collect())? {
        Reply::Material(material) => Ok(Plottable::Snapshot(material)),
        Reply::Recording(recording) => Ok(Plottable::Recording(recording)),
        other => Err(unexpected(path, &other)),
    }
}

fn ask(what: &str, path: &Path, args: &ReadingArgs, mut options: Vec<OsString>) -> Result<Reply, CliError> {
    if let Some(part) = &args.part {
        // In one word, lest a name that begins with a dash be taken for an option.
        options.push(format!("--part={part}").into());
    }
    let limits = Limits::new(path, args.read_memory, args.read_seconds);
    match boundary::ask(what, path, limits, options)? {
        Reply::Error { text, code } => Err(ReadingError::Refused { text, code }.into()),
        reply => Ok(reply),
    }
}

fn unexpected(path: &Path, reply: &Reply) -> CliError {
    let what = reply.kind();
    ReadingError::BadReply { path: path.to_owned(), problem: format!("it answered with {what}") }.into()
}
