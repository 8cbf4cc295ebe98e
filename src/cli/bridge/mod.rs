//! `glauber bridge`: from what a rig speaks to the daemon.

mod open_ephys;
mod zmtp;

use clap::{Args, Subcommand};

use super::Manner;
use super::error::CliError;

/// Bring the spikes of a rig to a daemon as they come
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Rigs that speak LSL or BRAND are brought by the Python package: python -m glauber.bridge.lsl --help, python -m glauber.bridge.brand --help.

Examples:
  glauber bridge open-ephys --bin-width 20ms")]
pub(crate) struct BridgeArgs {
    #[command(subcommand)]
    rig: Rig,
}

#[derive(Debug, Clone, Subcommand)]
enum Rig {
    OpenEphys(Box<open_ephys::OpenEphysArgs>),
}

pub(crate) async fn run(args: BridgeArgs, manner: Manner) -> Result<(), CliError> {
    match args.rig {
        Rig::OpenEphys(args) => open_ephys::run(*args, manner).await,
    }
}
