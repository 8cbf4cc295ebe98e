//! `glauber inspect`: what a file holds.

mod recorded;
mod snapshot;

use std::path::{Path, PathBuf};

use clap::Args;
use glauber::archive::{self, ArchiveError};

use super::error::CliError;
use super::reading::{self, ReadingArgs};
use super::{Manner, output, progress};

/// Show what a recording or a snapshot holds
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  glauber inspect session.nwb
  glauber inspect fit.h5
  glauber inspect session.nwb --json | jq '.units[] | select(.rate_hz > 5) | .id'")]
pub(crate) struct InspectArgs {
    /// Recording (NWB or another HDF5 layout) or snapshot; recognised from its content
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Strongest pairs to list for each estimator of a snapshot
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(crate) fn run(args: &InspectArgs, manner: Manner) -> Result<(), CliError> {
    let spinner = progress::spinner("reading the file", manner);
    let text = reading::inspection(&args.file, args.top, &args.reading, manner);
    spinner.finish_and_clear();
    output::print(format_args!("{}", text?))
}

/// Read a file in this process and print what it holds.
pub(super) fn show(file: &Path, part: Option<&str>, top: usize, manner: Manner) -> Result<(), CliError> {
    match archive::describe(file) {
        Ok(_) => snapshot::show(file, top, manner),
        Err(ArchiveError::NotASnapshot { .. }) => recorded::show(file, part, manner),
        Err(error) => Err(error.into()),
    }
}
