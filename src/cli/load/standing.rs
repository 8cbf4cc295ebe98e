//! How far everything is at one moment; two of them give what happened in between.

use std::collections::HashMap;
use std::time::Instant;

use glauber::proto::v1;

use super::process::{self, Usage};
use super::readers::{Read, Totals};
use super::report::Estimates;
use crate::cli::client::Daemon;
use crate::cli::error::CliError;

/// One reading.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) at: Instant,
    pub(super) sessions: Vec<v1::Session>,
    pub(super) read: Totals,
    pub(super) daemon: Option<Usage>,
    pub(super) client: Option<Usage>,
}

/// What readings are taken of.
pub(super) struct Watched<'a> {
    pub(super) daemon: &'a Daemon,
    pub(super) session_ids: &'a [String],
    pub(super) daemon_pid: Option<u32>,
    pub(super) read: &'a Read,
}

impl Watched<'_> {
    /// Read everything now.
    pub(super) async fn standing(&self) -> Result<Standing, CliError> {
        let sessions = self.sessions().await?;
        Ok(Standing {
            at: Instant::now(),
            sessions,
            read: self.read.totals(),
            daemon: self.daemon_pid.and_then(process::usage),
            client: process::usage(std::process::id()),
        })
    }

    /// The sessions of the rigs, in their order.
    pub(super) async fn sessions(&self) -> Result<Vec<v1::Session>, CliError> {
        let (all, _) = self.daemon.list().await?;
        let mut by_id: HashMap<String, v1::Session> =
            all.into_iter().map(|session| (session.session_id.clone(), session)).collect();
        let own = self.session_ids.iter().map(|id| {
            by_id.remove(id).ok_or_else(|| {
                CliError::Load(format!("session {id} of the load is gone: did someone else remove it?"))
            })
        });
        own.collect()
    }
}

/// Every bin before this one of a session is counted.
pub(super) fn applied(session: &v1::Session) -> u64 {
    session.watermarks.map_or(0, |marks| marks.applied_through)
}

impl Standing {
    /// What was estimated since an earlier one.
    pub(super) fn estimates_since(&self, before: &Self) -> Estimates {
        let sum = |field: fn(&v1::Session) -> u64| {
            let total = |standing: &Self| standing.sessions.iter().map(field).sum::<u64>();
            total(self).saturating_sub(total(before))
        };
        Estimates {
            refreshes_published: sum(|session| session.refreshes_published),
            refreshes_skipped: sum(|session| session.refreshes_skipped),
            refits: sum(|session| session.refits),
            equilibrium_published: sum(|session| session.equilibrium_published),
        }
    }
}
