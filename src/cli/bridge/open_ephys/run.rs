//! The loop: what comes from the rig is taken, what goes to the daemon is sent, neither waits for the other until too much is kept.

use std::future::pending;
use std::time::Duration;

use glauber::proto::v1;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};

use super::OpenEphysArgs;
use super::relay::{News, Relay};
use super::report::{Progress, Reporter};
use super::source::{self, Heard, Lifeless, Pace};
use super::summary::Summary;
use super::uplink::{self, Told, Uplink};
use crate::cli::Manner;
use crate::cli::client::Daemon;
use crate::cli::close::close_patiently;
use crate::cli::error::CliError;
use crate::cli::load::Interrupts;

/// How long spikes wait for others of their message.
const FLUSH: Duration = Duration::from_millis(5);
/// Pause before a session is asked for again while there is no daemon.
const RETRY: Duration = Duration::from_secs(1);
/// How long an answer to the question for a session is waited for once the end is asked for.
const LAST_WAIT: Duration = Duration::from_secs(3);

pub(crate) async fn run(args: OpenEphysArgs, manner: Manner) -> Result<(), CliError> {
    args.check()?;
    let relay = Relay::new(args.settings()?);
    let mut interrupts = Interrupts::listen()?;
    let daemon = Daemon::connect(&args.connect).await?;
    let is_journaled = daemon.keeps_journal().await?;
    let reporter = Reporter::new(manner, &args.source);
    let mut bridge = Bridge {
        args,
        manner,
        daemon,
        is_journaled,
        relay,
        reporter,
        session: None,
        wanted_at: None,
        started: Instant::now(),
        safe_bins: 0,
        is_saved: false,
    };
    let received = bridge.receive(&mut interrupts).await;
    let finished = tokio::select! {
        finished = bridge.finish() => finished,
        () = interrupts.next() => Err(CliError::Interrupted(": not everything that was received has been sent".to_owned())),
    };
    bridge.end(received.and(finished)).await
}

/// The session at the daemon.
struct Session {
    id: String,
    origin_ns: i64,
    uplink: Uplink,
}

struct Bridge {
    args: OpenEphysArgs,
    manner: Manner,
    daemon: Daemon,
    is_journaled: bool,
    relay: Relay,
    reporter: Reporter,
    session: Option<Session>,
    /// When to ask for a session.
    wanted_at: Option<Instant>,
    started: Instant,
    safe_bins: u64,
    /// Whether the neurons have been written.
    is_saved: bool,
}

impl Bridge {
    /// Receive and send until the end is asked for or reached.
    async fn receive(&mut self, interrupts: &mut Interrupts) -> Result<(), CliError> {
        let (sender, mut heard) = source::queue();
        let (pace, lifeless) = (Pace::default(), Lifeless::default());
        source::listen(self.args.source.clone(), pace, lifeless.clone(), sender.clone());
        if let Some(address) = self.args.heartbeat_address() {
            source::show_life(address, pace, lifeless, sender.clone());
        }
        let mut flush = interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = Vec::new();
        let every = self.args.report_every;
        let mut report = interval_at(Instant::now() + every, every);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(self.relay.is_over() && self.wanted_at.is_none()) {
            let is_hearing = !self.relay.kept.is_full() && !self.relay.is_over();
            tokio::select! {
                () = interrupts.next() => return Ok(()),
                told = told(&mut self.session) => drop(self.obey(told)?),
                _ = flush.tick() => {
                    if self.open_unless_interrupted(interrupts).await? {
                        return Ok(());
                    }
                    self.send();
                    self.reporter.look();
                }
                _ = report.tick() => self.reporter.report(&self.relay, self.progress()),
                heard = heard.recv(), if is_hearing => self.hear(heard, &mut news)?,
            }
        }
        Ok(())
    }

    fn hear(&mut self, heard: Option<Heard>, news: &mut Vec<News>) -> Result<(), CliError> {
        match heard {
            Some(Heard::Connected) => self.reporter.connected(),
            Some(Heard::Disconnected(problem)) => self.reporter.disconnected(problem),
            Some(Heard::Heartbeat(state)) => self.reporter.heartbeat(&state),
            Some(Heard::Message(message, at)) => {
                self.reporter.message(at);
                let taken = self.relay.take(message, at.duration_since(self.started), news);
                for news in news.drain(..) {
                    if news == News::Ready {
                        self.wanted_at = Some(Instant::now());
                    }
                    self.reporter.news(&news);
                }
                let malformed = taken.map_err(|fatal| CliError::Bridge(fatal.to_string()))?;
                if let Some(malformed) = malformed {
                    self.reporter.malformed(&malformed);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Open the session if it is time to. Whether the end was asked for meanwhile.
    async fn open_unless_interrupted(&mut self, interrupts: &mut Interrupts) -> Result<bool, CliError> {
        let mut opening = std::pin::pin!(self.open_if_wanted());
        tokio::select! {
            opened = &mut opening => return opened.map(|()| false),
            () = interrupts.next() => {}
        }
        // The daemon may be about to answer; a session that it has opened is ended with what there is.
        match timeout(LAST_WAIT, opening).await {
            Ok(opened) => opened.map(|()| true),
            Err(_) => Ok(true),
        }
    }

    /// Write the neurons that were found, once, before there is a session of them.
    fn save_neurons(&mut self) -> Result<(), CliError> {
        let (Some(path), Some(roster)) = (&self.args.save_neurons, self.relay.roster()) else {
            return Ok(());
        };
        if self.is_saved {
            return Ok(());
        }
        let failed = |source| CliError::Io { doing: "writing", path: path.clone(), source };
        let mut file = std::fs::File::create_new(path).map_err(failed)?;
        if let Err(error) = std::io::Write::write_all(&mut file, roster.to_list().as_bytes()) {
            // No list is better than a part of one.
            let _ = std::fs::remove_file(path);
            return Err(failed(error));
        }
        self.is_saved = true;
        Ok(())
    }

    /// Open the session once its neurons are known.
    async fn open_if_wanted(&mut self) -> Result<(), CliError> {
        if self.wanted_at.is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        self.save_neurons()?;
        let (Some(roster), Some(origin_ns)) = (self.relay.roster(), self.relay.origin_ns()) else {
            return Ok(());
        };
        let (stream, rate) = self.relay.tracker().stream();
        let stream = stream.unwrap_or("Open Ephys").to_owned();
        let start_unix_ns = self.relay.tracker().unix_ns(origin_ns);
        let spec = self.args.spec(roster, &stream, origin_ns, start_unix_ns);
        let request = v1::CreateSessionRequest { spec: Some(spec) };
        let created = self.daemon.sessions().create_session(request).await;
        let created = match created.map_err(self.daemon.failure("opening a session")) {
            Err(error @ CliError::NoDaemon { .. }) => {
                self.reporter.say(
                    "no_daemon",
                    format_args!("{error}; trying again"),
                    json!({"problem": error.to_string()}),
                );
                self.wanted_at = Some(Instant::now() + RETRY);
                return Ok(());
            }
            created => created?.into_inner(),
        };
        let id = created.session.ok_or_else(|| self.daemon.protocol("no session"))?.session_id;
        self.wanted_at = None;
        let rate = rate.map_or_else(|| "unknown rate".to_owned(), |rate| rate.to_string());
        self.reporter.say(
            "session",
            format_args!("session {id}: {} neurons of stream '{stream}' at {rate}", roster.len()),
            json!({
                "session_id": id, "stream": stream, "sample_rate": rate, "origin_ns": origin_ns,
                "neurons": roster.neurons().into_iter().map(|neuron| neuron.label).collect::<Vec<_>>(),
            }),
        );
        let lateness_us = self.relay.tracker().lateness_us();
        let uplink = Uplink::open(self.daemon.clone(), id.clone(), lateness_us, self.is_journaled);
        self.session = Some(Session { id, origin_ns, uplink });
        Ok(())
    }

    /// Width of a bin, nanoseconds.
    fn width_ns(&self) -> i64 {
        i64::from(self.args.bin_width.us()) * 1000
    }

    /// Left edge of a bin, nanoseconds.
    fn edge_ns(&self, bin: u64) -> i64 {
        let origin_ns = self.session.as_ref().map_or(0, |session| session.origin_ns);
        let bin = i64::try_from(bin).unwrap_or(i64::MAX);
        origin_ns.saturating_add(bin.saturating_mul(self.width_ns()))
    }

    /// Do as the daemon says. Whether it has taken all there is.
    fn obey(&mut self, told: Told) -> Result<bool, CliError> {
        match told {
            Told::Opened { resume_from_bin } => {
                self.relay.kept.rewind(self.edge_ns(resume_from_bin));
                self.reporter.say(
                    "daemon",
                    format_args!("the daemon listens, from bin {resume_from_bin} on"),
                    json!({"resume_from_bin": resume_from_bin}),
                );
            }
            Told::Marks(marks) => {
                self.safe_bins =
                    if self.is_journaled { marks.durable_through } else { marks.applied_through };
                self.relay.kept.forget_before(self.edge_ns(self.safe_bins));
            }
            Told::Lost(error) => self.reporter.say(
                "daemon_lost",
                format_args!("{error}; keeping what comes and trying again"),
                json!({"problem": error.to_string()}),
            ),
            Told::Refused(error) => return Err(error),
            Told::Finished => return Ok(true),
        }
        Ok(false)
    }

    /// Send what can be sent.
    fn send(&mut self) {
        let Some(session) = &self.session else { return };
        while self.relay.kept.has_unsent()
            && let Some(room) = session.uplink.room()
        {
            if let Some(times) = self.relay.kept.next() {
                uplink::send(room, times);
            }
        }
    }

    /// Send the rest, and wait until the daemon has it.
    async fn finish(&mut self) -> Result<(), CliError> {
        if self.session.is_none() {
            return Ok(());
        }
        self.relay.finish(self.width_ns());
        let mut flush = interval(FLUSH);
        let (mut progress_at, mut safe_bins) = (Instant::now(), self.safe_bins);
        loop {
            let told = tokio::select! {
                told = told(&mut self.session) => told,
                _ = flush.tick() => {
                    self.send();
                    let is_sent = !self.relay.kept.has_unsent();
                    if let Some(session) = self.session.as_mut().filter(|session| session.uplink.is_open() && is_sent) {
                        session.uplink.finish();
                    }
                    if progress_at.elapsed() > self.args.reconnect_for {
                        let reason = "not everything was taken in time".to_owned();
                        return Err(CliError::NoDaemon { address: self.daemon.address().to_owned(), reason });
                    }
                    continue;
                }
            };
            if self.obey(told)? {
                return Ok(());
            }
            if self.safe_bins != safe_bins {
                (progress_at, safe_bins) = (Instant::now(), self.safe_bins);
            }
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            safe_bins: self.safe_bins,
            width_ns: self.width_ns(),
            is_connected: self.session.as_ref().is_some_and(|session| session.uplink.is_open()),
        }
    }

    /// Close the session if asked for, and tell how it went.
    async fn end(mut self, done: Result<(), CliError>) -> Result<(), CliError> {
        let id = self.session.as_ref().map(|session| session.id.clone());
        let mut done = done;
        let mut session = None;
        let mut is_closed = false;
        if let Some(id) = &id {
            if self.args.close && !matches!(done, Err(CliError::Interrupted(_))) {
                let closed = close_patiently(&self.daemon, id, self.args.reconnect_for).await;
                is_closed = closed.is_ok();
                done = done.and(closed.map(drop));
            }
            session = self.daemon.session(id).await.ok();
        }
        // The stream ends with it.
        self.session = None;
        let summary = Summary {
            relay: &self.relay,
            session_id: id.as_deref(),
            session: session.as_ref(),
            is_closed,
            again: self.args.connect.again(),
        };
        let told = summary.print(self.manner);
        done.and(told)
    }
}

/// What comes next of the daemon; nothing while there is no session.
async fn told(session: &mut Option<Session>) -> Told {
    match session {
        Some(session) => session.uplink.next().await,
        None => pending().await,
    }
}
