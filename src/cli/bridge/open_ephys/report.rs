//! What is said while spikes go by, and at the end.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::facts::{Counts, Why};
use super::message::Malformed;
use super::relay::{News, Relay};
use crate::cli::{Manner, output, text};

/// Lines of one kind between two reports; the rest is only counted.
const LINES_MAX: u32 = 5;
/// Without any message for so long nothing is being acquired.
const SILENCE: Duration = Duration::from_secs(2);

/// How things stand with the rig.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    NoPlugin(String),
    NoAcquisition,
    Receiving,
}

/// Tells the user.
pub(super) struct Reporter {
    manner: Manner,
    source: String,
    state: State,
    last_message: Option<Instant>,
    malformed_lines: u32,
    gap_lines: u32,
    unit_lines: u32,
    before: (Instant, Counts, u64),
}

/// How far the daemon is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Every bin before this one is safe (in the counts, without a journal).
    pub(super) safe_bins: u64,
    /// Width of a bin, nanoseconds.
    pub(super) width_ns: i64,
    /// Whether the stream to the daemon is open.
    pub(super) is_connected: bool,
}

impl Reporter {
    /// Begin with nobody there.
    pub(super) fn new(manner: Manner, source: &str) -> Self {
        let mut reporter = Self {
            manner,
            source: format!("tcp://{source}"),
            state: State::NoAcquisition,
            last_message: None,
            malformed_lines: 0,
            gap_lines: 0,
            unit_lines: 0,
            before: (Instant::now(), Counts::default(), 0),
        };
        reporter.state(State::NoPlugin(String::new()));
        reporter
    }

    /// Tell something: a line, or with --json an object.
    pub(super) fn say(&self, event: &str, line: fmt::Arguments<'_>, mut facts: Value) {
        if self.manner.json {
            facts["event"] = json!(event);
            // A reader that has gone ends the bridge when the summary is printed.
            let _ = output::print(format_args!("{facts}\n"));
        } else if !self.manner.quiet {
            output::note(format_args!("{line}"));
        }
    }

    fn state(&mut self, state: State) {
        if self.state == state {
            return;
        }
        let source = &self.source;
        match &state {
            State::NoPlugin(problem) if problem.is_empty() => self.say(
                "waiting_for_open_ephys",
                format_args!("waiting for Open Ephys at {source}"),
                json!({"source": source}),
            ),
            State::NoPlugin(problem) => self.say(
                "waiting_for_open_ephys",
                format_args!("waiting for Open Ephys at {source}: {problem}"),
                json!({"source": source, "problem": problem}),
            ),
            State::NoAcquisition => self.say(
                "waiting_for_acquisition",
                format_args!("connected to {source}, waiting for acquisition"),
                json!({"source": source}),
            ),
            State::Receiving => {
                self.say("receiving", format_args!("receiving from {source}"), json!({"source": source}))
            }
        }
        self.state = state;
    }

    /// The connection stands.
    pub(super) fn connected(&mut self) {
        self.state(State::NoAcquisition);
    }

    /// The connection does not come about, or broke.
    pub(super) fn disconnected(&mut self, problem: String) {
        self.state(State::NoPlugin(problem));
    }

    /// A message came.
    pub(super) fn message(&mut self, at: Instant) {
        self.last_message = Some(at);
        self.state(State::Receiving);
    }

    /// See whether messages still come.
    pub(super) fn look(&mut self) {
        if self.state == State::Receiving && self.last_message.is_none_or(|at| at.elapsed() > SILENCE) {
            self.state(State::NoAcquisition);
        }
    }

    /// The plugin answers heartbeats, or does not; nothing depends on it.
    pub(super) fn heartbeat(&self, state: &Result<(), String>) {
        let (line, problem) = match state {
            Ok(()) => ("Open Ephys answers heartbeats: it lists glauber as a client".to_owned(), None),
            Err(problem) => {
                (format!("no answer to heartbeats ({problem}); spikes do not depend on it"), Some(problem))
            }
        };
        self.say("heartbeat", format_args!("{line}"), json!({"answered": state.is_ok(), "problem": problem}));
    }

    /// A message that was not understood.
    pub(super) fn malformed(&mut self, malformed: &Malformed) {
        self.malformed_lines += 1;
        if self.malformed_lines <= LINES_MAX {
            self.say(
                "malformed",
                format_args!("left out a message that is not as it should be: {malformed}"),
                json!({"problem": malformed.to_string()}),
            );
        }
    }

    /// Something worth a line.
    pub(super) fn news(&mut self, news: &News) {
        let seconds = |ns: i64| ns as f64 / 1e9;
        match news {
            News::Began { origin_ns } => self.say(
                "began",
                format_args!("the stream is heard in full from {} of its clock on", text::seconds(seconds(*origin_ns))),
                json!({"origin_ns": origin_ns}),
            ),
            News::NoNeuronsYet => self.say(
                "no_neurons_yet",
                format_args!("nothing has fired yet: going on to look for neurons (is there a Spike Detector before the ZMQ Interface?)"),
                json!({}),
            ),
            News::Gap { start_ns, stop_ns, why } => {
                self.gap_lines += 1;
                if self.gap_lines > LINES_MAX {
                    return;
                }
                let (name, because) = match why {
                    Why::Lost => ("lost", "messages were lost"),
                    Why::Skipped => ("skipped", "the stream left samples out"),
                    Why::Stopped => ("stopped", "acquisition was stopped"),
                };
                let (start, stop) = (seconds(*start_ns), seconds(*stop_ns));
                self.say(
                    "gap",
                    format_args!("gap from {start:.3} to {stop:.3} s: {because}"),
                    json!({"start_ns": start_ns, "stop_ns": stop_ns, "why": name}),
                );
            }
            News::Restarted => self.say("restarted", format_args!("acquisition began anew"), json!({})),
            News::UnknownUnit(unit) => {
                self.unit_lines += 1;
                if self.unit_lines <= LINES_MAX {
                    self.say(
                        "unknown_unit",
                        format_args!("{unit} is no neuron of the session: its spikes are counted and left out"),
                        json!({"unit": unit}),
                    );
                }
            }
            News::Over => self.say("over", format_args!("the end was reached"), json!({})),
            News::Ready => {}
        }
    }

    /// How things go.
    pub(super) fn report(&mut self, relay: &Relay, progress: Progress) {
        let (now, counts) = (Instant::now(), relay.tracker().counts());
        let (forwarded, malformed) = relay.passed();
        let (then, before, forwarded_before) = self.before;
        let elapsed_s = now.duration_since(then).as_secs_f64().max(1e-3);
        let per_second = |now: u64, then: u64| ((now - then) as f64 / elapsed_s).round();
        let received_hz = per_second(counts.spikes, before.spikes);
        let forwarded_hz = per_second(forwarded, forwarded_before);
        self.before = (now, counts, forwarded);
        (self.malformed_lines, self.gap_lines, self.unit_lines) = (0, 0, 0);
        if self.state != State::Receiving {
            return;
        }
        let origin_ns = relay.origin_ns().unwrap_or(0);
        let clock_s = relay.clock_ns().map_or(0.0, |clock_ns| (clock_ns - origin_ns) as f64 / 1e9);
        let safe_s = progress.safe_bins as f64 * progress.width_ns as f64 / 1e9;
        let lag_s = (clock_s - safe_s).max(0.0);
        let (neurons, gaps) = (relay.roster().map_or(0, |roster| roster.len()), counts.losses);
        let waiting = relay.tracker().pending();
        let state = match (relay.roster(), progress.is_connected) {
            (None, _) if relay.origin_ns().is_none() => {
                format!("waiting for data, {} wait", text::counted(waiting as u64, "spike"))
            }
            (None, _) => "looking for neurons".to_owned(),
            (Some(_), true) => format!("daemon has {safe_s:.1} s, lag {lag_s:.2} s"),
            (Some(_), false) => {
                format!("NO DAEMON, {} kept", text::counted(relay.kept.len() as u64, "entry"))
            }
        };
        self.say(
            "report",
            format_args!(
                "{clock_s:.1} s: {received_hz} spikes/s in, {forwarded_hz} on, {neurons} neurons, {gaps} losses, {malformed} malformed; {state}"
            ),
            json!({
                "clock_s": clock_s, "received_hz": received_hz, "forwarded_hz": forwarded_hz, "neurons": neurons,
                "losses": gaps, "lost_messages": counts.lost_messages, "malformed": malformed, "lag_s": lag_s,
                "daemon_has_s": safe_s, "daemon_connected": progress.is_connected, "kept": relay.kept.len(),
            }),
        );
    }
}
