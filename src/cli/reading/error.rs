//! Why a file was not read, seen from outside the process that read it.

use std::io;
use std::path::PathBuf;

/// A file that could not be read. Every message is one line that names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingError {
    /// The child read the file and says what is wrong with it.
    #[error("{text}")]
    Refused {
        /// The child's error, which names the file.
        text: String,
        /// The exit code that belongs to it.
        code: u8,
    },
    /// The child was killed by a signal that a crash sends.
    #[error("{}: the HDF5 library crashed ({signal}) while reading it: the file is damaged or malicious", path.display())]
    Crashed { path: PathBuf, signal: String },
    /// The child panicked: a fault of ours.
    #[error("{}: reading it failed inside glauber, which should be reported: {message}", path.display())]
    Panicked { path: PathBuf, message: String },
    /// The child ran out of memory.
    #[error(
        "{}: reading it takes more than {limit} of memory: the file is damaged or malicious, or --read-memory \
         (GLAUBER_READ_MEMORY) is too small for it",
        path.display()
    )]
    Memory { path: PathBuf, limit: String },
    /// The child took too long.
    #[error(
        "{}: reading it takes more than {bound}: the file is damaged or malicious, or --read-seconds \
         (GLAUBER_READ_SECONDS) is too small for it",
        path.display()
    )]
    Time { path: PathBuf, bound: String },
    /// The child was killed from outside.
    #[error("{}: the process that read it was killed ({signal})", path.display())]
    Killed { path: PathBuf, signal: String },
    /// The child ended without a whole answer.
    #[error("{}: the process that read it gave no usable answer: {problem}", path.display())]
    BadReply { path: PathBuf, problem: String },
    /// The child could not be started or heard.
    #[error("{}: cannot {doing} the process that reads it: {source}", path.display())]
    Process { path: PathBuf, doing: &'static str, source: io::Error },
}

impl ReadingError {
    /// The exit code it gives.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused { code, .. } => *code,
            _ => 1,
        }
    }
}
