//! A load from its first session to its last acknowledgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use glauber::proto::v1;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::latency::Latencies;
use super::poller::{self, Seen};
use super::process::{self, Usage};
use super::readers::{self, Answered, Read};
use super::report::{Check, Latency, Load, Process, Queries, Report, Spans, Throughput, Watchers, together};
use super::rig::{Common, Outcome, Rig, Start};
use super::ring::Ring;
use super::standing::{Standing, Watched, applied};
use super::{Interrupts, LoadArgs};
use crate::cli::Manner;
use crate::cli::client::{self, ConnectArgs, Daemon};
use crate::cli::error::CliError;
use crate::cli::progress;
use crate::cli::values::Speed;

/// Time for everyone to get ready before the first message.
const RUN_UP: Duration = Duration::from_millis(50);
/// What counting may be behind at the end, seconds.
const BEHIND_MAX_S: f64 = 1.0;

/// The daemon that is measured.
pub(super) struct Target {
    pub(super) connect: ConnectArgs,
    /// Whether it was started for this.
    pub(super) own: bool,
    pub(super) pid: Option<u32>,
    /// Whether it keeps everything in memory.
    pub(super) in_memory: bool,
}

/// What was found.
pub(super) struct Measurement {
    pub(super) report: Report,
}

/// What a task of a load ends with.
enum Done {
    Rig(Box<Outcome>),
    Poller(Box<Seen>),
}

/// Open the sessions, whose names are left in `session_ids` whatever comes, run the load, and find out what became of it.
pub(super) async fn run(
    args: &LoadArgs,
    target: &Target,
    daemon: &Daemon,
    session_ids: &mut Vec<String>,
    interrupts: &mut Interrupts,
    manner: Manner,
) -> Result<Measurement, CliError> {
    let keeps_journal = daemon.keeps_journal().await?;
    let spinner = progress::spinner("preparing spikes", manner);
    let ring = Ring::prepare(&args.shape());
    let rigs = args.rigs as usize;
    let common = Arc::new(Common {
        ring,
        rigs,
        interval: args.interval(),
        sample_interval: Duration::from_secs_f64(rigs as f64 / f64::from(args.samples_per_second)),
        keeps_journal,
        stop: AtomicBool::new(false),
        no_latencies: Latencies::new()?,
    });
    spinner.set_message("opening sessions");
    let spec = open_sessions(args, daemon, session_ids).await?;
    let mut running = Running::begin(args, target, session_ids, common).await?;

    let watched = Watched { daemon, session_ids, daemon_pid: target.pid, read: &running.read };
    spinner.set_message("warming up");
    let measured_from = running.start.measured_from;
    let mut interrupted =
        Running::wait(&mut running.tasks, &mut running.readers, measured_from, interrupts).await?;
    if interrupted {
        return Err(CliError::Interrupted(": nothing was measured yet".to_owned()));
    }
    let before = watched.standing().await?;
    spinner.set_message("measuring");
    let until = measured_from + Duration::from_secs(args.seconds.into());
    interrupted = Running::wait(&mut running.tasks, &mut running.readers, until, interrupts).await?;
    let after = watched.standing().await?;
    running.common.stop.store(true, Ordering::Relaxed);
    spinner.set_message("waiting for the last acknowledgements");
    let (outcomes, seen) = tokio::select! {
        drained = drain(&mut running.tasks) => drained?,
        () = interrupts.next() => {
            return Err(CliError::Interrupted(" before everything was acknowledged".to_owned()));
        }
    };
    running.readers.abort_all();
    let sessions = watched.sessions().await?;
    spinner.finish_and_clear();

    let measured =
        Measured { args, target, spec, running: &running, interrupted, before, after, outcomes, seen };
    Ok(Measurement { report: measured.report(&sessions) })
}

/// Make the sessions; gives the specification of the first with the daemon's defaults.
async fn open_sessions(
    args: &LoadArgs,
    daemon: &Daemon,
    session_ids: &mut Vec<String>,
) -> Result<v1::SessionSpec, CliError> {
    let mut first = None;
    for rig in 0..args.rigs as usize {
        let request = v1::CreateSessionRequest { spec: Some(args.spec(rig)) };
        let created = daemon.sessions().create_session(request).await;
        let created = created.map_err(daemon.failure("opening a session"))?.into_inner();
        let session = created.session.ok_or_else(|| daemon.protocol("no session"))?;
        session_ids.push(session.session_id);
        first = first.or(session.spec);
    }
    first.ok_or_else(|| daemon.protocol("a session without a specification"))
}

/// A load that is going on.
struct Running {
    common: Arc<Common>,
    start: Start,
    tasks: JoinSet<Result<Done, CliError>>,
    readers: JoinSet<Result<(), CliError>>,
    read: Arc<Read>,
    answered: Answered,
}

impl Running {
    /// Connect everyone and let them begin together.
    async fn begin(
        args: &LoadArgs,
        target: &Target,
        session_ids: &[String],
        common: Arc<Common>,
    ) -> Result<Self, CliError> {
        let mut rigs = Vec::new();
        for (number, id) in session_ids.iter().enumerate() {
            let daemon = Daemon::connect(&target.connect).await?;
            rigs.push(Rig::open(number, daemon, id, &common).await?);
        }
        let (poller, reader) =
            (Daemon::connect(&target.connect).await?, Daemon::connect(&target.connect).await?);
        let (read, answered) = (Arc::new(Read::default()), Answered::new(&common.no_latencies));
        let query = |id: &String| v1::CouplingsQuery {
            session_id: id.clone(),
            top_pairs: args.top.unwrap_or_default(),
            ..Default::default()
        };
        let mut readers = JoinSet::new();
        for id in session_ids.iter().cycle().take(args.watchers as usize) {
            let daemon = Daemon::connect(&target.connect).await?;
            readers.spawn(readers::watch(daemon, query(id), Arc::clone(&read)));
        }
        let begin = Instant::now() + RUN_UP;
        let measured_from = begin + Duration::from_secs(args.warmup_seconds.into());
        let start = Start { begin, measured_from };
        if args.queries_per_second > 0 {
            let of = session_ids.iter().map(query).collect();
            let queries = readers::Queries { per_second: args.queries_per_second, of, measured_from };
            readers.spawn(readers::query(reader, queries, Arc::clone(&read), answered.clone()));
        }
        let mut tasks = JoinSet::new();
        let (samples, sampled) = mpsc::unbounded_channel();
        for rig in rigs {
            let run = rig.run(start, samples.clone());
            tasks.spawn(async move { run.await.map(Box::new).map(Done::Rig) });
        }
        let poll = poller::poll(poller, session_ids.into(), sampled, common.no_latencies.clone());
        tasks.spawn(async move { poll.await.map(Box::new).map(Done::Poller) });
        Ok(Self { common, start, tasks, readers, read, answered })
    }

    /// Wait until then; tells whether Ctrl-C came before.
    async fn wait(
        tasks: &mut JoinSet<Result<Done, CliError>>,
        readers: &mut JoinSet<Result<(), CliError>>,
        until: Instant,
        interrupts: &mut Interrupts,
    ) -> Result<bool, CliError> {
        let early = || CliError::Load("a stream ended although nothing had ended it".to_owned());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => return Ok(false),
                () = interrupts.next() => return Ok(true),
                Some(done) = tasks.join_next() => return Err(ended(done).err().unwrap_or_else(early)),
                Some(done) = readers.join_next() => ended(done)?,
            }
        }
    }
}

fn ended<T>(done: Result<Result<T, CliError>, JoinError>) -> Result<T, CliError> {
    done.unwrap_or_else(|error| Err(CliError::Load(format!("a part of the load ended early: {error}"))))
}

/// Wait until every rig has its last acknowledgement and every sample is seen.
async fn drain(
    tasks: &mut JoinSet<Result<Done, CliError>>,
) -> Result<(Vec<Outcome>, Option<Seen>), CliError> {
    let (mut outcomes, mut seen) = (Vec::new(), None);
    while let Some(done) = tasks.join_next().await {
        match ended(done)? {
            Done::Rig(outcome) => outcomes.push(*outcome),
            Done::Poller(found) => seen = Some(*found),
        }
    }
    outcomes.sort_by_key(|outcome| outcome.rig);
    Ok((outcomes, seen))
}

/// Everything that is known once a load is over.
struct Measured<'a> {
    args: &'a LoadArgs,
    target: &'a Target,
    spec: v1::SessionSpec,
    running: &'a Running,
    interrupted: bool,
    before: Standing,
    after: Standing,
    outcomes: Vec<Outcome>,
    seen: Option<Seen>,
}

impl Measured<'_> {
    fn seconds(&self) -> f64 {
        (self.after.at - self.before.at).as_secs_f64()
    }

    fn report(&self, sessions: &[v1::Session]) -> Report {
        let throughput = self.throughput();
        let mut problems: Vec<String> = self
            .outcomes
            .iter()
            .zip(sessions)
            .filter_map(|(outcome, session)| self.lost(outcome, session))
            .collect();
        if let Some(behind_s) = throughput.behind_s.filter(|&behind_s| behind_s > BEHIND_MAX_S) {
            problems.push(format!(
                "counting was {behind_s:.1} s behind the rigs at the end: expected at most {BEHIND_MAX_S} s"
            ));
        }
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
}

/// Every bin before this one of a session survives a crash.
fn durable(session: &v1::Session) -> u64 {
    session.watermarks.map_or(0, |marks| marks.durable_through)
}
