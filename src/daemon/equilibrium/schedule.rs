//! When the equilibrium models of a session are fitted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::fits::FitJob;
use super::publication::EquilibriumPublication;
use crate::daemon::estimators::{Estimators, InFlight};
use crate::daemon::handle::SessionHandle;
use crate::daemon::refits::Pace;
use crate::session::Session;

/// Someone who waits for the publication of a fit.
pub(in crate::daemon) type WaitingForFit = oneshot::Sender<Arc<EquilibriumPublication>>;

/// The fits of a session: due every so many bins; one that comes due while the one before is still under way, or the session rests from
/// it, is counted as skipped and made up for afterwards.
pub(in crate::daemon) struct Fits {
    pub(in crate::daemon) pace: Pace,
    /// The bin at which the next one is due.
    due_bin: u64,
    /// One was due that has not begun.
    is_behind: bool,
    /// Who asked for one, beyond those that come by themselves.
    pub(in crate::daemon) waiting: Vec<WaitingForFit>,
}

impl Fits {
    pub(in crate::daemon) fn new(pace: Pace, interval_bins: u64) -> Self {
        Self { pace, due_bin: interval_bins, is_behind: false, waiting: Vec::new() }
    }

    /// Start a fit that is due.
    pub(in crate::daemon) fn catch_up(
        &mut self,
        session: &Session,
        handle: &Arc<SessionHandle>,
        estimators: &Estimators,
    ) {
        if !self.is_due(session, handle) {
            return;
        }
        let (done, in_flight) = InFlight::new();
        let job = FitJob {
            session: Arc::clone(handle),
            bins: session.equilibrium_bins(),
            waiting: std::mem::take(&mut self.waiting),
            done,
        };
        // Before the job can end.
        handle.equilibrium.counters.running.store(true, Ordering::Relaxed);
        if estimators.fit(job) {
            self.pace.begin(in_flight);
            self.is_behind = false;
        } else {
            handle.equilibrium.counters.running.store(false, Ordering::Relaxed);
        }
    }

    fn is_due(&mut self, session: &Session, handle: &Arc<SessionHandle>) -> bool {
        let spec = &session.spec().equilibrium;
        if spec.is_empty() {
            return false;
        }
        let is_busy = self.pace.is_busy(handle);
        let is_free = !is_busy && self.pace.has_rested();
        let next_bin = session.next_bin();
        if next_bin >= self.due_bin {
            self.due_bin =
                (next_bin / spec.interval_bins).saturating_add(1).saturating_mul(spec.interval_bins);
            self.is_behind = true;
            if !is_free && handle.equilibrium.counters.skipped.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::info!(session = %handle.id, bin = next_bin, "fit of equilibrium models skipped: late");
            }
        }
        // Who asks does not wait for the session to have rested.
        (is_free && self.is_behind) || (!is_busy && !self.waiting.is_empty())
    }
}
