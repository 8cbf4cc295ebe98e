//! Threads that compute estimates, off the engines and shared by all sessions.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use tokio::sync::oneshot;

use super::archiver::Archive;
use super::handle::SessionHandle;
use crate::session::{Refit, RefitScope, Snapshot, WindowBins, WindowCounts};

/// Someone who waits for the publication of a refit, and is told its number.
pub(super) type Waiting = oneshot::Sender<u64>;

/// The counts of every window of a session, to be turned into a publication.
pub(super) struct RefreshJob {
    pub(super) session: Arc<SessionHandle>,
    pub(super) windows: Vec<WindowCounts>,
    /// The bins since the refresh before.
    pub(super) newest: WindowBins,
    /// Place among the refreshes of the session.
    pub(super) order: u64,
    pub(super) archive: Archive,
    /// Dropped when the job is done, however it ends.
    pub(super) done: Sender<()>,
}

/// The bins of every window of a session, for the estimators that read them.
pub(super) struct RefitJob {
    pub(super) session: Arc<SessionHandle>,
    pub(super) bins: Vec<WindowBins>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) done: Sender<()>,
}

/// A refit that waits to be published, and who waits for that.
#[derive(Debug)]
pub(super) struct FinishedRefit {
    pub(super) refit: Option<Refit>,
    pub(super) waiting: Vec<Waiting>,
}

/// The queues of the threads. Each session has at most one job in each, so their capacity is the number of sessions.
#[derive(Clone)]
pub(super) struct Estimators {
    refreshes: Pool<RefreshJob>,
    refits: Pool<RefitJob>,
    refit_threads: usize,
}

/// A queue and the threads that work on it.
struct Pool<J> {
    /// `None` ends one thread.
    jobs: Sender<Option<J>>,
    threads: usize,
}

impl<J> Clone for Pool<J> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), threads: self.threads }
    }
}

impl<J: Send + 'static> Pool<J> {
    fn start(
        name: &str,
        threads: usize,
        capacity: usize,
        handles: &mut Vec<JoinHandle<()>>,
        run: impl Fn(J) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Option<J>>(capacity);
        for k in 0..threads {
            let (queue, run) = (queue.clone(), run.clone());
            let thread = std::thread::Builder::new().name(format!("{name}-{k}"));
            handles.push(thread.spawn(move || queue.iter().map_while(|job| job).for_each(run))?);
        }
        Ok(Self { jobs, threads })
    }

    fn stop(&self) {
        for _ in 0..self.threads {
            // An error means that they have ended.
            drop(self.jobs.send(None));
        }
    }

    fn submit(&self, job: J) -> bool {
        self.jobs.try_send(Some(job)).is_ok()
    }
}

/// A job of a session that is under way, if one is.
#[derive(Default)]
pub(super) struct InFlight {
    done: Option<Receiver<()>>,
}

impl InFlight {
    /// One that is busy until the sender is dropped.
    pub(super) fn new() -> (Sender<()>, Self) {
        let (done, ended) = bounded(1);
        (done, Self { done: Some(ended) })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.done.as_ref().is_some_and(|done| done.try_recv() == Err(TryRecvError::Empty))
    }

    /// Wait until it is computed.
    pub(super) fn wait(&mut self) {
        if let Some(done) = self.done.take() {
            // Nothing is ever sent: the channel ends when the job does.
            let _ended = done.recv();
        }
    }
}

impl Estimators {
    /// Start the threads: so many for refreshes, one for refits, which spreads over `refit_threads` while it works.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        threads: usize,
        refit_threads: usize,
        sessions_open_max: usize,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut handles = Vec::with_capacity(threads + 1);
        let refreshes = Pool::start("estimator", threads, sessions_open_max, &mut handles, refresh)?;
        let run = move |job| refit(job, refit_threads);
        let refits = Pool::start("refit", 1, sessions_open_max, &mut handles, run)?;
        Ok((Self { refreshes, refits, refit_threads }, handles))
    }

    /// End the threads once everything queued so far is computed, whoever may still hold a way to them.
    pub(super) fn stop(&self) {
        self.refreshes.stop();
        self.refits.stop();
    }

    /// Hand counts over; tells whether the queue took them.
    pub(super) fn refresh(&self, job: RefreshJob) -> bool {
        self.refreshes.submit(job)
    }

    /// Hand bins over; tells whether the queue took them.
    pub(super) fn refit(&self, job: RefitJob) -> bool {
        self.refits.submit(job)
    }

    /// Threads one refit may use.
    pub(super) fn refit_threads(&self) -> usize {
        self.refit_threads
    }
}

fn refresh(job: RefreshJob) {
    let RefreshJob { session, windows, newest, order, archive, done } = job;
    let finished = session.take_finished_refit();
    let (refit, waiting) = finished.map_or((None, Vec::new()), |finished| (finished.refit, finished.waiting));
    // A defect in one estimate must not take the estimates of every other session with it.
    let computed = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut tracker = session.tracker();
        tracker.observe(&windows, &newest.bins.runs(), &newest.trials);
        tracker.publish(windows, refit)
    }));
    // Before publishing: who has seen these estimates and sends more bins must not find this refresh still under way. Should the
    // next ones be published first, these are no longer wanted.
    drop(done);
    match computed {
        Ok(snapshots) => {
            if let Some(publication) = session.publisher.publish(order, shared(snapshots)) {
                archive.on_publication(&session, &publication);
            }
            let sequence = session.publisher.count();
            for waiting in waiting {
                // Whoever has stopped waiting needs no answer.
                let _ = waiting.send(sequence);
            }
        }
        Err(_) => {
            session.reset_tracker();
            tracing::error!(session = %session.id, "estimates not computed: internal error");
        }
    }
    session.wake_engine();
}

fn refit(job: RefitJob, threads: usize) {
    let RefitJob { session, bins, waiting, done } = job;
    let computed = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let task = session.tracker().refit_task(bins, RefitScope::Path);
        task.map(|task| task.run(threads))
    }));
    match computed {
        Ok(refit) => session.set_finished_refit(FinishedRefit { refit, waiting }),
        Err(_) => tracing::error!(session = %session.id, "refit not computed: internal error"),
    }
    drop(done);
    session.wake_engine();
}

/// The last estimates of a session, made on its engine's thread. Cost O(n³) and whatever the refits take.
pub(super) fn compute_final(
    session: &SessionHandle,
    windows: Vec<WindowCounts>,
    newest: &WindowBins,
    bins: Vec<WindowBins>,
    threads: usize,
) -> Vec<Arc<Snapshot>> {
    let mut tracker = session.tracker();
    tracker.observe(&windows, &newest.bins.runs(), &newest.trials);
    let refit = tracker.refit_task(bins, RefitScope::Final).map(|task| task.run(threads));
    shared(tracker.publish(windows, refit))
}

fn shared(snapshots: Vec<Snapshot>) -> Vec<Arc<Snapshot>> {
    snapshots.into_iter().map(Arc::new).collect()
}
