//! `glauber close`: the end of a session, with its final estimates.

use std::time::{Duration, Instant};

use clap::Args;
use glauber::proto::v1;
use serde_json::json;

use super::client::{ConnectArgs, Daemon};
use super::error::CliError;
use super::{Manner, output, text};

/// End a session: publish its final couplings, write its last snapshots
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A closed session takes no more bins and still answers queries. Closing it again is no error.

Examples:
  glauber close s-01234567
  glauber close retina --json | jq -r '.snapshots[]'")]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Id or name of the session, or a prefix that fits only one
    #[arg(value_name = "SESSION", value_parser = super::values::parse_session)]
    session: String,
}

pub(crate) async fn run(args: CloseArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.connect).await?;
    let id = daemon.select(Some(&args.session)).await?.session_id;
    let v1::CloseSessionResponse { session, snapshot_paths, recording_paths } = close(&daemon, &id).await?;
    let session = session.ok_or_else(|| daemon.protocol("no session"))?;
    let bins = session.watermarks.map_or(0, |watermarks| watermarks.applied_through);
    if manner.json {
        return output::json(&json!({
            "session_id": id, "bins": bins, "snapshots": snapshot_paths,
            "recordings": recording_paths,
            "snapshot_failures": session.snapshot_failures, "last_snapshot_error": session.last_snapshot_error,
        }));
    }
    let mut facts = vec![("session", format!("{id}, closed after {}", text::counted(bins, "bin")))];
    facts.extend(snapshot_paths.into_iter().map(|path| ("snapshot", path)));
    facts.extend(recording_paths.into_iter().map(|path| ("recording", path)));
    if session.snapshot_failures > 0 {
        facts.push(("failed", format!("not written: {}", session.last_snapshot_error)));
    }
    output::print_facts(&facts)
}

/// The same, and again while there is no daemon, for as long as a daemon that keeps a journal may take to be started again.
pub(crate) async fn close_patiently(
    daemon: &Daemon,
    id: &str,
    patience: Duration,
) -> Result<v1::CloseSessionResponse, CliError> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match close(daemon, id).await {
            Err(CliError::NoDaemon { .. }) if began.elapsed() + pause < patience => {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(Duration::from_secs(3));
            }
            closed => return closed,
        }
    }
}

/// Close a session; the daemon answers when its last snapshot is written.
pub(crate) async fn close(daemon: &Daemon, id: &str) -> Result<v1::CloseSessionResponse, CliError> {
    let request = v1::CloseSessionRequest { session_id: id.to_owned() };
    let response = daemon.sessions().close_session(request).await;
    Ok(response.map_err(daemon.failure("closing the session"))?.into_inner())
}
