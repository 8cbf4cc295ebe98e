//! What the rest of the daemon knows of a session: the way to its engine, its counters and its last publication.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};

use super::engine::{Command, Ending};
use super::equilibrium::{EquilibriumPublication, EquilibriumState};
use super::error::{FirstPublication, RequestError, cut};
use super::estimators::FinishedRefit;
use super::journaling::SessionJournal;
use super::metrics::Durations;
use super::predictions::{Applied, PIECES_QUEUED};
use super::producer::ProducerSlot;
use super::publish::{Publication, Publisher};
use crate::model::LostSpikes;
use crate::session::{SessionSpec, Tracker};

/// Most characters of the reason why a snapshot was not written.
pub(super) const REASON_CHARS_MAX: usize = 512;

/// A session, open or closed, as everyone but its engine sees it.
#[derive(Debug)]
pub(super) struct SessionHandle {
    pub(super) id: String,
    pub(super) spec: Arc<SessionSpec>,
    pub(super) producer: ProducerSlot,
    pub(super) publisher: Publisher,
    pub(super) counters: Counters,
    pub(super) equilibrium: EquilibriumState,
    pub(super) journal: SessionJournal,
    commands: mpsc::Sender<Command>,
    /// One permit per byte that may still be queued.
    queue_space: Arc<Semaphore>,
    queue_bytes_max: u32,
    closed_at: OnceLock<Instant>,
    /// The engine ended by a panic.
    failed: AtomicBool,
    suspended: AtomicBool,
    record: Mutex<Record>,
    /// What scores and replaces the estimates; used by one job at a time.
    tracker: Mutex<Tracker>,
    finished_refit: Mutex<Option<FinishedRefit>>,
    /// Bin before which everything survives a crash.
    durable: watch::Sender<u64>,
    /// Bins as they are applied, for whoever predicts the next ones.
    pub(super) applied: broadcast::Sender<Arc<Applied>>,
}

/// Numbers of a session that its engine, estimators and the archiver write and everyone reads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) applied_through: AtomicU64,
    pub(super) gap_count: AtomicU64,
    pub(super) gap_bins: AtomicU64,
    pub(super) active_entries: AtomicU64,
    pub(super) repeated_bins: AtomicU64,
    /// Time-stamped spikes that did not become entries of bins.
    pub(super) late_spikes: AtomicU64,
    pub(super) merged_spikes: AtomicU64,
    pub(super) masked_spikes: AtomicU64,
    pub(super) refreshes_skipped: AtomicU64,
    /// How long refreshes, and refits, took to compute.
    pub(super) refreshes: Durations,
    pub(super) refits: Durations,
    /// Whether a refit is under way or waits for its turn.
    pub(super) refit_running: AtomicBool,
    pub(super) session_bytes: AtomicU64,
    /// Bin of the newest snapshot handed to the archiver, so that each period gets one.
    pub(super) archived_through: AtomicU64,
    /// Bin through which parts of the recording were asked for.
    pub(super) rolled_through: AtomicU64,
}

impl Counters {
    /// Add time-stamped spikes that did not become entries of bins.
    pub(super) fn lose(&self, lost: LostSpikes) {
        self.late_spikes.fetch_add(lost.late, Ordering::Relaxed);
        self.merged_spikes.fetch_add(lost.merged, Ordering::Relaxed);
        self.masked_spikes.fetch_add(lost.masked, Ordering::Relaxed);
    }
}

/// What changes rarely and is more than a number.
#[derive(Debug, Default, Clone)]
pub(super) struct Record {
    pub(super) last_bin_at: Option<Instant>,
    pub(super) snapshot_failures: u64,
    pub(super) last_snapshot_error: String,
    /// Files of the final snapshot.
    pub(super) final_snapshots: Vec<PathBuf>,
    /// Files of the recording.
    pub(super) recordings: Vec<PathBuf>,
}

impl SessionHandle {
    pub(super) fn new(
        id: String,
        spec: Arc<SessionSpec>,
        commands: mpsc::Sender<Command>,
        queue_bytes_max: u32,
        journal: SessionJournal,
    ) -> Self {
        Self {
            id,
            journal,
            tracker: Mutex::new(Tracker::new(Arc::clone(&spec), Tracker::LIVE_WORK_MAX)),
            finished_refit: Mutex::default(),
            durable: watch::Sender::new(0),
            applied: broadcast::Sender::new(PIECES_QUEUED),
            equilibrium: EquilibriumState::new(&spec),
            spec,
            producer: ProducerSlot::default(),
            publisher: Publisher::new(),
            counters: Counters::default(),
            commands,
            queue_space: Arc::new(Semaphore::new(queue_bytes_max as usize)),
            queue_bytes_max,
            closed_at: OnceLock::new(),
            failed: AtomicBool::new(false),
            suspended: AtomicBool::new(false),
            record: Mutex::new(Record::default()),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed_at().is_some()
    }

    pub(super) fn closed_at(&self) -> Option<Instant> {
        self.closed_at.get().copied()
    }

    pub(super) fn set_closed(&self) {
        self.closed_at.get_or_init(Instant::now);
    }

    /// Note, before the session is closed, that its engine did not end in order.
    pub(super) fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why the session takes no more commands.
    pub(super) fn closed_error(&self) -> RequestError {
        if self.is_failed() {
            return RequestError::Stopped { what: "session's engine" };
        }
        if self.suspended.load(Ordering::Acquire) {
            return RequestError::ShuttingDown;
        }
        RequestError::SessionClosed { session_id: self.id.clone() }
    }

    /// Note, before it is closed, that the session goes on when the daemon starts again.
    pub(super) fn set_suspended(&self) {
        self.suspended.store(true, Ordering::Release);
    }

    /// End the engine of a session that nobody has been told of.
    pub(super) fn abandon(&self) {
        let (reply, _) = oneshot::channel();
        // Nobody else has a way to it, so that there is room.
        drop(self.commands.try_send(Command::Close { ending: Ending::Abandoned, reply }));
    }

    /// Wait until so many bytes may be queued, or until nothing is when that is more than may ever be.
    pub(super) async fn queue_space(&self, bytes: usize) -> Result<OwnedSemaphorePermit, RequestError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.queue_bytes_max);
        Arc::clone(&self.queue_space).acquire_many_owned(bytes).await.map_err(|_| self.closed_error())
    }

    /// Ask for a refit and wait for its publication.
    pub(super) async fn refit(&self) -> Result<Arc<Publication>, RequestError> {
        self.ask_for_fit(|reply| Command::Refit { reply }).await
    }

    /// Ask for a fit of the equilibrium models and wait for its publication.
    pub(super) async fn fit_equilibrium(&self) -> Result<Arc<EquilibriumPublication>, RequestError> {
        if self.spec.equilibrium.is_empty() {
            return Err(RequestError::NoEquilibriumModels { session_id: self.id.clone() });
        }
        self.ask_for_fit(|reply| Command::FitEquilibrium { reply }).await
    }

    async fn ask_for_fit<P>(
        &self,
        command: impl FnOnce(oneshot::Sender<Arc<P>>) -> Command,
    ) -> Result<Arc<P>, RequestError> {
        let (reply, published) = oneshot::channel();
        self.send(command(reply)).await?;
        let mut latest = self.publisher.watch();
        tokio::select! {
            // Who is told at the end is told before the end.
            biased;
            // Without an answer the refit, or the refresh that was to publish it, has failed.
            published = published => published.map_err(|_| match self.is_closed() {
                true => self.closed_error(),
                false => RequestError::Stopped { what: "refit" },
            }),
            _ = latest.wait_for(|latest| latest.ended) => Err(self.closed_error()),
        }
    }

    /// Whether a refit is under way or waits for its turn.
    pub(super) fn is_refitting(&self) -> bool {
        self.counters.refit_running.load(Ordering::Relaxed)
    }

    /// Whether someone predicts from the bins as they are counted.
    pub(super) fn is_predicted(&self) -> bool {
        self.applied.receiver_count() > 0
    }

    /// Bytes of bins that wait for the engine.
    pub(super) fn queued_bytes(&self) -> u64 {
        u64::from(self.queue_bytes_max) - self.queue_space.available_permits() as u64
    }

    /// Commands that wait for the engine.
    pub(super) fn queued_messages(&self) -> u64 {
        (self.commands.max_capacity() - self.commands.capacity()) as u64
    }

    /// Queue a command for the engine, waiting while the queue is full.
    pub(super) async fn send(&self, command: Command) -> Result<(), RequestError> {
        self.commands.send(command).await.map_err(|_| self.closed_error())
    }

    /// Let the engine look whether there is something to make up for. Not needed when its queue is full: it looks after
    /// every command.
    pub(super) fn wake_engine(&self) {
        drop(self.commands.try_send(Command::Refreshed));
    }

    /// Queue a command and wait for what the engine answers.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| self.closed_error())
    }

    /// The last publication, or when the first one comes.
    pub(super) fn publication(&self) -> Result<Arc<Publication>, RequestError> {
        self.publisher.latest().ok_or_else(|| {
            let interval = self.spec.refresh_interval_bins;
            let when = if self.applied_through() < interval {
                FirstPublication::AtBin(interval)
            } else {
                FirstPublication::Soon
            };
            RequestError::NothingPublished { session_id: self.id.clone(), when }
        })
    }

    pub(super) fn applied_through(&self) -> u64 {
        self.counters.applied_through.load(Ordering::Acquire)
    }

    /// Note that everything before `bin` survives a crash.
    pub(super) fn set_durable(&self, bin: u64) {
        self.durable.send_if_modified(|durable| {
            let is_more = bin > *durable;
            *durable = bin.max(*durable);
            is_more
        });
    }

    pub(super) fn durable_through(&self) -> u64 {
        *self.durable.borrow()
    }

    pub(super) fn watch_durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Bin before which everything has been received, applied or still in the queue.
    pub(super) fn received_through(&self) -> u64 {
        let link = self.producer.current();
        let received = link.and_then(|link| link.received_through()).unwrap_or(0);
        received.max(self.applied_through())
    }

    /// Bytes of bins, queued and kept, counts, published estimates and equilibrium models.
    pub(super) fn memory_bytes(&self) -> u64 {
        let published = self.publisher.latest().map_or(0, |publication| publication.bytes());
        let models =
            self.equilibrium.bytes() + self.equilibrium.history.bytes() + self.publisher.history.bytes();
        self.counters.session_bytes.load(Ordering::Relaxed) + self.queued_bytes() + published + models
    }

    /// The tracker; whoever holds it works on a refresh, which takes its time.
    pub(super) fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begin to track anew: scores and what they were made with are gone.
    pub(super) fn reset_tracker(&self) {
        *self.tracker() = Tracker::new(Arc::clone(&self.spec), Tracker::LIVE_WORK_MAX);
    }

    /// Leave a refit to be published. With one before that has not been, whoever waits for that one gets this one. A session that is
    /// closed publishes nothing more: it refuses.
    pub(super) fn add_finished_refit(&self, newer: FinishedRefit) {
        let mut finished = self.finished_refit.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed() {
            return;
        }
        let FinishedRefit { refit, waiting } = finished.get_or_insert_default();
        *refit = newer.refit.or(refit.take());
        waiting.extend(newer.waiting);
    }

    pub(super) fn take_finished_refit(&self) -> Option<FinishedRefit> {
        self.finished_refit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether a refit waits to be published.
    pub(super) fn has_finished_refit(&self) -> bool {
        self.finished_refit.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        // Every change of a record is a plain assignment: a poisoned one is still whole.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_bins_arrived(&self) {
        self.record().last_bin_at = Some(Instant::now());
    }

    /// Count a snapshot that could not be written; the recording goes on.
    pub(super) fn note_snapshot_failure(&self, reason: String) {
        tracing::warn!(session = %self.id, %reason, "snapshot not written");
        let mut record = self.record();
        record.snapshot_failures += 1;
        record.last_snapshot_error = cut(&reason, REASON_CHARS_MAX).into_owned();
    }
}
