//! A load from its first session to its last acknowledgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use glauber::proto::v1;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::latency::Latencies;
use super::measured::Measured;
use super::poller::{self, Seen};
use super::readers::{self, Answered, Read};
use super::report::Report;
use super::rig::{Common, Outcome, Rig, Start};
use super::ring::Ring;
use super::standing::Watched;
use super::{Interrupts, LoadArgs, NOTHING_MEASURED};
use crate::cli::Manner;
use crate::cli::client::{ConnectArgs, Daemon};
use crate::cli::error::CliError;
use crate::cli::progress;

/// Time for everyone to get ready before the first message.
const RUN_UP: Duration = Duration::from_millis(50);
/// How long after the last acknowledgement of all a sampled message may become visible.
pub(super) const LAST_SEEN_WAIT: Duration = Duration::from_secs(10);
/// How long after Ctrl-C the daemon may take to say which session it has just made.
const LAST_SESSION_WAIT: Duration = Duration::from_secs(2);
/// What Ctrl-C comes before, once everything is sent.
const NOT_DRAINED: &str = " before everything was acknowledged";

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
    let spinner = progress::spinner("preparing spikes", manner);
    let common = interrupts.during(prepare(args, daemon), NOTHING_MEASURED).await?;
    spinner.set_message("opening sessions");
    let spec = open_sessions(args, daemon, session_ids, interrupts).await?;
    let begin = Running::begin(args, target, session_ids, common);
    let mut running = interrupts.during(begin, NOTHING_MEASURED).await?;

    let watched = Watched { daemon, session_ids, daemon_pid: target.pid, read: &running.read };
    spinner.set_message("warming up");
    let measured_from = running.start.measured_from;
    let address = target.connect.connect.as_str();
    let mut interrupted =
        Running::wait(&mut running.tasks, &mut running.readers, measured_from, address, interrupts).await?;
    if interrupted {
        return Err(CliError::Interrupted(NOTHING_MEASURED.to_owned()));
    }
    let before = interrupts.during(watched.standing(), NOTHING_MEASURED).await?;
    spinner.set_message("measuring");
    let until = measured_from + Duration::from_secs(args.seconds.into());
    interrupted = Running::wait(&mut running.tasks, &mut running.readers, until, address, interrupts).await?;
    let after = interrupts.during(watched.standing(), NOT_DRAINED).await?;
    running.common.stop.store(true, Ordering::Relaxed);
    spinner.set_message("waiting for the last acknowledgements");
    let drained = drain(&mut running.tasks, running.common.rigs, &running.give_up, LAST_SEEN_WAIT);
    let (outcomes, seen) = interrupts.during(drained, NOT_DRAINED).await?;
    running.readers.abort_all();
    let sessions = interrupts.during(watched.sessions(), NOT_DRAINED).await?;
    spinner.finish_and_clear();

    let measured =
        Measured { args, target, spec, running: &running, interrupted, before, after, outcomes, seen };
    Ok(Measurement { report: measured.report(&sessions) })
}

/// What all rigs have in common, before they begin.
async fn prepare(args: &LoadArgs, daemon: &Daemon) -> Result<Arc<Common>, CliError> {
    let keeps_journal = daemon.keeps_journal().await?;
    let shape = args.shape();
    // Billions of draws, with many neurons and bins: seconds in which a signal is to be heard.
    let ring = tokio::task::spawn_blocking(move || Ring::prepare(&shape)).await;
    let rigs = args.rigs as usize;
    Ok(Arc::new(Common {
        ring: ended(ring.map(Ok))?,
        rigs,
        interval: args.interval(),
        sample_interval: Duration::from_secs_f64(rigs as f64 / f64::from(args.samples_per_second)),
        keeps_journal,
        stop: AtomicBool::new(false),
        no_latencies: Latencies::new()?,
    }))
}

/// Make the sessions; gives the specification of the first with the daemon's defaults.
async fn open_sessions(
    args: &LoadArgs,
    daemon: &Daemon,
    session_ids: &mut Vec<String>,
    interrupts: &mut Interrupts,
) -> Result<v1::SessionSpec, CliError> {
    let mut first = None;
    for rig in 0..args.rigs as usize {
        let request = v1::CreateSessionRequest { spec: Some(args.spec(rig)) };
        let mut sessions = daemon.sessions();
        let create = sessions.create_session(request);
        tokio::pin!(create);
        let (created, interrupted) = tokio::select! {
            created = &mut create => (created, false),
            () = interrupts.next() => match tokio::time::timeout(LAST_SESSION_WAIT, create).await {
                // It is there, and closed with the others.
                Ok(created) => (created, true),
                Err(_) => return Err(CliError::Interrupted(NOTHING_MEASURED.to_owned())),
            },
        };
        let created = created.map_err(daemon.failure("opening a session"))?.into_inner();
        let session = created.session.ok_or_else(|| daemon.protocol("no session"))?;
        session_ids.push(session.session_id);
        if interrupted {
            return Err(CliError::Interrupted(NOTHING_MEASURED.to_owned()));
        }
        first = first.or(session.spec);
    }
    first.ok_or_else(|| daemon.protocol("a session without a specification"))
}

/// A load that is going on.
pub(super) struct Running {
    pub(super) common: Arc<Common>,
    pub(super) start: Start,
    tasks: JoinSet<Result<Done, CliError>>,
    readers: JoinSet<Result<(), CliError>>,
    read: Arc<Read>,
    pub(super) answered: Answered,
    /// Tells the poller to wait no longer.
    give_up: Arc<Notify>,
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
        let give_up = Arc::new(Notify::new());
        let given_up = Arc::clone(&give_up);
        let poll = poller::poll(poller, session_ids.into(), sampled, common.no_latencies.clone(), given_up);
        tasks.spawn(async move { poll.await.map(Box::new).map(Done::Poller) });
        Ok(Self { common, start, tasks, readers, read, answered, give_up })
    }

    /// Wait until then; tells whether Ctrl-C came before.
    async fn wait(
        tasks: &mut JoinSet<Result<Done, CliError>>,
        readers: &mut JoinSet<Result<(), CliError>>,
        until: Instant,
        address: &str,
        interrupts: &mut Interrupts,
    ) -> Result<bool, CliError> {
        // What a daemon that is killed says last can look like an orderly end.
        let early = || CliError::NoDaemon {
            address: address.to_owned(),
            reason: "a stream ended although nothing had ended it".to_owned(),
        };
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

/// Wait until every rig has its last acknowledgement, and then until every sample is seen, or for as long as `patience` lasts.
async fn drain(
    tasks: &mut JoinSet<Result<Done, CliError>>,
    rigs: usize,
    give_up: &Notify,
    patience: Duration,
) -> Result<(Vec<Outcome>, Option<Seen>), CliError> {
    let (mut outcomes, mut seen) = (Vec::new(), None);
    loop {
        let done = tokio::select! {
            done = tasks.join_next() => done,
            // A daemon that has lost bins will never tell of them.
            () = tokio::time::sleep(patience), if outcomes.len() == rigs => {
                give_up.notify_one();
                continue;
            }
        };
        match done.map(ended).transpose()? {
            Some(Done::Rig(outcome)) => outcomes.push(*outcome),
            Some(Done::Poller(found)) => seen = Some(*found),
            None => break,
        }
    }
    outcomes.sort_by_key(|outcome| outcome.rig);
    Ok((outcomes, seen))
}

#[cfg(test)]
mod tests {
    use super::super::latency::Until;
    use super::*;

    #[tokio::test]
    async fn what_is_never_seen_is_waited_for_no_longer_than_patience_lasts() {
        let give_up = Arc::new(Notify::new());
        let given_up = Arc::clone(&give_up);
        let asking = Latencies::new().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            given_up.notified().await;
            Ok(Done::Poller(Box::new(Seen { visible: Until::new(&asking), asking, unseen: 3 })))
        });
        let (outcomes, seen) = drain(&mut tasks, 0, &give_up, Duration::from_millis(1)).await.unwrap();
        assert_eq!((outcomes.len(), seen.map(|seen| seen.unseen)), (0, Some(3)));
    }
}
