use std::sync::Arc;

use super::{ScoredEquilibrium, SessionSpec};
use crate::kinetic;
use crate::model::{EquilibriumMethod, Estimate, Estimator, EstimatorInput, RunningScore, Window};
use crate::moments::Counts;

/// The exact counts of one window at one moment, and which bins they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowCounts {
    /// Which window.
    pub window: Window,
    /// First bin that the window reaches back to.
    pub first_bin: u64,
    /// Bin after the newest one counted.
    pub end_bin: u64,
    /// The counts; `counts.bins` of the `end_bin - first_bin` bins were observed, the others lie in gaps.
    pub counts: Arc<Counts>,
}

/// Everything known about one window at one moment: immutable, cheap to share.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What the session records.
    pub spec: Arc<SessionSpec>,
    /// The counts of the window.
    pub window: WindowCounts,
    /// At most one estimate per estimator of the specification, in its order: one that refits may have none yet.
    pub estimates: Vec<ScoredEstimate>,
    /// The equilibrium models fitted last to the window, at most one per method of the specification, in its order. They are fitted at a
    /// pace of their own: each says of which bins it is.
    pub equilibrium: Vec<Arc<ScoredEquilibrium>>,
}

/// An estimate, the bins it was made on, and how its predecessors have predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredEstimate {
    /// The estimate.
    pub estimate: Arc<Estimate>,
    /// First bin that the estimate reaches back to.
    pub first_bin: u64,
    /// Bin after the newest one it was made on.
    pub end_bin: u64,
    /// How the estimates before it, by the same estimator with the same ridge, have predicted the bins that came after each of them.
    pub score: RunningScore,
    /// What the ridge was chosen from, in increasing order.
    pub path: Vec<RidgeScore>,
}

/// How one ridge has predicted lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RidgeScore {
    /// The ridge.
    pub ridge: f64,
    /// Recent bits per spike; `None` before anything was scored.
    pub bits_per_spike: Option<f64>,
}

/// Of scored estimates, the one with the best recent score; the last of equals.
///
/// One that has been scored on less than half the transitions of the most scored one, because it is new, is not yet compared.
pub fn best_of<'a>(
    estimates: impl Iterator<Item = &'a ScoredEstimate> + Clone,
) -> Option<&'a ScoredEstimate> {
    let most = estimates.clone().map(|e| e.score.recent.transitions).fold(0.0, f64::max);
    let comparable = estimates.filter(|e| 2.0 * e.score.recent.transitions >= most);
    let scored = comparable.filter_map(|e| Some((e, e.score.recent.bits_per_spike()?)));
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(estimate, _)| estimate)
}

impl Snapshot {
    /// Run the session's estimators that need counts alone, each with the ridge of the specification, or the one it begins
    /// with where there are several. Nothing is scored. Cost O(n³).
    #[must_use]
    pub fn compute(spec: Arc<SessionSpec>, window: WindowCounts) -> Self {
        let ridge = spec.ridges.as_slice()[spec.ridges.unscored_choice()];
        let n = spec.n_neurons();
        let path = || spec.ridges.as_slice().iter().map(|&ridge| RidgeScore { ridge, bits_per_spike: None });
        let estimates = kinetic::estimate(&window.counts, &spec.estimators, ridge)
            .into_iter()
            .map(|estimate| ScoredEstimate {
                estimate: Arc::new(estimate),
                first_bin: window.first_bin,
                end_bin: window.end_bin,
                score: RunningScore::new(n),
                path: path().collect(),
            })
            .collect();
        Self { spec, window, estimates, equilibrium: Vec::new() }
    }

    /// Bytes that the snapshots of all windows of a session take together: counts and estimates. What a [`Tracker`](super::Tracker) keeps
    /// comes on top, see [`Tracker::bytes_max`](super::Tracker::bytes_max).
    #[must_use]
    pub fn bytes_of_all_windows(spec: &SessionSpec) -> u64 {
        let n = spec.n_neurons() as u64;
        let pairs_of_counts = n * (n + 1) / 2 + n * n * spec.lags.as_slice().len() as u64;
        let pairs = |e: &Estimator| {
            // Couplings; standard errors of their own for those that refit.
            if matches!(e.input(), EstimatorInput::Bins | EstimatorInput::Trials) { 2 } else { 1 }
        };
        let pairs_of_estimates = n * n * spec.estimators.iter().map(pairs).sum::<u64>();
        // Vectors of n are left to the 1/16 that rounds this up.
        let bytes = 8 * (pairs_of_counts + pairs_of_estimates) * spec.windows.len() as u64;
        bytes + bytes / 16 + 4096
    }

    /// The estimate of one estimator, when the session runs it and it has one.
    #[must_use]
    pub fn estimate(&self, estimator: Estimator) -> Option<&ScoredEstimate> {
        self.estimates.iter().find(|e| e.estimate.estimator == estimator)
    }

    /// What one equilibrium method has made of the window, when the session runs it and it has been fitted.
    #[must_use]
    pub fn equilibrium(&self, method: EquilibriumMethod) -> Option<&Arc<ScoredEquilibrium>> {
        self.equilibrium.iter().find(|scored| scored.fitted.method == method)
    }

    /// The estimate that has predicted best of late; `None` before anything was scored. See [`best_of`].
    #[must_use]
    pub fn best(&self) -> Option<&ScoredEstimate> {
        best_of(self.estimates.iter())
    }
}
