//! Fitting equilibrium models, off the engines and the estimators.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::schedule::WaitingForFit;
use crate::daemon::estimators::InFlight;
use crate::daemon::handle::SessionHandle;
use crate::session::{EquilibriumBins, EquilibriumTask};

/// The bins of every window of a session, to be turned into equilibrium models.
pub(in crate::daemon) struct FitJob {
    pub(in crate::daemon) session: Arc<SessionHandle>,
    pub(in crate::daemon) bins: EquilibriumBins,
    pub(in crate::daemon) waiting: Vec<WaitingForFit>,
    /// Dropped when the job is done, however it ends.
    pub(in crate::daemon) done: Sender<()>,
}

/// Fit, and publish what was found, unless the session is ending.
pub(in crate::daemon) fn fit(job: FitJob, threads: usize) {
    let FitJob { session, bins, waiting, done } = job;
    // One that is cut short, or whose turn comes too late, leaves the rest, and who waits, to the last fit.
    let stop = || session.equilibrium.is_ending();
    let working = session.equilibrium.begin_work();
    if !stop() && score_and_fit(&session, bins, threads, &stop).is_continue() {
        let published = session.equilibrium.publish();
        for waiting in waiting {
            // Whoever has stopped waiting needs no answer; without a publication the lack of one is the answer.
            if let Some(published) = &published {
                drop(waiting.send(Arc::clone(published)));
            }
        }
    } else {
        session.equilibrium.keep_waiting(waiting);
    }
    session.equilibrium.counters.running.store(false, Ordering::Relaxed);
    drop((working, done));
    session.wake_engine();
}

/// Score the models there are on the newest bins, then fit those that follow them; each is adopted as it comes. `Break` when told to stop.
fn score_and_fit(
    session: &SessionHandle,
    bins: EquilibriumBins,
    threads: usize,
    stop: &dyn Fn() -> bool,
) -> ControlFlow<()> {
    let state = &session.equilibrium;
    // A defect in one model must not take those of every other session with it.
    let scored = std::panic::catch_unwind(AssertUnwindSafe(|| state.tracker().observe(&bins.newest)));
    if scored.is_err() {
        tracing::error!(session = %session.id, "equilibrium models not scored: internal error");
        state.reset_tracker(&session.spec);
    }
    let began = Instant::now();
    let task = EquilibriumTask::new(&session.spec, bins.windows);
    let fitted = std::panic::catch_unwind(AssertUnwindSafe(|| {
        task.run(threads, &mut |fit| {
            state.tracker().adopt(fit);
            if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }));
    state.counters.fits.add(began.elapsed());
    fitted.unwrap_or_else(|_| {
        // Those that came before it are published all the same.
        tracing::error!(session = %session.id, "equilibrium model not fitted: internal error");
        ControlFlow::Continue(())
    })
}

/// The last fit of a session, from scratch on the bins as of its last one, on a thread of its own.
pub(in crate::daemon) struct LastFit {
    in_flight: InFlight,
}

impl LastFit {
    /// Begin it, once the one under way has ended with the model it is at.
    pub(in crate::daemon) fn begin(
        session: &Arc<SessionHandle>,
        bins: EquilibriumBins,
        threads: usize,
    ) -> Self {
        session.equilibrium.end();
        let (done, in_flight) = InFlight::new();
        let thread = std::thread::Builder::new().name("last-fit".to_owned());
        let of = Arc::clone(session);
        let spawned = thread.spawn(move || {
            let _done = done;
            let _working = of.equilibrium.begin_work();
            // A session that was not waited for publishes nothing more.
            let stop = || of.is_closed();
            if score_and_fit(&of, bins, threads, &stop).is_continue() {
                of.equilibrium.publish();
            }
        });
        if let Err(error) = spawned {
            tracing::error!(session = %session.id, %error, "last equilibrium models not fitted");
        }
        Self { in_flight }
    }

    /// What is to be waited for.
    pub(in crate::daemon) fn in_flight(&mut self) -> &mut InFlight {
        &mut self.in_flight
    }
}
