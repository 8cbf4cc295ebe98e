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
    let (mut temporary, mut file) = Temporary::create(path)?;
    write_durably(&mut file, &temporary.path, bytes)?;
    drop(file);
    verify(&temporary.path)?;
    match overwrite {
        Overwrite::Refuse => name_new(&mut temporary, path)?,
        Overwrite::Replace => temporary.rename(path)?,
    }
    sync_directory(path)?;
    Ok(())
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
        Err(_) => reserve_and_rename(temporary, path),
    }
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
