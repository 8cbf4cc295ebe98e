//! The real daemon when its machine does not give it what it needs: paused while a rig sends, or without files to open.
#![cfg(feature = "daemon")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use glauber::proto::v1;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::proto::v1::stream_spikes_request::Message;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const PAUSE: Duration = Duration::from_secs(2);
const BINS: u64 = 6_000;
/// Long enough for a machine with better things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// The real binary on a free port; ended with the test.
struct Daemon {
    process: Child,
    address: String,
}

impl Daemon {
    fn start() -> Self {
        Self::start_by(&mut Command::new(env!("CARGO_BIN_EXE_glauber")))
    }

    /// One that may open so many files, and logs to a file.
    fn start_with_files(files: u32, log: &Path) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        Self::start_by(
            shell
                .args(["-c", &limited, env!("CARGO_BIN_EXE_glauber")])
                .stderr(std::fs::File::create(log).unwrap()),
        )
    }

    fn start_by(command: &mut Command) -> Self {
        let mut process = command
            .args(["--json", "serve", "--listen", "127.0.0.1:0", "--archive-dir", "", "--journal-dir", ""])
            .env_remove("GLAUBER_CONFIG")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { process, address: announced["address"].as_str().unwrap().to_owned() }
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// One bin: which of the three neurons fires tells its number.
fn message(bin: u64) -> v1::StreamSpikesRequest {
    let sparse = v1::SparseBins { active_counts: vec![1], neurons: vec![(bin % 3) as u32] };
    let spikes = Some(v1::spike_bins::Spikes::Sparse(sparse));
    let bins = v1::SpikeBins { first_bin: bin, spikes, ..Default::default() };
    v1::StreamSpikesRequest { message: Some(Message::Bins(bins)) }
}

/// A producer that sends a bin a millisecond, by the clock, whatever the daemon does.
async fn produce(channel: Channel, session_id: String) -> Result<u64, tonic::Status> {
    let (requests, outbound) = mpsc::channel(2 * BINS as usize);
    let open = v1::OpenStream { session_id, producer_epoch: 0, durable_acks_only: false, timestamps: None };
    drop(requests.send(v1::StreamSpikesRequest { message: Some(Message::Open(open)) }).await);
    let mut client = IngestServiceClient::new(channel);
    let mut replies = client.stream_spikes(ReceiverStream::new(outbound)).await?.into_inner();
    let clock = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        for bin in 0..BINS {
            tick.tick().await;
            requests.try_send(message(bin)).expect("there is room for all");
        }
    });
    let mut applied = 0;
    while let Some(reply) = replies.message().await? {
        if let Some(Reply::Ack(v1::Ack { watermarks: Some(marks) })) = reply.message {
            assert!(marks.applied_through >= applied, "an acknowledgement goes back");
            applied = marks.applied_through;
        }
    }
    clock.await.unwrap();
    Ok(applied)
}

#[tokio::test]
async fn a_daemon_that_ran_out_of_files_goes_on_and_accepts_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let daemon = Daemon::start_with_files(48, &log);
    let endpoint = Channel::from_shared(daemon.address.clone()).unwrap();
    let list = async |channel: Channel| {
        SessionServiceClient::new(channel).list_sessions(v1::ListSessionsRequest {}).await
    };
    let connected = endpoint.connect().await.unwrap();
    list(connected.clone()).await.unwrap();
    let address = daemon.address.trim_start_matches("http://");
    let held: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let full = async {
        while !std::fs::read_to_string(&log).unwrap().contains("no connection can be accepted for now") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.expect("64 connections are too many");
    list(connected).await.expect("who was there before is answered");
    drop(held);
    let again = async {
        while !matches!(endpoint.connect().await, Ok(channel) if list(channel.clone()).await.is_ok()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("connections are accepted again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_paused_for_two_seconds_keeps_every_stream_and_bin() {
    let daemon = Daemon::start();
    let channel = Channel::from_shared(daemon.address.clone()).unwrap().connect().await.unwrap();
    let mut sessions = SessionServiceClient::new(channel.clone());
    let mut producers = Vec::new();
    // Two of them share a connection, one has its own.
    for place in 0..3 {
        let spec = v1::SessionSpec {
            neuron_count: 3,
            bin_width_us: 1000,
            windows: vec!["all".to_owned()],
            estimators: vec![v1::Estimator::Nmf.into()],
            ..Default::default()
        };
        let request = v1::CreateSessionRequest { spec: Some(spec) };
        let id = sessions.create_session(request).await.unwrap().into_inner().session.unwrap().session_id;
        let channel = match place {
            2 => Channel::from_shared(daemon.address.clone()).unwrap().connect().await.unwrap(),
            _ => channel.clone(),
        };
        producers.push((id.clone(), tokio::spawn(produce(channel, id))));
    }
    for _ in 0..2 {
        // Into the middle of what they send: the pause itself is what is tested, not waited with.
        tokio::time::sleep(Duration::from_millis(500)).await;
        daemon.signal("-STOP");
        tokio::time::sleep(PAUSE).await;
        daemon.signal("-CONT");
    }
    for (session_id, producer) in producers {
        assert_eq!(producer.await.unwrap().expect("the stream goes on to its end"), BINS);
        let request = v1::GetSessionRequest { session_id };
        let session = sessions.get_session(request).await.unwrap().into_inner().session.unwrap();
        assert_eq!((session.active_entries, session.watermarks.unwrap().applied_through), (BINS, BINS));
        assert_eq!((session.gap_bins, session.repeated_bins), (0, 0), "each bin once");
    }
}
