use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use super::StorageError;

/// Whether a file that is already there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// An existing file is an error.
    #[default]
    Refuse,
    /// An existing file is replaced, in one step.
    Replace,
}

/// Removes the temporary file unless it became the real one.
struct Temporary {
    path: PathBuf,
    published: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published {
            // Nothing better can be done about a temporary file that cannot be removed: the error that led here counts.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Make `bytes` appear as `path`, whole or not at all: a temporary file of its own → fsync → `verify` → its final name →
/// fsync of the directory. Of several writers that may not replace a file, one succeeds.
pub(crate) fn publish<E: From<StorageError>>(
    path: &Path,
    bytes: &[u8],
    overwrite: Overwrite,
    verify: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    refuse_existing(path, overwrite)?;
    // The file stays open, and locked, for as long as it has its temporary name.
    let (mut temporary, mut file) = Temporary::create(path)?;
    write_durably(&mut file, &temporary.path, bytes)?;
    verify(&temporary.path)?;
    match overwrite {
        Overwrite::Refuse => name_new(&mut temporary, path)?,
        Overwrite::Replace => temporary.rename(path)?,
    }
    sync_directory(path)?;
    Ok(())
}

/// Make `bytes` appear as the file `path`, whole or not at all, durably: whatever fails leaves nothing behind, and nothing replaced.
///
/// # Errors
/// [`StorageError::Exists`] for a file that may not be replaced, [`StorageError::Io`] when the system refuses.
pub fn write_whole(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<(), StorageError> {
    publish(path, bytes, overwrite, |_| Ok(()))
}

/// A friendly answer before the work is done; the one that counts is given when the file gets its name.
fn refuse_existing(path: &Path, overwrite: Overwrite) -> Result<(), StorageError> {
    if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    Ok(())
}

fn exists(path: &Path) -> StorageError {
    StorageError::Exists { path: path.to_owned() }
}

impl Temporary {
    /// A new file `.<name>.<process>-<random>.tmp` beside `path`; nothing that is there already is opened.
    fn create(path: &Path) -> Result<(Self, File), StorageError> {
        // Hash keys are the standard library's only random numbers.
        let random = RandomState::new().build_hasher().finish();
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}-{random:016x}.tmp", process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create_new(&temporary).map_err(|e| StorageError::io(path, "create", e))?;
        // So that `remove_abandoned` does not take it for one left behind; shared, so that whoever reads it may lock it as well. Where
        // there are no locks, nothing is ever taken for one left behind.
        drop(file.try_lock_shared());
        Ok((Self { path: temporary, published: false }, file))
    }

    fn rename(&mut self, path: &Path) -> Result<(), StorageError> {
        fs::rename(&self.path, path).map_err(|e| StorageError::io(path, "rename to", e))?;
        self.published = true;
        Ok(())
    }
}

/// Give the file its name unless that is taken. A rename would replace what another writer has just put there; a second
/// link to the file fails instead, and the first goes when `temporary` is dropped.
fn name_new(temporary: &mut Temporary, path: &Path) -> Result<(), StorageError> {
    match fs::hard_link(&temporary.path, path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        // Some file systems have no links. There the name is taken by an empty file, which the rename replaces.
        Err(e) if has_no_links(&e) => reserve_and_rename(temporary, path),
        Err(e) => Err(StorageError::io(path, "link to", e)),
    }
}

/// Whether a link failed because the file system has none, and not because the disk is full or broken: an empty file under a final name
/// is the last thing to leave on such a disk.
fn has_no_links(error: &io::Error) -> bool {
    const EPERM: i32 = 1;
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(EPERM)
}

/// Remove temporary files of writers that were killed, from a folder and the folders in it; gives how many. One whose writer lives is
/// locked, and stays, as does everything that is not named like one.
pub(crate) fn remove_abandoned(folder: &Path) -> usize {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let inner = entries(folder).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let folders = std::iter::once(folder.to_owned()).chain(inner.map(|entry| entry.path()));
    let mut removed = 0;
    for path in folders.flat_map(|folder| entries(&folder).map(|entry| entry.path()).collect::<Vec<_>>()) {
        let named = path.file_name().and_then(|name| name.to_str()).is_some_and(is_temporary_name);
        let is_file = || path.symlink_metadata().is_ok_and(|data| data.is_file());
        if named && is_file() && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            removed += usize::from(fs::remove_file(&path).is_ok());
        }
    }
    removed
}

/// Whether a name is one of [`Temporary::create`].
fn is_temporary_name(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    let Some((process, random)) = parts.and_then(|name| name.rsplit_once('.')?.1.split_once('-')) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number(process) && random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn reserve_and_rename(temporary: &mut Temporary, path: &Path) -> Result<(), StorageError> {
    File::create_new(path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => StorageError::io(path, "create", e),
    })?;
    temporary.rename(path).inspect_err(|_| {
        // The error that led here counts.
        let _ = fs::remove_file(path);
    })
}

fn write_durably(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    file.write_all(bytes).map_err(|e| StorageError::io(path, "write", e))?;
    file.sync_all().map_err(|e| StorageError::io(path, "sync", e))
}

/// A rename is durable once the directory that holds the name is.
fn sync_directory(path: &Path) -> Result<(), StorageError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let synced = File::open(directory).and_then(|d| d.sync_all());
    synced.map_err(|e| StorageError::io(directory, "sync the directory", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<(), StorageError> {
        super::publish(path, bytes, overwrite, |_| Ok(()))
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn of_many_writers_that_may_not_replace_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.h5");
        for round in 0..50 {
            let start = std::sync::Barrier::new(8);
            let write = |k: u8| {
                start.wait();
                publish(&path, &[k], Overwrite::Refuse)
            };
            let results: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|k| scope.spawn(move || (k, write(k)))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let winners: Vec<u8> = results.iter().filter(|(_, r)| r.is_ok()).map(|(k, _)| *k).collect();
            assert_eq!(winners.len(), 1, "round {round}");
            assert!(results.iter().all(|(_, r)| matches!(r, Ok(()) | Err(StorageError::Exists { .. }))));
            assert_eq!(fs::read(&path).unwrap(), winners);
            assert_eq!(names(folder.path()), ["out.h5"]);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn where_there_are_no_links_a_name_is_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.h5");
        let (mut temporary, mut file) = Temporary::create(&path).unwrap();
        write_durably(&mut file, &path, b"first").unwrap();
        reserve_and_rename(&mut temporary, &path).unwrap();
        let (mut temporary, _file) = Temporary::create(&path).unwrap();
        let error = reserve_and_rename(&mut temporary, &path).unwrap_err();
        assert!(matches!(error, StorageError::Exists { .. }), "{error}");
        drop(temporary);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["out.h5"]);
    }

    #[test]
    fn only_temporary_files_whose_writer_is_dead_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("s-1");
        fs::create_dir(&inner).unwrap();
        let kept =
            ["out.h5", ".hidden", ".out.h5.tmp", ".out.h5.12-xyz.tmp", ".out.h5.12-00ff00ff00ff00ff.bak"];
        for name in kept {
            fs::write(inner.join(name), b"").unwrap();
        }
        for dead in [".out.h5.12-00ff00ff00ff00ff.tmp", ".s.1.nwb.4194304-0123456789abcdef.tmp"] {
            fs::write(folder.path().join(dead), b"half").unwrap();
            fs::write(inner.join(dead), b"half").unwrap();
        }
        let (temporary, _file) = Temporary::create(&inner.join("new.h5")).unwrap();
        assert_eq!(remove_abandoned(folder.path()), 4);
        assert!(temporary.path.exists());
        drop(temporary);
        let mut expected = kept.map(String::from);
        expected.sort();
        assert_eq!(names(&inner), expected);
        assert_eq!(names(folder.path()), ["s-1"]);
        assert_eq!(remove_abandoned(&folder.path().join("missing")), 0);
    }

    #[test]
    fn a_link_that_fails_for_want_of_room_reserves_no_name() {
        for (errno, without_links) in
            [(1, true), (95, cfg!(target_os = "linux")), (5, false), (13, false), (28, false)]
        {
            assert_eq!(has_no_links(&io::Error::from_raw_os_error(errno)), without_links, "{errno}");
        }
    }

    #[test]
    fn a_full_disk_and_a_failed_check_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.h5");
        let failed = super::publish(&path, b"whole", Overwrite::Refuse, |written| {
            assert_eq!(fs::read(written).unwrap(), b"whole");
            Err(StorageError::Empty { path: written.to_owned() })
        });
        assert!(matches!(failed, Err(StorageError::Empty { .. })));
        assert_eq!(names(folder.path()), Vec::<String>::new());

        let Ok(mut full) = File::options().write(true).open("/dev/full") else {
            println!("skipped: no /dev/full here");
            return;
        };
        let error = write_durably(&mut full, &path, b"whole").unwrap_err();
        assert!(matches!(error, StorageError::Io { action: "write", .. }), "{error}");
    }
}
