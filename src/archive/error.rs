use std::path::PathBuf;

use super::{FORMAT, FORMAT_VERSION};
use crate::storage::StorageError;

/// A snapshot that cannot be written or read. Every message is one line that names the file and the object inside.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file or an object inside it cannot be written or read: permissions, a full disk, a damaged file.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file is no snapshot.
    #[error(
        "{}: not a snapshot: expected the root attribute format = \"{FORMAT}\", got {}",
        path.display(),
        got.as_deref().map_or_else(|| "none".to_owned(), |got| format!("{got:?}"))
    )]
    NotASnapshot {
        /// The file.
        path: PathBuf,
        /// The attribute's value, when there is one.
        got: Option<String>,
    },
    /// The file is a snapshot of a layout that this version does not know.
    #[error("{}: snapshot layout version {got} is not supported: expected 1 to {FORMAT_VERSION}", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version found.
        got: u64,
    },
    /// A value in the file means nothing here.
    #[error("{}: {object} holds {got:?}: expected {expected}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The dataset or attribute inside the file.
        object: String,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        got: String,
    },
    /// Estimates or counts do not have the size that the session has.
    #[error("{}: {object} is of {got} neurons, the session has {expected}", path.display())]
    SizeMismatch {
        /// The file to be written.
        path: PathBuf,
        /// What has the wrong size.
        object: &'static str,
        /// Its number of neurons.
        got: usize,
        /// The session's number of neurons.
        expected: usize,
    },
}
