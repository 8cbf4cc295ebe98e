//! What survives a crash? Everything that changed a session, in order, in an embedded database (redb).
//!
//! ```text
//!  engines ──Journal::append──▶ queue ──▶ one thread: a commit (fsync) per few milliseconds ──▶ "these bins are durable"
//!                                               │
//!                     journal.redb: number of the session, sequence number ──▶ checksum, entries ──▶ read at the next start
//! ```
//!
//! A commit takes all that is waiting, of all sessions: one fsync however many rigs there are. Nothing is told to be durable
//! before the commit that holds it has returned. A full disk holds commits back until there is room; any other failure of the
//! disk ends them for good, because nobody knows what a failed fsync has left behind (Rebello et al. 2020, "Can applications
//! recover from fsync failures?").
//!
//! Format: `proto/glauber/journal/v1/journal.proto`.

mod disk;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use disk::{Disk, DiskOpener, file_disk};
pub use error::JournalError;
pub use record::Record;
pub use store::{JournaledSession, Records, Store, StoredBytes};
pub use writer::{Health, Journal, JournalLimits, JournalThread, OnDurable};
