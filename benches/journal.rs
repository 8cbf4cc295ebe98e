//! How soon bins are durable while rigs send, and how fast a daemon takes sessions up again.
//!
//! ```text
//! cargo bench --bench journal                     (GLAUBER_BENCH_DIR=DIR puts the journal on another disk)
//! ```
//!
//! One session of 1,000 neurons, then eight, 1 % of them active, one message per bin of 1 ms each: for every bin the time from handing it to
//! the connection until the acknowledgement that it is durable. Then one session of 400,000 such bins: the time from start to serving, and
//! of that the time to read and decode the journal. Checks that every bin is there.

use std::path::Path;
use std::time::{Duration, Instant};

use glauber::daemon::{DaemonConfig, start};
use glauber::journal::{Record, Store, file_disk};
use glauber::proto::v1;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::proto::v1::stream_spikes_request::Message;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const NEURONS: u32 = 1000;
const ACTIVE: usize = 10;
const LIVE_BINS: u64 = 10_000;
const RECOVERED_BINS: u64 = 400_000;
const BIN: Duration = Duration::from_millis(1);

fn config(dir: &Path) -> DaemonConfig {
    let mut config = DaemonConfig::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.archive.directory = std::path::PathBuf::new();
    config.journal.directory = dir.join("journal");
    config.journal.free_bytes_min = 0;
    config
}

fn bins(first_bin: u64, n_bins: u64, rng: &mut ChaCha8Rng) -> v1::StreamSpikesRequest {
    let neurons = (0..n_bins as usize * ACTIVE).map(|_| rng.random_range(0..NEURONS)).collect();
    let sparse = v1::SparseBins { active_counts: vec![ACTIVE as u32; n_bins as usize], neurons };
    let spikes = Some(v1::spike_bins::Spikes::Sparse(sparse));
    let bins = v1::SpikeBins { first_bin, spikes, ..Default::default() };
    v1::StreamSpikesRequest { message: Some(Message::Bins(bins)) }
}

struct Rig {
    requests: mpsc::Sender<v1::StreamSpikesRequest>,
    replies: tonic::Streaming<v1::StreamSpikesResponse>,
}

async fn rig(channel: &Channel) -> Rig {
    let spec = v1::SessionSpec {
        neuron_count: NEURONS,
        bin_width_us: 1000,
        windows: vec!["all".to_owned(), "1min".to_owned()],
        estimators: vec![v1::Estimator::Nmf.into()],
        ridge: Some(0.1),
        no_equilibrium: true,
        ..Default::default()
    };
    let request = v1::CreateSessionRequest { spec: Some(spec) };
    let created =
        SessionServiceClient::new(channel.clone()).create_session(request).await.expect("a session");
    let session_id = created.into_inner().session.expect("a session").session_id;
    let (requests, outbound) = mpsc::channel(64);
    let open = v1::OpenStream { session_id, producer_epoch: 0, durable_acks_only: true, timestamps: None };
    requests.send(v1::StreamSpikesRequest { message: Some(Message::Open(open)) }).await.expect("room");
    let mut client = IngestServiceClient::new(channel.clone());
    let mut replies =
        client.stream_spikes(ReceiverStream::new(outbound)).await.expect("a stream").into_inner();
    replies.message().await.expect("an answer");
    Rig { requests, replies }
}

/// Seconds until each bin was durable, of one rig that sends a bin per millisecond.
async fn live(rig: Rig, seed: u64) -> Vec<f64> {
    let Rig { requests, mut replies } = rig;
    let (sent, mut times) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tick = tokio::time::interval(BIN);
        for bin in 0..LIVE_BINS {
            tick.tick().await;
            sent.send(Instant::now()).expect("someone who measures");
            requests.send(bins(bin, 1, &mut rng)).await.expect("a stream that goes on");
        }
    });
    let mut latencies = Vec::with_capacity(LIVE_BINS as usize);
    while (latencies.len() as u64) < LIVE_BINS {
        let reply = replies.message().await.expect("an answer").expect("a stream that goes on");
        let Some(Reply::Ack(ack)) = reply.message else { continue };
        let durable = ack.watermarks.expect("watermarks").durable_through;
        let now = Instant::now();
        while (latencies.len() as u64) < durable {
            let at = times.recv().await.expect("bins are acknowledged after they were sent");
            latencies.push(now.duration_since(at).as_secs_f64());
        }
    }
    latencies
}

async fn connect(address: std::net::SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
    endpoint.tcp_nodelay(true).connect().await.expect("a connection")
}

async fn measure_live(dir: &Path, n_rigs: u64) {
    let daemon = start(config(dir)).await.expect("a daemon");
    let mut rigs = Vec::new();
    for _ in 0..n_rigs {
        rigs.push(rig(&connect(daemon.address()).await).await);
    }
    let running: Vec<_> =
        rigs.into_iter().zip(1..).map(|(rig, seed)| tokio::spawn(live(rig, seed))).collect();
    let mut latencies = Vec::new();
    for one in running {
        latencies.extend(one.await.expect("a rig"));
    }
    assert_eq!(latencies.len() as u64, n_rigs * LIVE_BINS);
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "durable acknowledgement, {n_rigs} rigs x {NEURONS} neurons x 1 ms: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, most {:.1} ms",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    daemon.shutdown().await;
}

async fn measure_recovery(dir: &Path) {
    let daemon = start(config(dir)).await.expect("a daemon");
    let Rig { requests, mut replies } = rig(&connect(daemon.address()).await).await;
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let began = Instant::now();
    let feeder = tokio::spawn(async move {
        for first_bin in (0..RECOVERED_BINS).step_by(1000) {
            requests.send(bins(first_bin, 1000, &mut rng)).await.expect("a stream that goes on");
        }
    });
    while replies.message().await.expect("an answer").is_some() {}
    feeder.await.expect("a feeder");
    println!("taken and durable: {:.0} bins/s", RECOVERED_BINS as f64 / began.elapsed().as_secs_f64());
    daemon.shutdown().await;

    let path = dir.join("journal/journal.redb");
    let began = Instant::now();
    let store = Store::open(file_disk(&path)).expect("a journal");
    let opened = began.elapsed();
    let megabytes = store.bytes().expect("its bytes").entries as f64 / 1e6;
    let began = Instant::now();
    let records = store.records(0, "s", NEURONS as usize, 0).expect("records");
    let held = records.map(|record| match record.expect("a record") {
        Record::Bins { block, .. } => block.n_bins() as u64,
        _ => 0,
    });
    assert_eq!(held.sum::<u64>(), RECOVERED_BINS);
    let read_s = began.elapsed().as_secs_f64();
    drop(store);
    let began = Instant::now();
    let daemon = start(config(dir)).await.expect("a daemon");
    let recovered_s = began.elapsed().as_secs_f64();
    println!(
        "journal of {megabytes:.1} MB, {RECOVERED_BINS} bins: opened in {:.0} ms; read and decoded at {:.0} MB/s; served again after \
         {recovered_s:.2} s, {:.0} MB/s, {:.0} bins/s",
        1e3 * opened.as_secs_f64(),
        megabytes / read_s,
        megabytes / recovered_s,
        RECOVERED_BINS as f64 / recovered_s
    );
    daemon.shutdown().await;
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let base = std::env::var_os("GLAUBER_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).expect("a directory");
    for n_rigs in [1, 8] {
        runtime.block_on(measure_live(&dir.path().join(format!("live-{n_rigs}")), n_rigs));
    }
    runtime.block_on(measure_recovery(&dir.path().join("recovery")));
}
