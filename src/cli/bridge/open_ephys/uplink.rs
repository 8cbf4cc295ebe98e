//! The stream to the daemon: opened, lost, opened again.

use std::time::Duration;

use glauber::proto::v1;
use glauber::proto::v1::stream_spikes_request::Message as Request;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::cli::client::Daemon;
use crate::cli::error::CliError;

/// Messages waiting between us and the connection; the daemon's backpressure reaches us through it.
const WAITING_MAX: usize = 64;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(3);

/// What is heard of the daemon.
#[derive(Debug)]
pub(super) enum Told {
    /// The stream is open; everything before this bin is there.
    Opened { resume_from_bin: u64 },
    /// How far it is.
    Marks(v1::Watermarks),
    /// The stream broke, and will be opened again.
    Lost(CliError),
    /// The daemon said no.
    Refused(CliError),
    /// All that was sent was taken, after [`Uplink::finish`].
    Finished,
}

/// The stream of one session.
pub(super) struct Uplink {
    daemon: Daemon,
    session_id: String,
    lateness_us: u64,
    /// Whether the session outlives the daemon.
    is_journaled: bool,
    epoch: u64,
    failures: u32,
    requests: Option<mpsc::Sender<v1::StreamSpikesRequest>>,
    told: mpsc::Receiver<Told>,
    retry_at: Option<Instant>,
    is_open: bool,
}

impl Uplink {
    /// Open the stream.
    pub(super) fn open(daemon: Daemon, session_id: String, lateness_us: u64, is_journaled: bool) -> Self {
        let (_, told) = mpsc::channel(1);
        let mut uplink = Self {
            daemon,
            session_id,
            lateness_us,
            is_journaled,
            epoch: 0,
            failures: 0,
            requests: None,
            told,
            retry_at: None,
            is_open: false,
        };
        uplink.begin();
        uplink
    }

    fn begin(&mut self) {
        let (requests, queue) = mpsc::channel(WAITING_MAX);
        let (sender, told) = mpsc::channel(WAITING_MAX);
        let open = v1::OpenStream {
            session_id: self.session_id.clone(),
            producer_epoch: self.epoch,
            durable_acks_only: false,
            timestamps: Some(v1::TimestampSettings {
                lateness_us: Some(self.lateness_us),
                sources: vec![v1::ClockSource { name: "Open Ephys".to_owned(), clock_offset_ns: 0 }],
            }),
        };
        // The channel is empty, so there is room.
        let _ = requests.try_send(v1::StreamSpikesRequest { message: Some(Request::Open(open)) });
        (self.requests, self.told, self.retry_at, self.is_open) = (Some(requests), told, None, false);
        tokio::spawn(follow(self.daemon.clone(), queue, sender, self.is_journaled));
    }

    /// What comes next of the daemon. Opens the stream again when it is time to.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            if let Some(at) = self.retry_at {
                tokio::time::sleep_until(at).await;
                // The daemon may not have noticed yet: a higher epoch takes over from the stream that broke.
                self.epoch += 1;
                self.begin();
            }
            match self.told.recv().await {
                Some(Told::Finished) if self.requests.is_some() => {
                    self.retry_at = Some(Instant::now() + PAUSE_LONGEST);
                    self.is_open = false;
                    return Told::Lost(self.daemon.protocol("an early end of the stream"));
                }
                Some(Told::Lost(error)) => {
                    let pause = (PAUSE_FIRST * 2_u32.saturating_pow(self.failures)).min(PAUSE_LONGEST);
                    self.failures += 1;
                    (self.requests, self.is_open) = (None, false);
                    self.retry_at = Some(Instant::now() + pause);
                    return Told::Lost(error);
                }
                Some(told) => {
                    if matches!(told, Told::Opened { .. }) {
                        (self.is_open, self.failures) = (true, 0);
                    }
                    return told;
                }
                // Cannot be: the last thing told is an end. Should it, this is one more lost stream.
                None => self.retry_at = Some(Instant::now() + PAUSE_LONGEST),
            }
        }
    }

    /// Whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Room for one more message; none when the daemon does not keep up, or the stream is not open.
    pub(super) fn room(&self) -> Option<mpsc::Permit<'_, v1::StreamSpikesRequest>> {
        self.requests.as_ref().filter(|_| self.is_open)?.try_reserve().ok()
    }

    /// Nothing more is to come.
    pub(super) fn finish(&mut self) {
        self.requests = None;
    }
}

/// Put a message where there is room.
pub(super) fn send(room: mpsc::Permit<'_, v1::StreamSpikesRequest>, times: v1::SpikeTimes) {
    room.send(v1::StreamSpikesRequest { message: Some(Request::Times(times)) });
}

async fn follow(
    daemon: Daemon,
    queue: mpsc::Receiver<v1::StreamSpikesRequest>,
    sender: mpsc::Sender<Told>,
    is_journaled: bool,
) {
    let failed = |status: tonic::Status| {
        let error = CliError::from_status("sending spikes", daemon.address(), &status);
        let is_lost = match status.code() {
            _ if matches!(error, CliError::NoDaemon { .. }) => true,
            Code::Cancelled => true,
            // The daemon shuts down; with a journal the session goes on when it is started again.
            Code::Unavailable => is_journaled,
            // There may be room again.
            Code::ResourceExhausted => status.message().contains("the journal is full"),
            _ => false,
        };
        if is_lost { Told::Lost(error) } else { Told::Refused(error) }
    };
    let mut replies = match daemon.ingest().stream_spikes(ReceiverStream::new(queue)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return drop(sender.send(failed(status)).await),
    };
    loop {
        let told = match replies.message().await {
            Ok(Some(v1::StreamSpikesResponse { message: Some(Reply::Opened(opened)) })) => {
                Told::Opened { resume_from_bin: opened.resume_from_bin }
            }
            Ok(Some(v1::StreamSpikesResponse { message: Some(Reply::Ack(ack)) })) => {
                Told::Marks(ack.watermarks.unwrap_or_default())
            }
            Ok(Some(_)) => continue,
            Ok(None) => Told::Finished,
            Err(status) => failed(status),
        };
        let is_end = matches!(told, Told::Finished | Told::Lost(_) | Told::Refused(_));
        if sender.send(told).await.is_err() || is_end {
            return;
        }
    }
}
