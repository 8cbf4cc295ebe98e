//! The journal as the daemon's sessions use it; without one everything works the same, and nothing is durable.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::config::JournalConfig;
use super::engine::MarkedBins;
use super::error::RequestError;
use crate::journal::{
    Health, Journal, JournalError, JournalThread, JournaledSession, OnDurable, Record, Records, Store,
    file_disk,
};
use crate::model::{LostSpikes, TrialMark};
use crate::proto::v1;

/// What makes things durable; nothing when the daemon keeps no journal.
#[derive(Debug, Clone)]
pub(super) struct Durability {
    journal: Option<Journal>,
    health: watch::Receiver<Health>,
    /// Keeps the health known when there is no journal to change it.
    _no_journal: Option<std::sync::Arc<watch::Sender<Health>>>,
    bytes_max: u64,
}

impl Durability {
    /// Keep no journal.
    pub(super) fn off() -> Self {
        let (sender, health) = watch::channel(Health::Working);
        Self { journal: None, health, _no_journal: Some(std::sync::Arc::new(sender)), bytes_max: 0 }
    }

    /// Open the journal, make one, or keep none.
    pub(super) fn start(config: &JournalConfig) -> Result<(Self, Option<JournalThread>), JournalError> {
        let Some(file) = config.file() else { return Ok((Self::off(), None)) };
        let store = Store::open(file_disk(&file))?;
        let (sender, health) = watch::channel(Health::Working);
        let (journal, thread) = Journal::start(store, config.limits(), move |health| {
            match health {
                Health::Working => tracing::info!("the journal has room again"),
                Health::Full { reason, .. } => {
                    tracing::error!(%reason, "the journal is full: bins are refused")
                }
                Health::Failed { reason } => {
                    tracing::error!(%reason, "the journal has failed: bins are refused until the daemon is started again");
                }
            }
            sender.send_replace(health.clone());
        })?;
        let durability =
            Self { journal: Some(journal), health, _no_journal: None, bytes_max: config.bytes_max };
        Ok((durability, Some(thread)))
    }

    pub(super) fn is_on(&self) -> bool {
        self.journal.is_some()
    }

    /// Refuse what could not be made durable.
    pub(super) fn check(&self) -> Result<(), RequestError> {
        self.health.borrow().error().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether what is on the way cannot be made durable.
    pub(super) fn obstacle(&self) -> Option<RequestError> {
        self.health.borrow().obstacle().map(RequestError::from)
    }

    pub(super) fn watch_health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Every session of earlier runs, by number.
    pub(super) fn sessions(&self) -> Result<BTreeMap<u64, JournaledSession>, JournalError> {
        self.journal.as_ref().map_or_else(|| Ok(BTreeMap::new()), |journal| journal.store().sessions())
    }

    /// The place of a new session.
    pub(super) fn new_session(&self, session_id: &str, n_neurons: usize) -> SessionJournal {
        let number = self.journal.as_ref().map_or(0, Journal::new_number);
        self.session(number, session_id, n_neurons)
    }

    /// The place of a session of an earlier run.
    pub(super) fn session(&self, number: u64, session_id: &str, n_neurons: usize) -> SessionJournal {
        let place = self.journal.clone().map(|journal| Place {
            journal,
            health: self.health.clone(),
            runtime: Handle::current(),
            number,
            session_id: session_id.to_owned(),
            n_neurons,
        });
        SessionJournal { place }
    }

    /// End the journal's thread once everything is durable, or cannot be.
    pub(super) fn stop(&self) {
        if let Some(journal) = &self.journal {
            journal.stop();
        }
    }

    /// Commits since the start.
    pub(super) fn commits(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::commits)
    }

    /// How the journal is; `None` when there is none.
    pub(super) fn status(&self) -> Option<v1::JournalStatus> {
        let bytes = self.journal.as_ref()?.bytes();
        let (health, reason) = match &*self.health.borrow() {
            Health::Working => (v1::JournalHealth::Working, String::new()),
            Health::Full { reason, .. } => (v1::JournalHealth::Full, reason.clone()),
            Health::Failed { reason } => (v1::JournalHealth::Failed, reason.clone()),
        };
        Some(v1::JournalStatus {
            health: health.into(),
            reason,
            entry_bytes: bytes.entries,
            file_bytes: bytes.file,
            bytes_max: self.bytes_max,
        })
    }
}

/// Ends with the error when nothing can be made durable any more, for now or for good.
pub(super) async fn unhealthy(health: &mut watch::Receiver<Health>) -> RequestError {
    let changed = health.wait_for(|health| health.error().is_some()).await;
    // The journal's thread has ended: the daemon is at its end.
    let error = changed.ok().and_then(|health| health.error()).unwrap_or(JournalError::Stopped);
    error.into()
}

/// Ends with the error when what is on the way cannot be made durable, for now or for good.
async fn obstructed(health: &mut watch::Receiver<Health>) -> RequestError {
    let changed = health.wait_for(|health| health.obstacle().is_some()).await;
    let error = changed.ok().and_then(|health| health.obstacle()).unwrap_or(JournalError::Stopped);
    error.into()
}

/// The place of one session in the journal.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionJournal {
    place: Option<Place>,
}

#[derive(Debug, Clone)]
struct Place {
    journal: Journal,
    health: watch::Receiver<Health>,
    /// What the session's thread waits with.
    runtime: Handle,
    number: u64,
    session_id: String,
    n_neurons: usize,
}

impl SessionJournal {
    /// Make the session itself durable. Unless [`Begun::keep`] is called, it is closed again when what this gives is dropped.
    pub(super) async fn create(&self, spec: Vec<u8>) -> Result<Begun, RequestError> {
        let Some(place) = &self.place else { return Ok(Begun(None)) };
        let session = JournaledSession {
            session_id: place.session_id.clone(),
            spec,
            created_unix_ns: unix_ns(),
            closed_unix_ns: None,
            is_recorded: false,
        };
        let (reply, durable) = oneshot::channel();
        // Before it is waited for: who asks may have gone before the answer comes.
        let begun = Begun(Some(place.clone()));
        place.journal.create(place.number, session, told(reply));
        place.answer(durable).await?;
        Ok(begun)
    }

    /// Make bins durable after which the session expects `next_bin`.
    pub(super) fn bins(&self, bins: MarkedBins, next_bin: u64, done: OnDurable) {
        let MarkedBins { block, trial_edges, trials, lost } = bins;
        self.append(Record::Bins { block, trial_edges, trials, lost }, next_bin, done);
    }

    pub(super) fn trial(&self, mark: TrialMark, next_bin: u64, done: OnDurable) {
        self.append(Record::Trial(mark), next_bin, done);
    }

    /// Remember a producer. Nobody waits for it: what it sends comes after it.
    pub(super) fn producer_epoch(&self, epoch: u64, next_bin: u64) {
        self.append(Record::ProducerEpoch(epoch), next_bin, Box::new(drop));
    }

    /// Remember spikes that became no entries. Nobody waits for it: the bins that they could have been in are what is acknowledged.
    pub(super) fn lost_spikes(&self, lost: LostSpikes, next_bin: u64) {
        self.append(Record::LostSpikes(lost), next_bin, Box::new(drop));
    }

    fn append(&self, record: Record, next_bin: u64, done: OnDurable) {
        match &self.place {
            Some(place) => place.journal.append(place.number, place.n_neurons, record, next_bin, done),
            None => done(Ok(())),
        }
    }

    /// Whether anything becomes durable at all.
    pub(super) fn is_on(&self) -> bool {
        self.place.is_some()
    }

    pub(super) fn flush(&self, done: OnDurable) {
        match &self.place {
            Some(place) => place.journal.flush(done),
            None => done(Ok(())),
        }
    }

    /// Note that the session is closed, and wait until that is durable. `is_recorded` when nothing of it is needed any more. When the
    /// disk is full that is an error, and becomes durable once there is room.
    pub(super) fn close(&self, is_recorded: bool) -> Result<(), RequestError> {
        let Some(place) = &self.place else { return Ok(()) };
        let (reply, durable) = oneshot::channel();
        place.journal.close(place.number, is_recorded, told(reply));
        place.wait_for(durable)
    }

    /// The bin expected next, and the last one at which the estimates were refreshed, if ever.
    pub(super) fn end(&self, refresh_interval_bins: u64) -> Result<(u64, Option<u64>), JournalError> {
        let Some(Place { journal, number, session_id, n_neurons, .. }) = &self.place else {
            return Ok((0, None));
        };
        let store = journal.store();
        Ok((
            store.next_bin(*number, session_id, *n_neurons)?,
            store.last_multiple(*number, session_id, *n_neurons, refresh_interval_bins)?,
        ))
    }

    /// What the session went through, in order, as far as it is durable, from this sequence number on.
    ///
    /// # Errors
    /// Also when there is no journal.
    pub(super) fn records_from(&self, sequence: u64) -> Result<Records<'_>, JournalError> {
        let Some(Place { journal, number, session_id, n_neurons, .. }) = &self.place else {
            return Err(JournalError::Stopped);
        };
        journal.store().records(*number, session_id, *n_neurons, sequence)
    }

    /// Wait until everything appended so far is durable, unless the disk is full.
    pub(super) fn wait(&self) -> Result<(), RequestError> {
        let Some(place) = &self.place else { return Ok(()) };
        let (reply, durable) = oneshot::channel();
        self.flush(told(reply));
        place.wait_for(durable)
    }
}

impl Place {
    /// The answer of the journal's thread, or that there will be none for now: a full disk may stay full for days.
    async fn answer(&self, durable: Durable) -> Result<(), RequestError> {
        let mut health = self.health.clone();
        tokio::select! {
            biased;
            durable = durable => durable.unwrap_or(Err(JournalError::Stopped.into())),
            error = obstructed(&mut health) => Err(error),
        }
    }

    /// As [`Place::answer`], on a thread that may wait.
    fn wait_for(&self, durable: Durable) -> Result<(), RequestError> {
        self.runtime.block_on(self.answer(durable))
    }
}

/// The answer of the journal's thread.
type Durable = oneshot::Receiver<Result<(), RequestError>>;

/// A session in the journal that nobody has been told of. Closed again when dropped, or else it would be taken up at the next start.
#[must_use]
#[derive(Debug)]
pub(super) struct Begun(Option<Place>);

impl Begun {
    /// Let the session stand.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(Place { journal, number, .. }) = &self.0 {
            journal.close(*number, true, Box::new(drop));
        }
    }
}

/// Tell whoever waits for it how it went.
pub(super) fn told(reply: oneshot::Sender<Result<(), RequestError>>) -> OnDurable {
    // Whoever has stopped waiting needs no answer.
    Box::new(move |outcome| drop(reply.send(outcome.map_err(RequestError::from))))
}

fn unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
