//! How long after its bin a prediction is with the client: a rig on loopback sends one bin per message at the pace of the clock, and
//! each prediction is timed from just before the bin is sent. `cargo bench --bench predictions [-- NEURONS BINS BIN_WIDTH_US]`.

use std::time::{Duration, Instant};

use glauber::daemon::{DaemonConfig, start};
use glauber::proto::v1;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::proto::v1::stream_predictions_response::Part;
use glauber::proto::v1::stream_spikes_request::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Neurons active in a bin.
const ACTIVE: f64 = 0.02;

fn main() {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let cases = match given[..] {
        [neurons, bins, width_us] => vec![(neurons as u32, bins, width_us as u32)],
        _ => vec![(100, 10_000, 1000), (1000, 10_000, 1000)],
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (neurons, bins, width_us) in cases {
        let mut latencies = runtime.block_on(measure(neurons, bins, width_us));
        latencies.sort();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        println!(
            "n = {neurons}, bins of {width_us} us: {} predictions, p50 {:?}, p99 {:?}, max {:?}",
            latencies.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

/// Random bins, a share of the neurons active in each.
fn bins(neurons: u32, count: u64) -> Vec<Vec<u32>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..count).map(|_| (0..neurons).filter(|_| random.random_bool(ACTIVE)).collect()).collect()
}

fn message(first_bin: u64, bins: &[Vec<u32>]) -> v1::StreamSpikesRequest {
    let sparse = v1::SparseBins {
        active_counts: bins.iter().map(|bin| bin.len() as u32).collect(),
        neurons: bins.concat(),
    };
    let spikes = Some(v1::spike_bins::Spikes::Sparse(sparse));
    let bins = v1::SpikeBins { first_bin, spikes, ..Default::default() };
    v1::StreamSpikesRequest { message: Some(Message::Bins(bins)) }
}

async fn measure(neurons: u32, count: u64, width_us: u32) -> Vec<Duration> {
    let mut config = DaemonConfig::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.archive.directory = std::path::PathBuf::new();
    config.journal.directory = std::path::PathBuf::new();
    let daemon = start(config).await.expect("a daemon");
    let address = format!("http://{}", daemon.address());
    let endpoint = Channel::from_shared(address).expect("an address").tcp_nodelay(true);
    // As a rig and a closed loop: a connection each.
    let (rig, client) =
        (endpoint.connect().await.expect("a rig"), endpoint.connect().await.expect("a client"));

    let spec = v1::SessionSpec {
        neuron_count: neurons,
        bin_width_us: width_us,
        windows: vec!["all".to_owned()],
        estimators: vec![v1::Estimator::Nmf.into()],
        ..Default::default()
    };
    let request = v1::CreateSessionRequest { spec: Some(spec) };
    let created = SessionServiceClient::new(rig.clone()).create_session(request).await.expect("a session");
    let session_id = created.into_inner().session.expect("a session").session_id;

    let (sender, outbound) = mpsc::channel(64);
    let open = v1::OpenStream {
        session_id: session_id.clone(),
        producer_epoch: 0,
        durable_acks_only: false,
        timestamps: None,
    };
    sender
        .send(v1::StreamSpikesRequest { message: Some(Message::Open(open)) })
        .await
        .expect("an open stream");
    let mut ingest = IngestServiceClient::new(rig);
    let mut acks = ingest.stream_spikes(ReceiverStream::new(outbound)).await.expect("a stream").into_inner();
    tokio::spawn(async move { while let Ok(Some(_)) = acks.message().await {} });

    let bins = bins(neurons, count);
    let warm = (count / 5) as usize;
    sender.send(message(0, &bins[..warm])).await.expect("bins are taken");
    let mut inference = InferenceServiceClient::new(client);
    inference
        .refit(v1::RefitRequest { session_id: session_id.clone(), ..Default::default() })
        .await
        .expect("a publication");
    let request = v1::StreamPredictionsRequest {
        session_id,
        estimator: v1::Estimator::Nmf.into(),
        ..Default::default()
    };
    let mut stream = inference.stream_predictions(request).await.expect("predictions").into_inner();
    stream.message().await.expect("a header");

    let sent = tokio::spawn(send(sender, bins, warm, width_us));
    let mut received = Vec::new();
    while received.len() < count as usize - warm {
        let Some(message) = stream.message().await.expect("predictions") else { break };
        let now = Instant::now();
        if let Some(Part::Predictions(predictions)) = message.part {
            received.extend((0..u64::from(predictions.bin_count)).map(|k| (predictions.first_bin + k, now)));
        }
    }
    let sent = sent.await.expect("the rig");
    drop(stream);
    daemon.shutdown().await;
    received.into_iter().map(|(bin, at)| at - sent[bin as usize - warm]).collect()
}

/// Send the bins after the first so many at the pace of the clock; gives when each was sent.
async fn send(
    sender: mpsc::Sender<v1::StreamSpikesRequest>,
    bins: Vec<Vec<u32>>,
    warm: usize,
    width_us: u32,
) -> Vec<Instant> {
    let mut pace = tokio::time::interval(Duration::from_micros(width_us.into()));
    let mut sent = Vec::new();
    for bin in warm..bins.len() {
        pace.tick().await;
        let request = message(bin as u64, &bins[bin..=bin]);
        sent.push(Instant::now());
        sender.send(request).await.expect("bins are taken");
    }
    sent
}
