use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

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

/// Make `bytes` appear as `path`, whole or not at all: `<name>.tmp` → fsync → `verify` → rename → fsync of the directory.
pub(crate) fn publish<E: From<StorageError>>(
    path: &Path,
    bytes: &[u8],
    overwrite: Overwrite,
    verify: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    refuse_existing(path, overwrite)?;
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".tmp");
    let mut temporary = Temporary { path: path.with_file_name(name), published: false };
    write_durably(&temporary.path, bytes)?;
    verify(&temporary.path)?;
    refuse_existing(path, overwrite)?;
    fs::rename(&temporary.path, path).map_err(|e| StorageError::io(path, "rename to", e))?;
    temporary.published = true;
    sync_directory(path)?;
    Ok(())
}

pub(super) fn refuse_existing(path: &Path, overwrite: Overwrite) -> Result<(), StorageError> {
    if overwrite == Overwrite::Refuse && path.exists() {
        return Err(StorageError::Exists { path: path.to_owned() });
    }
    Ok(())
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let mut file = File::create(path).map_err(|e| StorageError::io(path, "create", e))?;
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
