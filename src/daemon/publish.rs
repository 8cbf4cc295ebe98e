//! The estimates published last: one immutable value that readers share and never wait for.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::model::{Estimate, SamplingVariance};
use crate::session::Snapshot;

/// The estimates of every window at one moment.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    /// Counts the publications of the session, from 1.
    pub(super) sequence: u64,
    /// Place of its refresh among those of the session.
    order: u64,
    /// One per window, in the order of the specification.
    pub(super) snapshots: Vec<Arc<Snapshot>>,
    /// When it was published.
    pub(super) published_at: Instant,
}

/// What a watcher sees: the last publication, and whether another one can follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest {
    pub(super) publication: Option<Arc<Publication>>,
    /// The engine has ended: nothing follows.
    pub(super) ended: bool,
}

/// Where publications go.
#[derive(Debug)]
pub(super) struct Publisher {
    latest: watch::Sender<Latest>,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self { latest: watch::Sender::new(Latest::default()) }
    }

    /// Replace the publication, unless the one that stands is of a later refresh; readers of the one before keep theirs.
    pub(super) fn publish(&self, order: u64, snapshots: Vec<Arc<Snapshot>>) -> Option<Arc<Publication>> {
        let mut new = Publication { sequence: 1, order, snapshots, published_at: Instant::now() };
        let mut published = None;
        self.latest.send_if_modified(|latest| {
            if let Some(standing) = &latest.publication {
                if standing.order >= order {
                    return false;
                }
                new.sequence = standing.sequence + 1;
            }
            published = Some(Arc::new(new));
            latest.publication.clone_from(&published);
            true
        });
        published
    }

    /// Publications so far.
    pub(super) fn count(&self) -> u64 {
        self.latest.borrow().publication.as_ref().map_or(0, |publication| publication.sequence)
    }

    /// Tell watchers that nothing follows.
    pub(super) fn end(&self) {
        self.latest.send_modify(|latest| latest.ended = true);
    }

    pub(super) fn latest(&self) -> Option<Arc<Publication>> {
        self.latest.borrow().publication.clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }
}

impl Publication {
    /// Bin after the newest one counted.
    pub(super) fn end_bin(&self) -> u64 {
        self.snapshots.first().map_or(0, |snapshot| snapshot.window.end_bin)
    }

    /// Bytes of the counts and estimates.
    pub(super) fn bytes(&self) -> u64 {
        self.snapshots.iter().map(|snapshot| snapshot_bytes(snapshot)).sum()
    }
}

fn snapshot_bytes(snapshot: &Snapshot) -> u64 {
    let counts = &snapshot.window.counts;
    let lags: usize = counts.lags.iter().map(|l| l.delayed.len() + l.sender.len() + l.receiver.len()).sum();
    let estimates = snapshot.estimates.iter().map(|e| estimate_numbers(&e.estimate));
    let estimates: usize = estimates.sum();
    8 * (counts.spikes.len() + counts.equal_time.len() + lags + estimates) as u64
}

fn estimate_numbers(estimate: &Estimate) -> usize {
    let variance = match &estimate.variance {
        SamplingVariance::Factored { .. } => 0,
        SamplingVariance::Full { couplings, .. } => couplings.len(),
    };
    let trials = estimate.trial_fields.as_ref().map_or(0, |trials| 2 * trials.fields.len());
    // Scores and statuses are vectors of n, too.
    estimate.couplings.len() + variance + trials + 12 * estimate.fields.len()
}
