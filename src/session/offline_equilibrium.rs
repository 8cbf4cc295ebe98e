//! Equilibrium models of a recording that is there as a whole.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Bins, EquilibriumTask, EquilibriumTracker, Recorded, ScoredEquilibrium, SessionSpec};

/// Share of the recording that models are fitted to in order to be scored on the rest.
const SCORED_FROM: f64 = 0.7;

/// Fit the specification's equilibrium methods to the recording, or to as many of its newest bins as they may read, and score each by a
/// model of the first 70 % of these on the rest. The models are those that a session with the same specification has when it is closed after
/// the same bins; a session's scores are of the models it had on the way.
#[must_use]
pub fn offline_equilibrium(
    spec: &SessionSpec,
    recorded: &Recorded,
    threads: usize,
    on_progress: &mut dyn FnMut(),
) -> Vec<Arc<ScoredEquilibrium>> {
    if spec.equilibrium.is_empty() {
        return Vec::new();
    }
    let spec = Arc::new(SessionSpec { windows: vec![recorded.window], ..spec.clone() });
    let mut tracker = EquilibriumTracker::new(Arc::clone(&spec));
    let end = recorded.bins.end;
    let start = recorded.bins.start.max(end.saturating_sub(spec.equilibrium.bins_max));
    let split = start + ((end - start) as f64 * SCORED_FROM) as u64;
    let bins =
        |range: std::ops::Range<u64>| Bins::Unpacked { runs: recorded.runs.range(range.clone()), range };
    let mut adopt = |tracker: &mut EquilibriumTracker, range| {
        // Never broken off.
        let _complete = EquilibriumTask::new(&spec, vec![bins(range)]).run(threads, &mut |fit| {
            tracker.adopt(fit);
            on_progress();
            ControlFlow::Continue(())
        });
    };
    tracker.observe(&bins(start..split));
    adopt(&mut tracker, start..split);
    tracker.observe(&bins(split..end));
    adopt(&mut tracker, start..end);
    tracker.models().pop().unwrap_or_default()
}
