//! What a load that is over has shown.

use glauber::proto::v1;

use super::LoadArgs;
use super::measure::{LAST_SEEN_WAIT, Running, Target};
use super::poller::Seen;
use super::process::{self, Usage};
use super::report::{Check, Latency, Load, Process, Queries, Report, Spans, Throughput, Watchers, together};
use super::rig::Outcome;
use super::standing::{Standing, applied};
use crate::cli::values::Speed;
use crate::cli::{client, text};

/// What counting may be behind at the end, seconds.
const BEHIND_MAX_S: f64 = 1.0;

/// Everything that is known once a load is over.
pub(super) struct Measured<'a> {
    pub(super) args: &'a LoadArgs,
    pub(super) target: &'a Target,
    /// Of the sessions, with the daemon's defaults.
    pub(super) spec: v1::SessionSpec,
    pub(super) running: &'a Running,
    pub(super) interrupted: bool,
    pub(super) before: Standing,
    pub(super) after: Standing,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) seen: Option<Seen>,
}

impl Measured<'_> {
    fn seconds(&self) -> f64 {
        (self.after.at - self.before.at).as_secs_f64()
    }

    /// Everything that is told of it, given the sessions at its end.
    pub(super) fn report(&self, sessions: &[v1::Session]) -> Report {
        let throughput = self.throughput();
        let problems = self.problems(&throughput, sessions);
        Report {
            load: self.load(),
            interrupted: self.interrupted,
            warmup_s: self.args.warmup_seconds.into(),
            measured_s: self.seconds(),
            throughput,
            latency: self.latency(),
            daemon: self.process(self.target.pid, &self.before.daemon, &self.after.daemon),
            client: self.process(Some(std::process::id()), &self.before.client, &self.after.client),
            estimates: self.after.estimates_since(&self.before),
            watchers: self.watchers(),
            queries: self.queries(),
            check: self.check(sessions),
            problems,
        }
    }

    fn problems(&self, throughput: &Throughput, sessions: &[v1::Session]) -> Vec<String> {
        let mut problems = Vec::new();
        for (outcome, session) in self.outcomes.iter().zip(sessions) {
            problems.extend(self.lost(outcome, session));
            problems.extend(self.unacknowledged(outcome, session));
        }
        if let Some(behind_s) = throughput.behind_s.filter(|&behind_s| behind_s > BEHIND_MAX_S) {
            problems.push(format!(
                "counting was {behind_s:.1} s behind the rigs at the end: expected at most {BEHIND_MAX_S} s"
            ));
        }
        let unseen = self.seen.as_ref().map_or(0, |seen| seen.unseen);
        if unseen > 0 {
            problems.push(format!(
                "{} not visible to others within {} s of the last acknowledgement",
                text::counted(unseen, "sampled message"),
                LAST_SEEN_WAIT.as_secs()
            ));
        }
        problems
    }

    fn load(&self) -> Load {
        let (args, spec) = (self.args, &self.spec);
        Load {
            address: self.target.connect.connect.clone(),
            own_daemon: self.target.own,
            journal: self.running.common.keeps_journal,
            journal_in_memory: self.running.common.keeps_journal && self.target.in_memory,
            rigs: self.running.common.rigs,
            neurons: args.neurons,
            bin_width_us: args.bin_width.us(),
            active: args.active,
            batch_bins: args.batch_bins,
            encoding: args.encoding,
            speed: match args.speed {
                Speed::Max => None,
                Speed::Times(factor) => Some(factor),
            },
            seed: args.seed,
            windows: spec.windows.clone(),
            estimators: spec.estimators.iter().map(|&e| client::estimator_name(e).to_owned()).collect(),
            refresh_interval_bins: spec.refresh_interval_bins.unwrap_or_default(),
            equilibrium_methods: spec.equilibrium_methods.len(),
        }
    }

    fn throughput(&self) -> Throughput {
        let (common, seconds) = (&self.running.common, self.seconds());
        let ring = &common.ring;
        let (mut bins, mut bytes, mut entries) = (0, 0, 0);
        for (rig, (before, after)) in self.before.sessions.iter().zip(&self.after.sessions).enumerate() {
            let place = ring.place(rig, common.rigs);
            let between = |of: &dyn Fn(u64) -> u64| of(applied(after)).saturating_sub(of(applied(before)));
            bins += between(&|bins| bins);
            bytes += between(&|bins| ring.bytes_of(place, bins / ring.batch_bins()));
            entries += between(&|bins| ring.entries_of(place, bins / ring.batch_bins()));
        }
        let bins_per_s = bins as f64 / seconds;
        Throughput {
            bins_per_s,
            messages_per_s: bins_per_s / ring.batch_bins() as f64,
            entries_per_s: entries as f64 / seconds,
            payload_mb_per_s: bytes as f64 / seconds / 1e6,
            times_real_time: bins_per_s * self.args.bin_width.seconds() / common.rigs as f64,
            behind_s: self.behind_s(),
        }
    }

    /// How long before the end the bins were due up to which everything was counted then, of the rig that is worst off.
    fn behind_s(&self) -> Option<f64> {
        let interval_s = self.running.common.interval?.as_secs_f64();
        let due_s = (self.after.at - self.running.start.begin).as_secs_f64();
        let batch_bins = self.running.common.ring.batch_bins() as f64;
        let counted = self.after.sessions.iter().map(applied).min()?;
        // A message that is not due yet is not missing, nor is one that has just become due.
        Some((due_s - counted as f64 / batch_bins * interval_s - 2.0 * interval_s).max(0.0))
    }

    fn latency(&self) -> Latency {
        let empty = &self.running.common.no_latencies;
        let outcomes = &self.outcomes;
        let mut lag = empty.clone();
        outcomes.iter().for_each(|outcome| lag.add(&outcome.lag));
        let durable = outcomes.iter().filter_map(|outcome| outcome.durable.as_ref());
        let acks: u64 = outcomes.iter().map(|outcome| outcome.acks).sum();
        let sent_s = (self.after.at - self.running.start.begin).as_secs_f64();
        let visible = self.seen.as_ref().map(|seen| Spans::from(&seen.visible));
        Latency {
            lag: lag.quantiles(),
            received: together(empty, outcomes.iter().map(|outcome| &outcome.received)),
            applied: together(empty, outcomes.iter().map(|outcome| &outcome.applied)),
            durable: self.running.common.keeps_journal.then(|| together(empty, durable)),
            visible: visible.unwrap_or(Spans { from_due: None, from_handed: None }),
            asking: self.seen.as_ref().and_then(|seen| seen.asking.quantiles()),
            acks_per_s_and_rig: acks as f64 / sent_s / outcomes.len().max(1) as f64,
        }
    }

    fn process(&self, pid: Option<u32>, before: &Option<Usage>, after: &Option<Usage>) -> Option<Process> {
        let pid = pid?;
        let cpu = after.as_ref()?.since(before.as_ref()?, self.seconds());
        Some(Process { pid, cpu, memory: process::memory(pid) })
    }

    fn watchers(&self) -> Watchers {
        let (before, after) = (&self.before.read, &self.after.read);
        Watchers {
            count: self.args.watchers as usize,
            publications: after.publications - before.publications,
            missed: after.missed - before.missed,
            mb_per_s: (after.bytes - before.bytes) as f64 / self.seconds() / 1e6,
        }
    }

    fn queries(&self) -> Queries {
        let (before, after) = (&self.before.read, &self.after.read);
        Queries {
            per_second: self.args.queries_per_second,
            answers: after.answers - before.answers,
            refused: after.refused - before.refused,
            mb_per_s: (after.answer_bytes - before.answer_bytes) as f64 / self.seconds() / 1e6,
            latency: self.running.answered.quantiles(),
        }
    }

    /// Bins and entries that a rig has sent.
    fn sent(&self, outcome: &Outcome) -> (u64, u64) {
        let common = &self.running.common;
        let place = common.ring.place(outcome.rig, common.rigs);
        (outcome.messages * common.ring.batch_bins(), common.ring.entries_of(place, outcome.messages))
    }

    fn check(&self, sessions: &[v1::Session]) -> Check {
        let sum = |of: fn(&v1::Session) -> u64| sessions.iter().map(of).sum();
        let sent = self.outcomes.iter().map(|outcome| self.sent(outcome));
        let (bins_sent, entries_sent) = sent.fold((0, 0), |(bins, entries), (b, e)| (bins + b, entries + e));
        Check {
            bins_sent,
            bins_applied: sum(applied),
            bins_durable: self.running.common.keeps_journal.then(|| sum(durable)),
            entries_sent,
            entries_applied: sum(|session| session.active_entries),
            gap_bins: sum(|session| session.gap_bins),
            repeated_bins: sum(|session| session.repeated_bins),
        }
    }

    /// What is wrong with what a session has, if anything is.
    fn lost(&self, outcome: &Outcome, session: &v1::Session) -> Option<String> {
        let (bins, entries) = self.sent(outcome);
        let durable = if self.running.common.keeps_journal { durable(session) } else { bins };
        let expected = [bins, bins, entries, 0, 0];
        let found =
            [applied(session), durable, session.active_entries, session.gap_bins, session.repeated_bins];
        let names = ["bins counted", "bins durable", "entries", "bins missing", "bins repeated"];
        let wrong: Vec<String> = names
            .iter()
            .zip(expected.iter().zip(found))
            .filter(|(_, (expected, found))| *expected != found)
            .map(|(name, (expected, found))| format!("{name}: expected {expected}, got {found}"))
            .collect();
        (!wrong.is_empty()).then(|| format!("session {}: {}", session.session_id, wrong.join("; ")))
    }

    /// The messages that no acknowledgement spoke of, which the latencies leave out, if there are any.
    fn unacknowledged(&self, outcome: &Outcome, session: &v1::Session) -> Option<String> {
        let levels = if self.running.common.keeps_journal { 3 } else { 2 };
        let missing: Vec<String> = ["received", "applied", "durable"]
            .iter()
            .zip(outcome.unacknowledged)
            .take(levels)
            .filter(|(_, count)| *count > 0)
            .map(|(level, count)| format!("{count} as {level}"))
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "session {}: of {} messages sent, never acknowledged: {}",
                session.session_id,
                outcome.messages,
                missing.join(", ")
            )
        })
    }
}

/// Every bin before this one of a session survives a crash.
fn durable(session: &v1::Session) -> u64 {
    session.watermarks.map_or(0, |marks| marks.durable_through)
}
