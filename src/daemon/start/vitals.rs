//! How far a start is, and whether a daemon that serves still does what it is there for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::RunningDaemon;

/// How far a start is; may be asked while it goes on.
#[derive(Debug, Clone, Default)]
pub struct StartProgress(Arc<AtomicU64>);

impl StartProgress {
    /// Bins of the journal that have been counted anew.
    #[must_use]
    pub fn bins(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(in crate::daemon) fn add(&self, bins: u64) {
        self.0.fetch_add(bins, Ordering::Relaxed);
    }
}

impl RunningDaemon {
    /// Get through to its sessions as every call does, from a thread of the runtime: whether it answers at all.
    pub async fn answers(&self) -> bool {
        let registry = Arc::clone(&self.workers.registry);
        tokio::spawn(async move { registry.list().len() }).await.is_ok()
    }

    /// Whether it still takes calls.
    #[must_use]
    pub fn serves(&self) -> bool {
        !self.server.is_finished()
    }

    /// Sessions that take bins.
    #[must_use]
    pub fn sessions_open(&self) -> usize {
        self.workers.registry.list().iter().filter(|session| !session.is_closed()).count()
    }

    /// Why nothing can be made durable for now, if so.
    #[must_use]
    pub fn journal_trouble(&self) -> Option<String> {
        self.workers.registry.durability.check().err().map(|error| error.to_string())
    }

    /// What it has lost that it does not get back but by a new start: a journal that has failed, threads that have ended. A full disk is
    /// not among it, nor a session that has failed, which would fail again.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        let has_ended =
            |thread: &Option<JoinHandle<()>>| thread.as_ref().is_some_and(JoinHandle::is_finished);
        if !self.serves() {
            return Some("the server has ended".to_owned());
        }
        if let Some(reason) = self.workers.registry.durability.failure() {
            return Some(format!("the journal has failed: {reason}"));
        }
        if has_ended(&self.workers.journal) {
            return Some("the journal's thread has ended".to_owned());
        }
        if has_ended(&self.workers.archiver) {
            return Some("the archiver's thread has ended".to_owned());
        }
        None
    }
}
