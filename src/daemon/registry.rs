//! The sessions there are, and what they may take together.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::archiver::Archive;
use super::config::DaemonConfig;
use super::convert::{Neurons, spec_to_proto};
use super::engine::{self, Command, Ending, EngineParts, NotStarted};
use super::error::{RequestError, SpecProblem, echoed};
use super::estimators::Estimators;
use super::handle::SessionHandle;
use super::journaling::{Durability, SessionJournal};
use super::session_spec::session_spec;
use super::start::StartProgress;
use crate::journal::{JournalError, JournaledSession};
use crate::proto::v1;
use crate::session::{EquilibriumTracker, Session, SessionSpec, Snapshot, Tracker};

/// Longest wait for a place among the large answers.
const BULK_ANSWER_WAIT: Duration = Duration::from_secs(5);

/// All sessions of the daemon, open and closed.
pub(super) struct Registry {
    pub(super) config: DaemonConfig,
    pub(super) archive: Archive,
    pub(super) durability: Durability,
    bulk_answers: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    prediction_streams: Arc<Semaphore>,
    estimators: Estimators,
    budget: Arc<Mutex<Budget>>,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_id: HashMap<String, Arc<SessionHandle>>,
    engines: Vec<JoinHandle<()>>,
    /// Of sessions of earlier runs that could not be taken up again: why.
    set_aside: HashMap<String, String>,
    /// Identifiers that the journal knows.
    journaled: HashSet<String>,
    shutting_down: bool,
}

/// What open sessions take of the limits.
#[derive(Debug, Default)]
struct Budget {
    sessions_open: usize,
    memory_bytes: u64,
}

/// A share of the limits, given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Mutex<Budget>>,
    memory_bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut budget = lock(&self.budget);
        budget.sessions_open -= 1;
        budget.memory_bytes -= self.memory_bytes;
    }
}

/// A session whose engine runs and of which nobody has been told: the engine has a way to itself, and would never end.
struct Unclaimed(Option<Arc<SessionHandle>>);

impl Unclaimed {
    fn claim(mut self) {
        self.0 = None;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.abandon();
        }
    }
}

/// Every change under these locks is complete before anything can panic, so a poisoned value is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    pub(super) fn new(
        config: DaemonConfig,
        estimators: Estimators,
        archive: Archive,
        durability: Durability,
    ) -> Self {
        Self {
            bulk_answers: Arc::new(Semaphore::new(config.limits.bulk_answers_max)),
            watchers: Arc::new(Semaphore::new(config.limits.watchers_max)),
            prediction_streams: Arc::new(Semaphore::new(config.limits.prediction_streams_max)),
            config,
            archive,
            durability,
            estimators,
            budget: Arc::default(),
            sessions: Mutex::new(Sessions::default()),
        }
    }

    /// Open a session.
    pub(super) async fn create(&self, spec: SessionSpec) -> Result<Arc<SessionHandle>, RequestError> {
        self.durability.check()?;
        let reservation = self.reserve(&spec)?;
        let id = self.free_id();
        let journal = self.durability.new_session(&id, spec.n_neurons());
        let stored = spec_to_proto(&spec, Neurons::Listed).encode_to_vec();
        let parts = self.engine_parts(id, journal.clone(), None, reservation);
        let (thread, handle) = self.start_engine(spec, parts).await.map_err(|error| match error {
            NotStarted::Spec(error) => RequestError::Spec { field: "spec".into(), problem: error.into() },
            error => {
                tracing::error!(%error, "no engine for a session");
                RequestError::Stopped { what: "session's engine" }
            }
        })?;
        let unclaimed = Unclaimed(Some(Arc::clone(&handle)));
        // Whoever hears of the session finds it again after a crash.
        let begun = journal.create(stored).await?;
        self.insert(&handle, thread)?;
        begun.keep();
        unclaimed.claim();
        let (neurons, name) = (handle.spec.n_neurons(), handle.spec.name.as_str());
        tracing::info!(session = %handle.id, neurons, bin_width = %handle.spec.bin_width, name, "session created");
        Ok(handle)
    }

    fn engine_parts(
        &self,
        id: String,
        journal: SessionJournal,
        recovers: Option<StartProgress>,
        reservation: Reservation,
    ) -> EngineParts {
        EngineParts {
            id,
            queue_messages: self.config.limits.engine_queue_messages,
            queue_bytes: self.config.limits.engine_queue_bytes,
            estimators: self.estimators.clone(),
            archive: self.archive.clone(),
            counting_threads: self.config.server.counting_threads(),
            refit_duty: self.config.server.refit_duty,
            runtime: Handle::current(),
            journal,
            recovers,
            reservation,
        }
    }

    async fn start_engine(
        &self,
        spec: SessionSpec,
        parts: EngineParts,
    ) -> Result<(JoinHandle<()>, Arc<SessionHandle>), NotStarted> {
        let (thread, started) = engine::spawn(spec, parts).map_err(NotStarted::Thread)?;
        let handle = started.await.unwrap_or(Err(NotStarted::Panicked))?;
        Ok((thread, handle))
    }

    /// Take up the sessions of earlier runs that are not closed; one that cannot be is set aside, and said so.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read.
    pub(super) async fn recover(self: &Arc<Self>, progress: &StartProgress) -> Result<(), JournalError> {
        let journaled = self.durability.sessions()?;
        lock(&self.sessions).journaled =
            journaled.values().map(|session| session.session_id.clone()).collect();
        let mut recovering = tokio::task::JoinSet::new();
        for (number, session) in journaled {
            let (registry, progress) = (Arc::clone(self), progress.clone());
            if session.closed_unix_ns.is_some() {
                if !session.is_recorded {
                    registry.record_closed(number, &session);
                }
                continue;
            }
            recovering.spawn(async move {
                let id = session.session_id.clone();
                if let Err(reason) = registry.recover_one(number, session, progress).await {
                    tracing::error!(session = %id, reason, "session could not be taken up again; the journal keeps it");
                    lock(&registry.sessions).set_aside.insert(id, reason);
                }
            });
        }
        while recovering.join_next().await.is_some() {}
        Ok(())
    }

    /// Write the recording of a closed session that could not be written when it was closed.
    fn record_closed(&self, number: u64, session: &JournaledSession) {
        let id = session.session_id.clone();
        match self.journaled_spec(session) {
            Ok(spec) => {
                let journal = self.durability.session(number, &id, spec.n_neurons());
                self.archive.record_late(id, Arc::new(spec), journal);
            }
            Err(reason) => {
                tracing::error!(session = %id, reason, "recording not written; the journal keeps it")
            }
        }
    }

    fn journaled_spec(&self, session: &JournaledSession) -> Result<SessionSpec, String> {
        let asked = v1::SessionSpec::decode(session.spec.as_slice()).map_err(|error| error.to_string())?;
        session_spec(asked, &self.config.defaults, &self.config.limits).map_err(|error| error.to_string())
    }

    async fn recover_one(
        &self,
        number: u64,
        session: JournaledSession,
        progress: StartProgress,
    ) -> Result<(), String> {
        let spec = self.journaled_spec(&session)?;
        let reservation = self.reserve(&spec).map_err(|error| error.to_string())?;
        let journal = self.durability.session(number, &session.session_id, spec.n_neurons());
        let parts = self.engine_parts(session.session_id, journal, Some(progress), reservation);
        let (thread, handle) = self.start_engine(spec, parts).await.map_err(|error| error.to_string())?;
        self.insert(&handle, thread).map_err(|error| error.to_string())
    }

    fn insert(&self, handle: &Arc<SessionHandle>, thread: JoinHandle<()>) -> Result<(), RequestError> {
        let mut sessions = lock(&self.sessions);
        if sessions.shutting_down {
            return Err(RequestError::ShuttingDown);
        }
        sessions.engines.retain(|engine| !engine.is_finished());
        sessions.engines.push(thread);
        sessions.by_id.insert(handle.id.clone(), Arc::clone(handle));
        Ok(())
    }

    /// Check a session against the limits before anything of it is allocated.
    fn reserve(&self, spec: &SessionSpec) -> Result<Reservation, RequestError> {
        let limits = &self.config.limits;
        let within = |key, what, asked: u64, max: u64| {
            if asked > max { Err(RequestError::Limit { key, what, asked, max }) } else { Ok(()) }
        };
        let neurons = spec.n_neurons() as u64;
        within("neurons_max", "neurons of the session", neurons, limits.neurons_max as u64)?;
        let (ring_bytes, counts_bytes) = Session::bytes_max(spec).map_err(|error| RequestError::Spec {
            field: "spec".into(),
            problem: SpecProblem::Session(error),
        })?;
        let what = "bytes of bins kept for the longest finite window, refit_bins_max or equilibrium_bins_max";
        within("ring_bytes_max", what, ring_bytes, limits.ring_bytes_max)?;
        // The estimates published, and the ones being computed.
        let published = 2 * Snapshot::bytes_of_all_windows(spec);
        let memory_bytes =
            counts_bytes + published + Tracker::bytes_max(spec) + EquilibriumTracker::bytes_max(spec);

        let mut budget = lock(&self.budget);
        let (open, memory) = (budget.sessions_open + 1, budget.memory_bytes.saturating_add(memory_bytes));
        within("sessions_open_max", "open sessions", open as u64, limits.sessions_open_max as u64)?;
        let what = "bytes of counts and estimates of all open sessions";
        within("memory_bytes_max", what, memory, limits.memory_bytes_max)?;
        budget.sessions_open = open;
        budget.memory_bytes = memory;
        Ok(Reservation { budget: Arc::clone(&self.budget), memory_bytes })
    }

    /// Most that counts and estimates of all open sessions can take.
    pub(super) fn memory_reserved_bytes(&self) -> u64 {
        lock(&self.budget).memory_bytes
    }

    /// Sessions of earlier runs that could not be taken up again.
    pub(super) fn set_aside_count(&self) -> u64 {
        lock(&self.sessions).set_aside.len() as u64
    }

    fn free_id(&self) -> String {
        let sessions = lock(&self.sessions);
        loop {
            // Each `RandomState` has keys of its own, from the system's randomness.
            let id = format!("s-{:08x}", RandomState::new().hash_one(0_u8) as u32);
            let is_known = sessions.by_id.contains_key(&id) || sessions.journaled.contains(&id);
            if !is_known && !self.is_archived(&id) {
                return id;
            }
        }
    }

    /// Whether there are snapshots under this identifier, be it of a session of an earlier daemon.
    fn is_archived(&self, id: &str) -> bool {
        self.archive.directory().is_some_and(|archive| archive.join(id).exists())
    }

    pub(super) fn get(&self, session_id: &str) -> Result<Arc<SessionHandle>, RequestError> {
        let sessions = lock(&self.sessions);
        if let Some(reason) = sessions.set_aside.get(session_id) {
            let (session_id, reason) = (session_id.to_owned(), reason.clone());
            return Err(RequestError::SetAside { session_id, reason });
        }
        let session = sessions.by_id.get(session_id).cloned();
        session.ok_or_else(|| RequestError::UnknownSession { session_id: echoed(session_id) })
    }

    /// All sessions, by identifier.
    pub(super) fn list(&self) -> Vec<Arc<SessionHandle>> {
        let mut sessions: Vec<_> = lock(&self.sessions).by_id.values().cloned().collect();
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        sessions
    }

    /// Take a place among the answers of matrices and files, waiting a short while for one; kept until the answer is read.
    pub(super) async fn bulk_answer(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        let place = Arc::clone(&self.bulk_answers).acquire_owned();
        let taken = tokio::time::timeout(BULK_ANSWER_WAIT, place).await.ok().and_then(Result::ok);
        let max = self.config.limits.bulk_answers_max as u64;
        let what = "large answers being sent";
        taken.ok_or(RequestError::Limit { key: "bulk_answers_max", what, asked: max + 1, max })
    }

    /// Take a place among the watchers.
    pub(super) fn watcher(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        let max = self.config.limits.watchers_max as u64;
        let taken = Arc::clone(&self.watchers).try_acquire_owned().ok();
        taken.ok_or(RequestError::Limit { key: "watchers_max", what: "watchers", asked: max + 1, max })
    }

    /// Take a place among the streams of predictions.
    pub(super) fn prediction_stream(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        let max = self.config.limits.prediction_streams_max as u64;
        let taken = Arc::clone(&self.prediction_streams).try_acquire_owned().ok();
        let what = "streams of predictions";
        taken.ok_or(RequestError::Limit { key: "prediction_streams_max", what, asked: max + 1, max })
    }

    /// Close a session; returns once its final estimates are published and archived, or its engine has failed.
    pub(super) async fn close(&self, session: &SessionHandle) -> Result<(), RequestError> {
        // One that has failed for good keeps nobody from the last estimates.
        if !session.is_closed()
            && let Some(error @ RequestError::Journal(JournalError::Full { .. })) = self.durability.obstacle()
        {
            return Err(error);
        }
        let ending = Ending::Closed;
        let closed = session.ask(|reply| Command::Close { ending, reply }).await;
        // An error means that the engine is ending: someone else closed the session, or it failed. How, is known at its end.
        if closed.is_err() {
            drop(session.publisher.watch().wait_for(|latest| latest.ended).await);
        }
        self.forget_oldest_closed();
        match closed {
            Ok(closed) => closed,
            Err(_) => match session.closed_error() {
                RequestError::SessionClosed { .. } => Ok(()),
                error => Err(error),
            },
        }
    }

    fn forget_oldest_closed(&self) {
        let mut sessions = lock(&self.sessions);
        let closed = sessions.by_id.values().filter_map(|s| s.closed_at().map(|at| (at, s.id.clone())));
        let mut closed: Vec<_> = closed.collect();
        closed.sort();
        let limits = &self.config.limits;
        let (mut kept, mut bytes) = (0, 0);
        for (_, id) in closed.into_iter().rev() {
            kept += 1;
            bytes += sessions.by_id.get(&id).map_or(0, |session| session.memory_bytes());
            // The one just closed is always there to be asked.
            let newest_stays = kept == 1 && limits.sessions_closed_kept > 0;
            if !newest_stays && (kept > limits.sessions_closed_kept || bytes > limits.closed_bytes_max) {
                sessions.by_id.remove(&id);
            }
        }
    }

    /// Take no more sessions, and wait for no refit of those there are.
    pub(super) fn begin_shutdown(&self) {
        lock(&self.sessions).shutting_down = true;
        self.estimators.begin_shutdown();
    }

    /// End every session: for good, or until the daemon starts again if there is a journal.
    pub(super) async fn close_all(&self) {
        let mut closing = tokio::task::JoinSet::new();
        for session in self.list().into_iter().filter(|session| !session.is_closed()) {
            let ending = Ending::Suspended;
            closing.spawn(async move { drop(session.ask(|reply| Command::Close { ending, reply }).await) });
        }
        while closing.join_next().await.is_some() {}
    }

    /// End the estimators, once the engines have ended.
    pub(super) fn stop_estimators(&self) {
        self.estimators.stop();
    }

    /// The threads of the engines, to be joined.
    pub(super) fn take_engines(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut lock(&self.sessions).engines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::archiver::hdf5_writer;
    use crate::daemon::background::Background;
    use crate::daemon::recording_config::RecordingConfig;

    fn registry(archive: Archive) -> Registry {
        let (estimators, _threads) = Estimators::start(1, 1, 1, Background::new(0)).unwrap();
        Registry::new(DaemonConfig::default(), estimators, archive, Durability::off())
    }

    #[tokio::test]
    async fn an_engine_that_failed_is_an_error_of_every_call() {
        let registry = registry(Archive::default());
        let asked = v1::SessionSpec { neuron_count: 2, bin_width_us: 20_000, ..Default::default() };
        let config = &registry.config;
        let spec = session_spec(asked, &config.defaults, &config.limits).unwrap();
        // What an engine that panics leaves behind: no queue, a session that is marked, closed and at its end.
        let (sender, _) = tokio::sync::mpsc::channel(1);
        let session =
            SessionHandle::new("s-1".to_owned(), Arc::new(spec), sender, 1 << 20, SessionJournal::default());
        session.set_failed();
        session.set_closed();
        session.publisher.end();
        let stopped = RequestError::Stopped { what: "session's engine" };
        assert_eq!(registry.close(&session).await, Err(stopped.clone()));
        assert_eq!(session.ask(|reply| Command::Drained { reply }).await, Err(stopped));
    }

    #[test]
    fn an_identifier_with_snapshots_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("s-0123abcd")).unwrap();
        let mut config = DaemonConfig::default().archive;
        config.directory = directory.path().to_owned();
        let registry =
            registry(Archive::start(&config, &RecordingConfig::default(), hdf5_writer()).unwrap().0);
        assert!(registry.is_archived("s-0123abcd") && !registry.is_archived("s-0123abce"));
    }
}
