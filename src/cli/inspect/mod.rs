//! `glauber inspect`: what a file holds.

mod recorded;
mod snapshot;

use std::path::PathBuf;

use clap::Args;
use glauber::archive::{self, ArchiveError};

use super::Manner;
use super::error::CliError;

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
}

pub(crate) fn run(args: &InspectArgs, manner: Manner) -> Result<(), CliError> {
    match archive::describe(&args.file) {
        Ok(_) => snapshot::show(&args.file, args.top, manner),
        Err(ArchiveError::NotASnapshot { .. }) => recorded::show(&args.file, manner),
        Err(error) => Err(error.into()),
    }
}
