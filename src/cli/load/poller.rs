//! From when on bins are seen: a client that asks, over and over, how far the sessions are, while it waits for a sampled message.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::latency::{Latencies, Times, Until};
use crate::cli::client::Daemon;
use crate::cli::error::CliError;

/// A message whose bins are to be seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) rig: usize,
    pub(super) end_bin: u64,
    pub(super) times: Times,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Until the answer to a question had them applied.
    pub(super) visible: Until,
    /// How long the questions took.
    pub(super) asking: Latencies,
}

/// Wait for samples until there are no more; ask only while one is waited for.
pub(super) async fn poll(
    daemon: Daemon,
    session_ids: Arc<[String]>,
    mut samples: mpsc::UnboundedReceiver<Sample>,
    no_latencies: Latencies,
) -> Result<Seen, CliError> {
    let mut seen = Seen { visible: Until::new(&no_latencies), asking: no_latencies };
    let mut waiting: Vec<Sample> = Vec::new();
    loop {
        if waiting.is_empty() {
            let Some(sample) = samples.recv().await else { return Ok(seen) };
            waiting.push(sample);
        }
        while let Ok(sample) = samples.try_recv() {
            waiting.push(sample);
        }
        let asked = Instant::now();
        // The list tells of no neurons, so that it is short.
        let (sessions, _) = daemon.list().await?;
        let now = Instant::now();
        seen.asking.record(now - asked);
        let applied = |rig: usize| {
            let id = session_ids.get(rig)?;
            let session = sessions.iter().find(|session| session.session_id == *id)?;
            Some(session.watermarks?.applied_through)
        };
        waiting.retain(|sample| {
            let is_seen = applied(sample.rig).is_some_and(|through| through >= sample.end_bin);
            if is_seen {
                seen.visible.record(sample.times, now);
            }
            !is_seen
        });
    }
}
