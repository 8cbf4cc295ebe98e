//! A daemon, its clients, and a producer to drive them with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use glauber::daemon::{DaemonConfig, RunningDaemon, SnapshotWriter, start_with_writer};
use glauber::proto::v1;
use glauber::proto::v1::archive_service_client::ArchiveServiceClient;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::proto::v1::stream_spikes_request::Message;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

pub(crate) const NEURONS: u32 = 5;

/// A writer that writes a few bytes and remembers what it wrote.
pub(crate) fn fake_writer(written: &Arc<Mutex<Vec<PathBuf>>>) -> SnapshotWriter {
    let written = Arc::clone(written);
    Arc::new(move |path: &Path, snapshot, origin| {
        let text = format!("{} {}", origin.session_id, snapshot.window.end_bin);
        std::fs::write(path, text).map_err(|error| glauber::daemon::WriteFailed(error.to_string()))?;
        written.lock().unwrap().push(path.to_path_buf());
        Ok(())
    })
}

pub(crate) fn test_config() -> DaemonConfig {
    let mut config = DaemonConfig::default();
    config.archive.directory = PathBuf::new();
    config.journal.directory = PathBuf::new();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.ack_interval_ms = 1;
    // They take their time when a session is closed; the tests that are about them ask for them.
    config.defaults.equilibrium_methods.clear();
    config
}

/// A daemon with one connection to it.
pub(crate) struct Rig {
    pub(crate) daemon: RunningDaemon,
    pub(crate) channel: Channel,
    pub(crate) sessions: SessionServiceClient<Channel>,
    pub(crate) inference: InferenceServiceClient<Channel>,
    pub(crate) archive: ArchiveServiceClient<Channel>,
}

pub(crate) async fn connect(daemon: &RunningDaemon) -> Channel {
    Channel::from_shared(format!("http://{}", daemon.address())).unwrap().connect().await.unwrap()
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(test_config()).await
    }

    pub(crate) async fn with(config: DaemonConfig) -> Self {
        Self::with_writer(config, fake_writer(&Arc::default())).await
    }

    pub(crate) async fn with_writer(config: DaemonConfig, writer: SnapshotWriter) -> Self {
        Self::around(start_with_writer(config, writer).await.unwrap()).await
    }

    pub(crate) async fn around(daemon: RunningDaemon) -> Self {
        let channel = connect(&daemon).await;
        Self {
            sessions: SessionServiceClient::new(channel.clone()),
            inference: InferenceServiceClient::new(channel.clone()),
            archive: ArchiveServiceClient::new(channel.clone()),
            daemon,
            channel,
        }
    }

    pub(crate) async fn create(&mut self) -> String {
        self.create_from(spec()).await.unwrap().session_id
    }

    pub(crate) async fn create_from(&mut self, spec: v1::SessionSpec) -> Result<v1::Session, Status> {
        let request = v1::CreateSessionRequest { spec: Some(spec) };
        self.sessions.create_session(request).await.map(|answer| answer.into_inner().session.unwrap())
    }

    pub(crate) async fn session(&mut self, session_id: &str) -> v1::Session {
        let request = v1::GetSessionRequest { session_id: session_id.to_owned() };
        self.sessions.get_session(request).await.unwrap().into_inner().session.unwrap()
    }

    pub(crate) async fn close(&mut self, session_id: &str) -> v1::CloseSessionResponse {
        let request = v1::CloseSessionRequest { session_id: session_id.to_owned() };
        self.sessions.close_session(request).await.unwrap().into_inner()
    }

    pub(crate) async fn couplings(
        &mut self,
        query: v1::CouplingsQuery,
    ) -> Result<Vec<v1::get_couplings_response::Part>, Status> {
        let request = v1::GetCouplingsRequest { query: Some(query) };
        let mut stream = self.inference.get_couplings(request).await?.into_inner();
        let mut parts = Vec::new();
        while let Some(message) = stream.message().await? {
            parts.push(message.part.unwrap());
        }
        Ok(parts)
    }

    /// A session still works: the one thing every test of an error ends with.
    pub(crate) async fn assert_healthy(&mut self, session_id: &str) {
        let producer = Producer::open(&self.channel, session_id, 0).await.unwrap();
        let first_bin = producer.resume_from_bin;
        producer.send(sparse(first_bin, &[&[0], &[1]])).await;
        let last = producer.finish().await.unwrap();
        assert_eq!(last.applied_through, first_bin + 2);
    }
}

pub(crate) fn spec() -> v1::SessionSpec {
    v1::SessionSpec {
        name: "test".to_owned(),
        neuron_count: NEURONS,
        bin_width_us: 20_000,
        windows: vec!["all".to_owned(), "10s".to_owned()],
        refresh_interval_bins: Some(100),
        ..Default::default()
    }
}

pub(crate) fn query(session_id: &str) -> v1::CouplingsQuery {
    v1::CouplingsQuery { session_id: session_id.to_owned(), ..Default::default() }
}

pub(crate) fn sparse(first_bin: u64, bins: &[&[u32]]) -> v1::SpikeBins {
    let spikes = v1::SparseBins {
        active_counts: bins.iter().map(|bin| bin.len() as u32).collect(),
        neurons: bins.concat(),
    };
    v1::SpikeBins {
        first_bin,
        spikes: Some(v1::spike_bins::Spikes::Sparse(spikes)),
        trial_edges: Vec::new(),
        trials: vec![],
    }
}

/// Bins in which every neuron fires now and then, a different one each time: a fixed pattern without silent neurons.
pub(crate) fn pattern(first_bin: u64, count: u64) -> v1::SpikeBins {
    let bins: Vec<Vec<u32>> =
        (first_bin..first_bin + count).map(|bin| active(bin).into_iter().collect()).collect();
    sparse(first_bin, &bins.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The neurons that fire in a bin of the [`pattern`].
pub(crate) fn active(bin: u64) -> BTreeSet<u32> {
    let fires = |neuron: &u32| {
        let mut x = (bin * 31 + u64::from(*neuron)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 62 == 0
    };
    (0..NEURONS).filter(fires).collect()
}

/// One stream of spikes.
pub(crate) struct Producer {
    requests: mpsc::Sender<v1::StreamSpikesRequest>,
    pub(crate) replies: Streaming<v1::StreamSpikesResponse>,
    pub(crate) resume_from_bin: u64,
}

impl Producer {
    /// A stream that has sent nothing yet.
    pub(crate) async fn raw(
        channel: &Channel,
    ) -> (mpsc::Sender<v1::StreamSpikesRequest>, Streaming<v1::StreamSpikesResponse>) {
        let (requests, outbound) = mpsc::channel(16);
        let mut client = IngestServiceClient::new(channel.clone());
        let replies = client.stream_spikes(ReceiverStream::new(outbound)).await.unwrap().into_inner();
        (requests, replies)
    }

    pub(crate) async fn open(channel: &Channel, session_id: &str, epoch: u64) -> Result<Self, Status> {
        Self::open_with(channel, open(session_id, epoch)).await
    }

    /// With this first message.
    pub(crate) async fn open_with(channel: &Channel, open: v1::StreamSpikesRequest) -> Result<Self, Status> {
        let (requests, mut replies) = Self::raw(channel).await;
        requests.send(open).await.unwrap();
        match replies.message().await?.and_then(|reply| reply.message) {
            Some(Reply::Opened(opened)) => {
                Ok(Self { requests, replies, resume_from_bin: opened.resume_from_bin })
            }
            other => panic!("expected the stream to be opened, got {other:?}"),
        }
    }

    /// Send bins; a stream that has ended does not mind.
    pub(crate) async fn send(&self, bins: v1::SpikeBins) {
        drop(self.requests.send(v1::StreamSpikesRequest { message: Some(Message::Bins(bins)) }).await);
    }

    pub(crate) async fn send_request(&self, request: v1::StreamSpikesRequest) {
        drop(self.requests.send(request).await);
    }

    /// End the stream and give the last acknowledgement, or the status it ended with.
    pub(crate) async fn finish(self) -> Result<v1::Watermarks, Status> {
        let Self { requests, mut replies, .. } = self;
        drop(requests);
        let mut last = None;
        while let Some(reply) = replies.message().await? {
            if let Some(Reply::Ack(ack)) = reply.message {
                last = ack.watermarks;
            }
        }
        Ok(last.expect("a stream ends with an acknowledgement"))
    }

    /// Wait for the status that ends the stream while the client keeps it open.
    pub(crate) async fn status(&mut self) -> Status {
        loop {
            match self.replies.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }

    /// Wait until everything before `bin` is counted.
    pub(crate) async fn applied(&mut self, bin: u64) {
        loop {
            let reply = self.replies.message().await.unwrap().expect("the stream goes on");
            if let Some(Reply::Ack(v1::Ack { watermarks: Some(marks) })) = reply.message
                && marks.applied_through >= bin
            {
                return;
            }
        }
    }
}

pub(crate) fn open(session_id: &str, producer_epoch: u64) -> v1::StreamSpikesRequest {
    let open = v1::OpenStream {
        session_id: session_id.to_owned(),
        producer_epoch,
        durable_acks_only: false,
        timestamps: None,
    };
    v1::StreamSpikesRequest { message: Some(Message::Open(open)) }
}

/// Check a status by its code and what its message must name.
pub(crate) fn assert_status(status: &Status, code: Code, names: &[&str]) {
    assert_eq!(status.code(), code, "{status:?}");
    for name in names {
        assert!(status.message().contains(name), "'{}' does not name '{name}'", status.message());
    }
}
