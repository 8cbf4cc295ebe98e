//! Being run by a service manager: telling systemd (sd_notify) when the daemon serves, that it lives, and that it ends.
//!
//! Nothing happens without `NOTIFY_SOCKET` and `WATCHDOG_USEC` in the environment, as systemd sets them.

use std::time::Duration;

use glauber::daemon::{RunningDaemon, StartProgress};
use sd_notify::NotifyState;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often the status is told where no watchdog waits, and whether a start goes on.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// How long the service manager is asked to wait on, when a start goes on.
const START_EXTENSION: Duration = Duration::from_secs(60);
/// What a shutdown takes beyond its time of grace: clients that read their last answers, and threads that end.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// The service manager, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// Time without a sign of life after which it starts us again.
    watchdog: Option<Duration>,
}

impl Service {
    pub(crate) fn from_environment() -> Self {
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero());
        Self { watchdog }
    }

    /// Whether it starts us again when we end because we fail.
    pub(crate) fn restarts(self) -> bool {
        self.watchdog.is_some()
    }

    /// Start the daemon, and ask for more time as long as it gets on: a day of recording takes minutes to be taken up again.
    pub(crate) async fn while_starting<T>(
        self,
        progress: &StartProgress,
        start: impl Future<Output = T>,
    ) -> T {
        tell(&[NotifyState::Status("starting: opening the journal")]);
        tokio::pin!(start);
        let mut ticks = ticks(STATUS_INTERVAL);
        let mut before = 0;
        loop {
            tokio::select! {
                started = &mut start => return started,
                _ = ticks.tick() => {
                    let bins = progress.bins();
                    // One that hangs is not to be waited for without end.
                    if bins > before {
                        before = bins;
                        let status = format!("starting: {bins} bins of open sessions counted anew");
                        tell(&[NotifyState::ExtendTimeoutUsec(microseconds(START_EXTENSION)), NotifyState::Status(&status)]);
                    }
                }
            }
        }
    }

    /// The daemon serves.
    pub(crate) fn ready(self, daemon: &RunningDaemon) {
        tell(&[NotifyState::Ready, NotifyState::Status(&status(daemon))]);
    }

    /// When to give signs of life: twice in the time after which one is missed.
    pub(crate) fn beats(self) -> Interval {
        ticks(self.watchdog.map_or(STATUS_INTERVAL, |period| period / 2))
    }

    /// Give a sign of life at the next beat if the daemon answers; what it has lost meanwhile that only a new start brings back.
    pub(crate) async fn beat(self, beats: &mut Interval, daemon: &RunningDaemon) -> Option<String> {
        beats.tick().await;
        // A daemon that does not get there is not heard of again.
        daemon.answers().await;
        let lost = daemon.lost();
        if lost.is_none() {
            tell(&[NotifyState::Watchdog, NotifyState::Status(&status(daemon))]);
        }
        lost
    }

    /// The daemon ends, which takes at most its time of grace and a little; gives signs of life until then.
    pub(crate) async fn while_stopping<T>(self, grace_s: u64, stop: impl Future<Output = T>) -> T {
        let longest = Duration::from_secs(grace_s) + STOP_MARGIN;
        tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(microseconds(longest)),
            NotifyState::Status("stopping: writing snapshots"),
        ]);
        tokio::pin!(stop);
        let mut beats = self.beats();
        loop {
            tokio::select! {
                stopped = &mut stop => return stopped,
                _ = beats.tick() => tell(&[NotifyState::Watchdog]),
            }
        }
    }
}

fn status(daemon: &RunningDaemon) -> String {
    let journal = daemon.journal_trouble().map_or(String::new(), |trouble| format!("; {trouble}"));
    format!("listening on {}, {} open sessions{journal}", daemon.address(), daemon.sessions_open())
}

fn ticks(period: Duration) -> Interval {
    let period = period.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
