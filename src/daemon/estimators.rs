//! Threads that compute estimates, off the engines and shared by all sessions.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};
use tokio::sync::oneshot;

use super::archiver::Archive;
use super::background::Background;
use super::equilibrium::{self, FitJob, LastFitTurn, attach};
use super::handle::SessionHandle;
use super::publish::Publication;
use crate::session::{Refit, RefitScope, RefitTask, Snapshot, WindowBins, WindowCounts};

/// Someone who waits for the publication of a refit.
pub(super) type Waiting = oneshot::Sender<Arc<Publication>>;

/// The counts of every window of a session, to be turned into a publication.
pub(super) struct RefreshJob {
    pub(super) session: Arc<SessionHandle>,
    pub(super) windows: Vec<WindowCounts>,
    /// The bins since the refresh before.
    pub(super) newest: WindowBins,
    /// What was found in bins before the end of these, to be published with them. One that is found later may have read bins that
    /// the next refresh scores.
    pub(super) finished: Option<FinishedRefit>,
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
#[derive(Debug, Default)]
pub(super) struct FinishedRefit {
    pub(super) refit: Option<Refit>,
    pub(super) waiting: Vec<Waiting>,
}

/// The queues of the threads. Each session has at most one job in each, so their capacity is the number of sessions.
#[derive(Clone)]
pub(super) struct Estimators {
    refreshes: Pool<RefreshJob>,
    refits: Pool<RefitJob>,
    fits: Pool<FitJob>,
    refit_threads: usize,
    background: Background,
    /// Held by the one last fit of equilibrium models that is at work.
    last_fit: Arc<Mutex<()>>,
    shutdown: Shutdown,
}

/// Whether the daemon is being taken down, after which nobody waits for a refit any more: it can take longer than the time of
/// grace, and cannot be stopped.
#[derive(Clone)]
struct Shutdown {
    /// Dropped when it begins.
    begin: Arc<Mutex<Option<Sender<()>>>>,
    begun: Receiver<()>,
}

impl Shutdown {
    fn new() -> Self {
        let (begin, begun) = bounded(1);
        Self { begin: Arc::new(Mutex::new(Some(begin))), begun }
    }

    fn begin(&self) {
        drop(self.begin.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_begun(&self) -> bool {
        self.begun.try_recv() == Err(TryRecvError::Disconnected)
    }
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
        background: Background,
        handles: &mut Vec<JoinHandle<()>>,
        run: impl Fn(J) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Option<J>>(capacity);
        for k in 0..threads {
            let (queue, run) = (queue.clone(), run.clone());
            let work = move || queue.iter().map_while(|job| job).for_each(run);
            handles.push(background.spawn(format!("{name}-{k}"), work)?);
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

    /// Wait until it is computed or the daemon is being taken down.
    fn wait_unless(&mut self, shutdown: &Shutdown) {
        if let Some(done) = self.done.take() {
            select! {
                recv(done) -> _ended => {}
                recv(shutdown.begun) -> _begun => {}
            }
        }
    }
}

impl Estimators {
    /// Start the threads: so many for refreshes, one for refits and one for fits of equilibrium models, which spread over `refit_threads`
    /// while they work. Gives those of the refreshes, to be joined; nobody waits for the others.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        threads: usize,
        refit_threads: usize,
        sessions_open_max: usize,
        background: Background,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut handles = Vec::with_capacity(threads);
        let refreshes =
            Pool::start("estimator", threads, sessions_open_max, background, &mut handles, refresh)?;
        let run = move |job| refit(job, refit_threads);
        let refits = Pool::start("refit", 1, sessions_open_max, background, &mut Vec::new(), run)?;
        let run = move |job| equilibrium::fit(job, refit_threads);
        let fits = Pool::start("equilibrium", 1, sessions_open_max, background, &mut Vec::new(), run)?;
        let (last_fit, shutdown) = (Arc::default(), Shutdown::new());
        Ok((Self { refreshes, refits, fits, refit_threads, background, last_fit, shutdown }, handles))
    }

    /// Wait for no refit any more, neither those under way nor the last ones of sessions that are closed from now on.
    pub(super) fn begin_shutdown(&self) {
        self.shutdown.begin();
    }

    /// Wait until a refit is computed, unless the daemon is being taken down.
    pub(super) fn wait_for_refit(&self, refit: &mut InFlight) {
        refit.wait_unless(&self.shutdown);
    }

    /// End the threads once everything queued so far is computed, whoever may still hold a way to them.
    pub(super) fn stop(&self) {
        self.refreshes.stop();
        self.refits.stop();
        self.fits.stop();
    }

    /// Hand counts over; tells whether the queue took them.
    pub(super) fn refresh(&self, job: RefreshJob) -> bool {
        self.refreshes.submit(job)
    }

    /// Hand bins over; tells whether the queue took them.
    pub(super) fn refit(&self, job: RefitJob) -> bool {
        self.refits.submit(job)
    }

    /// Hand bins over, to be turned into equilibrium models; tells whether the queue took them.
    pub(super) fn fit(&self, job: FitJob) -> bool {
        self.fits.submit(job)
    }

    /// Threads that a refit, or fit, spreads over.
    pub(super) fn refit_threads(&self) -> usize {
        self.refit_threads
    }

    /// What the last fit of a session is to hold while it is at work, and how it is started.
    pub(super) fn last_fit_turn(&self) -> LastFitTurn {
        LastFitTurn { turn: Arc::clone(&self.last_fit), background: self.background }
    }

    /// Whether the daemon is being taken down.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutdown.is_begun()
    }

    /// Run the last refit of a session on a thread of its own, and wait for it until the daemon is being taken down.
    fn run_last(&self, session: &SessionHandle, task: RefitTask) -> Option<Refit> {
        if self.shutdown.is_begun() {
            return None;
        }
        let (done, result) = bounded(1);
        let threads = self.refit_threads;
        // Nobody receives it any more when the daemon is being taken down.
        let work = move || drop(done.send(task.run(threads)));
        if let Err(error) = self.background.spawn("last-refit".to_owned(), work) {
            tracing::error!(session = %session.id, %error, "last refit not computed");
            return None;
        }
        select! {
            recv(result) -> refit => {
                if refit.is_err() {
                    tracing::error!(session = %session.id, "last refit not computed: internal error");
                }
                refit.ok()
            }
            recv(self.shutdown.begun) -> _begun => None,
        }
    }
}

fn refresh(job: RefreshJob) {
    let RefreshJob { session, windows, newest, finished, order, archive, done } = job;
    let (refit, waiting) = finished.map_or((None, Vec::new()), |finished| (finished.refit, finished.waiting));
    let began = Instant::now();
    // A defect in one estimate must not take the estimates of every other session with it.
    let computed = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut tracker = session.tracker();
        tracker.observe(&windows, &newest.bins.runs(), &newest.trials);
        tracker.publish(windows, refit)
    }));
    if computed.is_err() {
        // Before the next job can begin to work with it.
        session.reset_tracker();
    }
    // Before publishing: who has seen these estimates and sends more bins must not find this refresh still under way. Should the
    // next ones be published first, these are no longer wanted.
    drop(done);
    match computed {
        Ok(mut snapshots) => {
            session.counters.refreshes.add(began.elapsed());
            attach(&session.equilibrium, &mut snapshots);
            let published = session.publisher.publish(order, shared(snapshots), session.is_predicted());
            if let Some(publication) = published {
                archive.on_publication(&session, &publication);
            }
            session.publisher.tell(waiting);
        }
        Err(_) => tracing::error!(session = %session.id, "estimates not computed: internal error"),
    }
    session.wake_engine();
}

fn refit(job: RefitJob, threads: usize) {
    let RefitJob { session, bins, waiting, done } = job;
    if session.is_closed() {
        // It ended before the turn of this came: nobody reads the result.
        return;
    }
    let began = Instant::now();
    let computed = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let task = session.tracker().refit_task(bins, RefitScope::Path);
        task.map(|task| task.run(threads))
    }));
    match computed {
        Ok(refit) => {
            session.counters.refits.add(began.elapsed());
            session.add_finished_refit(FinishedRefit { refit, waiting });
        }
        Err(_) => tracing::error!(session = %session.id, "refit not computed: internal error"),
    }
    session.counters.refit_running.store(false, Ordering::Relaxed);
    drop(done);
    session.wake_engine();
}

/// The last estimates of a session, with refits made from scratch; when the daemon is being taken down, or the refit fails, with those
/// found last, `finished` being one that was not published yet. Cost O(n³) and whatever the refits take. `None` when even the
/// estimates that need no refit fail.
pub(super) fn compute_final(
    session: &SessionHandle,
    windows: Vec<WindowCounts>,
    newest: &WindowBins,
    bins: Vec<WindowBins>,
    finished: Option<Refit>,
    estimators: &Estimators,
) -> Option<Vec<Snapshot>> {
    // A defect in an estimate must not take what can still be published with it.
    let task = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut tracker = session.tracker();
        tracker.observe(&windows, &newest.bins.runs(), &newest.trials);
        tracker.refit_task(bins, RefitScope::Final)
    }));
    let task = task.unwrap_or_else(|_| {
        tracing::error!(session = %session.id, "last bins not scored: internal error");
        session.reset_tracker();
        None
    });
    let refit = task.and_then(|task| estimators.run_last(session, task)).or(finished);
    let publish = |refit| {
        let windows = windows.clone();
        std::panic::catch_unwind(AssertUnwindSafe(|| session.tracker().publish(windows, refit))).ok()
    };
    publish(refit).or_else(|| {
        tracing::error!(session = %session.id, "last estimates not computed: internal error");
        session.reset_tracker();
        publish(None)
    })
}

/// Snapshots as they are published.
pub(super) fn shared(snapshots: Vec<Snapshot>) -> Vec<Arc<Snapshot>> {
    snapshots.into_iter().map(Arc::new).collect()
}
