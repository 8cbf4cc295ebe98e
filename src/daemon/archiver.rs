//! Snapshots on disk: one thread writes them all, because the file library has one global lock.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::config::ArchiveConfig;
use super::handle::SessionHandle;
use super::journaling::SessionJournal;
use super::publish::Publication;
use super::recorder::{NotRecorded, Parts, Recorded};
use super::recording_config::RecordingConfig;
use crate::archive::{Overwrite, Provenance, write_snapshot};
use crate::model::Window;
use crate::session::{SessionSpec, Snapshot};
use crate::storage::remove_abandoned;

/// Writes one snapshot file, completely or not at all.
pub type SnapshotWriter =
    Arc<dyn Fn(&Path, &Snapshot, &SnapshotOrigin<'_>) -> Result<(), WriteFailed> + Send + Sync>;

/// Where a snapshot comes from, for the file to say.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotOrigin<'a> {
    /// Identifier of the session.
    pub session_id: &'a str,
    /// Gaps of the session so far.
    pub gap_count: u64,
    /// Bins in those gaps.
    pub gap_bins: u64,
    /// Whether it takes the place of a file that stands under its name: the last snapshot of a session, made from scratch and with its last
    /// models, that of one written on the way at the same bin.
    pub replaces: bool,
}

/// A snapshot that could not be written, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WriteFailed(pub String);

/// Snapshots that may wait for the disk before estimators wait too.
const QUEUE_SNAPSHOTS: usize = 16;

/// What the thread does.
enum Job {
    Snapshot(WriteJob),
    /// Write the parts of a session's recording that have become complete.
    Roll(Recorded, Arc<SessionHandle>),
    /// Write all of a closed session's recording.
    Record {
        recorded: Recorded,
        snapshots: Vec<Arc<Snapshot>>,
        written: Sender<Result<Vec<PathBuf>, String>>,
    },
    /// The same of one that was closed in an earlier run.
    RecordLate(Recorded),
}

struct WriteJob {
    session: Arc<SessionHandle>,
    snapshot: Arc<Snapshot>,
    path: PathBuf,
    /// Where the path goes once the file stands; dropped when it could not be written.
    written: Option<Sender<PathBuf>>,
}

/// The way to the archiver; does nothing when there is no archive.
#[derive(Clone, Default)]
pub(super) struct Archive {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    config: ArchiveConfig,
    recording: RecordingConfig,
    /// `None` ends the thread.
    jobs: Sender<Option<Job>>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("directory", &self.directory()).finish()
    }
}

/// The name of a snapshot's file: sorts by time, then window.
pub(super) fn file_name(snapshot: &Snapshot) -> String {
    format!("{:012}_{}.h5", snapshot.window.end_bin, snapshot.window.window)
}

/// The bin and window that a file name stands for.
pub(super) fn parse_file_name(name: &str) -> Option<(u64, Window)> {
    let (bin, window) = name.strip_suffix(".h5")?.split_once('_')?;
    Some((bin.parse().ok()?, window.parse().ok()?))
}

impl Archive {
    /// Start the thread, unless the directory is empty.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        config: &ArchiveConfig,
        recording: &RecordingConfig,
        writer: SnapshotWriter,
    ) -> std::io::Result<(Self, Option<JoinHandle<()>>)> {
        if config.directory.as_os_str().is_empty() {
            return Ok((Self::default(), None));
        }
        let (jobs, queue): (_, Receiver<Option<Job>>) = bounded(QUEUE_SNAPSHOTS);
        let thread = std::thread::Builder::new().name("archiver".to_owned());
        let mut archiver = Archiver { writer, recording: recording.clone(), rolling: HashMap::new() };
        let directory = config.directory.clone();
        let handle = thread.spawn(move || {
            let removed = remove_abandoned(&directory);
            if removed > 0 {
                tracing::info!(removed, "unfinished files of a daemon that was killed removed");
            }
            queue.iter().map_while(|job| job).for_each(|job| archiver.run(job));
        })?;
        let inner = Inner { config: config.clone(), recording: recording.clone(), jobs };
        Ok((Self { inner: Some(Arc::new(inner)) }, Some(handle)))
    }

    /// End the thread once everything queued so far is written, whoever may still hold a way to it.
    pub(super) fn stop(&self) {
        if let Some(inner) = &self.inner {
            // An error means that it has ended.
            drop(inner.jobs.send(None));
        }
    }

    /// Where the snapshots are, when there are any.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.inner.as_ref().map(|inner| inner.config.directory.as_path())
    }

    /// Archive a publication when the recording has entered a new interval since the one archived last.
    pub(super) fn on_publication(&self, session: &Arc<SessionHandle>, publication: &Publication) {
        let Some(inner) = &self.inner else { return };
        let interval_bins =
            session.spec.bin_width.bins_covering(Duration::from_secs(inner.config.snapshot_interval_s));
        let end_bin = publication.end_bin();
        let last = session.counters.archived_through.load(Ordering::Relaxed);
        if end_bin / interval_bins > last / interval_bins {
            session.counters.archived_through.store(end_bin, Ordering::Relaxed);
            inner.queue(session, publication, None);
        }
    }

    /// Let parts of the recording be written when its time has come. While the archiver is busy that waits for the next bins.
    pub(super) fn on_durable(&self, session: &Arc<SessionHandle>) {
        if let Some(inner) = &self.inner {
            inner.roll(session);
        }
    }

    /// Whether closing a session writes its recording: all of it, or the last of its parts.
    pub(super) fn records(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.recording.is_on())
    }

    /// Write the recording of a session that is being closed, and wait for it; gives the files.
    pub(super) fn record_all(
        &self,
        session: &SessionHandle,
        snapshots: Vec<Arc<Snapshot>>,
    ) -> Result<Vec<PathBuf>, String> {
        let Some(inner) = &self.inner else { return Ok(Vec::new()) };
        let recorded = inner.recorded(session.id.clone(), Arc::clone(&session.spec), session.journal.clone());
        let (written, outcome) = bounded(1);
        let stopped = || Err("the archiver has stopped".to_owned());
        match inner.jobs.send(Some(Job::Record { recorded, snapshots, written })) {
            Ok(()) => outcome.recv().unwrap_or_else(|_| stopped()),
            Err(_) => stopped(),
        }
    }

    /// Write the recording of a session that was closed in an earlier run, and let the journal know.
    pub(super) fn record_late(&self, session_id: String, spec: Arc<SessionSpec>, journal: SessionJournal) {
        let Some(inner) = self.inner.as_ref().filter(|inner| inner.recording.is_on()) else { return };
        let recorded = inner.recorded(session_id, spec, journal);
        // The archiver ends after everyone who could ask it.
        drop(inner.jobs.send(Some(Job::RecordLate(recorded))));
    }

    /// Archive the last publication of a session and wait for the files; gives the ones written.
    pub(super) fn on_close(&self, session: &Arc<SessionHandle>, publication: &Publication) -> Vec<PathBuf> {
        let Some(inner) = self.inner.as_ref().filter(|inner| inner.config.on_close) else {
            return Vec::new();
        };
        let (written, paths) = bounded(publication.snapshots.len());
        inner.queue(session, publication, Some(written));
        paths.iter().collect()
    }
}

impl Inner {
    fn recorded(&self, session_id: String, spec: Arc<SessionSpec>, journal: SessionJournal) -> Recorded {
        let folder = self.config.directory.join(&session_id);
        Recorded { session_id, spec, journal, folder }
    }

    /// Let parts of the recording be written when their time has come. While the archiver is busy that waits for the next bins.
    fn roll(&self, session: &Arc<SessionHandle>) {
        if self.recording.roll_interval_s == 0 || !session.journal.is_on() {
            return;
        }
        let interval_bins =
            session.spec.bin_width.bins_covering(Duration::from_secs(self.recording.roll_interval_s));
        let last = session.counters.rolled_through.load(Ordering::Relaxed);
        let durable = session.durable_through();
        if durable / interval_bins > last / interval_bins {
            let recorded =
                self.recorded(session.id.clone(), Arc::clone(&session.spec), session.journal.clone());
            if self.jobs.try_send(Some(Job::Roll(recorded, Arc::clone(session)))).is_ok() {
                session.counters.rolled_through.store(durable, Ordering::Relaxed);
            }
        }
    }

    fn queue(
        &self,
        session: &Arc<SessionHandle>,
        publication: &Publication,
        written: Option<Sender<PathBuf>>,
    ) {
        for snapshot in &publication.snapshots {
            let job = WriteJob {
                session: Arc::clone(session),
                snapshot: Arc::clone(snapshot),
                path: self.config.directory.join(&session.id).join(file_name(snapshot)),
                written: written.clone(),
            };
            if self.jobs.send(Some(Job::Snapshot(job))).is_err() {
                session.note_snapshot_failure("the archiver has stopped".to_owned());
            }
        }
    }
}

/// The thread's own.
struct Archiver {
    writer: SnapshotWriter,
    recording: RecordingConfig,
    /// Sessions that go on, cut into parts as far as they have been read.
    rolling: HashMap<String, Parts>,
}

impl Archiver {
    fn run(&mut self, job: Job) {
        match job {
            Job::Snapshot(job) => run(job, &self.writer),
            Job::Roll(recorded, session) => self.roll(recorded, &session),
            Job::Record { recorded, snapshots, written } => {
                self.rolling.remove(&recorded.session_id);
                let outcome = guarded(|| recorded.write_all(&self.recording, &snapshots));
                // Whoever has stopped waiting needs no answer.
                drop(written.send(outcome.map_err(|error| error.to_string())));
            }
            Job::RecordLate(recorded) => self.record_late(&recorded),
        }
    }

    fn roll(&mut self, recorded: Recorded, session: &SessionHandle) {
        let id = recorded.session_id.clone();
        let mut parts = self.rolling.remove(&id).unwrap_or_else(|| Parts::new(recorded, &self.recording));
        match guarded(|| parts.advance()) {
            Ok(()) => drop(self.rolling.insert(id, parts)),
            // Begun anew the next time, from what the journal holds.
            Err(error) => session.note_snapshot_failure(format!("part of the recording: {error}")),
        }
    }

    fn record_late(&self, recorded: &Recorded) {
        let id = &recorded.session_id;
        if let Err(error) = guarded(|| recorded.write_all(&self.recording, &[])) {
            tracing::error!(session = %id, %error, "recording not written; the journal keeps it");
        } else if let Err(error) = recorded.journal.close(true) {
            tracing::warn!(session = %id, %error, "recording written; the journal keeps it as well");
        }
    }
}

/// A defect in one file must not end the archive of every other session.
fn guarded<T>(write: impl FnOnce() -> Result<T, NotRecorded>) -> Result<T, NotRecorded> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).unwrap_or(Err(NotRecorded::Panicked))
}

fn run(job: WriteJob, writer: &SnapshotWriter) {
    let WriteJob { session, snapshot, path, written } = job;
    let is_last = written.is_some();
    let write = std::panic::AssertUnwindSafe(|| write(&session, &snapshot, &path, is_last, writer));
    // A defect in one file must not end the archive of every other session.
    let outcome = std::panic::catch_unwind(write)
        .unwrap_or_else(|_| Err(WriteFailed("internal error of the snapshot writer".to_owned())));
    match (outcome, written) {
        // The receiver has room for every file of the publication, and may have gone without harm.
        (Ok(()), Some(written)) => drop(written.try_send(path)),
        (Ok(()), None) => {}
        (Err(error), _) => session.note_snapshot_failure(format!("{}: {error}", path.display())),
    }
}

fn write(
    session: &SessionHandle,
    snapshot: &Snapshot,
    path: &Path,
    is_last: bool,
    writer: &SnapshotWriter,
) -> Result<(), WriteFailed> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| WriteFailed(error.to_string()))?;
    }
    // The folder is this session's alone, so a file of that name holds the same bins of the same window. Finished files are never
    // touched, but for one that the last snapshot takes the place of: that one knows more of these bins.
    if path.exists() && !is_last {
        return Ok(());
    }
    let origin = SnapshotOrigin {
        session_id: &session.id,
        gap_count: session.counters.gap_count.load(Ordering::Relaxed),
        gap_bins: session.counters.gap_bins.load(Ordering::Relaxed),
        replaces: is_last,
    };
    writer(path, snapshot, &origin)
}

/// The writer of HDF5 files.
pub(super) fn hdf5_writer() -> SnapshotWriter {
    Arc::new(|path, snapshot, origin| {
        let provenance = Provenance {
            session_id: origin.session_id.to_owned(),
            source: "live".to_owned(),
            created: SystemTime::now(),
            gap_count: origin.gap_count,
            gap_bins: origin.gap_bins,
        };
        let overwrite = if origin.replaces { Overwrite::Replace } else { Overwrite::Refuse };
        write_snapshot(path, snapshot, &provenance, overwrite).map_err(|error| WriteFailed(error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_read_back() {
        assert_eq!(parse_file_name("000000003000_10min.h5"), Some((3000, Window::Last { ms: 600_000 })));
        assert_eq!(parse_file_name("000000003000_all.h5"), Some((3000, Window::All)));
        for name in ["", "3000.h5", "x_all.h5", "000000003000_all.h5.tmp", "000000003000_soon.h5"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
