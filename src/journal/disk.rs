use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::JournalError;

/// Bytes that outlive the process once they are synced. A seam: tests put a disk behind it that fails, fills up or loses power.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Length in bytes.
    ///
    /// # Errors
    /// What the system said; so for all others.
    fn len(&self) -> io::Result<u64>;
    /// Whether it holds no bytes.
    ///
    /// # Errors
    /// As [`Disk::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Read `out.len()` bytes at `offset`.
    ///
    /// # Errors
    /// As [`Disk::len`].
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Change the length; new bytes are zero.
    ///
    /// # Errors
    /// As [`Disk::len`].
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Write all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As [`Disk::len`].
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Make everything written so far durable.
    ///
    /// # Errors
    /// As [`Disk::len`].
    fn sync(&self) -> io::Result<()>;
    /// Bytes that can still be written, when that is known.
    fn free_bytes(&self) -> Option<u64>;
}

/// Opens the disk, anew after it was full.
pub type DiskOpener = Box<dyn Fn() -> Result<Arc<dyn Disk>, JournalError> + Send + Sync>;

/// A file, made when missing and locked against other processes for as long as it is open.
#[must_use]
pub fn file_disk(path: &Path) -> DiskOpener {
    let path = path.to_owned();
    let was_open = AtomicBool::new(false);
    Box::new(move || {
        // One that has gone since is no reason to begin an empty one in its place.
        let disk = JournalFile::open(&path, !was_open.load(Ordering::Relaxed))?;
        was_open.store(true, Ordering::Relaxed);
        Ok(Arc::new(disk) as Arc<dyn Disk>)
    })
}

#[derive(Debug)]
struct JournalFile {
    file: File,
}

impl JournalFile {
    fn open(path: &Path, may_begin: bool) -> Result<Self, JournalError> {
        let failed = |doing| move |error: io::Error| JournalError::Disk { doing, reason: error.to_string() };
        // A file that cannot be looked at is not missing.
        if may_begin && !path.try_exists().map_err(failed("look for"))? {
            begin_file(path).map_err(failed("begin"))?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed("open"))?;
        match file.try_lock() {
            // It is never begun under its own name: what was in it is gone.
            Ok(()) if file.metadata().map_err(failed("look at"))?.len() == 0 => {
                Err(JournalError::Damaged { reason: "the file is empty".to_owned() })
            }
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("lock")(error)),
        }
    }
}

/// Make an empty database under its name, whole or not at all: one whose making was interrupted could not be told from a damaged one.
fn begin_file(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder)?;
    // Of two daemons that begin at once the later one must not put its file in the place of the other's. Where folders cannot be locked,
    // two are not begun at once any safer by refusing one.
    drop(folder.lock());
    if path.try_exists()? {
        return Ok(());
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let database = redb::Database::create(&unfinished).map_err(io::Error::other)?;
    drop(database);
    File::open(&unfinished)?.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    // Else a power cut could take the file's name away, with all that is durable in it.
    folder.sync_all()
}

impl Disk for JournalFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn free_bytes(&self) -> Option<u64> {
        let volume = rustix::fs::fstatvfs(&self.file).ok()?;
        Some(volume.f_bavail.saturating_mul(volume.f_frsize))
    }
}

/// The first failure of a disk since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) doing: &'static str,
    pub(super) is_full: bool,
    pub(super) reason: String,
}

/// A disk as the database wants it, which remembers what failed first: the database's own errors do not say.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    disk: Arc<dyn Disk>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Watched {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, fault: Arc::default() }
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().clone()
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        // A poisoned lock guards a single assignment: what it holds is whole.
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, doing: &'static str, outcome: io::Result<T>) -> Result<T, io::Error> {
        outcome.inspect_err(|error| {
            let is_full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            );
            self.lock().get_or_insert(Fault {
                doing,
                // What is on the disk after a failed sync is unknown, whatever the reason.
                is_full: is_full && doing != SYNC,
                reason: error.to_string(),
            });
        })
    }
}

const SYNC: &str = "fsync";

impl redb::StorageBackend for Watched {
    fn len(&self) -> Result<u64, io::Error> {
        self.note("measure", self.disk.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.note("read", self.disk.read(offset, out))
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.note("enlarge", self.disk.set_len(len))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.note(SYNC, self.disk.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.note("write", self.disk.write(offset, data))
    }
}
