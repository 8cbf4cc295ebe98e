//! A pool of threads that compute estimates, off the engines and shared by all sessions.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::archiver::Archive;
use super::handle::SessionHandle;
use crate::session::{Snapshot, WindowCounts};

/// The counts of every window of a session, to be turned into a publication.
pub(super) struct RefreshJob {
    session: Arc<SessionHandle>,
    windows: Vec<WindowCounts>,
    archive: Archive,
    /// Dropped when the job is done, however it ends.
    done: Sender<()>,
}

/// The queue of the pool. Each session has at most one job in it, so its capacity is the number of sessions.
#[derive(Clone)]
pub(super) struct Estimators {
    /// `None` ends one thread.
    jobs: Sender<Option<RefreshJob>>,
    threads: usize,
}

/// The refresh of a session that is under way, if one is.
#[derive(Default)]
pub(super) struct InFlight {
    done: Option<Receiver<()>>,
}

impl InFlight {
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
    /// Start the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        threads: usize,
        sessions_open_max: usize,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (jobs, queue) = bounded::<Option<RefreshJob>>(sessions_open_max);
        let mut handles = Vec::with_capacity(threads);
        for k in 0..threads {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name(format!("estimator-{k}"));
            handles.push(thread.spawn(move || queue.iter().map_while(|job| job).for_each(run))?);
        }
        Ok((Self { jobs, threads }, handles))
    }

    /// End the threads once everything queued so far is computed, whoever may still hold a way to them.
    pub(super) fn stop(&self) {
        for _ in 0..self.threads {
            // An error means that they have ended.
            drop(self.jobs.send(None));
        }
    }

    /// Hand counts over; gives what the caller waits on, or `None` when the queue is full.
    pub(super) fn submit(
        &self,
        session: &Arc<SessionHandle>,
        windows: Vec<WindowCounts>,
        archive: &Archive,
    ) -> Option<InFlight> {
        let (done, ended) = bounded(1);
        let job = RefreshJob { session: Arc::clone(session), windows, archive: archive.clone(), done };
        self.jobs.try_send(Some(job)).ok().map(|()| InFlight { done: Some(ended) })
    }
}

fn run(job: RefreshJob) {
    let RefreshJob { session, windows, archive, done } = job;
    // A defect in one estimate must not take the estimates of every other session with it.
    let computed = std::panic::catch_unwind(AssertUnwindSafe(|| compute(&session, windows)));
    // Before publishing: who has seen these estimates and sends more bins must not find this refresh still under way. Should the
    // next ones be published first, these are no longer wanted.
    drop(done);
    match computed {
        Ok(snapshots) => {
            if let Some(publication) = session.publisher.publish(snapshots) {
                archive.on_publication(&session, &publication);
            }
        }
        Err(_) => tracing::error!(session = %session.id, "estimates not computed: internal error"),
    }
    session.wake_engine();
}

/// The snapshots of all windows. Cost O(n³) each.
pub(super) fn compute(session: &SessionHandle, windows: Vec<WindowCounts>) -> Vec<Arc<Snapshot>> {
    let snapshot = |window| Arc::new(Snapshot::compute(Arc::clone(&session.spec), window));
    windows.into_iter().map(snapshot).collect()
}
