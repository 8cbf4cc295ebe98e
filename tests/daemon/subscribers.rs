//! Readers that do not read: they cost a bounded amount of memory, the rig does not notice them, and they learn what they missed.

use std::time::Duration;

use glauber::proto::v1;
use glauber::proto::v1::get_couplings_response::Part as CouplingsPart;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::stream_predictions_response::Part as PredictionsPart;
use glauber::proto::v1::watch_couplings_response::Part as WatchPart;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::rig::{Producer, Rig, query, test_config};

const N: u64 = 200;
const BINS: u64 = 20_000;
const REFRESH_BINS: u64 = 100;
const MESSAGE_BINS: usize = 10;
const PUBLICATIONS: u64 = BINS / REFRESH_BINS;
const WATCHERS: usize = 50;

/// Couplings of one publication.
const MATRIX_BYTES: u64 = 8 * N * N;
/// What each watcher may cost, here and in the daemon: the publication it is being sent, messages that wait, and what the network holds.
/// All publications would be 64 MB for each.
const WATCHER_BYTES_MAX: u64 = 20 * MATRIX_BYTES;

/// A connection whose client takes little before it reads.
async fn narrow(rig: &Rig) -> InferenceServiceClient<Channel> {
    let endpoint = Endpoint::new(format!("http://{}", rig.daemon.address())).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    InferenceServiceClient::new(endpoint.connect().await.unwrap())
}

/// Bins in which a tenth of the neurons fires.
fn bins(first_bin: u64, count: u64) -> v1::SpikeBins {
    let fires = |bin: u64, neuron: u64| {
        let mut x = (bin * N + neuron).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32 < (1 << 32) / 10
    };
    let mut sparse = v1::SparseBins::default();
    for bin in first_bin..first_bin + count {
        let before = sparse.neurons.len();
        sparse.neurons.extend((0..N).filter(|&neuron| fires(bin, neuron)).map(|neuron| neuron as u32));
        sparse.active_counts.push((sparse.neurons.len() - before) as u32);
    }
    let spikes = Some(v1::spike_bins::Spikes::Sparse(sparse));
    v1::SpikeBins { first_bin, spikes, trial_edges: vec![], trials: vec![] }
}

/// Bytes of this process, the daemon's threads among them, that are in memory.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(1024 * line.trim().trim_end_matches(" kB").parse::<u64>().ok()?)
}

/// The next publication, read to its last row; gives its number and how many were missed before it.
async fn publication(watcher: &mut Streaming<v1::WatchCouplingsResponse>) -> (u64, u64) {
    let header = match watcher.message().await.unwrap().unwrap().part.unwrap() {
        WatchPart::Header(header) => header,
        other => panic!("expected a header, got {other:?}"),
    };
    let mut numbers = 0;
    while numbers < N * N {
        match watcher.message().await.unwrap().unwrap().part.unwrap() {
            WatchPart::Rows(rows) => numbers += rows.couplings.len() as u64,
            other => panic!("expected rows, got {other:?}"),
        }
    }
    (header.publication, header.skipped)
}

/// Read until the newest publication; gives how many were missed on the way. Each is the one after the last, but for those missed.
async fn catch_up(watcher: &mut Streaming<v1::WatchCouplingsResponse>) -> u64 {
    let (mut last, mut missed) = (0, 0);
    while last < PUBLICATIONS {
        let (number, skipped) = publication(watcher).await;
        // Before its first one nothing is missed.
        let expected = if last == 0 { number } else { last + skipped + 1 };
        assert_eq!(number, expected, "after {last}, {skipped} skipped");
        (last, missed) = (number, missed + skipped);
    }
    missed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_stalled_subscribers_cost_bounded_memory_and_no_bin() {
    let mut rig = Rig::with(test_config()).await;
    let spec = v1::SessionSpec {
        neuron_count: N as u32,
        bin_width_us: 20_000,
        windows: vec!["all".to_owned()],
        estimators: vec![v1::Estimator::Nmf.into()],
        ridge: Some(0.1),
        refresh_interval_bins: Some(REFRESH_BINS),
        ..Default::default()
    };
    let session = rig.create_from(spec).await.unwrap().session_id;
    let watch = |header_only| v1::WatchCouplingsRequest {
        query: Some(v1::CouplingsQuery { header_only, ..query(&session) }),
    };
    let mut prompt = rig.inference.watch_couplings(watch(true)).await.unwrap().into_inner();
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let mut stalled = Vec::new();
    for _ in 0..WATCHERS {
        stalled.push(narrow(&rig).await.watch_couplings(watch(false)).await.unwrap().into_inner());
    }
    let ask = v1::StreamPredictionsRequest {
        session_id: session.clone(),
        estimator: v1::Estimator::Nmf.into(),
        ..Default::default()
    };
    let mut predictions = narrow(&rig).await.stream_predictions(ask).await.unwrap().into_inner();

    let mut answers = Vec::new();
    let (mut warm, mut next_bin) = (None, 0);
    while next_bin < BINS {
        for first_bin in (next_bin..next_bin + REFRESH_BINS).step_by(MESSAGE_BINS) {
            producer.send(bins(first_bin, MESSAGE_BINS as u64)).await;
        }
        next_bin += REFRESH_BINS;
        // One publication at a time, so that their number is known; who reads misses none.
        let header = match prompt.message().await.unwrap().unwrap().part.unwrap() {
            WatchPart::Header(header) => header,
            other => panic!("expected a header, got {other:?}"),
        };
        assert_eq!(
            (header.publication, header.end_bin, header.skipped),
            (next_bin / REFRESH_BINS, next_bin, 0)
        );
        if next_bin == REFRESH_BINS {
            // Answers of one publication that nobody reads either.
            for _ in 0..4 {
                let request = v1::GetCouplingsRequest { query: Some(query(&session)) };
                answers.push(narrow(&rig).await.get_couplings(request).await.unwrap().into_inner());
            }
            warm = resident_bytes();
        }
    }
    producer.applied(BINS).await;
    if let (Some(warm), Some(now)) = (warm, resident_bytes()) {
        let grown = now.saturating_sub(warm);
        println!("{} MB more after {PUBLICATIONS} publications to {WATCHERS} watchers", grown >> 20);
        assert!(grown < WATCHERS as u64 * WATCHER_BYTES_MAX, "{grown} bytes more");
    }
    let last = producer.finish().await.unwrap();
    assert_eq!((last.received_through, last.applied_through), (BINS, BINS));

    for watcher in &mut stalled {
        let missed = tokio::time::timeout(Duration::from_secs(60), catch_up(watcher)).await.unwrap();
        assert!(missed > PUBLICATIONS / 2, "only {missed} missed: it was not stalled");
    }
    for answer in &mut answers {
        let (mut numbers, mut of) = (0, 0);
        while let Some(message) = answer.message().await.unwrap() {
            match message.part.unwrap() {
                CouplingsPart::Header(header) => of = header.publication,
                CouplingsPart::Rows(rows) => numbers += rows.couplings.len() as u64,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((numbers, of), (N * N, 1), "an answer is whole, of the publication it began with");
    }
    let (mut next, mut skipped) = (0, 0);
    while next < BINS {
        if let PredictionsPart::Predictions(part) =
            predictions.message().await.unwrap().unwrap().part.unwrap()
        {
            assert!(
                next == 0 || part.first_bin == next + part.skipped,
                "every bin is predicted from or counted"
            );
            skipped += part.skipped;
            next = part.first_bin + u64::from(part.bin_count);
        }
    }
    println!("a stalled reader of predictions missed {skipped} of {BINS} bins");
    assert!(skipped > BINS / 2, "only {skipped} bins were not predicted from: it was not stalled");
}
