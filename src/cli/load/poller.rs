//! From when on bins are seen: a client that asks, over and over, how far the sessions are, while it waits for a sampled
//! message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use super::latency::{Latencies, Times, Until};
use crate::cli::client::Daemon;
use crate::cli::error::CliError;

/// Longest pause between two questions.
const PAUSE_LONGEST: Duration = Duration::from_millis(100);
/// Shortest pause worth making: timers count milliseconds.
const PAUSE_SHORTEST: Duration = Duration::from_millis(1);
/// A pause is this part of the time that was waited for an answer already, and so is what it can add to it.
const PAUSE_PART: u32 = 20;

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
    /// Samples that were given up.
    pub(super) unseen: u64,
}

/// Wait for samples until there are no more, or those that are left are given up; ask only while one is waited for.
pub(super) async fn poll(
    daemon: Daemon,
    session_ids: Arc<[String]>,
    mut samples: mpsc::UnboundedReceiver<Sample>,
    no_latencies: Latencies,
    give_up: Arc<Notify>,
) -> Result<Seen, CliError> {
    let mut seen = Seen { visible: Until::new(&no_latencies), asking: no_latencies, unseen: 0 };
    let mut waiting: Vec<Sample> = Vec::new();
    tokio::select! {
        over = look(&daemon, &session_ids, &mut samples, &mut waiting, &mut seen) => over?,
        () = give_up.notified() => {}
    }
    seen.unseen = (waiting.len() + samples.len()) as u64;
    Ok(seen)
}

async fn look(
    daemon: &Daemon,
    session_ids: &[String],
    samples: &mut mpsc::UnboundedReceiver<Sample>,
    waiting: &mut Vec<Sample>,
    seen: &mut Seen,
) -> Result<(), CliError> {
    loop {
        if waiting.is_empty() {
            let Some(sample) = samples.recv().await else { return Ok(()) };
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
        // Even a pause of nothing would last until the timer's next millisecond.
        let Some(pause) = pause(waiting, now) else { continue };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // A rig that nothing was waited for may be seen at once.
            Some(sample) = samples.recv() => waiting.push(sample),
        }
    }
}

/// How long to wait before the next question, if at all, so that a daemon that is far behind is not kept busy with them. Bins are counted in order, so
/// only the oldest sample of each rig can be seen next.
fn pause(waiting: &[Sample], now: Instant) -> Option<Duration> {
    let mut rigs = HashSet::new();
    let oldest = waiting.iter().filter(|sample| rigs.insert(sample.rig));
    let waited = oldest.map(|sample| now.saturating_duration_since(sample.times.handed)).min();
    let pause = (waited.unwrap_or_default() / PAUSE_PART).min(PAUSE_LONGEST);
    (pause >= PAUSE_SHORTEST).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_a_part_of_what_was_waited_by_the_rig_that_waits_least() {
        let begin = Instant::now();
        let sample = |rig: usize, ms: u64| {
            let handed = begin + Duration::from_millis(ms);
            Sample { rig, end_bin: 0, times: Times { due: handed, handed } }
        };
        let after = |ms: u64| begin + Duration::from_millis(ms);
        let waiting = [sample(0, 0), sample(1, 100), sample(0, 480), sample(1, 490)];
        assert_eq!(pause(&waiting, after(500)), Some(Duration::from_millis(20)));
        assert_eq!(pause(&waiting, after(110)), None);
        assert_eq!(pause(&waiting, after(60_000)), Some(PAUSE_LONGEST));
    }
}
