use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::record::{self, Committed};
use super::store::{Change, Forgotten, JournaledSession, SharedStore, Store, StoredBytes};
use super::{JournalError, Record};

/// Bounds of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Longest time that what is to become durable waits for company before it is committed.
    pub commit_interval: Duration,
    /// Bytes of entries, as they are held in memory, that are committed at once without waiting any longer.
    pub commit_bytes: usize,
    /// Most bytes of entries kept.
    pub bytes_max: u64,
    /// Free bytes of the volume below which nothing more is taken.
    pub free_bytes_min: u64,
    /// How long a closed session is kept.
    pub closed_kept: Duration,
}

/// Whether things can be made durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// They can.
    #[default]
    Working,
    /// There is no room.
    Full {
        /// What is exhausted.
        reason: String,
        /// A bound of the configuration is passed: nothing new is to be taken, but what is on the way becomes durable. Otherwise the disk
        /// itself is full, and that waits as well.
        is_bound: bool,
    },
    /// Never again.
    Failed {
        /// What failed.
        reason: String,
    },
}

impl Health {
    /// Why nothing can be made durable, if so.
    #[must_use]
    pub fn error(&self) -> Option<JournalError> {
        match self {
            Self::Working => None,
            Self::Full { reason, .. } => Some(JournalError::Full { reason: reason.clone() }),
            Self::Failed { reason } => Some(JournalError::Failed { reason: reason.clone() }),
        }
    }

    /// Why what is on the way cannot be made durable, if so.
    #[must_use]
    pub fn obstacle(&self) -> Option<JournalError> {
        match self {
            Self::Full { is_bound: true, .. } => None,
            _ => self.error(),
        }
    }

    /// Whether it says the same, whatever the numbers in its reason.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Full { is_bound: a, .. }, Self::Full { is_bound: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

/// Called once, when what it came with is durable, or never will be. On the journal's thread: it must not wait.
pub type OnDurable = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

/// Hears of every change of [`Health`].
type OnHealth = Box<dyn Fn(&Health) + Send>;

/// How often a journal looks whether there is room again, and whether something is to be forgotten.
const LOOK_AGAIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });

enum Job {
    Create { number: u64, session: JournaledSession, done: OnDurable },
    Append { number: u64, n_neurons: usize, record: Record, next_bin: u64, bytes: usize, done: OnDurable },
    Flush { done: OnDurable },
    Close { number: u64, is_recorded: bool, done: OnDurable },
    Stop,
}

/// The way into the journal; shared by all sessions.
#[derive(Clone)]
pub struct Journal {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    store: SharedStore,
    next_number: AtomicU64,
    entry_bytes: AtomicU64,
    file_bytes: AtomicU64,
    commits: AtomicU64,
}

/// The thread that commits.
pub type JournalThread = JoinHandle<()>;

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Journal {
    /// Start to commit to a store. `on_health` hears of a full or failing disk, on the journal's thread.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be read, or the system gives no thread.
    pub fn start(
        store: Store,
        limits: JournalLimits,
        on_health: impl Fn(&Health) + Send + 'static,
    ) -> Result<(Self, JournalThread), JournalError> {
        let sessions = store.sessions()?;
        let stored = store.bytes()?;
        let next_number = sessions.last_key_value().map_or(0, |(number, _)| number + 1);
        let shared = Arc::new(Shared {
            store: Arc::new(store),
            next_number: AtomicU64::new(next_number),
            entry_bytes: AtomicU64::new(stored.entries),
            file_bytes: AtomicU64::new(stored.file),
            commits: AtomicU64::new(0),
        });
        let (jobs, queue) = unbounded();
        let writer = Writer {
            shared: Arc::clone(&shared),
            limits,
            sessions: sessions
                .into_iter()
                .map(|(number, session)| (number, Known { session, next_sequence: None }))
                .collect(),
            health: Health::Working,
            on_health: Box::new(on_health),
            looked_at: None,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || writer.run(&queue));
        let thread = thread.map_err(|error| JournalError::Disk {
            doing: "start the thread of",
            reason: error.to_string(),
        })?;
        Ok((Self { jobs, shared }, thread))
    }

    /// The database, to be read.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Bytes kept.
    #[must_use]
    pub fn bytes(&self) -> StoredBytes {
        StoredBytes {
            entries: self.shared.entry_bytes.load(Ordering::Relaxed),
            file: self.shared.file_bytes.load(Ordering::Relaxed),
        }
    }

    /// Commits since the start.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// A number that no session has.
    #[must_use]
    pub fn new_number(&self) -> u64 {
        self.shared.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Begin the session of a new number.
    pub fn create(&self, number: u64, session: JournaledSession, done: OnDurable) {
        self.send(Job::Create { number, session, done });
    }

    /// Append what changed a session, which expects `next_bin` next. Never waits: whoever calls bounds what is on the way, and gets
    /// its room back in `done`.
    pub fn append(&self, number: u64, n_neurons: usize, record: Record, next_bin: u64, done: OnDurable) {
        let bytes = match &record {
            Record::Bins { block, .. } => block.bytes(),
            _ => 0,
        };
        self.send(Job::Append { number, n_neurons, record, next_bin, bytes, done });
    }

    /// Call `done` once everything appended before is durable.
    pub fn flush(&self, done: OnDurable) {
        self.send(Job::Flush { done });
    }

    /// Note that a session is closed; it is forgotten when it has been kept for as long as is asked for.
    pub fn close(&self, number: u64, is_recorded: bool, done: OnDurable) {
        self.send(Job::Close { number, is_recorded, done });
    }

    /// End the thread once everything appended so far is durable, or cannot be.
    pub fn stop(&self) {
        self.send(Job::Stop);
    }

    fn send(&self, job: Job) {
        if let Err(unsent) = self.jobs.send(job)
            && let Some(done) = unsent.0.into_done()
        {
            done(Err(JournalError::Stopped));
        }
    }
}

impl Job {
    fn into_done(self) -> Option<OnDurable> {
        match self {
            Self::Create { done, .. }
            | Self::Append { done, .. }
            | Self::Flush { done }
            | Self::Close { done, .. } => Some(done),
            Self::Stop => None,
        }
    }

    /// Whether someone waits for it.
    fn is_urgent(&self) -> bool {
        !matches!(self, Self::Append { .. })
    }

    fn bytes(&self) -> usize {
        if let Self::Append { bytes, .. } = self { *bytes } else { 0 }
    }
}

struct Known {
    session: JournaledSession,
    /// Sequence number of the next entries; read from the store when first needed.
    next_sequence: Option<u64>,
}

struct Writer {
    shared: Arc<Shared>,
    limits: JournalLimits,
    sessions: HashMap<u64, Known>,
    health: Health,
    on_health: OnHealth,
    looked_at: Option<Instant>,
}

/// What one commit holds, and who waits for it.
#[derive(Default)]
struct Group {
    changes: Vec<Change>,
    entry_bytes: u64,
    waiting: Vec<OnDurable>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut is_last = false;
        let mut kept_back = Vec::new();
        while !(is_last && kept_back.is_empty()) {
            let mut jobs = std::mem::take(&mut kept_back);
            if jobs.is_empty() {
                (jobs, is_last) = self.collect(queue);
            }
            if !jobs.is_empty() {
                let group = self.group(jobs);
                let is_committed = self.commit(group, queue, &mut kept_back, &mut is_last);
                // After one that is lost nothing may follow: it would be durable behind a hole.
                if !is_committed {
                    self.refuse(kept_back, queue, is_last);
                    return;
                }
            }
            if let Health::Failed { .. } = self.health {
                self.refuse(kept_back, queue, is_last);
                return;
            }
            self.look_around();
        }
    }

    /// Wait for something to do, then for company, but not for long; tells whether it is the last.
    fn collect(&self, queue: &Receiver<Job>) -> (Vec<Job>, bool) {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        let mut deadline = Instant::now() + LOOK_AGAIN;
        loop {
            match queue.recv_deadline(deadline) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return (jobs, true),
                Err(RecvTimeoutError::Timeout) => return (jobs, false),
                Ok(job) => {
                    if jobs.is_empty() {
                        deadline = Instant::now() + self.limits.commit_interval;
                    }
                    bytes += job.bytes();
                    let is_due = job.is_urgent() || bytes >= self.limits.commit_bytes;
                    jobs.push(job);
                    if is_due {
                        // What is there already comes along.
                        return Self::drain(jobs, bytes, self.limits.commit_bytes, queue);
                    }
                }
            }
        }
    }

    fn drain(
        mut jobs: Vec<Job>,
        mut bytes: usize,
        bytes_max: usize,
        queue: &Receiver<Job>,
    ) -> (Vec<Job>, bool) {
        while bytes < bytes_max {
            match queue.try_recv() {
                Ok(Job::Stop) => return (jobs, true),
                Ok(job) => {
                    bytes += job.bytes();
                    jobs.push(job);
                }
                Err(_) => break,
            }
        }
        (jobs, false)
    }

    /// Turn jobs into what is written; what cannot be is answered.
    fn group(&mut self, jobs: Vec<Job>) -> Group {
        let mut group = Group::default();
        let mut appended: HashMap<u64, (usize, Committed)> = HashMap::new();
        let mut touched: Vec<u64> = Vec::new();
        for job in jobs {
            match job {
                Job::Create { number, session, done } => {
                    self.sessions.insert(number, Known { session, next_sequence: Some(0) });
                    touched.push(number);
                    group.waiting.push(done);
                }
                Job::Close { number, is_recorded, done } => {
                    if let Some(known) = self.sessions.get_mut(&number) {
                        known.session.closed_unix_ns = Some(unix_ns());
                        known.session.is_recorded = is_recorded;
                        touched.push(number);
                    }
                    group.waiting.push(done);
                }
                Job::Append { number, n_neurons, record, next_bin, done, .. } => {
                    let (_, committed) = appended.entry(number).or_insert((n_neurons, Committed::default()));
                    committed.records.push(record);
                    committed.next_bin = next_bin;
                    group.waiting.push(done);
                }
                Job::Flush { done } => group.waiting.push(done),
                Job::Stop => {}
            }
        }
        for (number, (n_neurons, committed)) in appended {
            let value = record::encode(&committed, n_neurons);
            group.entry_bytes += value.len() as u64;
            let Some(sequence) = self.next_sequence(number) else { break };
            group.changes.push(Change::Entries { number, sequence, value });
        }
        for number in touched {
            if let Some(known) = self.sessions.get(&number) {
                group.changes.push(Change::Session { number, session: known.session.clone() });
            }
        }
        group
    }

    /// Take the next sequence number of a session; `None` when it cannot be known, which ends the journal.
    fn next_sequence(&mut self, number: u64) -> Option<u64> {
        let Some(known) = self.sessions.get_mut(&number) else {
            self.set_health(Health::Failed {
                reason: format!("bins of session number {number}, which it does not know"),
            });
            return None;
        };
        let next = match known.next_sequence {
            Some(next) => next,
            // Nobody appends before all were read at the start; a store that a full disk has closed is opened by the commit before.
            None => match self.shared.store.reopen().and_then(|()| self.shared.store.next_sequence(number)) {
                Ok(next) => next,
                Err(error) => {
                    self.set_health(Health::Failed { reason: error.to_string() });
                    return None;
                }
            },
        };
        known.next_sequence = Some(next + 1);
        Some(next)
    }

    /// Commit, however long the disk stays full, unless the daemon ends; what comes meanwhile is kept back. Tells whether it did.
    fn commit(
        &mut self,
        group: Group,
        queue: &Receiver<Job>,
        kept_back: &mut Vec<Job>,
        is_last: &mut bool,
    ) -> bool {
        let Group { changes, entry_bytes, waiting } = group;
        let outcome = loop {
            if let Some(error @ JournalError::Failed { .. }) = self.health.error() {
                break Err(error);
            }
            // Nothing to write: a flush finds everything before it durable.
            let outcome = if changes.is_empty() { Ok(()) } else { self.shared.store.commit(&changes) };
            match outcome {
                Ok(()) => break Ok(()),
                Err(error @ JournalError::Full { .. }) if *is_last => break Err(error),
                Err(JournalError::Full { reason }) => {
                    self.set_health(Health::Full { reason, is_bound: false });
                    *is_last = Self::wait_for_room(queue, kept_back);
                }
                Err(error) => self.set_health(Health::Failed { reason: error.to_string() }),
            }
        };
        if outcome.is_ok() {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.shared.entry_bytes.fetch_add(entry_bytes, Ordering::Relaxed);
            self.look_for_room();
        }
        for done in waiting {
            done(outcome.clone());
        }
        outcome.is_ok()
    }

    /// Wait a while; what comes meanwhile is kept, in order. Tells whether the daemon ends.
    fn wait_for_room(queue: &Receiver<Job>, kept_back: &mut Vec<Job>) -> bool {
        let deadline = Instant::now() + LOOK_AGAIN;
        loop {
            match queue.recv_deadline(deadline) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
                Ok(job) => kept_back.push(job),
            }
        }
    }

    /// For the rest of the daemon's life, answer everything that comes with what failed.
    fn refuse(&self, kept_back: Vec<Job>, queue: &Receiver<Job>, is_last: bool) {
        let error = self.health.error().unwrap_or(JournalError::Stopped);
        let still_to_come = queue.iter().take(if is_last { 0 } else { usize::MAX });
        for job in kept_back.into_iter().chain(still_to_come) {
            match job.into_done() {
                Some(done) => done(Err(error.clone())),
                None => return,
            }
        }
    }

    /// Now and then: whether there is room, and what has been kept for long enough.
    fn look_around(&mut self) {
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return;
        }
        self.looked_at = Some(Instant::now());
        self.forget_closed();
        self.look_for_room();
    }

    fn look_for_room(&mut self) {
        if matches!(self.health, Health::Failed { .. }) {
            return;
        }
        // One that a full disk has closed is opened as soon as that can be, also when nothing is to be written.
        match self.shared.store.reopen() {
            Ok(()) => {}
            Err(JournalError::Full { reason }) => {
                return self.set_health(Health::Full { reason, is_bound: false });
            }
            Err(error) => return self.set_health(Health::Failed { reason: error.to_string() }),
        }
        let (file, free) = self.shared.store.room();
        if let Some(file) = file {
            self.shared.file_bytes.store(file, Ordering::Relaxed);
        }
        let JournalLimits { bytes_max, free_bytes_min, .. } = self.limits;
        let entries = self.shared.entry_bytes.load(Ordering::Relaxed);
        let reason = if entries > bytes_max {
            Some(format!("it holds {entries} bytes, at most {bytes_max} are allowed (journal.bytes_max)"))
        } else {
            free.filter(|&free| free < free_bytes_min).map(|free| {
                format!(
                    "{free} bytes are free on its volume, at least {free_bytes_min} are wanted (journal.free_bytes_min)"
                )
            })
        };
        self.set_health(reason.map_or(Health::Working, |reason| Health::Full { reason, is_bound: true }));
    }

    /// Forget some of a session that has been closed for long enough. One whose recording is not written stays.
    fn forget_closed(&mut self) {
        if matches!(self.health, Health::Failed { .. }) {
            return;
        }
        let kept_ns = i64::try_from(self.limits.closed_kept.as_nanos()).unwrap_or(i64::MAX);
        let now = unix_ns();
        // When there is no room, those that are not needed go before their time, the oldest first.
        let is_pressed = matches!(self.health, Health::Full { .. });
        let is_due = |closed: i64| is_pressed || now.saturating_sub(closed) >= kept_ns;
        let forgettable = self.sessions.iter().filter(|(_, known)| known.session.is_recorded);
        let closed = forgettable.filter_map(|(&number, known)| Some((known.session.closed_unix_ns?, number)));
        let oldest = closed.filter(|&(closed, _)| is_due(closed)).min();
        let Some((_, number)) = oldest else { return };
        match self.shared.store.forget(number) {
            Ok(Forgotten { is_all, bytes }) => {
                self.shared.entry_bytes.fetch_sub(bytes, Ordering::Relaxed);
                if is_all {
                    self.sessions.remove(&number);
                }
                // There may be more.
                self.looked_at = None;
            }
            Err(JournalError::Full { reason }) => self.set_health(Health::Full { reason, is_bound: false }),
            Err(error) => self.set_health(Health::Failed { reason: error.to_string() }),
        }
    }

    fn set_health(&mut self, health: Health) {
        if !self.health.is_like(&health) {
            self.health = health;
            (self.on_health)(&self.health);
        }
    }
}

fn unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
