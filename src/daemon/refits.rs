//! When the work of a session runs that takes longer than a refresh.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::estimators::{InFlight, Waiting};
use super::handle::SessionHandle;
use crate::session::Session;

/// One kind of work, one at a time: after one that took t the session rests `t (1/duty − 1)`.
pub(super) struct Pace {
    pub(super) in_flight: InFlight,
    started: Option<Instant>,
    rests_until: Option<Instant>,
    duty: f64,
    runtime: Handle,
}

impl Pace {
    /// Nothing under way; `runtime` wakes the engine when its session has rested.
    pub(super) fn new(duty: f64, runtime: Handle) -> Self {
        Self { in_flight: InFlight::default(), started: None, rests_until: None, duty, runtime }
    }

    /// Whether one is under way. The rest begins when the engine learns that it is not.
    pub(super) fn is_busy(&mut self, handle: &Arc<SessionHandle>) -> bool {
        if self.in_flight.is_busy() {
            return true;
        }
        if let Some(started) = self.started.take() {
            let now = Instant::now();
            let rest = (now - started).mul_f64(1.0 / self.duty - 1.0);
            self.rests_until = Some(now + rest);
            self.wake_after(rest, handle);
        }
        false
    }

    /// Whether the session has rested from the last one.
    pub(super) fn has_rested(&self) -> bool {
        self.rests_until.is_none_or(|until| Instant::now() >= until)
    }

    /// One has begun.
    pub(super) fn begin(&mut self, in_flight: InFlight) {
        self.in_flight = in_flight;
        self.started = Some(Instant::now());
    }

    /// Let the engine look again after this time, though no command may come until then.
    fn wake_after(&self, rest: Duration, handle: &Arc<SessionHandle>) {
        let session = Arc::downgrade(handle);
        self.runtime.spawn(async move {
            tokio::time::sleep(rest).await;
            if let Some(session) = session.upgrade() {
                session.wake_engine();
            }
        });
    }
}

/// When the estimators that read bins run.
pub(super) struct Refits {
    pub(super) pace: Pace,
    /// The bin through which the newest one has read.
    read_through: u64,
    /// Who asked for one, beyond those that come by themselves.
    pub(super) waiting: Vec<Waiting>,
}

impl Refits {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, read_through: 0, waiting: Vec::new() }
    }

    /// Whether one should be started now.
    pub(super) fn is_due(&mut self, session: &Session, handle: &Arc<SessionHandle>) -> bool {
        if self.pace.is_busy(handle) {
            return false;
        }
        if !self.waiting.is_empty() {
            return true;
        }
        let since = session.next_bin() - self.read_through;
        session.spec().refits() && since >= session.spec().refit_interval_bins && self.pace.has_rested()
    }

    /// One has begun that reads the bins of this moment.
    pub(super) fn begin(&mut self, in_flight: InFlight, session: &Session) {
        self.pace.begin(in_flight);
        self.read_through = session.next_bin();
    }
}
