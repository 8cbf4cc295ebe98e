//! One thread per session: owns the session by value and is its only writer.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::archiver::Archive;
use super::equilibrium::{Fits, LastFit, WaitingForFit, attach};
use super::error::RequestError;
use super::estimators::{
    Estimators, FinishedRefit, InFlight, RefitJob, RefreshJob, Waiting, compute_final, shared,
};
use super::handle::SessionHandle;
use super::journaling::{SessionJournal, told};
use super::predictions::Applied;
use super::producer::ProducerLink;
use super::refits::{Pace, Refits};
use super::registry::Reservation;
use crate::journal::{JournalError, Record};
use crate::model::{LostSpikes, SpikeBlock, TrialMark};
use crate::session::{
    Marks, PushError, PushOutcome, Session, SessionSpec, SpecError, WindowBins, WindowCounts,
};

/// What an engine is asked to do, in the order in which it was asked.
#[derive(Debug)]
pub(super) enum Command {
    /// Take bins from this producer from now on, and from no other; gives the bin to go on with.
    Attach { link: Arc<ProducerLink>, reply: oneshot::Sender<u64> },
    /// Count bins, which take `space` of the queue until they are.
    Bins { link: Arc<ProducerLink>, bins: MarkedBins, space: OwnedSemaphorePermit },
    /// Count time-stamped spikes that came after all bins and did not become entries of one.
    LostSpikes { link: Arc<ProducerLink>, lost: LostSpikes },
    /// Answer once everything queued before is counted.
    Drained { reply: oneshot::Sender<()> },
    /// Answer once everything queued before is durable, if anything is.
    Durable { reply: oneshot::Sender<Result<(), RequestError>> },
    /// Remember a trial and let no transition cross its edges.
    MarkTrial { mark: TrialMark, reply: oneshot::Sender<Result<(), RequestError>> },
    /// Give the counts of a window, as of everything queued before.
    WindowCounts { index: usize, reply: oneshot::Sender<WindowCounts> },
    /// Nothing by itself: after every command the engine makes up for a refresh that was skipped. Sent when one is done.
    Refreshed,
    /// Refit now, or once the refit under way is done, and refresh; tells the publication that holds both.
    Refit { reply: Waiting },
    /// Fit the equilibrium models now, or once the fit under way is done; tells the publication that holds them.
    FitEquilibrium { reply: WaitingForFit },
    /// Publish and archive the final estimates, then end: for good, or until the daemon starts again.
    Close { ending: Ending, reply: oneshot::Sender<Result<(), RequestError>> },
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is closed.
    Closed,
    /// The daemon is taken down: with a journal the session goes on when it starts again.
    Suspended,
    /// It could not be made durable, and nobody has been told of it.
    Abandoned,
}

/// Bins and the marks that come with them.
#[derive(Debug)]
pub(super) struct MarkedBins {
    pub(super) block: SpikeBlock,
    pub(super) trial_edges: Vec<u64>,
    pub(super) trials: Vec<TrialMark>,
    /// Time-stamped spikes that did not become entries of these bins, or of those before them.
    pub(super) lost: LostSpikes,
}

impl MarkedBins {
    /// Of what goes around them until they are durable, roughly: it counts when messages are small.
    const OVERHEAD_BYTES: usize = 256;

    /// Bytes they take in the queue.
    pub(super) fn bytes(&self) -> usize {
        let Self { block, trial_edges, trials, .. } = self;
        let marks = size_of_val(trial_edges.as_slice()) + size_of_val(trials.as_slice());
        Self::OVERHEAD_BYTES + block.bytes() + marks
    }
}

/// What an engine works with.
pub(super) struct EngineParts {
    pub(super) id: String,
    pub(super) queue_messages: usize,
    pub(super) queue_bytes: u32,
    pub(super) estimators: Estimators,
    pub(super) archive: Archive,
    /// That counting may spread over.
    pub(super) counting_threads: usize,
    /// Share of the time that refits of the session may take.
    pub(super) refit_duty: f64,
    /// Wakes the engine when its session has rested from a refit.
    pub(super) runtime: Handle,
    pub(super) journal: SessionJournal,
    /// Whether the session was begun in an earlier run, and its state is to be found in the journal.
    pub(super) recovers: bool,
    /// Given back when the engine ends and its session's counts are gone.
    pub(super) reservation: Reservation,
}

/// The answer of a starting engine.
pub(super) type Started = oneshot::Receiver<Result<Arc<SessionHandle>, NotStarted>>;

/// Why a session has no engine.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
    #[error("its engine stopped: internal error")]
    Panicked,
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("its journal does not fit it: {0}")]
    Push(#[from] PushError),
    #[error("its journal leads to bin {found}, and says that it leads to bin {expected}")]
    End { found: u64, expected: u64 },
}

/// Start the thread of a session. The session is made on it: its counts can take seconds to allocate.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn(spec: SessionSpec, parts: EngineParts) -> std::io::Result<(JoinHandle<()>, Started)> {
    let (reply, started) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("engine-{}", parts.id));
    let handle = thread.spawn(move || {
        let mut session = match Session::new(spec) {
            Ok(session) => session,
            Err(error) => {
                let _ = reply.send(Err(error.into()));
                return;
            }
        };
        session.set_threads(parts.counting_threads);
        let (sender, commands) = mpsc::channel(parts.queue_messages);
        let spec = Arc::clone(session.spec());
        let pace = || Pace::new(parts.refit_duty, parts.runtime.clone());
        let (refits, fits) = (Refits::new(pace()), Fits::new(pace(), spec.equilibrium.interval_bins));
        let handle =
            Arc::new(SessionHandle::new(parts.id, spec, sender, parts.queue_bytes, parts.journal.clone()));
        let refresher = Refresher {
            handle: Arc::clone(&handle),
            estimators: parts.estimators,
            archive: parts.archive,
            in_flight: InFlight::default(),
            is_behind: false,
            observed_through: 0,
            order: 0,
            refits,
            fits,
        };
        let mut engine = Engine {
            session,
            refresher,
            producer: None,
            epoch: 0,
            journal: parts.journal,
            _reservation: parts.reservation,
        };
        if parts.recovers
            && let Err(error) = engine.recover()
        {
            let _ = reply.send(Err(error));
            return;
        }
        engine.handle().counters.session_bytes.store(engine.session.bytes() as u64, Ordering::Relaxed);
        let _ = reply.send(Ok(handle));
        engine.run(commands);
    })?;
    Ok((handle, started))
}

/// Who is told of the end.
type Ended = oneshot::Sender<Result<(), RequestError>>;

struct Engine {
    session: Session,
    refresher: Refresher,
    producer: Option<Arc<ProducerLink>>,
    /// Highest epoch of a producer so far.
    epoch: u64,
    journal: SessionJournal,
    _reservation: Reservation,
}

/// Hands counts to the estimators, or skips when those before are still being worked on.
struct Refresher {
    handle: Arc<SessionHandle>,
    estimators: Estimators,
    archive: Archive,
    in_flight: InFlight,
    /// A refresh was skipped, and none is under way since.
    is_behind: bool,
    /// Bin through which refreshes have been given the bins.
    observed_through: u64,
    /// Refreshes started.
    order: u64,
    refits: Refits,
    fits: Fits,
}

impl Refresher {
    fn refresh(&mut self, session: &mut Session) {
        if self.start(session) {
            return;
        }
        self.is_behind = true;
        if self.handle.counters.refreshes_skipped.fetch_add(1, Ordering::Relaxed) == 0 {
            let bin = session.next_bin();
            tracing::warn!(session = %self.handle.id, bin, "refresh skipped: the one before is still computed");
        }
    }

    /// Refresh after all when a refresh was skipped, so that what is published is never older than one computation takes,
    /// even when no further bin comes; and when a refit waits to be published. Start a refit, and a fit of equilibrium models, that is due.
    fn catch_up(&mut self, session: &mut Session) {
        self.refit(session);
        self.fits.catch_up(session, &self.handle, &self.estimators);
        if self.is_behind || self.handle.has_finished_refit() {
            self.start(session);
        }
    }

    /// Start a refit that is due.
    fn refit(&mut self, session: &Session) {
        if !self.refits.is_due(session, &self.handle) {
            return;
        }
        let (done, in_flight) = InFlight::new();
        let job = RefitJob {
            session: Arc::clone(&self.handle),
            bins: window_bins(session),
            waiting: std::mem::take(&mut self.refits.waiting),
            done,
        };
        // Before the job can end.
        self.handle.counters.refit_running.store(true, Ordering::Relaxed);
        if self.estimators.refit(job) {
            self.refits.begin(in_flight, session);
        } else {
            self.handle.counters.refit_running.store(false, Ordering::Relaxed);
        }
    }

    /// Hand the counts of this moment over, unless those before are still being worked on; tells whether it did.
    fn start(&mut self, session: &mut Session) -> bool {
        if self.in_flight.is_busy() {
            return false;
        }
        let (done, in_flight) = InFlight::new();
        let job = RefreshJob {
            session: Arc::clone(&self.handle),
            windows: windows(session),
            newest: session.newest_bins(self.observed_through),
            finished: self.handle.take_finished_refit(),
            order: self.order + 1,
            archive: self.archive.clone(),
            done,
        };
        if !self.estimators.refresh(job) {
            return false;
        }
        self.order += 1;
        self.in_flight = in_flight;
        self.observed_through = session.next_bin();
        self.is_behind = false;
        true
    }

    /// The final estimates of every window: never skipped, and the last to be published. When the daemon is being taken down, no refit
    /// is begun or waited for: what one under way finds is lost, and what was found before is published.
    fn finish(&mut self, session: &mut Session) {
        let mut last_fit = self.begin_last_fit(session);
        self.estimators.wait_for_refit(&mut self.refits.pace.in_flight);
        self.in_flight.wait();
        let handle = &self.handle;
        let newest = session.newest_bins(self.observed_through);
        let FinishedRefit { refit, waiting } = handle.take_finished_refit().unwrap_or_default();
        let bins = window_bins(session);
        let snapshots = compute_final(handle, windows(session), &newest, bins, refit, &self.estimators);
        if let Some(last_fit) = &mut last_fit {
            self.estimators.wait_for_refit(last_fit.in_flight());
        }
        let published = snapshots.and_then(|mut snapshots| {
            attach(&handle.equilibrium, &mut snapshots);
            handle.publisher.publish(u64::MAX, shared(snapshots), false)
        });
        if let Some(publication) = published {
            handle.record().final_snapshots = self.archive.on_close(handle, &publication);
        }
        handle.reset_tracker();
        handle.publisher.tell(waiting.into_iter().chain(self.refits.waiting.drain(..)));
        handle.equilibrium.tell(self.fits.waiting.drain(..));
    }

    /// Begin the last fit of the equilibrium models, beside the last refit.
    fn begin_last_fit(&self, session: &Session) -> Option<LastFit> {
        if session.spec().equilibrium.is_empty() || self.estimators.is_shutting_down() {
            return None;
        }
        let bins = session.equilibrium_bins();
        let estimators = &self.estimators;
        Some(LastFit::begin(&self.handle, bins, estimators.refit_threads(), estimators.last_fit_turn()))
    }
}

fn window_bins(session: &Session) -> Vec<WindowBins> {
    if !session.spec().refits() {
        return Vec::new();
    }
    (0..session.spec().windows.len()).map(|index| session.window_bins(index)).collect()
}

fn windows(session: &mut Session) -> Vec<WindowCounts> {
    (0..session.spec().windows.len()).map(|index| session.window_counts(index)).collect()
}

impl Engine {
    fn handle(&self) -> &Arc<SessionHandle> {
        &self.refresher.handle
    }

    /// Go through the journal of an earlier run, to the very state it had: counts are integers, so they are equal. The moments of the last
    /// refresh are published again; scores, and what rests on them, begin anew.
    fn recover(&mut self) -> Result<(), NotStarted> {
        let started = Instant::now();
        let journal = self.journal.clone();
        let (expected, last_refresh) = journal.end(self.session.spec().refresh_interval_bins)?;
        let (mut active_entries, mut repeated_bins) = (0, 0);
        for record in journal.records_from(0)? {
            match record? {
                Record::Bins { block, trial_edges, trials, lost } => {
                    let Self { session, refresher, .. } = self;
                    let marks = Marks { trial_edges: &trial_edges, trials: &trials };
                    let outcome = session.push_with_marks(&block, marks, &mut |session| {
                        if Some(session.next_bin()) == last_refresh {
                            // Files that come of it say how many gaps there were.
                            let (gap_count, gap_bins) = session.gaps();
                            refresher.handle.counters.gap_count.store(gap_count, Ordering::Relaxed);
                            refresher.handle.counters.gap_bins.store(gap_bins, Ordering::Relaxed);
                            refresher.refresh(session);
                        }
                    })?;
                    active_entries += outcome.active_entries;
                    repeated_bins += outcome.repeated_bins;
                    self.handle().counters.lose(lost);
                }
                Record::Trial(mark) => self.session.mark_trial(mark.start_bin, mark.stop_bin)?,
                Record::ProducerEpoch(epoch) => self.epoch = self.epoch.max(epoch),
                Record::LostSpikes(lost) => self.handle().counters.lose(lost),
            }
        }
        let found = self.session.next_bin();
        if found != expected {
            return Err(NotStarted::End { found, expected });
        }
        self.count(active_entries, repeated_bins);
        let handle = self.handle();
        handle.producer.restore(self.epoch);
        handle.set_durable(found);
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(session = %handle.id, bins = found, seconds, "session taken up again");
        Ok(())
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.refresher.catch_up(&mut self.session);
        while let Some(command) = commands.blocking_recv() {
            if let ControlFlow::Break((reply, outcome)) = self.obey(command) {
                // Who waits for the end finds the session closed, its memory and its share of the limits given back.
                drop((self, commands));
                let _ = reply.send(outcome);
                return;
            }
            self.refresher.catch_up(&mut self.session);
        }
    }

    /// Obey, and break with whom to tell what when that was the last command.
    fn obey(&mut self, command: Command) -> ControlFlow<(Ended, Result<(), RequestError>)> {
        // An answer that nobody waits for any more is no concern of the engine.
        match command {
            Command::Attach { link, reply } => {
                if link.epoch > self.epoch {
                    self.epoch = link.epoch;
                    self.journal.producer_epoch(link.epoch, self.session.next_bin());
                }
                self.producer = Some(link);
                let _ = reply.send(self.session.next_bin());
            }
            Command::LostSpikes { link, lost } => self.lose(&link, lost),
            Command::Bins { link, bins, space } => {
                self.take_bins(&link, bins, space);
            }
            Command::Drained { reply } => {
                let _ = reply.send(());
            }
            Command::Durable { reply } => self.journal.flush(told(reply)),
            Command::MarkTrial { mark, reply } => {
                match self.session.mark_trial(mark.start_bin, mark.stop_bin) {
                    Ok(()) => self.journal.trial(mark, self.session.next_bin(), told(reply)),
                    Err(error) => drop(reply.send(Err(error.into()))),
                }
            }
            Command::WindowCounts { index, reply } => {
                let _ = reply.send(self.session.window_counts(index));
            }
            Command::Refreshed => {}
            Command::Refit { reply } if self.session.spec().refits() => {
                self.refresher.refits.waiting.push(reply);
                self.refresher.is_behind = true;
            }
            // With nothing to refit, a refresh is all there is to wait for.
            Command::Refit { reply } => {
                let refresh = FinishedRefit { refit: None, waiting: vec![reply] };
                self.handle().add_finished_refit(refresh);
            }
            Command::FitEquilibrium { reply } => self.refresher.fits.waiting.push(reply),
            Command::Close { ending, reply } => {
                let outcome = self.finish(ending);
                return ControlFlow::Break((reply, outcome));
            }
        }
        ControlFlow::Continue(())
    }

    /// Count bins, unless their producer was fenced or a message of it refused: what follows a refused message would
    /// otherwise turn the refused bins into a gap.
    fn take_bins(&mut self, link: &Arc<ProducerLink>, bins: MarkedBins, space: OwnedSemaphorePermit) {
        let attached = self.producer.as_ref().is_some_and(|producer| Arc::ptr_eq(producer, link));
        if !attached || link.received_through().is_none() {
            return;
        }
        match self.push(&bins) {
            Ok(outcome) => {
                self.note(&bins.block, outcome);
                self.handle().counters.lose(bins.lost);
                self.tell_applied(&bins.block, outcome);
                self.keep(bins, outcome, space);
            }
            Err(error) => {
                tracing::info!(session = %self.handle().id, %error, "bins refused");
                link.fail(error.into());
            }
        }
    }

    /// Count spikes that became no entries, unless their producer was fenced.
    fn lose(&self, link: &Arc<ProducerLink>, lost: LostSpikes) {
        if self.producer.as_ref().is_some_and(|producer| Arc::ptr_eq(producer, link)) {
            self.handle().counters.lose(lost);
            self.journal.lost_spikes(lost, self.session.next_bin());
        }
    }

    /// Make bins durable. They take their space of the queue until they are, so that a slow disk slows the producer, not the engine.
    fn keep(&self, bins: MarkedBins, outcome: PushOutcome, space: OwnedSemaphorePermit) {
        let says_nothing_new =
            outcome.applied_bins == 0 && bins.trial_edges.is_empty() && bins.trials.is_empty();
        if says_nothing_new || !self.journal.is_on() {
            return;
        }
        let (handle, archive) = (Arc::clone(self.handle()), self.refresher.archive.clone());
        let next_bin = self.session.next_bin();
        let done = move |outcome: Result<(), JournalError>| {
            if outcome.is_ok() {
                handle.set_durable(next_bin);
                archive.on_durable(&handle);
            }
            drop(space);
        };
        self.journal.bins(bins, next_bin, Box::new(done));
    }

    /// Pass the bins that were new on to those who predict from them.
    fn tell_applied(&self, block: &SpikeBlock, outcome: PushOutcome) {
        if !self.handle().is_predicted() {
            return;
        }
        let (_, gap_bins) = self.session.gaps();
        let observed_before = self.session.next_bin() - gap_bins - outcome.applied_bins;
        let trials = self.session.trials_touching(block.first_bin()..block.end_bin()).into();
        for piece in Applied::pieces(block, outcome.repeated_bins as usize, observed_before, trials) {
            // An error means that the last one has just gone.
            drop(self.handle().applied.send(Arc::new(piece)));
        }
    }

    fn push(&mut self, bins: &MarkedBins) -> Result<PushOutcome, PushError> {
        let Self { session, refresher, .. } = self;
        let marks = Marks { trial_edges: &bins.trial_edges, trials: &bins.trials };
        session.push_with_marks(&bins.block, marks, &mut |session| refresher.refresh(session))
    }

    fn note(&self, block: &SpikeBlock, outcome: PushOutcome) {
        let counters = &self.handle().counters;
        if let Some(gap) = outcome.gap {
            tracing::info!(session = %self.handle().id, first_bin = gap.first_bin, end_bin = gap.end_bin, "gap");
        }
        self.count(outcome.active_entries, outcome.repeated_bins);
        debug_assert!(block.end_bin() <= counters.applied_through.load(Ordering::Relaxed));
    }

    /// Let everyone see how far the session is, with so many more entries and repeats.
    fn count(&self, active_entries: u64, repeated_bins: u64) {
        let counters = &self.handle().counters;
        let (gap_count, gap_bins) = self.session.gaps();
        counters.gap_count.store(gap_count, Ordering::Relaxed);
        counters.gap_bins.store(gap_bins, Ordering::Relaxed);
        counters.repeated_bins.fetch_add(repeated_bins, Ordering::Relaxed);
        counters.active_entries.fetch_add(active_entries, Ordering::Relaxed);
        counters.session_bytes.store(self.session.bytes() as u64, Ordering::Relaxed);
        // Last, so that whoever reads the new bin also reads what belongs to it.
        counters.applied_through.store(self.session.next_bin(), Ordering::Release);
    }

    /// Write the session's recording if one is wanted; tells whether nothing of the journal is needed for one any more.
    fn record(&self) -> bool {
        let (handle, archive) = (self.handle(), &self.refresher.archive);
        if !self.journal.is_on() || !archive.records() {
            return true;
        }
        // What is written is what is durable.
        let durable = self.journal.wait().map_err(|error| error.to_string());
        let snapshots = handle.publisher.latest().map_or_else(Vec::new, |latest| latest.snapshots.clone());
        match durable.and_then(|()| archive.record_all(handle, snapshots)) {
            Ok(paths) => {
                handle.record().recordings = paths;
                true
            }
            Err(reason) => {
                handle.note_snapshot_failure(format!("recording: {reason}"));
                false
            }
        }
    }

    /// The final estimates of every window: never skipped, and the last to be published.
    fn finish(&mut self, ending: Ending) -> Result<(), RequestError> {
        if ending == Ending::Abandoned {
            return Ok(());
        }
        self.refresher.finish(&mut self.session);
        let handle = self.handle();
        handle.counters.session_bytes.store(0, Ordering::Relaxed);
        let bins = self.session.next_bin();
        if ending == Ending::Suspended && self.journal.is_on() {
            handle.set_suspended();
            tracing::info!(session = %handle.id, bins, "session suspended: it goes on when the daemon starts again");
            // Whoever asked for its close gets to know.
            return Err(RequestError::ShuttingDown);
        }
        let is_recorded = self.record();
        let closed = self.journal.close(is_recorded);
        match &closed {
            Ok(()) => tracing::info!(session = %handle.id, bins, "session closed"),
            Err(error) => {
                tracing::error!(session = %handle.id, bins, %error, "session closed, but for its journal")
            }
        }
        closed
    }
}

impl Drop for Engine {
    /// However the engine ends, readers must learn of it.
    fn drop(&mut self) {
        let handle = self.handle();
        if std::thread::panicking() {
            tracing::error!(session = %handle.id, "engine stopped: internal error");
            handle.set_failed();
        }
        let error = handle.closed_error();
        handle.set_closed();
        // Who waits for it must not wait for ever.
        drop(handle.take_finished_refit());
        handle.publisher.end();
        if let Some(link) = handle.producer.current() {
            link.fail(error);
        }
    }
}
