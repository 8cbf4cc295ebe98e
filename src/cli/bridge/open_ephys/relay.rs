//! What is heard, until it is ready to be sent: facts, neurons, what is kept. No input and no output either.

use std::time::Duration;

use glauber::model::BinWidth;

use super::facts::{Fact, Fatal, Why};
use super::kept::{Entry, Kept, Merging};
use super::message::{Malformed, Message};
use super::rate::Rate;
use super::roster::{Belongs, Policy, Roster};
use super::tracker::Tracker;

/// Facts kept until the neurons are known; each takes 32 bytes.
const FACTS_MAX: usize = 4_000_000;

/// How the neurons become known.
#[derive(Debug, Clone)]
pub(super) enum Neurons {
    /// They are those of a list.
    Listed(Roster),
    /// They are those that fire within that time, of the stream's clock.
    Discovered { during_ns: i64, policy: Policy },
}

/// What comes after an acquisition that begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnRestart {
    /// The session goes on after a gap as long as the pause
    Continue,
    /// The bridge ends, as with Ctrl-C
    End,
}

/// What is worth a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// The stream is heard: its clock at the session's first bin.
    Began { origin_ns: i64 },
    /// The neurons are known: the session can be opened.
    Ready,
    /// Nothing has fired yet, so there is no session yet.
    NoNeuronsYet,
    /// A stretch is left out.
    Gap { start_ns: i64, stop_ns: i64, why: Why },
    /// Acquisition began anew.
    Restarted,
    /// A unit that is no neuron of the session.
    UnknownUnit(String),
    /// The time that was asked for is over.
    Over,
}

/// Why nothing more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The time that was asked for is over; all of it was heard.
    Duration,
    /// Acquisition began anew; of the end of the one before not everything was heard.
    Restart,
}

/// Everything between the rig and the daemon.
pub(super) struct Relay {
    tracker: Tracker,
    neurons: Neurons,
    roster: Option<Roster>,
    on_restart: OnRestart,
    duration_ns: Option<i64>,
    facts: Vec<Fact>,
    waiting: Vec<Fact>,
    merging: Merging,
    origin_ns: Option<i64>,
    clock_ns: Option<i64>,
    has_told_nothing_fires: bool,
    forwarded: u64,
    malformed: u64,
    /// Spikes of after the end.
    after_end: u64,
    end: Option<End>,
    /// What is to be sent, and has been, as long as it is not durable.
    pub(super) kept: Kept,
}

/// How a relay is to work.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) bin_width: BinWidth,
    pub(super) stream: Option<String>,
    pub(super) rate: Option<Rate>,
    pub(super) neurons: Neurons,
    pub(super) on_restart: OnRestart,
    pub(super) duration: Option<Duration>,
}

impl Relay {
    /// Before anything is heard.
    pub(super) fn new(settings: Settings) -> Self {
        let width_ns = i64::from(settings.bin_width.us()) * 1000;
        Self {
            tracker: Tracker::new(width_ns, settings.stream, settings.rate),
            neurons: settings.neurons,
            roster: None,
            on_restart: settings.on_restart,
            duration_ns: settings.duration.map(|d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)),
            facts: Vec::new(),
            waiting: Vec::new(),
            merging: Merging::default(),
            origin_ns: None,
            clock_ns: None,
            has_told_nothing_fires: false,
            forwarded: 0,
            malformed: 0,
            after_end: 0,
            end: None,
            kept: Kept::default(),
        }
    }

    /// Take a message. What is worth a line is put into `news`; what was wrong with the message is handed back.
    pub(super) fn take(
        &mut self,
        message: Result<Message, Malformed>,
        arrived: Duration,
        news: &mut Vec<News>,
    ) -> Result<Option<Malformed>, Fatal> {
        let implausible = self.tracker.counts().implausible;
        let malformed = match message {
            Ok(message) => self.tracker.take(message, arrived, &mut self.facts)?,
            Err(malformed) => Some(malformed),
        };
        let implausible = self.tracker.counts().implausible - implausible;
        self.malformed += implausible.max(u64::from(malformed.is_some()));
        for fact in std::mem::take(&mut self.facts) {
            self.hear(fact, news)?;
        }
        Ok(malformed)
    }

    /// A fact: told at once if the neurons are known, else later.
    fn hear(&mut self, fact: Fact, news: &mut Vec<News>) -> Result<(), Fatal> {
        match fact {
            Fact::Begin { origin_ns } => {
                self.origin_ns = Some(origin_ns);
                news.push(News::Began { origin_ns });
            }
            Fact::Restarted => news.push(News::Restarted),
            Fact::Unobserved { start_ns, stop_ns, why } => news.push(News::Gap { start_ns, stop_ns, why }),
            Fact::Clock { time_ns } => self.clock_ns = Some(time_ns),
            Fact::Spike { .. } => {}
        }
        if self.roster.is_some() {
            self.tell(fact, news);
            return Ok(());
        }
        match (fact, self.waiting.last_mut()) {
            (Fact::Clock { time_ns }, Some(Fact::Clock { time_ns: last }))
                if self.merging.may_replace(time_ns) =>
            {
                *last = time_ns;
            }
            (Fact::Clock { time_ns }, last) => {
                if !matches!(last, Some(Fact::Clock { .. })) {
                    self.merging.begin(time_ns);
                }
                self.waiting.push(fact);
            }
            _ => self.waiting.push(fact),
        }
        if self.waiting.len() > FACTS_MAX {
            return Err(Fatal::TooMuchToDiscover);
        }
        self.discover(news);
        Ok(())
    }

    /// See whether the neurons are known by now.
    fn discover(&mut self, news: &mut Vec<News>) {
        let Some(origin_ns) = self.origin_ns else { return };
        let roster = match &self.neurons {
            Neurons::Listed(roster) => roster.clone(),
            Neurons::Discovered { during_ns, policy } => {
                let newest_ns = self.waiting.last().map_or(origin_ns, |fact| match *fact {
                    Fact::Spike { time_ns, .. } | Fact::Clock { time_ns } => time_ns,
                    _ => origin_ns,
                });
                if newest_ns - origin_ns < *during_ns && !self.is_restarted() {
                    return;
                }
                let fired: std::collections::BTreeSet<u32> =
                    self.waiting.iter().filter_map(spike_of).collect();
                let units = fired.iter().filter_map(|&number| self.tracker.unit(number));
                Roster::of_units(units, *policy)
            }
        };
        if roster.len() == 0 {
            if !self.has_told_nothing_fires {
                self.has_told_nothing_fires = true;
                news.push(News::NoNeuronsYet);
            }
            return;
        }
        self.roster = Some(roster);
        news.push(News::Ready);
        for fact in std::mem::take(&mut self.waiting) {
            self.tell(fact, news);
        }
    }

    /// Whether the acquisition ended before the discovery was over, and the bridge is to end with it.
    fn is_restarted(&self) -> bool {
        self.on_restart == OnRestart::End && self.tracker.counts().restarts > 0
    }

    /// Make of a fact what the daemon is to be told.
    fn tell(&mut self, fact: Fact, news: &mut Vec<News>) {
        if self.is_over() {
            self.after_end += u64::from(spike_of(&fact).is_some());
            return;
        }
        let origin_ns = self.origin_ns.unwrap_or(0);
        let end_ns = self.duration_ns.map_or(i64::MAX, |duration_ns| origin_ns.saturating_add(duration_ns));
        let mut reached_ns = origin_ns;
        match fact {
            Fact::Begin { .. } => {}
            Fact::Spike { unit, time_ns } => {
                if time_ns < end_ns {
                    self.tell_spike(unit, time_ns, news);
                } else {
                    self.after_end += 1;
                }
            }
            Fact::Clock { time_ns } => {
                reached_ns = time_ns;
                if time_ns > origin_ns {
                    self.kept.push(Entry::Clock { time_ns: time_ns.min(end_ns) });
                }
            }
            Fact::Unobserved { start_ns, stop_ns, .. } => {
                let (start_ns, stop_ns) = (start_ns.max(origin_ns), stop_ns.min(end_ns));
                if start_ns < stop_ns {
                    self.kept.push(Entry::Unobserved { start_ns, stop_ns });
                }
            }
            Fact::Restarted if self.on_restart == OnRestart::End => self.end = Some(End::Restart),
            Fact::Restarted => {}
        }
        // Spikes of before the end may come with the next block.
        let delay_ns = i64::try_from(self.tracker.lateness_us() * 1000).unwrap_or(i64::MAX);
        if reached_ns >= end_ns.saturating_add(delay_ns) {
            self.end = Some(End::Duration);
        }
        if self.is_over() {
            news.push(News::Over);
        }
    }

    fn tell_spike(&mut self, number: u32, time_ns: i64, news: &mut Vec<News>) {
        let (Some(roster), Some(unit)) = (&mut self.roster, self.tracker.unit(number)) else { return };
        match roster.place(number, unit) {
            (Belongs::Neuron(neuron), _) => {
                self.forwarded += 1;
                self.kept.push(Entry::Spike { neuron, time_ns });
            }
            (Belongs::Unknown, true) => news.push(News::UnknownUnit(unit.to_string())),
            _ => {}
        }
    }

    /// Nothing more comes: leave out what was not heard in full of the end, in bins of that width.
    pub(super) fn finish(&mut self, width_ns: i64) {
        let (Some(origin_ns), Some((newest_ns, end_ns))) = (self.origin_ns, self.kept.newest_ns()) else {
            return;
        };
        if self.end == Some(End::Duration) {
            return;
        }
        // Bins before it are complete at the daemon. Of the last one, and of what the detector still had, not everything was heard.
        let late_ns = i64::try_from(self.tracker.lateness_us() * 1000).unwrap_or(i64::MAX);
        let start_ns = newest_ns.saturating_sub(late_ns).max(origin_ns);
        let limit_ns = self.duration_ns.map_or(i64::MAX, |duration_ns| origin_ns.saturating_add(duration_ns));
        let stop_ns = end_ns.saturating_add((origin_ns - end_ns).rem_euclid(width_ns)).min(limit_ns);
        if start_ns < stop_ns {
            self.kept.push(Entry::Unobserved { start_ns, stop_ns });
        }
    }

    /// What has come, and how often.
    pub(super) fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The neurons, once they are known.
    pub(super) fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// Left edge of bin 0, once it is known, nanoseconds.
    pub(super) fn origin_ns(&self) -> Option<i64> {
        self.origin_ns
    }

    /// How far the stream has come, nanoseconds.
    pub(super) fn clock_ns(&self) -> Option<i64> {
        self.clock_ns
    }

    /// Spikes passed on, and messages that were not understood.
    pub(super) fn passed(&self) -> (u64, u64) {
        (self.forwarded, self.malformed)
    }

    /// Spikes of after the end, and spikes that still wait: for data, or for the neurons to be known.
    pub(super) fn held_back(&self) -> (u64, u64) {
        let waiting = self.waiting.iter().filter_map(spike_of).count() + self.tracker.pending();
        (self.after_end, waiting as u64)
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }
}

fn spike_of(fact: &Fact) -> Option<u32> {
    match *fact {
        Fact::Spike { unit, .. } => Some(unit),
        _ => None,
    }
}
