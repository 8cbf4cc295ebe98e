//! The journal on a disk that fails, fills up or loses power.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::{LostSpikes, SpikeBlock};

/// Smallest piece of a write that reaches a disk whole.
const SECTOR_BYTES: usize = 512;

/// Where a disk is to fail.
#[derive(Debug, Clone, Copy)]
struct Failure {
    /// How many operations that change the disk succeed before.
    after: usize,
    /// How many fail.
    times: usize,
    kind: io::ErrorKind,
}

/// A disk in memory that knows what has been synced.
#[derive(Debug, Default)]
struct Platter {
    /// What a read finds.
    current: Vec<u8>,
    /// What a power cut leaves for certain.
    synced: Vec<u8>,
    /// Writes since the last sync, in order.
    unsynced: Vec<(u64, Vec<u8>)>,
    changes: usize,
    failure: Option<Failure>,
}

impl Platter {
    fn change(&mut self) -> io::Result<()> {
        let change = self.changes;
        self.changes += 1;
        match self.failure {
            Some(Failure { after, times, kind }) if (after..after + times).contains(&change) => {
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    /// Any of the writes since the last sync may have reached the disk, each in part, in any order; or none.
    fn after_power_loss(&self, rng: &mut impl Rng) -> Vec<u8> {
        let mut left = self.synced.clone();
        for (offset, bytes) in &self.unsynced {
            for (k, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                if rng.random_bool(0.5) {
                    let at = *offset as usize + k * SECTOR_BYTES;
                    let end = at + sector.len();
                    if left.len() < end {
                        left.resize(end, 0);
                    }
                    left[at..end].copy_from_slice(sector);
                }
            }
        }
        // A file that grew may have its new length or not, but never one that cuts off what is in it.
        if rng.random_bool(0.5) && left.len() < self.current.len() {
            left.resize(self.current.len(), 0);
        }
        left
    }
}

#[derive(Debug, Clone, Default)]
struct MemoryDisk(Arc<Mutex<Platter>>);

impl MemoryDisk {
    fn of(bytes: Vec<u8>) -> Self {
        let platter = Platter { synced: bytes.clone(), current: bytes, ..Platter::default() };
        Self(Arc::new(Mutex::new(platter)))
    }

    fn opener(&self) -> DiskOpener {
        let disk = self.clone();
        Box::new(move || Ok(Arc::new(disk.clone()) as Arc<dyn Disk>))
    }
}

impl Disk for MemoryDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock().unwrap();
        let from = offset as usize;
        let bytes = platter.current.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.change()?;
        platter.current.resize(len as usize, 0);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.change()?;
        let from = offset as usize;
        platter.current[from..from + bytes.len()].copy_from_slice(bytes);
        platter.unsynced.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.change()?;
        platter.synced = platter.current.clone();
        platter.unsynced.clear();
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

const N_NEURONS: usize = 40;

fn limits() -> JournalLimits {
    JournalLimits {
        commit_interval: Duration::ZERO,
        commit_bytes: 1 << 20,
        bytes_max: u64::MAX,
        free_bytes_min: 0,
        closed_kept: Duration::from_secs(3600),
    }
}

fn session(id: &str) -> JournaledSession {
    JournaledSession {
        session_id: id.to_owned(),
        spec: vec![1, 2, 3],
        created_unix_ns: 5,
        closed_unix_ns: None,
        is_recorded: false,
    }
}

/// The bins of one message: different for each session and place.
fn bins(session: u64, first_bin: u64) -> Record {
    let mut rng = ChaCha8Rng::seed_from_u64(session << 32 | first_bin);
    let lists: Vec<Vec<u16>> =
        (0..3).map(|_| (0..N_NEURONS as u16).filter(|_| rng.random_bool(0.2)).collect()).collect();
    let block = SpikeBlock::from_lists(first_bin, &lists, N_NEURONS).unwrap();
    Record::Bins { block, trial_edges: vec![first_bin], trials: vec![], lost: LostSpikes::default() }
}

/// A call's end, to be waited for.
fn done() -> (OnDurable, Receiver<Result<(), JournalError>>) {
    let (sender, receiver) = bounded(1);
    (Box::new(move |outcome| drop(sender.send(outcome))), receiver)
}

struct Running {
    journal: Journal,
    thread: JournalThread,
    health: Receiver<Health>,
}

fn start(opener: DiskOpener, limits: JournalLimits) -> Result<Running, JournalError> {
    let (sender, health) = crossbeam_channel::unbounded();
    let store = Store::open(opener)?;
    let (journal, thread) = Journal::start(store, limits, move |health| drop(sender.send(health.clone())))?;
    Ok(Running { journal, thread, health })
}

impl Running {
    fn create(&self, session: JournaledSession, done: OnDurable) -> u64 {
        let number = self.journal.new_number();
        self.journal.create(number, session, done);
        number
    }

    fn append(&self, session: u64, message: u64) -> Receiver<Result<(), JournalError>> {
        let (on_durable, durable) = done();
        let first_bin = 3 * message;
        self.journal.append(session, N_NEURONS, bins(session, first_bin), first_bin + 3, on_durable);
        durable
    }

    fn stop(self) {
        self.journal.stop();
        self.thread.join().unwrap();
    }
}

/// The messages of a session that a store holds, each as it was sent.
fn messages(store: &Store, session: u64) -> u64 {
    let records: Result<Vec<Record>, JournalError> =
        store.records(session, "s", N_NEURONS, 0).unwrap().collect();
    let records = records.unwrap();
    for (message, record) in records.iter().enumerate() {
        assert_eq!(*record, bins(session, 3 * message as u64));
    }
    assert_eq!(store.next_bin(session, "s", N_NEURONS).unwrap(), 3 * records.len() as u64);
    records.len() as u64
}

#[test]
fn what_was_appended_is_there_after_a_restart_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    for round in 0..3_u64 {
        let running = start(file_disk(&path), limits()).unwrap();
        assert_eq!(running.journal.store().sessions().unwrap().len() as u64, round);
        let (created, is_created) = done();
        let number = running.create(session(&format!("s{round}")), created);
        assert_eq!(number, round);
        is_created.recv().unwrap().unwrap();
        for session in 0..=round {
            let durable: Vec<_> =
                (0..20).map(|k| running.append(session, 20 * (round - session) + k)).collect();
            assert!(durable.into_iter().all(|one| one.recv().unwrap().is_ok()));
            assert_eq!(messages(running.journal.store(), session), 20 * (round - session + 1));
        }
        running.stop();
    }
    let store = Store::open(file_disk(&path)).unwrap();
    let sessions = store.sessions().unwrap();
    assert_eq!(sessions[&1], session("s1"));
    assert_eq!(messages(&store, 0), 60);
}

#[test]
fn a_journal_whose_making_was_interrupted_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    std::fs::write(folder.path().join("journal.redb.new"), b"half of a database").unwrap();
    let store = Store::open(file_disk(&path)).unwrap();
    assert!(store.sessions().unwrap().is_empty());
    drop(store);
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["journal.redb"]);
}

#[test]
fn two_daemons_do_not_share_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let first = Store::open(file_disk(&path)).unwrap();
    let error = Store::open(file_disk(&path)).unwrap_err();
    assert_eq!(error, JournalError::InUse { path: path.clone() });
    drop(first);
    Store::open(file_disk(&path)).unwrap();
}

#[test]
fn of_daemons_that_begin_a_journal_at_once_one_has_it() {
    for round in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.redb");
        let start = std::sync::Barrier::new(6);
        let ended = std::sync::Barrier::new(6);
        let opened = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                let opened = Store::open(file_disk(&path));
                // Nobody lets go before everyone has tried.
                ended.wait();
                opened.map(drop)
            };
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(opened.iter().filter(|one| one.is_ok()).count(), 1, "round {round}: {opened:?}");
        let in_use = |one: &Result<(), JournalError>| matches!(one, Ok(()) | Err(JournalError::InUse { .. }));
        assert!(opened.iter().all(in_use), "round {round}: {opened:?}");
    }
}

#[test]
fn a_journal_that_has_gone_is_not_begun_anew_while_the_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let open = file_disk(&path);
    drop(open().unwrap());
    drop(open().unwrap());
    std::fs::remove_file(&path).unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, JournalError::Disk { doing: "open", .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_session_closed_in_the_future_is_kept_until_its_time_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let limits = JournalLimits { closed_kept: Duration::ZERO, ..limits() };
    let running = start(file_disk(&folder.path().join("journal.redb")), limits).unwrap();
    let closed = |id, at| JournaledSession { closed_unix_ns: Some(at), is_recorded: true, ..session(id) };
    // The clock was ahead when it was closed, and has been put right.
    running.create(closed("ahead", i64::MAX), done().0);
    let store = running.journal.store();
    for at in [i64::MIN, 0] {
        let (created, is_created) = done();
        running.create(closed("behind", at), created);
        is_created.recv().unwrap().unwrap();
        while store.sessions().unwrap().len() > 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(store.sessions().unwrap()[&0].session_id, "ahead");
    }
    running.stop();
}

#[test]
fn a_file_that_is_no_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    std::fs::write(&path, b"this is something else altogether, and long enough to be looked at").unwrap();
    assert!(matches!(Store::open(file_disk(&path)), Err(JournalError::Damaged { .. })));
    assert!(std::fs::read(&path).unwrap().starts_with(b"this is"), "it is left as it was");
}

#[test]
fn a_closed_session_is_forgotten_after_its_time_but_not_unrecorded() {
    let folder = tempfile::tempdir().unwrap();
    let limits = JournalLimits { closed_kept: Duration::ZERO, ..limits() };
    let running = start(file_disk(&folder.path().join("journal.redb")), limits).unwrap();
    let mut waiting = Vec::new();
    for (id, is_recorded) in [("recorded", true), ("unrecorded", false)] {
        let number = running.create(session(id), done().0);
        waiting.push(running.append(number, 0));
        let (closed, is_closed) = done();
        running.journal.close(number, is_recorded, closed);
        waiting.push(is_closed);
    }
    assert!(waiting.into_iter().all(|one| one.recv().unwrap().is_ok()));
    let store = running.journal.store();
    while store.sessions().unwrap().len() > 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(store.sessions().unwrap()[&1].session_id, "unrecorded");
    assert_eq!((messages(store, 0), messages(store, 1)), (0, 1));
    running.stop();
}

#[test]
fn the_last_multiple_of_an_interval_is_found_past_gaps_and_repeats() {
    let running = start(MemoryDisk::default().opener(), limits()).unwrap();
    let number = running.create(session("s"), done().0);
    let store = running.journal.store();
    let last = |interval| store.last_multiple(number, "s", N_NEURONS, interval).unwrap();
    let append = |first_bin, next_bin| {
        let (on_durable, durable) = done();
        running.journal.append(number, N_NEURONS, bins(0, first_bin), next_bin, on_durable);
        durable.recv().unwrap().unwrap();
    };
    append(0, 3);
    assert_eq!((last(2), last(3), last(4)), (Some(2), Some(3), None));
    // Bins 9 to 11, behind a gap in which 4 and 8 are never counted to.
    append(9, 12);
    assert_eq!((last(4), last(9), last(5)), (Some(12), None, Some(10)));
    // Bins 0 to 2 again.
    append(0, 12);
    assert_eq!((last(4), last(3), last(2), last(9)), (Some(12), Some(12), Some(12), None));
    running.stop();
}

#[test]
fn a_power_cut_loses_nothing_that_was_told_to_be_durable() {
    for seed in 0..150 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let disk = empty_journal();
        let running = start(disk.opener(), limits()).unwrap();
        let (created, is_created) = done();
        running.create(session("s"), created);
        is_created.recv().unwrap().unwrap();
        let sent = rng.random_range(1..40_u64);
        let waiting: Vec<_> = (0..sent).map(|message| running.append(0, message)).collect();
        // The power is cut at any moment: what is durable at that moment was told before.
        let watched = rng.random_range(0..sent);
        for one in waiting.iter().take(watched as usize) {
            one.recv().unwrap().unwrap();
        }
        let told = waiting
            .iter()
            .enumerate()
            .filter(|(k, one)| (*k as u64) < watched || one.try_recv().is_ok())
            .count();
        let left = disk.0.lock().unwrap().after_power_loss(&mut rng);
        running.stop();

        let store = Store::open(MemoryDisk::of(left).opener()).unwrap();
        let found = messages(&store, 0);
        assert!(
            found >= told as u64 && found <= sent,
            "seed {seed}: {told} of {sent} were told, {found} found"
        );
    }
}

/// A disk with a journal in which nothing is.
fn empty_journal() -> MemoryDisk {
    let disk = MemoryDisk::default();
    drop(Store::open(disk.opener()).unwrap());
    disk.0.lock().unwrap().changes = 0;
    disk
}

/// Everything a daemon does with its journal; gives what it was told to be durable and the outcome of the last.
fn life(disk: &MemoryDisk) -> (u64, Option<JournalError>) {
    let running = match start(disk.opener(), limits()) {
        Ok(running) => running,
        Err(error) => return (0, Some(error)),
    };
    let (created, is_created) = done();
    running.create(session("s"), created);
    let mut told = 0;
    let mut error = is_created.recv().unwrap().err();
    for message in 0..12 {
        match running.append(0, message).recv().unwrap() {
            Ok(()) => told += 1,
            Err(refused) => error = error.or(Some(refused)),
        }
    }
    let health: Vec<Health> = running.health.try_iter().collect();
    if let Some(JournalError::Failed { .. }) = error {
        assert!(matches!(health.last(), Some(Health::Failed { .. })), "{health:?}");
    }
    running.stop();
    (told, error)
}

fn changes_of_a_life() -> usize {
    let disk = empty_journal();
    assert_eq!(life(&disk), (12, None));
    let changes = disk.0.lock().unwrap().changes;
    assert!(changes > 50, "{changes}");
    changes
}

#[test]
fn after_any_failed_write_or_sync_nothing_more_is_told_to_be_durable_and_nothing_is_lost() {
    for after in 0..changes_of_a_life() {
        let disk = empty_journal();
        let failure = Failure { after, times: 1, kind: io::ErrorKind::Other };
        disk.0.lock().unwrap().failure = Some(failure);
        let (told, error) = life(&disk);
        // A write that fails while the journal ends is nobody's any more.
        let reached = disk.0.lock().unwrap().changes > after;
        assert!(!reached || error.is_some() || told == 12, "failure after {after}");
        if let Some(error) = &error {
            let expected = matches!(error, JournalError::Failed { .. } | JournalError::Disk { .. });
            assert!(expected, "failure after {after}: {error}");
        }
        disk.0.lock().unwrap().failure = None;
        // The worst case: the machine loses power as well.
        let mut rng = ChaCha8Rng::seed_from_u64(after as u64);
        let left = disk.0.lock().unwrap().after_power_loss(&mut rng);
        let store = Store::open(MemoryDisk::of(left).opener()).unwrap();
        let found = if store.sessions().unwrap().is_empty() { 0 } else { messages(&store, 0) };
        assert!(found >= told, "failure after {after}: {told} were told, {found} found");
    }
}

#[test]
fn a_full_disk_holds_back_and_then_everything_is_durable() {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    let changes = changes_of_a_life();
    for after in 0..changes {
        let disk = empty_journal();
        let kind = full[after % full.len()];
        disk.0.lock().unwrap().failure = Some(Failure { after, times: 1, kind });
        let (told, error) = life(&disk);
        match error {
            // Room again: everything was told in the end.
            None => assert_eq!(told, 12, "full after {after}"),
            // Full when it was opened; or a sync failed, which is for good whatever the reason.
            Some(JournalError::Full { .. }) => assert_eq!(told, 0, "full after {after}"),
            Some(JournalError::Disk { .. } | JournalError::Failed { .. }) => {}
            Some(other) => panic!("full after {after}: {other}"),
        }
        disk.0.lock().unwrap().failure = None;
        let store = Store::open(disk.opener()).unwrap();
        let found = if store.sessions().unwrap().is_empty() { 0 } else { messages(&store, 0) };
        assert!(found >= told, "full after {after}: {told} were told, {found} found");
    }
}

#[test]
fn what_comes_while_the_disk_is_full_is_kept_in_order() {
    let disk = MemoryDisk::default();
    let running = start(disk.opener(), limits()).unwrap();
    let (created, is_created) = done();
    running.create(session("s"), created);
    is_created.recv().unwrap().unwrap();
    let after = disk.0.lock().unwrap().changes;
    // Everything but syncs, which come after writes, fails for as long as there is no room.
    disk.0.lock().unwrap().failure =
        Some(Failure { after, times: usize::MAX / 2, kind: io::ErrorKind::StorageFull });
    let waiting: Vec<_> = (0..10).map(|message| running.append(0, message)).collect();
    assert!(matches!(running.health.recv().unwrap(), Health::Full { .. }));
    assert!(waiting.iter().all(|one| one.try_recv().is_err()), "told to be durable on a full disk");
    disk.0.lock().unwrap().failure = None;
    assert!(waiting.iter().all(|one| one.recv().unwrap().is_ok()));
    assert_eq!(running.health.recv().unwrap(), Health::Working);
    assert_eq!(messages(running.journal.store(), 0), 10);
    running.stop();
}

#[test]
fn a_journal_at_its_bound_says_so_and_takes_what_is_on_the_way() {
    let limits = JournalLimits { bytes_max: 400, ..limits() };
    let running = start(MemoryDisk::default().opener(), limits).unwrap();
    running.create(session("s"), done().0);
    let durable: Vec<_> = (0..20).map(|message| running.append(0, message)).collect();
    assert!(durable.iter().all(|one| one.recv().unwrap().is_ok()));
    let health = running.health.recv().unwrap();
    assert!(health.error().unwrap().to_string().contains("journal.bytes_max"), "{health:?}");
    assert!(running.journal.bytes().entries > 400);
    running.stop();
}
