use std::sync::Arc;

use super::SessionSpec;
use crate::kinetic;
use crate::model::{Estimate, Estimator, Window};
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
    /// One estimate per estimator of the specification, in its order.
    pub estimates: Vec<Estimate>,
}

impl Snapshot {
    /// Run the session's estimators on the counts of a window. Cost O(n³).
    #[must_use]
    pub fn compute(spec: Arc<SessionSpec>, window: WindowCounts) -> Self {
        let estimates = kinetic::estimate(&window.counts, &spec.estimators, spec.ridge);
        Self { spec, window, estimates }
    }

    /// Bytes that the snapshots of all windows of a session take together: counts and estimates.
    #[must_use]
    pub fn bytes_of_all_windows(spec: &SessionSpec) -> u64 {
        let n = spec.n_neurons() as u64;
        let pairs_of_counts = n * (n + 1) / 2 + n * n * spec.lags.as_slice().len() as u64;
        let pairs_of_estimates = n * n * spec.estimators.len() as u64;
        // Vectors of n are left to the 1/16 that rounds this up.
        let bytes = 8 * (pairs_of_counts + pairs_of_estimates) * spec.windows.len() as u64;
        bytes + bytes / 16 + 4096
    }

    /// The estimate of one estimator, when the session runs it.
    #[must_use]
    pub fn estimate(&self, estimator: Estimator) -> Option<&Estimate> {
        self.estimates.iter().find(|e| e.estimator == estimator)
    }
}
