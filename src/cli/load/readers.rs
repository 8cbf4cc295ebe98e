//! Those who read couplings while the rigs send: watchers, and queries at a rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use glauber::proto::v1;
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tonic::{Code, Status};

use super::latency::{Latencies, Quantiles};
use crate::cli::client::Daemon;
use crate::cli::error::CliError;

/// Queries under way at once; when there are more, the next one waits.
const QUERIES_MAX: usize = 64;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Read {
    publications: AtomicU64,
    missed: AtomicU64,
    bytes: AtomicU64,
    answers: AtomicU64,
    answer_bytes: AtomicU64,
    refused: AtomicU64,
}

/// What was read, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) publications: u64,
    pub(super) missed: u64,
    pub(super) bytes: u64,
    pub(super) answers: u64,
    pub(super) answer_bytes: u64,
    pub(super) refused: u64,
}

impl Read {
    pub(super) fn totals(&self) -> Totals {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            publications: value(&self.publications),
            missed: value(&self.missed),
            bytes: value(&self.bytes),
            answers: value(&self.answers),
            answer_bytes: value(&self.answer_bytes),
            refused: value(&self.refused),
        }
    }
}

/// Read each publication of a session until it is closed.
pub(super) async fn watch(
    daemon: Daemon,
    query: v1::CouplingsQuery,
    read: Arc<Read>,
) -> Result<(), CliError> {
    let mut stream = daemon.watch(query).await?;
    while let Some(answer) = stream.message().await.map_err(daemon.failure("watching couplings"))? {
        read.bytes.fetch_add(answer.encoded_len() as u64, Ordering::Relaxed);
        if let Some(v1::watch_couplings_response::Part::Header(header)) = answer.part {
            read.publications.fetch_add(1, Ordering::Relaxed);
            read.missed.fetch_add(header.skipped, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Queries for couplings, of one session after the other.
#[derive(Debug, Clone)]
pub(super) struct Queries {
    pub(super) per_second: u32,
    pub(super) of: Vec<v1::CouplingsQuery>,
    /// Those before are not told of.
    pub(super) measured_from: Instant,
}

/// How long queries took.
#[derive(Debug, Clone)]
pub(super) struct Answered(Arc<Mutex<Latencies>>);

impl Answered {
    pub(super) fn new(empty: &Latencies) -> Self {
        Self(Arc::new(Mutex::new(empty.clone())))
    }

    fn record(&self, span: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(span);
    }

    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).quantiles()
    }
}

/// Ask at the rate, without waiting for the answers before.
pub(super) async fn query(
    daemon: Daemon,
    queries: Queries,
    read: Arc<Read>,
    answered: Answered,
) -> Result<(), CliError> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / queries.per_second.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked: JoinSet<Result<(), CliError>> = JoinSet::new();
    for query in queries.of.iter().cycle() {
        let due = tick.tick().await.into_std();
        while let Some(done) = asked.try_join_next() {
            finished(done)?;
        }
        if asked.len() >= QUERIES_MAX
            && let Some(done) = asked.join_next().await
        {
            finished(done)?;
        }
        let (daemon, query, read) = (daemon.clone(), query.clone(), Arc::clone(&read));
        let answered = (due >= queries.measured_from).then(|| answered.clone());
        asked.spawn(async move {
            match ask(&daemon, query).await {
                Ok(bytes) => {
                    read.answers.fetch_add(1, Ordering::Relaxed);
                    read.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
                    if let Some(answered) = answered {
                        answered.record(due.elapsed());
                    }
                    Ok(())
                }
                // Nothing published yet, or more answers under way than the daemon gives at once.
                Err(status)
                    if matches!(status.code(), Code::FailedPrecondition | Code::ResourceExhausted) =>
                {
                    read.refused.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Err(status) => Err(daemon.failure("fetching couplings")(status)),
            }
        });
    }
    Ok(())
}

fn finished(done: Result<Result<(), CliError>, tokio::task::JoinError>) -> Result<(), CliError> {
    done.unwrap_or_else(|error| Err(CliError::Load(format!("a query ended early: {error}"))))
}

/// Bytes of an answer.
async fn ask(daemon: &Daemon, query: v1::CouplingsQuery) -> Result<u64, Status> {
    let request = v1::GetCouplingsRequest { query: Some(query) };
    let mut stream = daemon.inference().get_couplings(request).await?.into_inner();
    let mut bytes = 0;
    while let Some(part) = stream.message().await? {
        bytes += part.encoded_len() as u64;
    }
    Ok(bytes)
}
