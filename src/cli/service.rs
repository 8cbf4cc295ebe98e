//! Being run by a service manager: telling systemd (sd_notify) when the daemon serves, that it lives, and that it ends.
//!
//! Nothing happens without `NOTIFY_SOCKET` and `WATCHDOG_USEC` in the environment, as systemd sets them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use glauber::daemon::{RunningDaemon, StartProgress};
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
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // Meant for another process that has passed its environment on.
        let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let period_us = number("WATCHDOG_USEC").filter(|&period_us| is_ours && period_us > 0);
        Self { watchdog: period_us.map(Duration::from_micros) }
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
        tell("STATUS=starting: opening the journal");
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
                        let extension_us = START_EXTENSION.as_micros();
                        tell(&format!("EXTEND_TIMEOUT_USEC={extension_us}\nSTATUS=starting: {bins} bins of open sessions counted anew"));
                    }
                }
            }
        }
    }

    /// The daemon serves.
    pub(crate) fn ready(self, daemon: &RunningDaemon) {
        tell(&format!("READY=1\nSTATUS={}", status(daemon)));
    }

    /// When to give signs of life: twice in the time after which one is missed.
    pub(crate) fn beats(self) -> Interval {
        ticks(self.watchdog.map_or(STATUS_INTERVAL, |period| period / 2))
    }

    /// Give a sign of life at the next beat if the daemon answers; what it has lost meanwhile that only a new start brings back.
    pub(crate) async fn beat(self, beats: &mut Interval, daemon: &RunningDaemon) -> Option<String> {
        beats.tick().await;
        // A daemon that does not get there is not heard of again, nor one in which that ends early.
        let answers = daemon.answers().await;
        let lost = daemon.lost();
        if answers && lost.is_none() {
            tell(&format!("WATCHDOG=1\nSTATUS={}", status(daemon)));
        }
        lost
    }

    /// The daemon ends, which takes at most its time of grace and a little; gives signs of life until then.
    pub(crate) async fn while_stopping<T>(self, grace_s: u64, stop: impl Future<Output = T>) -> T {
        let longest = Duration::from_secs(grace_s) + STOP_MARGIN;
        let extension_us = longest.as_micros();
        tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={extension_us}\nSTATUS=stopping: writing snapshots"));
        tokio::pin!(stop);
        let mut beats = self.beats();
        loop {
            tokio::select! {
                stopped = &mut stop => return stopped,
                _ = beats.tick() => tell("WATCHDOG=1"),
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

/// Tell the service manager; one that cannot be told is no reason not to go on.
fn tell(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Send a datagram to a socket with a path or, after `@`, an abstract name, as sd_notify(3) says.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A manager that does not read must not stop the daemon.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
