use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{RwLock, mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::ANSWERS_QUEUED;
use crate::daemon::convert::watermarks;
use crate::daemon::engine::{Command, MarkedBins};
use crate::daemon::error::RequestError;
use crate::daemon::handle::SessionHandle;
use crate::daemon::journaling::unhealthy;
use crate::daemon::producer::ProducerGuard;
use crate::daemon::registry::Registry;
use crate::daemon::times::{binner, timed};
use crate::ingest::{self, TimestampBinner};
use crate::journal::Health;
use crate::model::{LostSpikes, TrialMark};
use crate::proto::v1;
use crate::proto::v1::ingest_service_server::IngestService;
use crate::proto::v1::spike_bins::Spikes;
use crate::proto::v1::stream_spikes_request::Message;
use crate::proto::v1::stream_spikes_response::Message as Reply;

/// Spikes in.
pub(in crate::daemon) struct IngestRpc {
    pub(in crate::daemon) registry: Arc<Registry>,
    pub(in crate::daemon) stopping: Stopping,
}

/// How streams learn of a shutdown, and the shutdown of their end.
#[derive(Clone)]
pub(in crate::daemon) struct Stopping {
    /// Turns true when the daemon shuts down.
    pub(in crate::daemon) signal: watch::Receiver<bool>,
    /// Held shared by every stream; the shutdown takes it alone.
    pub(in crate::daemon) streams: Arc<RwLock<()>>,
}

/// Longest time a shutdown waits for a producer to read its last acknowledgement.
const LAST_REPLY_WAIT: Duration = Duration::from_secs(1);

type Replies = mpsc::Sender<Result<v1::StreamSpikesResponse, Status>>;

#[tonic::async_trait]
impl IngestService for IngestRpc {
    type StreamSpikesStream = ReceiverStream<Result<v1::StreamSpikesResponse, Status>>;

    async fn stream_spikes(
        &self,
        request: Request<Streaming<v1::StreamSpikesRequest>>,
    ) -> Result<Response<Self::StreamSpikesStream>, Status> {
        // The answer begins before the first message is there: some clients wait for it before they send anything.
        let (replies, answers) = mpsc::channel(ANSWERS_QUEUED);
        let (registry, stopping) = (Arc::clone(&self.registry), self.stopping.clone());
        tokio::spawn(async move {
            if let Err(status) = serve(&registry, stopping, request.into_inner(), &replies).await {
                // A client that has gone needs no status.
                drop(replies.send(Err(status)).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

async fn serve(
    registry: &Registry,
    stopping: Stopping,
    mut inbound: Streaming<v1::StreamSpikesRequest>,
    replies: &Replies,
) -> Result<(), Status> {
    let Stopping { signal: mut shutdown, streams } = stopping;
    let Ok(_stream) = streams.try_read() else { return Err(RequestError::ShuttingDown.into()) };
    let mut producer = tokio::select! {
        opened = Producer::open(registry, &mut inbound, replies) => opened?,
        () = shutting_down(&mut shutdown) => return Err(RequestError::ShuttingDown.into()),
    };
    let outcome = producer.run(&mut inbound, &mut shutdown).await;
    producer.tell_late().await;
    let (session, epoch) = (&producer.session.id, producer.guard.link.epoch);
    match &outcome {
        Ok(()) => tracing::info!(%session, epoch, "producer disconnected"),
        Err(status) => tracing::info!(%session, epoch, reason = status.message(), "producer disconnected"),
    }
    outcome
}

/// Ends once the daemon shuts down, or has ended.
async fn shutting_down(shutdown: &mut watch::Receiver<bool>) {
    drop(shutdown.wait_for(|&down| down).await);
}

/// Ends with the error that ends the stream.
async fn fault(faults: &mut watch::Receiver<Option<RequestError>>) -> RequestError {
    let fault = faults.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
    fault.unwrap_or(RequestError::Stopped { what: "session's engine" })
}

struct Producer<'a> {
    session: Arc<SessionHandle>,
    guard: ProducerGuard,
    faults: watch::Receiver<Option<RequestError>>,
    replies: &'a Replies,
    bins_max: u32,
    bytes_max: usize,
    ack_interval: Duration,
    /// Acknowledge only what has become durable.
    durable_acks_only: bool,
    durable: watch::Receiver<u64>,
    journal: watch::Receiver<Health>,
    /// Of a stream of time-stamped spikes.
    binner: Option<TimestampBinner>,
    /// Whether it was logged that spikes come too late.
    is_late: bool,
    /// First bin of the message before.
    previous: Option<u64>,
    acknowledged: Option<v1::Watermarks>,
}

impl<'a> Producer<'a> {
    /// Read the first message, take the session's place for a producer and say where to resume.
    async fn open(
        registry: &Registry,
        inbound: &mut Streaming<v1::StreamSpikesRequest>,
        replies: &'a Replies,
    ) -> Result<Self, Status> {
        let waited_ms = registry.config.limits.open_timeout_ms;
        let first = tokio::time::timeout(Duration::from_millis(waited_ms), inbound.message()).await;
        let first = first.map_err(|_| RequestError::OpenTimeout { waited_ms })??;
        let first = first.and_then(|request| request.message);
        let Some(Message::Open(open)) = first else { return Err(RequestError::NotOpened.into()) };
        registry.durability.check()?;
        if open.durable_acks_only && !registry.durability.is_on() {
            return Err(RequestError::NoJournal.into());
        }
        let session = registry.get(&open.session_id)?;
        if session.is_closed() {
            return Err(session.closed_error().into());
        }
        let binner = open.timestamps.map(|settings| {
            let config = &registry.config;
            binner(settings, &session.spec, config.defaults.lateness_ms, config.limits.message_bins_max)
        });
        let binner = binner.transpose().map_err(RequestError::from)?;
        let guard = session.producer.take(&session.id, open.producer_epoch)?;
        let link = Arc::clone(&guard.link);
        // The engine answers when it has counted all that producers before this one had sent.
        let resume_from_bin = session.ask(|reply| Command::Attach { link, reply }).await?;
        let stamped = binner.is_some();
        tracing::info!(session = %session.id, epoch = open.producer_epoch, resume_from_bin, stamped, "producer connected");
        let producer = Self {
            faults: guard.link.watch_fault(),
            durable_acks_only: open.durable_acks_only,
            durable: session.watch_durable(),
            journal: registry.durability.watch_health(),
            session,
            guard,
            replies,
            bins_max: registry.config.limits.message_bins_max,
            bytes_max: registry.config.limits.message_bytes_max,
            ack_interval: Duration::from_millis(registry.config.server.ack_interval_ms),
            binner: binner.map(|binner| binner.begin_at(resume_from_bin)),
            is_late: false,
            previous: None,
            acknowledged: None,
        };
        let watermarks = Some(watermarks(&producer.session));
        producer.reply(Reply::Opened(v1::StreamOpened { resume_from_bin, watermarks })).await;
        Ok(producer)
    }

    async fn run(
        &mut self,
        inbound: &mut Streaming<v1::StreamSpikesRequest>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<(), Status> {
        let mut tick = tokio::time::interval(self.ack_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                error = fault(&mut self.faults) => return Err(error.into()),
                error = unhealthy(&mut self.journal) => return Err(error.into()),
                () = shutting_down(shutdown) => {
                    self.finish(shutdown).await?;
                    return Err(RequestError::ShuttingDown.into());
                }
                Ok(()) = self.durable.changed() => self.acknowledge(),
                _ = tick.tick() => self.acknowledge(),
                request = inbound.message() => match request.map_err(|status| self.oversized(status))? {
                    Some(request) => if let Err(error) = self.take(request).await {
                        return Err(self.first_error(error).await.into());
                    },
                    None => {
                        self.end_of_times().await?;
                        return Ok(self.finish(shutdown).await?);
                    }
                },
            }
        }
    }

    async fn take(&mut self, request: v1::StreamSpikesRequest) -> Result<(), RequestError> {
        let bins = match request.message {
            Some(Message::Bins(bins)) if self.binner.is_none() => bins,
            Some(Message::Bins(_)) => {
                return Err(RequestError::OtherSpikes { expected: "times", found: "bins" });
            }
            Some(Message::Open(_)) => return Err(RequestError::OpenedTwice),
            Some(Message::Times(times)) => return self.take_times(times).await,
            None => return Err(RequestError::Missing { field: "message" }),
        };
        let v1::SpikeBins { first_bin, spikes, mut trial_edges, trials } = bins;
        if let Some(previous) = self.previous.filter(|&previous| first_bin < previous) {
            return Err(RequestError::Backwards { first_bin, previous });
        }
        ingest::check_trial_edges(first_bin, &trial_edges)?;
        let mark = |v1::Trial { start_bin, stop_bin }| TrialMark { start_bin, stop_bin };
        let mut trials: Vec<TrialMark> = trials.into_iter().map(mark).collect();
        ingest::check_trials(first_bin, &trials)?;
        let n_neurons = self.session.spec.n_neurons();
        match spikes {
            Some(Spikes::Sparse(sparse)) => {
                let counts = &sparse.active_counts;
                let block =
                    ingest::from_sparse(first_bin, counts, &sparse.neurons, n_neurons, self.bins_max)?;
                drop(sparse);
                self.queue(MarkedBins { block, trial_edges, trials, lost: LostSpikes::default() }).await?;
            }
            Some(Spikes::Packed(packed)) => {
                let v1::PackedBins { bin_count, bits } = packed;
                for block in ingest::from_packed(first_bin, bin_count, &bits, n_neurons, self.bins_max)? {
                    // The marks of the whole message go with its first piece: all are marked, or the message is refused.
                    let (trial_edges, trials) =
                        (std::mem::take(&mut trial_edges), std::mem::take(&mut trials));
                    self.queue(MarkedBins { block, trial_edges, trials, lost: LostSpikes::default() })
                        .await?;
                }
            }
            None => return Err(RequestError::Missing { field: "bins.spikes" }),
        }
        self.previous = Some(first_bin);
        Ok(())
    }

    /// Put time-stamped spikes into bins, and count those that are complete.
    async fn take_times(&mut self, times: v1::SpikeTimes) -> Result<(), RequestError> {
        let Some(binner) = &mut self.binner else {
            return Err(RequestError::OtherSpikes { expected: "bins", found: "times" });
        };
        binner.take(&timed(times))?;
        let late_spikes = binner.lost().late;
        if late_spikes > 0 && !std::mem::replace(&mut self.is_late, true) {
            let session = &self.session.id;
            tracing::warn!(%session, late_spikes, "spikes come later than the lateness allows: they are left out and counted");
        }
        self.queue_complete().await
    }

    /// The client has nothing more to send.
    async fn end_of_times(&mut self) -> Result<(), RequestError> {
        let Some(binner) = &mut self.binner else { return Ok(()) };
        binner.finish();
        self.queue_complete().await?;
        self.tell_lost(|lost| lost).await;
        Ok(())
    }

    /// The stream ends before its client wanted it to: what is sent again will be merged and masked again, but not be late.
    async fn tell_late(&mut self) {
        self.tell_lost(|lost| LostSpikes { late: lost.late, ..LostSpikes::default() }).await;
    }

    /// Count spikes that became no entries, and came after all bins.
    async fn tell_lost(&mut self, of: fn(LostSpikes) -> LostSpikes) {
        let lost = of(self.binner.as_mut().map_or_else(LostSpikes::default, TimestampBinner::take_lost));
        if !lost.is_empty() {
            // A session that has ended counts nothing any more.
            drop(self.session.send(Command::LostSpikes { link: Arc::clone(&self.guard.link), lost }).await);
        }
    }

    async fn queue_complete(&mut self) -> Result<(), RequestError> {
        while let Some(binner) = &mut self.binner
            && let Some(block) = binner.next_block()
        {
            let lost = binner.take_lost();
            self.queue(MarkedBins { block, trial_edges: vec![], trials: vec![], lost }).await?;
        }
        Ok(())
    }

    /// Hand bins to the engine. While its queue is full this waits, nothing is read, and flow control slows the producer down.
    async fn queue(&mut self, bins: MarkedBins) -> Result<(), RequestError> {
        let (end_bin, bytes) = (bins.block.end_bin(), bins.bytes());
        self.session.note_bins_arrived();
        let (session, link) = (&self.session, Arc::clone(&self.guard.link));
        let queued = async {
            let space = session.queue_space(bytes).await?;
            session.send(Command::Bins { link, bins, space }).await
        };
        let queued = tokio::select! {
            biased;
            error = fault(&mut self.faults) => return Err(error),
            error = unhealthy(&mut self.journal) => return Err(error),
            queued = queued => queued,
        };
        queued.map_err(|error| self.guard.link.fault().unwrap_or(error))?;
        self.guard.link.receive_through(end_bin);
        Ok(())
    }

    /// The status of a message that cannot be read; one that is too large is a limit reached.
    fn oversized(&self, status: Status) -> Status {
        if status.code() == Code::OutOfRange {
            return RequestError::MessageTooLarge { max: self.bytes_max }.into();
        }
        status
    }

    /// Acknowledge what is new, unless the client is behind with reading: a later acknowledgement says all.
    fn acknowledge(&mut self) {
        let now = watermarks(&self.session);
        let durable_before = self.acknowledged.map_or(0, |acknowledged| acknowledged.durable_through);
        let says_nothing_new = match self.durable_acks_only {
            true => now.durable_through == durable_before,
            false => self.acknowledged == Some(now),
        };
        if says_nothing_new {
            return;
        }
        let ack = Reply::Ack(v1::Ack { watermarks: Some(now) });
        if self.replies.try_send(Ok(v1::StreamSpikesResponse { message: Some(ack) })).is_ok() {
            self.acknowledged = Some(now);
        }
    }

    /// The error of the earliest message that is refused: of one before this, should the engine refuse it.
    async fn first_error(&self, error: RequestError) -> RequestError {
        drop(self.session.ask(|reply| Command::Drained { reply }).await);
        self.guard.link.fault().unwrap_or(error)
    }

    /// Wait until everything taken is counted, and durable if anything is, and acknowledge it. A client that does not read holds up
    /// no shutdown.
    async fn finish(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<(), RequestError> {
        let drained = self.session.ask(|reply| Command::Drained { reply }).await;
        if let Some(error) = self.guard.link.fault() {
            return Err(error);
        }
        drained?;
        tokio::select! {
            durable = self.session.ask(|reply| Command::Durable { reply }) => durable??,
            error = unhealthy(&mut self.journal) => return Err(error),
        }
        let last = self.reply(Reply::Ack(v1::Ack { watermarks: Some(watermarks(&self.session)) }));
        let given_up = async {
            shutting_down(shutdown).await;
            tokio::time::sleep(LAST_REPLY_WAIT).await;
        };
        tokio::select! {
            () = last => {}
            () = given_up => {}
        }
        Ok(())
    }

    async fn reply(&self, message: Reply) {
        // A client that has gone shows when the next message is read.
        drop(self.replies.send(Ok(v1::StreamSpikesResponse { message: Some(message) })).await);
    }
}
