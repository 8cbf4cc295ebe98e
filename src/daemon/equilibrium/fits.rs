//! Fitting equilibrium models, off the engines and the estimators.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;

use super::schedule::WaitingForFit;
use crate::daemon::background::Background;
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

/// How a fit ended.
enum Ended {
    Complete,
    /// Told to stop: the rest is left to the last fit.
    Stopped,
    /// Nothing can be said of the bins.
    Failed,
}

/// Fit, and publish what was found, unless the session is ending.
pub(in crate::daemon) fn fit(job: FitJob, threads: usize) {
    let FitJob { session, bins, waiting, done } = job;
    let state = &session.equilibrium;
    // One that is cut short, or whose turn comes too late, leaves the rest, and who waits, to the last fit. It never waits for that: this
    // thread serves every session.
    let stop = || state.is_ending();
    let working = if stop() { None } else { state.try_begin_work() };
    let ended =
        if working.is_some() { score_and_fit(&session, bins, threads, &stop) } else { Ended::Stopped };
    match ended {
        Ended::Complete => {
            let published = state.publish();
            for waiting in waiting {
                // Whoever has stopped waiting needs no answer; without a publication the lack of one is the answer.
                if let Some(published) = &published {
                    drop(waiting.send(Arc::clone(published)));
                }
            }
        }
        Ended::Stopped => state.keep_waiting(waiting),
        // The lack of an answer is the answer.
        Ended::Failed => drop(waiting),
    }
    state.counters.running.store(false, Ordering::Relaxed);
    drop((working, done));
    session.wake_engine();
}

/// Score the models there are on the newest bins, then fit those that follow them; each is adopted as it comes.
fn score_and_fit(
    session: &SessionHandle,
    bins: EquilibriumBins,
    threads: usize,
    stop: &dyn Fn() -> bool,
) -> Ended {
    let state = &session.equilibrium;
    // A defect here must not end the fits of every other session. One in a method is a refusal by that method.
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
    match fitted {
        Ok(ControlFlow::Continue(())) => Ended::Complete,
        Ok(ControlFlow::Break(())) => Ended::Stopped,
        Err(_) => {
            tracing::error!(session = %session.id, "equilibrium models not fitted: internal error");
            Ended::Failed
        }
    }
}

/// What one last fit at a time holds, and how it is started.
pub(in crate::daemon) struct LastFitTurn {
    pub(in crate::daemon) turn: Arc<Mutex<()>>,
    pub(in crate::daemon) background: Background,
}

/// The last fit of a session, from scratch on the bins as of its last one, on a thread of its own.
pub(in crate::daemon) struct LastFit {
    in_flight: InFlight,
}

impl LastFit {
    /// Begin it, once the one under way has ended with the model it is at, and it is its `turn`: one last fit at a time in all.
    pub(in crate::daemon) fn begin(
        session: &Arc<SessionHandle>,
        bins: EquilibriumBins,
        threads: usize,
        turn: LastFitTurn,
    ) -> Self {
        session.equilibrium.end();
        let (done, in_flight) = InFlight::new();
        let LastFitTurn { turn, background } = turn;
        let of = Arc::clone(session);
        let spawned = background.spawn("last-fit".to_owned(), move || {
            let _done = done;
            let _working = of.equilibrium.begin_work();
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            // A session that was not waited for publishes nothing more.
            let stop = || of.is_closed();
            if !stop() && matches!(score_and_fit(&of, bins, threads, &stop), Ended::Complete) {
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
