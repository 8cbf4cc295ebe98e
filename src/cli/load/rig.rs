//! One rig: a stream of prepared messages, by the clock or as fast as it takes them, and what the acknowledgements say of them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use glauber::proto::v1;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{IntoStreamingRequest, Status, Streaming};

use super::codec::{Outgoing, SpikesCodec};
use super::latency::{Latencies, Times, Until};
use super::poller::Sample;
use super::ring::{Prepared, Ring};
use crate::cli::client::Daemon;
use crate::cli::error::CliError;

/// Messages that the thread that keeps time has called for and the stream has not taken.
const CALLS_WAITING_MAX: usize = 8;
/// Longest sleep of that thread, after which it looks whether it is over.
const NAP: Duration = Duration::from_millis(50);

/// What all rigs of a load have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) ring: Arc<Ring>,
    /// How many rigs there are.
    pub(super) rigs: usize,
    /// Time between two messages of a rig; none when they are sent as fast as they are taken.
    pub(super) interval: Option<Duration>,
    /// Time between two messages of a rig whose visibility is looked at.
    pub(super) sample_interval: Duration,
    pub(super) keeps_journal: bool,
    /// Set at the end: no rig begins another message.
    pub(super) stop: AtomicBool,
    pub(super) no_latencies: Latencies,
}

/// When a load began, and from when on it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) begin: Instant,
    pub(super) measured_from: Instant,
}

/// A message that is not yet acknowledged in every way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    end_bin: u64,
    times: Times,
}

/// What was handed over.
#[derive(Debug)]
struct Log {
    sent: VecDeque<Sent>,
    messages: u64,
    /// How late messages were handed over.
    lag: Latencies,
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands message after message over, when the stream takes it.
struct Feed {
    common: Arc<Common>,
    log: Arc<Mutex<Log>>,
    rig: usize,
    start: Start,
    number: u64,
    next_sample: Instant,
    samples: mpsc::UnboundedSender<Sample>,
}

impl Feed {
    /// The message that was due then, or now; `None` when it is over.
    fn next(&mut self, due: Option<Instant>) -> Option<Prepared> {
        if self.common.stop.load(Ordering::Relaxed) {
            return None;
        }
        let ring = &self.common.ring;
        let message = ring.message(ring.place(self.rig, self.common.rigs), self.number);
        let end_bin = message.first_bin + ring.batch_bins();
        let handed = Instant::now();
        let times = Times { due: due.unwrap_or(handed), handed };
        {
            let mut log = lock(&self.log);
            if due.is_some() && times.due >= self.start.measured_from {
                log.lag.record(handed.saturating_duration_since(times.due));
            }
            log.sent.push_back(Sent { end_bin, times });
            log.messages += 1;
        }
        if times.due >= self.next_sample {
            self.next_sample = times.due + self.common.sample_interval;
            // Nobody looks any more when the load has failed.
            let _ = self.samples.send(Sample { rig: self.rig, end_bin, times });
        }
        self.number += 1;
        Some(message)
    }
}

/// Calls for the messages of a rig by the clock.
struct Clock {
    common: Arc<Common>,
    rig: usize,
    begin: Instant,
    interval: Duration,
}

impl Clock {
    /// Call for each message when it is due, until it is over or nobody listens.
    fn keep_time(&self, calls: &mpsc::Sender<Instant>) {
        // Rigs do not beat in time: each begins at another moment of the interval. A message is due when its last bin is over.
        let share = (self.rig + 1) as f64 / self.common.rigs as f64;
        let first = self.begin + self.interval.mul_f64(share);
        for number in 0.. {
            let due = first + Duration::from_nanos(self.interval.as_nanos() as u64 * number);
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if self.common.stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(left.min(NAP));
            }
            if calls.blocking_send(due).is_err() {
                return;
            }
        }
    }
}

/// Where the messages of a stream come from.
enum Source {
    /// Nowhere yet.
    Waiting(oneshot::Receiver<Begun>),
    /// A feed.
    Begun(Box<Begun>),
    /// No more.
    Ended,
}

/// A feed that was set going.
struct Begun {
    feed: Feed,
    /// When each message is due, told by the thread that keeps time; without it, whenever there is room.
    calls: Option<mpsc::Receiver<Instant>>,
}

/// The requests of a stream: its beginning, then bins.
struct Requests {
    open: Option<v1::OpenStream>,
    source: Source,
}

impl Stream for Requests {
    type Item = Outgoing;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        if let Some(open) = self.open.take() {
            return Poll::Ready(Some(Outgoing::Open(open)));
        }
        if let Source::Waiting(begin) = &mut self.source {
            let begun = ready!(Pin::new(begin).poll(context));
            self.source = begun.map_or(Source::Ended, |begun| Source::Begun(Box::new(begun)));
        }
        let message = match &mut self.source {
            Source::Begun(begun) => match &mut begun.calls {
                Some(calls) => ready!(calls.poll_recv(context)).and_then(|due| begun.feed.next(Some(due))),
                None => begun.feed.next(None),
            },
            Source::Waiting(_) | Source::Ended => None,
        };
        if message.is_none() {
            self.source = Source::Ended;
        }
        Poll::Ready(message.map(Outgoing::Bins))
    }
}

/// A rig whose stream is open and that has not begun.
pub(super) struct Rig {
    number: usize,
    daemon: Daemon,
    common: Arc<Common>,
    answers: Streaming<v1::StreamSpikesResponse>,
    begin: oneshot::Sender<Begun>,
}

impl Rig {
    /// Open a stream of bins into a session, on the connection given.
    pub(super) async fn open(
        number: usize,
        daemon: Daemon,
        session_id: &str,
        common: &Arc<Common>,
    ) -> Result<Self, CliError> {
        let open = v1::OpenStream { session_id: session_id.to_owned(), ..Default::default() };
        let (begin, waiting) = oneshot::channel();
        let requests = Requests { open: Some(open), source: Source::Waiting(waiting) };
        let mut answers =
            stream_spikes(&daemon, requests).await.map_err(daemon.failure("opening a stream of bins"))?;
        match answers.message().await.map_err(daemon.failure("opening a stream of bins"))? {
            Some(v1::StreamSpikesResponse { message: Some(Reply::Opened(opened)) })
                if opened.resume_from_bin == 0 => {}
            _ => return Err(daemon.protocol("no beginning of a stream of bins")),
        }
        Ok(Self { number, daemon, common: Arc::clone(common), answers, begin })
    }

    /// Begin to send, and follow the acknowledgements until the last one.
    pub(super) async fn run(
        self,
        start: Start,
        samples: mpsc::UnboundedSender<Sample>,
    ) -> Result<Outcome, CliError> {
        let Self { number, daemon, common, mut answers, begin } = self;
        let lag = common.no_latencies.clone();
        let log = Arc::new(Mutex::new(Log { sent: VecDeque::new(), messages: 0, lag }));
        let mut follower = Follower::new(&log, &common, start.measured_from);
        let mut calls = None;
        if let Some(interval) = common.interval {
            let (sender, receiver) = mpsc::channel(CALLS_WAITING_MAX);
            let clock = Clock { common: Arc::clone(&common), rig: number, begin: start.begin, interval };
            let thread = std::thread::Builder::new().name(format!("rig-{number}"));
            thread
                .spawn(move || clock.keep_time(&sender))
                .map_err(|source| CliError::System { doing: "starting the thread of a rig", source })?;
            calls = Some(receiver);
        }
        let feed =
            Feed { common, log, rig: number, start, number: 0, next_sample: start.measured_from, samples };
        // The stream is gone when the call has failed; its answer says why.
        drop(begin.send(Begun { feed, calls }));
        loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    if let Some(Reply::Ack(v1::Ack { watermarks: Some(marks) })) = answer.message {
                        follower.note(&marks, Instant::now());
                    }
                }
                Ok(None) => return Ok(follower.end(number)),
                Err(status) => return Err(daemon.failure("sending spikes")(status)),
            }
        }
    }
}

async fn stream_spikes(
    daemon: &Daemon,
    requests: Requests,
) -> Result<Streaming<v1::StreamSpikesResponse>, Status> {
    let mut client = tonic::client::Grpc::new(daemon.calls());
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static("/glauber.v1.IngestService/StreamSpikes");
    let answer = client.streaming(requests.into_streaming_request(), path, SpikesCodec).await?;
    Ok(answer.into_inner())
}

/// How far acknowledgements are told apart.
const LEVELS: usize = 3;

/// What became of the messages of a rig.
struct Follower {
    log: Arc<Mutex<Log>>,
    measured_from: Instant,
    keeps_journal: bool,
    /// Number of the first message in the log, and of the first that is not received, applied, durable.
    first: u64,
    next: [u64; LEVELS],
    until: [Until; LEVELS],
    acks: u64,
}

impl Follower {
    fn new(log: &Arc<Mutex<Log>>, common: &Common, measured_from: Instant) -> Self {
        Self {
            log: Arc::clone(log),
            measured_from,
            keeps_journal: common.keeps_journal,
            first: 0,
            next: [0; LEVELS],
            until: std::array::from_fn(|_| Until::new(&common.no_latencies)),
            acks: 0,
        }
    }

    fn note(&mut self, marks: &v1::Watermarks, now: Instant) {
        self.acks += 1;
        let durable = if self.keeps_journal { marks.durable_through } else { marks.applied_through };
        let through = [marks.received_through, marks.applied_through, durable];
        let mut log = lock(&self.log);
        for ((next, until), through) in self.next.iter_mut().zip(&mut self.until).zip(through) {
            let begin = (*next - self.first) as usize;
            for sent in log.sent.range(begin..).take_while(|sent| sent.end_bin <= through) {
                if sent.times.due >= self.measured_from {
                    until.record(sent.times, now);
                }
                *next += 1;
            }
        }
        let done = self.next.iter().copied().min().unwrap_or(self.first);
        log.sent.drain(..(done - self.first) as usize);
        self.first = done;
    }

    fn end(self, rig: usize) -> Outcome {
        let log = lock(&self.log);
        let [received, applied, durable] = self.until;
        let durable = self.keeps_journal.then_some(durable);
        let (messages, lag) = (log.messages, log.lag.clone());
        let unacknowledged = self.next.map(|next| messages.saturating_sub(next));
        Outcome { rig, messages, lag, received, applied, durable, unacknowledged, acks: self.acks }
    }
}

/// What a rig has sent, and how long it took.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) rig: usize,
    /// Messages handed over from the beginning to the end.
    pub(super) messages: u64,
    pub(super) lag: Latencies,
    /// Until an acknowledgement said so.
    pub(super) received: Until,
    pub(super) applied: Until,
    pub(super) durable: Option<Until>,
    /// Messages that no acknowledgement called received, applied, durable; without a journal the last says nothing.
    pub(super) unacknowledged: [u64; LEVELS],
    /// Acknowledgements, from the beginning to the end.
    pub(super) acks: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load::ring::{Encoding, Shape};

    fn common(keeps_journal: bool) -> Common {
        let shape = Shape { n_neurons: 3, active: 0.5, batch_bins: 10, encoding: Encoding::Sparse, seed: 1 };
        Common {
            ring: Ring::prepare(&shape),
            rigs: 1,
            interval: None,
            sample_interval: Duration::ZERO,
            keeps_journal,
            stop: AtomicBool::new(false),
            no_latencies: Latencies::new().unwrap(),
        }
    }

    fn marks(received_through: u64, applied_through: u64, durable_through: u64) -> v1::Watermarks {
        v1::Watermarks { received_through, applied_through, durable_through }
    }

    #[test]
    fn each_message_is_told_once_of_each_kind() {
        let common = Arc::new(common(true));
        let begin = Instant::now();
        let log = Mutex::new(Log { sent: VecDeque::new(), messages: 0, lag: common.no_latencies.clone() });
        let log = Arc::new(log);
        let mut follower = Follower::new(&log, &common, begin);
        let (samples, mut sampled) = mpsc::unbounded_channel();
        let start = Start { begin, measured_from: begin };
        let mut feed =
            Feed { common: Arc::clone(&common), log, rig: 0, start, number: 0, next_sample: begin, samples };
        for number in 0..4 {
            assert_eq!(feed.next(None).unwrap().first_bin, 10 * number);
            assert_eq!(sampled.try_recv().unwrap().end_bin, 10 * number + 10);
        }
        let now = Instant::now();
        follower.note(&marks(30, 20, 10), now);
        assert_eq!(lock(&follower.log).sent.len(), 3);
        follower.note(&marks(30, 29, 10), now);
        follower.note(&marks(40, 40, 40), now);
        common.stop.store(true, Ordering::Relaxed);
        assert!(feed.next(None).is_none());
        let outcome = follower.end(0);
        let samples = |until: &Until| until.from_due.quantiles().unwrap().samples;
        assert_eq!(outcome.messages, 4);
        assert_eq!((samples(&outcome.received), samples(&outcome.applied)), (4, 4));
        assert_eq!(outcome.durable.as_ref().map(samples), Some(4));
        assert_eq!(outcome.unacknowledged, [0; LEVELS]);
    }

    #[test]
    fn what_was_never_acknowledged_is_known() {
        let common = common(true);
        let times = Times { due: Instant::now(), handed: Instant::now() };
        let sent = [10, 20, 30].map(|end_bin| Sent { end_bin, times });
        let lag = common.no_latencies.clone();
        let log = Arc::new(Mutex::new(Log { sent: sent.into(), messages: 3, lag }));
        let mut follower = Follower::new(&log, &common, times.due);
        follower.note(&marks(30, 29, 0), Instant::now());
        assert_eq!(follower.end(0).unacknowledged, [0, 1, 3]);
    }

    #[test]
    fn without_a_journal_nothing_waits_to_be_durable() {
        let common = common(false);
        let times = Times { due: Instant::now(), handed: Instant::now() };
        let sent = VecDeque::from([Sent { end_bin: 10, times }]);
        let log = Arc::new(Mutex::new(Log { sent, messages: 1, lag: common.no_latencies.clone() }));
        let mut follower = Follower::new(&log, &common, times.due);
        follower.note(&marks(10, 10, 0), Instant::now());
        assert!(lock(&log).sent.is_empty());
        assert!(follower.end(0).durable.is_none());
    }
}
