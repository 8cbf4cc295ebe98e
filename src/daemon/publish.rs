//! The estimates published last: one immutable value that readers share and never wait for.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::derived::Derived;
use super::estimators::Waiting;
use super::score_history::SharedHistory;
use crate::kinetic::Predictor;
use crate::model::{Estimate, Estimator, SamplingVariance};
use crate::session::best_of;
use crate::session::{ScoredEstimate, Snapshot};

/// The estimates of every window at one moment.
#[derive(Debug)]
pub(super) struct Publication {
    /// Counts the publications of the session, from 1.
    pub(super) sequence: u64,
    /// Place of its refresh among those of the session.
    order: u64,
    /// One per window, in the order of the specification.
    pub(super) snapshots: Vec<Arc<Snapshot>>,
    /// What is worked out of each estimate, in the same places.
    derived: Vec<Vec<Arc<Derived>>>,
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
    /// The scores of what was published.
    pub(super) history: SharedHistory,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self { latest: watch::Sender::new(Latest::default()), history: SharedHistory::default() }
    }

    /// Replace the publication, unless the one that stands is of a later refresh; readers of the one before keep theirs. When someone
    /// `predicts`, what those before have asked for is ready with the publication, so that no prediction waits for it.
    pub(super) fn publish(
        &self,
        order: u64,
        snapshots: Vec<Arc<Snapshot>>,
        predicts: bool,
    ) -> Option<Arc<Publication>> {
        let derived = derived(&snapshots, self.latest().as_deref(), predicts);
        let mut new = Publication { sequence: 1, order, snapshots, derived, published_at: Instant::now() };
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
        if let Some(published) = &published {
            self.history.add_estimates(&published.snapshots);
        }
        published
    }

    /// Publications so far.
    pub(super) fn count(&self) -> u64 {
        self.latest.borrow().publication.as_ref().map_or(0, |publication| publication.sequence)
    }

    /// Tell who waits for a refit what is published.
    pub(super) fn tell(&self, waiting: impl IntoIterator<Item = Waiting>) {
        let Some(latest) = self.latest() else { return };
        for waiting in waiting {
            // Whoever has stopped waiting needs no answer.
            drop(waiting.send(Arc::clone(&latest)));
        }
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

/// What is worked out of new estimates: kept from the publication before where it is of the very same estimate.
fn derived(
    snapshots: &[Arc<Snapshot>],
    before: Option<&Publication>,
    predicts: bool,
) -> Vec<Vec<Arc<Derived>>> {
    let of_estimate = |window: usize, scored: &ScoredEstimate| {
        let Some(before) = before.and_then(|before| before.find(window, scored.estimate.estimator)) else {
            return Arc::default();
        };
        if Arc::ptr_eq(&before.scored().estimate, &scored.estimate) {
            return Arc::clone(before.derived);
        }
        let derived = Arc::<Derived>::default();
        if predicts && before.derived.predicts() {
            derived.predictor(&scored.estimate, &snapshots[window].window.counts);
        }
        derived
    };
    let of_window = |(window, snapshot): (usize, &Arc<Snapshot>)| {
        snapshot.estimates.iter().map(|scored| of_estimate(window, scored)).collect()
    };
    snapshots.iter().enumerate().map(of_window).collect()
}

/// One estimate of a publication.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) derived: &'a Arc<Derived>,
    place: usize,
}

impl<'a> Found<'a> {
    /// The estimate with its score.
    pub(super) fn scored(&self) -> &'a ScoredEstimate {
        &self.snapshot.estimates[self.place]
    }

    /// What predicts by it.
    pub(super) fn predictor(&self) -> &'a Predictor {
        self.derived.predictor(&self.scored().estimate, &self.snapshot.window.counts)
    }

    /// Its recent score in bits per spike; `None` before it is scored.
    pub(super) fn bits_per_spike(&self) -> Option<f64> {
        self.scored().score.recent.bits_per_spike()
    }
}

impl Publication {
    /// The estimate of a window by this estimator.
    pub(super) fn find(&self, window: usize, estimator: Estimator) -> Option<Found<'_>> {
        self.of_window(window).find(|found| found.scored().estimate.estimator == estimator)
    }

    /// Of the estimates in one window or all, the one with the best recent score; the last of equals, as [`Snapshot::best`].
    pub(super) fn best(&self, window: Option<usize>) -> Option<Found<'_>> {
        let windows = window.map_or(0..self.snapshots.len(), |window| window..window + 1);
        let all = windows.flat_map(|window| self.of_window(window));
        let all: Vec<Found<'_>> = all.collect();
        let best = best_of(all.iter().map(Found::scored))?;
        all.into_iter().find(|found| std::ptr::eq(found.scored(), best))
    }

    fn of_window(&self, window: usize) -> impl Iterator<Item = Found<'_>> {
        let pair = self.snapshots.get(window).zip(self.derived.get(window));
        pair.into_iter().flat_map(|(snapshot, derived)| {
            derived.iter().enumerate().map(move |(place, derived)| Found { snapshot, derived, place })
        })
    }

    /// Bin after the newest one counted.
    pub(super) fn end_bin(&self) -> u64 {
        self.snapshots.first().map_or(0, |snapshot| snapshot.window.end_bin)
    }

    /// Bytes of the counts, the estimates and what was worked out of them.
    pub(super) fn bytes(&self) -> u64 {
        let derived: usize = self.derived.iter().flatten().map(|derived| derived.bytes()).sum();
        derived as u64 + self.snapshots.iter().map(|snapshot| snapshot_bytes(snapshot)).sum::<u64>()
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
