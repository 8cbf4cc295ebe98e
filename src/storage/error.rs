use std::io;
use std::path::{Path, PathBuf};

use hdf5_metno as hdf5;

/// A file that cannot be read or written, and which object inside it is to blame. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// The file asked for.
        path: PathBuf,
    },
    /// The path is a directory or a device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// The operating system refused: permissions, a full disk, a missing directory.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done, such as `open` or `write`.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file holds no bytes.
    #[error("{}: the file is empty (0 bytes)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file does not carry the HDF5 signature.
    #[error("{}: not an HDF5 file (no HDF5 signature)", path.display())]
    NotHdf5 {
        /// The file.
        path: PathBuf,
    },
    /// The file is shorter than its own header says.
    #[error("{}: the file is truncated: it has {bytes} bytes ({detail})", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
        /// What the HDF5 library says about it.
        detail: String,
    },
    /// The file is marked as being written.
    #[error(
        "{}: the file was never closed by the program that wrote it, or is being written now (h5clear -s may rescue it)",
        path.display()
    )]
    NotClosed {
        /// The file.
        path: PathBuf,
    },
    /// The HDF5 library cannot read the file or the object.
    #[error("{}: cannot read {object}: {detail}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// What the HDF5 library says about it.
        detail: String,
    },
    /// The HDF5 library cannot write the object.
    #[error("{}: cannot write {object}: {detail}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// What the HDF5 library says about it.
        detail: String,
    },
    /// A dataset, group or attribute that must be there is not.
    #[error("{}: {object} is missing: expected {expected}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// An object has another type than its layout prescribes.
    #[error("{}: {object} has the wrong type: expected {expected}, got {got}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// The type the layout prescribes.
        expected: &'static str,
        /// The type found.
        got: String,
    },
    /// A dataset has another shape than its layout prescribes.
    #[error("{}: {object} has the wrong shape: expected {expected}, got {got:?}", path.display())]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// The shape the layout prescribes.
        expected: String,
        /// The shape found.
        got: Vec<usize>,
    },
    /// The data of an object lie elsewhere, and are not followed there.
    #[error("{}: {object} is {kind}, which is not followed", path.display())]
    NotFollowed {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// What kind of indirection it is.
        kind: &'static str,
    },
    /// The values of a dataset were passed through a filter that is not read.
    #[error(
        "{}: {object} is compressed with filter {filter}; read are deflate (gzip), shuffle, Fletcher-32 and szip: rewrite it, for \
         instance with h5repack -f GZIP=4",
        path.display()
    )]
    UnknownFilter {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// The filter's registered number and, where known, its name.
        filter: String,
    },
    /// An object declares more data than is sensible or than the file can hold.
    #[error("{}: {object} declares {declared} {unit}, more than the {limit} {reason}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The object inside the file.
        object: String,
        /// The size declared.
        declared: u64,
        /// What is counted: `elements` or `bytes`.
        unit: &'static str,
        /// The largest size accepted.
        limit: u64,
        /// Where that limit comes from.
        reason: &'static str,
    },
    /// The file to be written is already there.
    #[error("{}: the file exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl StorageError {
    /// A failed system call on `path`.
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound && action == "open" {
            return Self::NotFound { path: path.to_owned() };
        }
        Self::Io { path: path.to_owned(), action, source }
    }

    /// What is wrong with an object, for a sentence that begins with its name.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::NotFollowed { kind, .. } => format!("is {kind}, which is not followed"),
            Self::TooLarge { declared, unit, limit, reason, .. } => {
                format!("declares {declared} {unit}, more than the {limit} {reason}")
            }
            Self::UnknownFilter { filter, .. } => {
                format!("is compressed with filter {filter}, which is not read")
            }
            Self::Missing { .. } => "is missing".to_owned(),
            Self::WrongType { expected, got, .. } => {
                format!("has the wrong type (expected {expected}, got {got})")
            }
            Self::Unreadable { detail, .. } => format!("cannot be read ({detail})"),
            other => format!("cannot be read ({other})"),
        }
    }

    /// A failed library call while reading `object`.
    pub(crate) fn unreadable(path: &Path, object: &str, error: &hdf5::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), object: object.to_owned(), detail: innermost(error) }
    }

    /// A failed library call while writing `object`.
    pub(crate) fn unwritable(path: &Path, object: &str, error: &hdf5::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), object: object.to_owned(), detail: innermost(error) }
    }
}

/// The cause of a library error on one line: HDF5 puts it on the innermost frame of its stack.
pub(super) fn innermost(error: &hdf5::Error) -> String {
    let cause = match error.stack() {
        Some(stack) => stack.last().map_or_else(|| error.to_string(), |frame| frame.desc().to_owned()),
        None => error.to_string(),
    };
    cause.split_whitespace().collect::<Vec<_>>().join(" ")
}
