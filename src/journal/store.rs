use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use prost::Message;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};

use super::disk::{DiskOpener, Fault, Watched};
use super::guard::guarded;
use super::record::{self, Committed};
use super::{JournalError, Record};
use crate::proto::journal as stored;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SESSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("sessions");
const ENTRIES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("entries");

const FORMAT_KEY: &str = "format";
/// Goes up when a journal can no longer be read by programs that know the ones before.
const FORMAT: u64 = 1;
/// Memory for pages of the database. Entries are written and read once, in order: more would not help.
const CACHE_BYTES: usize = 16 << 20;
/// Values read at once, and bytes past which no further one is: a long reading holds up nobody who must open the database anew, and
/// many at once take little memory.
const VALUES_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 4 << 20;
/// Values deleted in one commit.
const FORGOTTEN_AT_ONCE: usize = 4096;
/// A file this much larger than what it holds is made smaller when it is opened.
const SLACK_BYTES: u64 = 256 << 20;

/// A session in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournaledSession {
    /// Identifier given by the daemon.
    pub session_id: String,
    /// Its specification, as whoever made it encoded it.
    pub spec: Vec<u8>,
    /// When it was made, nanoseconds since 1970.
    pub created_unix_ns: i64,
    /// When it was closed, likewise; `None` while it is open.
    pub closed_unix_ns: Option<i64>,
    /// Its recording stands in a file of its own.
    pub is_recorded: bool,
}

/// Bytes of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredBytes {
    /// What was put into it and is kept.
    pub entries: u64,
    /// Length of the file, which also has room that is free for what comes.
    pub file: u64,
}

/// What a transaction does.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Session { number: u64, session: JournaledSession },
    Entries { number: u64, sequence: u64, value: Vec<u8> },
}

/// The database. Reading goes on beside a commit.
pub struct Store {
    open_disk: DiskOpener,
    /// `None` while the disk is full and the database waits to be opened anew.
    database: RwLock<Option<Opened>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

struct Opened {
    database: Database,
    disk: Watched,
}

impl Opened {
    /// Open, and repair what a crash left behind.
    fn open(open_disk: &DiskOpener) -> Result<Self, JournalError> {
        let disk = Watched::new(open_disk()?);
        let database = guarded(|| {
            let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(disk.clone());
            database.map_err(|error| disk.error(&error))
        })?;
        let opened = Self { database, disk };
        match guarded(|| opened.check_format()) {
            Ok(()) => Ok(opened),
            Err(error) => {
                // To close a damaged file may fail as well; the error that led here counts.
                drop(guarded(|| {
                    drop(opened);
                    Ok(())
                }));
                Err(error)
            }
        }
    }

    fn check_format(&self) -> Result<(), JournalError> {
        let error = |error: redb::Error| self.disk.error(&error);
        let transaction = self.begin().map_err(error)?;
        let found = (|| -> Result<Option<u64>, redb::Error> {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get(FORMAT_KEY)?.map(|format| format.value());
            if found.is_none() {
                meta.insert(FORMAT_KEY, FORMAT)?;
                // So that readers find them.
                transaction.open_table(SESSIONS)?;
                transaction.open_table(ENTRIES)?;
            }
            Ok(found)
        })()
        .map_err(error)?;
        match found {
            None => transaction.commit().map_err(|e| self.disk.error(&e)),
            Some(FORMAT) => transaction.abort().map_err(|e| self.disk.error(&e)),
            Some(found) => Err(JournalError::Format { found, known: FORMAT }),
        }
    }

    fn begin(&self) -> Result<WriteTransaction, redb::Error> {
        Ok(self.database.begin_write()?)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        {
            let mut sessions = transaction.open_table(SESSIONS)?;
            let mut entries = transaction.open_table(ENTRIES)?;
            for change in changes {
                match change {
                    Change::Session { number, session } => {
                        sessions.insert(number, to_stored(session).encode_to_vec().as_slice())?;
                    }
                    Change::Entries { number, sequence, value } => {
                        entries.insert((*number, *sequence), value.as_slice())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn forget(&self, number: u64) -> Result<Forgotten, redb::Error> {
        let transaction = self.begin()?;
        let mut forgotten = Forgotten::default();
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut keys = Vec::new();
            for row in entries.range((number, 0)..=(number, u64::MAX))?.take(FORGOTTEN_AT_ONCE) {
                let (key, value) = row?;
                keys.push(key.value());
                forgotten.bytes += value.value().len() as u64;
            }
            for key in &keys {
                entries.remove(key)?;
            }
            forgotten.is_all = keys.len() < FORGOTTEN_AT_ONCE;
            if forgotten.is_all {
                transaction.open_table(SESSIONS)?.remove(number)?;
            }
        }
        transaction.commit()?;
        Ok(forgotten)
    }
}

/// What was forgotten of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Forgotten {
    /// Nothing of it is left.
    pub(super) is_all: bool,
    /// Bytes of the entries.
    pub(super) bytes: u64,
}

impl Watched {
    /// The error of the database, told by what failed under it.
    fn error(&self, error: &dyn std::fmt::Display) -> JournalError {
        match self.fault() {
            Some(Fault { is_full: true, reason, .. }) => JournalError::Full { reason },
            Some(Fault { doing, reason, .. }) => JournalError::Disk { doing, reason },
            None => JournalError::Damaged { reason: error.to_string() },
        }
    }
}

impl Store {
    /// Open a journal, or begin one. What a crash left behind is repaired; a file with much more room than it needs is made smaller.
    ///
    /// # Errors
    /// [`JournalError`]: in use by another process, unreadable, damaged, or of a later format.
    pub fn open(open_disk: DiskOpener) -> Result<Self, JournalError> {
        let mut opened = Opened::open(&open_disk)?;
        let stored = guarded(|| stored_bytes(&opened))?;
        if stored.file > 2 * stored.entries + SLACK_BYTES {
            // What cannot be made smaller stays as it is.
            guarded(|| {
                drop(opened.database.compact());
                Ok(())
            })?;
            if opened.disk.fault().is_some() {
                drop(opened);
                opened = Opened::open(&open_disk)?;
            }
        }
        Ok(Self { open_disk, database: RwLock::new(Some(opened)) })
    }

    fn with<T>(&self, act: impl FnOnce(&Opened) -> Result<T, JournalError>) -> Result<T, JournalError> {
        // A poisoned lock guards one assignment: what it holds is whole.
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let waiting = || JournalError::Full { reason: "it waits for room on the disk".to_owned() };
        let opened = database.as_ref().ok_or_else(waiting)?;
        guarded(|| act(opened))
    }

    /// Make changes durable, all or none.
    ///
    /// After [`JournalError::Full`] the very same changes may be tried again: what of them may already stand is written over. Any other
    /// error is for good.
    pub(super) fn commit(&self, changes: &[Change]) -> Result<(), JournalError> {
        self.reopen()?;
        let outcome = self.with(|opened| opened.apply(changes).map_err(|error| opened.disk.error(&error)));
        self.close_when_full(&outcome);
        outcome
    }

    /// After any failure of its disk the database refuses everything: it must be opened anew.
    fn close_when_full<T>(&self, outcome: &Result<T, JournalError>) {
        if matches!(outcome, Err(JournalError::Full { .. })) {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Open the database again when a full disk has closed it.
    pub(super) fn reopen(&self) -> Result<(), JournalError> {
        // Readers are not to be waited for when there is nothing to do.
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            *database = Some(Opened::open(&self.open_disk)?);
        }
        Ok(())
    }

    /// Every session, by number.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read.
    pub fn sessions(&self) -> Result<BTreeMap<u64, JournaledSession>, JournalError> {
        self.with(|opened| {
            let read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
                let table = opened.database.begin_read()?.open_table(SESSIONS)?;
                let all = table
                    .iter()?
                    .map(|row| row.map(|(number, value)| (number.value(), value.value().to_vec())));
                Ok(all.collect::<Result<_, _>>()?)
            };
            let rows = read().map_err(|error| opened.disk.error(&error))?;
            rows.into_iter().map(|(number, value)| Ok((number, from_stored(number, &value)?))).collect()
        })
    }

    /// The sequence number after the last of a session.
    pub(super) fn next_sequence(&self, number: u64) -> Result<u64, JournalError> {
        self.with(|opened| {
            let read = || -> Result<Option<u64>, redb::Error> {
                let table = opened.database.begin_read()?.open_table(ENTRIES)?;
                let last = table.range((number, 0)..=(number, u64::MAX))?.next_back().transpose()?;
                Ok(last.map(|(key, _)| key.value().1))
            };
            Ok(read().map_err(|error| opened.disk.error(&error))?.map_or(0, |last| last + 1))
        })
    }

    /// What a session of `n_neurons` neurons went through, in order, as of now, from this sequence number on.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read; so does the iterator, which then ends.
    pub fn records(
        &self,
        number: u64,
        session_id: &str,
        n_neurons: usize,
        from: u64,
    ) -> Result<Records<'_>, JournalError> {
        let end = self.next_sequence(number)?;
        let session_id = session_id.to_owned();
        Ok(Records {
            store: self,
            number,
            session_id,
            n_neurons,
            next: from,
            end,
            ready: VecDeque::new(),
            ended: false,
        })
    }

    /// The bin that a session expects next, told by its last entries; 0 when it has none.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read.
    pub fn next_bin(&self, number: u64, session_id: &str, n_neurons: usize) -> Result<u64, JournalError> {
        let end = self.next_sequence(number)?;
        let last = self.read(number, session_id, n_neurons, end.saturating_sub(1), end)?;
        Ok(last.last().map_or(0, |committed| committed.next_bin))
    }

    /// The last multiple of `interval` up to which a session has counted bins without leaping over it in a gap; `None` when it has not
    /// come to one.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read.
    pub fn last_multiple(
        &self,
        number: u64,
        session_id: &str,
        n_neurons: usize,
        interval: u64,
    ) -> Result<Option<u64>, JournalError> {
        let mut best = None;
        for sequence in (0..self.next_sequence(number)?).rev() {
            let committed = self.read(number, session_id, n_neurons, sequence, sequence + 1)?;
            for Committed { records, next_bin } in &committed {
                // What came before these cannot have come farther.
                if best.is_some_and(|best| best >= next_bin - next_bin % interval) {
                    return Ok(best);
                }
                for record in records {
                    let Record::Bins { block, .. } = record else { continue };
                    let multiple = block.end_bin() - block.end_bin() % interval;
                    if multiple > block.first_bin() {
                        best = best.max(Some(multiple));
                    }
                }
            }
        }
        Ok(best)
    }

    /// What was committed under the sequence numbers `from..end`, or the first of them when they are large.
    fn read(
        &self,
        number: u64,
        session_id: &str,
        n_neurons: usize,
        from: u64,
        end: u64,
    ) -> Result<Vec<Committed>, JournalError> {
        let mut is_cut = false;
        let values = self.with(|opened| {
            let mut read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
                let table = opened.database.begin_read()?.open_table(ENTRIES)?;
                let (mut values, mut bytes) = (Vec::new(), 0);
                for row in table.range((number, from)..(number, end))? {
                    let (key, value) = row?;
                    values.push((key.value().1, value.value().to_vec()));
                    bytes += value.value().len();
                    is_cut = bytes >= BYTES_AT_ONCE;
                    if is_cut {
                        break;
                    }
                }
                Ok(values)
            };
            read().map_err(|error| opened.disk.error(&error))
        })?;
        let damaged =
            |sequence, reason| JournalError::Entry { session_id: session_id.to_owned(), sequence, reason };
        let mut committed = Vec::with_capacity(values.len());
        for (expected, (sequence, value)) in (from..).zip(&values) {
            if *sequence != expected {
                return Err(damaged(expected, "it is missing".to_owned()));
            }
            committed.push(record::decode(value, n_neurons).map_err(|reason| damaged(*sequence, reason))?);
        }
        if !is_cut && values.len() as u64 != end - from {
            return Err(damaged(from + values.len() as u64, "it is missing".to_owned()));
        }
        Ok(committed)
    }

    /// Forget some of a session; the session itself goes with the last of it.
    ///
    /// # Errors
    /// [`JournalError`] as of any commit.
    pub(super) fn forget(&self, number: u64) -> Result<Forgotten, JournalError> {
        self.reopen()?;
        let outcome = self.with(|opened| opened.forget(number).map_err(|error| opened.disk.error(&error)));
        self.close_when_full(&outcome);
        outcome
    }

    /// Bytes of the entries kept and of the file. Reads through all of it.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read.
    pub fn bytes(&self) -> Result<StoredBytes, JournalError> {
        self.with(stored_bytes)
    }

    /// Length of the file and bytes free on its volume; `None` where not known.
    pub(super) fn room(&self) -> (Option<u64>, Option<u64>) {
        let room = self.with(|opened| {
            let disk = opened.disk.disk();
            Ok((disk.len().ok(), disk.free_bytes()))
        });
        room.unwrap_or((None, None))
    }
}

fn stored_bytes(opened: &Opened) -> Result<StoredBytes, JournalError> {
    let read = || -> Result<u64, redb::Error> {
        let table = opened.database.begin_read()?.open_table(ENTRIES)?;
        // The keys have a size that counts as well.
        let keys = table.len()? * size_of::<(u64, u64)>() as u64;
        Ok(table.stats()?.stored_bytes().saturating_sub(keys))
    };
    let entries = read().map_err(|error| opened.disk.error(&error))?;
    Ok(StoredBytes { entries, file: opened.disk.disk().len().unwrap_or(0) })
}

fn to_stored(session: &JournaledSession) -> stored::Session {
    stored::Session {
        session_id: session.session_id.clone(),
        spec: session.spec.clone(),
        created_unix_ns: session.created_unix_ns,
        closed_unix_ns: session.closed_unix_ns,
        is_recorded: session.is_recorded,
    }
}

fn from_stored(number: u64, value: &[u8]) -> Result<JournaledSession, JournalError> {
    let session = stored::Session::decode(value)
        .map_err(|error| JournalError::Damaged { reason: format!("session number {number}: {error}") })?;
    Ok(JournaledSession {
        session_id: session.session_id,
        spec: session.spec,
        created_unix_ns: session.created_unix_ns,
        closed_unix_ns: session.closed_unix_ns,
        is_recorded: session.is_recorded,
    })
}

/// The records of a session, in order.
#[derive(Debug)]
pub struct Records<'a> {
    store: &'a Store,
    number: u64,
    session_id: String,
    n_neurons: usize,
    next: u64,
    end: u64,
    ready: VecDeque<Record>,
    ended: bool,
}

impl Records<'_> {
    /// The sequence number after the last one of these.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && self.next < self.end && !self.ended {
            let until = self.end.min(self.next + VALUES_AT_ONCE as u64);
            match self.store.read(self.number, &self.session_id, self.n_neurons, self.next, until) {
                Ok(committed) => {
                    self.next += committed.len() as u64;
                    self.ready.extend(committed.into_iter().flat_map(|one| one.records));
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// A store that is shared by who writes and who reads.
pub(super) type SharedStore = Arc<Store>;
