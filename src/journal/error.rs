use std::path::PathBuf;

/// A journal that cannot be opened, read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("the journal {} is in use: another daemon runs on it", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot {doing} the journal: {reason}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The database is damaged, or none.
    #[error("the journal is damaged: {reason}")]
    Damaged {
        /// What the database said.
        reason: String,
    },
    /// Written by a later version of the program.
    #[error("the journal is of format {found}; this version reads format {known}")]
    Format {
        /// The format found.
        found: u64,
        /// The format known.
        known: u64,
    },
    /// An entry that says nothing that can be understood.
    #[error("the journal is damaged at entry {sequence} of session {session_id}: {reason}")]
    Entry {
        /// Identifier of the session.
        session_id: String,
        /// Place of the entry.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no room; there may be again.
    #[error("the journal is full: {reason}")]
    Full {
        /// What is exhausted.
        reason: String,
    },
    /// A write or an fsync failed: nothing more can be made durable until the daemon is started again.
    #[error(
        "the journal has failed: {reason}; nothing more is acknowledged until the daemon is started again"
    )]
    Failed {
        /// What failed.
        reason: String,
    },
    /// The thread that commits has ended.
    #[error("the journal has stopped")]
    Stopped,
}
