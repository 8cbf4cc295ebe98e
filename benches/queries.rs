//! What queries cost: from the request until the answer is decoded, over loopback, and what a hundred watchers cost the daemon.
//!
//! ```text
//! cargo bench --bench queries                     (-- NEURONS WATCHED_NEURONS WATCHERS, by default 1000 400 100)
//! ```
//!
//! A daemon in this process takes seeded bins and publishes naive mean field. Prints one line for each query, `name: median MS ms (min MS
//! ms), BYTES MB`, where `first` is the first of its kind after a publication, and for watchers `name: MS ms of the daemon's threads a
//! publication, of that MS ms for each watcher`. Checks that answers equal the estimate of the same bins to the bit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use glauber::daemon::{DaemonConfig, start};
use glauber::kinetic;
use glauber::model::{Estimate, Estimator, Lags, Significance, SpikeBlock};
use glauber::moments::{Accumulator, Counts};
use glauber::proto::v1;
use glauber::proto::v1::get_correlations_response::Part as CorrelationsPart;
use glauber::proto::v1::get_couplings_response::Part;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use glauber::proto::v1::stream_spikes_request::Message;
use glauber::proto::v1::watch_couplings_response::Part as WatchedPart;
use prost::Message as _;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::{Barrier, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Share of the neurons active in a bin.
const ACTIVE: f64 = 0.02;
const BINS: usize = 4000;
const RIDGE: f64 = 0.1;
/// Times that each query is asked, and publications that are watched.
const REPEATS: usize = 15;

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [neurons, watched, watchers] = given[..] else { return run(1000, 400, 100) };
    run(neurons, watched, watchers);
}

fn run(neurons: usize, watched: usize, watchers: usize) {
    // Threads of the daemon are told from those of the clients by their names.
    let named = |name: &str| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (daemons, clients) = (named("daemon"), named("client"));
    let mut config = DaemonConfig::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.archive.directory = std::path::PathBuf::new();
    config.journal.directory = std::path::PathBuf::new();
    config.limits.watchers_max = 2 * watchers.max(1);
    config.limits.connections_per_peer_max = 16 + 2 * watchers;
    config.limits.connections_max = 16 + 2 * watchers;
    let daemon = daemons.block_on(start(config)).expect("a daemon");
    let address = format!("http://{}", daemon.address());
    clients.block_on(async {
        let session = Session::of(&address, neurons).await;
        session.queries().await;
        for query in [v1::CouplingsQuery { top_pairs: 20, ..Default::default() }, Default::default()] {
            Session::of(&address, watched).await.watchers(&address, watchers, query).await;
        }
    });
    daemons.block_on(daemon.shutdown());
}

/// A connection with the settings that the command line uses.
async fn connect(address: &str) -> Channel {
    let endpoint = Channel::from_shared(address.to_owned()).expect("an address").tcp_nodelay(true);
    let endpoint = endpoint.initial_stream_window_size(8 << 20).initial_connection_window_size(16 << 20);
    let endpoint = endpoint.max_frame_size(1 << 20);
    endpoint.connect().await.expect("a connection")
}

/// Random bins, and the counts of them.
fn bins(neurons: usize) -> (Vec<Vec<u32>>, Counts) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let lists: Vec<Vec<u32>> =
        (0..BINS).map(|_| (0..neurons as u32).filter(|_| random.random_bool(ACTIVE)).collect()).collect();
    let narrow: Vec<Vec<u16>> = lists.iter().map(|bin| bin.iter().map(|&i| i as u16).collect()).collect();
    let block = SpikeBlock::from_lists(0, &narrow, neurons).expect("bins");
    let mut counts = Accumulator::new(neurons, &Lags::default());
    counts.add_newest(&block, 0..block.n_bins());
    (lists, counts.counts())
}

/// A session that has taken its bins.
struct Session {
    id: String,
    inference: InferenceServiceClient<Channel>,
    counts: Counts,
    estimate: Estimate,
}

impl Session {
    async fn of(address: &str, neurons: usize) -> Self {
        let channel = connect(address).await;
        let spec = v1::SessionSpec {
            neuron_count: neurons as u32,
            bin_width_us: 1000,
            windows: vec!["all".to_owned()],
            estimators: vec![v1::Estimator::Nmf.into()],
            ridge: Some(RIDGE),
            refresh_interval_bins: Some(86_400_000),
            no_equilibrium: true,
            ..Default::default()
        };
        let request = v1::CreateSessionRequest { spec: Some(spec) };
        let created =
            SessionServiceClient::new(channel.clone()).create_session(request).await.expect("a session");
        let id = created.into_inner().session.expect("a session").session_id;
        let (lists, counts) = bins(neurons);
        let (sender, outbound) = mpsc::channel(64);
        let open = v1::OpenStream {
            session_id: id.clone(),
            producer_epoch: 0,
            durable_acks_only: false,
            timestamps: None,
        };
        let message = |message| v1::StreamSpikesRequest { message: Some(message) };
        sender.send(message(Message::Open(open))).await.expect("room");
        for (place, bins) in lists.chunks(500).enumerate() {
            let sparse = v1::SparseBins {
                active_counts: bins.iter().map(|bin| bin.len() as u32).collect(),
                neurons: bins.concat(),
            };
            let spikes = Some(v1::spike_bins::Spikes::Sparse(sparse));
            let bins = v1::SpikeBins { first_bin: 500 * place as u64, spikes, ..Default::default() };
            sender.send(message(Message::Bins(bins))).await.expect("room");
        }
        drop(sender);
        let mut ingest = IngestServiceClient::new(channel.clone());
        let stream = ingest.stream_spikes(ReceiverStream::new(outbound)).await;
        let mut acks = stream.expect("a stream").into_inner();
        while acks.message().await.expect("an answer").is_some() {}
        let estimate = kinetic::estimate(&counts, &[Estimator::Nmf], RIDGE).remove(0);
        let session = Self { id, inference: InferenceServiceClient::new(channel), counts, estimate };
        session.publish().await;
        session
    }

    /// Have the estimates published anew; the same, as no bins have come.
    async fn publish(&self) -> u64 {
        let request = v1::RefitRequest { session_id: self.id.clone(), ..Default::default() };
        self.inference.clone().refit(request).await.expect("a publication").into_inner().publication
    }

    fn query(&self, query: v1::CouplingsQuery) -> v1::CouplingsQuery {
        v1::CouplingsQuery { session_id: self.id.clone(), ..query }
    }

    async fn get(&self, query: &v1::CouplingsQuery) -> Vec<Part> {
        let request = v1::GetCouplingsRequest { query: Some(query.clone()) };
        let mut stream = self.inference.clone().get_couplings(request).await.expect("an answer").into_inner();
        let mut parts = Vec::new();
        while let Some(message) = stream.message().await.expect("an answer") {
            parts.extend(message.part);
        }
        parts
    }

    async fn queries(&self) {
        let rows = v1::CouplingsQuery::default();
        let all = v1::CouplingsQuery { standard_errors: true, q_values: true, ..Default::default() };
        let top = v1::CouplingsQuery { top_pairs: 20, ..Default::default() };
        for (name, query) in [("matrix", rows), ("matrix with errors and q", all), ("top 20", top)] {
            let query = self.query(query);
            let (mut first, mut again) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            for _ in 0..REPEATS {
                self.publish().await;
                for times in [&mut first, &mut again] {
                    let began = Instant::now();
                    let parts = self.get(&query).await;
                    times.push(began.elapsed());
                    bytes = parts.iter().map(encoded_len).sum();
                    self.check(&parts);
                }
            }
            report(&format!("{name}, first"), first, bytes);
            report(name, again, bytes);
        }
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..REPEATS {
            let began = Instant::now();
            let (equal_time, delayed) = self.correlations().await;
            times.push(began.elapsed());
            bytes = 8 * (equal_time.len() + delayed.len());
            assert_eq!(equal_time, self.counts.equal_time_correlations().into_raw_vec_and_offset().0);
            assert_eq!(delayed, self.counts.lags[0].delayed_correlations().into_raw_vec_and_offset().0);
        }
        report("correlations", times, bytes);
    }

    async fn correlations(&self) -> (Vec<f64>, Vec<f64>) {
        let request = v1::GetCorrelationsRequest { session_id: self.id.clone(), ..Default::default() };
        let mut stream =
            self.inference.clone().get_correlations(request).await.expect("an answer").into_inner();
        let (mut equal_time, mut delayed) = (Vec::new(), Vec::new());
        while let Some(message) = stream.message().await.expect("an answer") {
            if let Some(CorrelationsPart::Rows(rows)) = message.part {
                equal_time.extend(rows.equal_time);
                delayed.extend(rows.delayed);
            }
        }
        (equal_time, delayed)
    }

    /// The answer is what the estimate of the same bins holds.
    fn check(&self, parts: &[Part]) {
        let mut receivers = 0;
        for part in parts {
            match part {
                Part::Rows(rows) => {
                    let n = self.estimate.n_neurons();
                    let places: Vec<(usize, usize)> =
                        rows.receivers.iter().flat_map(|&i| (0..n).map(move |j| (i as usize, j))).collect();
                    receivers += rows.receivers.len();
                    assert!(
                        rows.couplings.iter().zip(&places).all(|(j, &at)| *j == self.estimate.couplings[at])
                    );
                    if !rows.q_values.is_empty() {
                        let q = Significance::of(&self.estimate).couplings_q(&self.estimate);
                        assert!(rows.q_values.iter().zip(&places).all(|(found, &at)| *found == q[at]));
                        let error =
                            |&(i, j): &(usize, usize)| self.estimate.standard_error(i, j).unwrap_or(0.0);
                        assert!(rows.standard_errors.iter().zip(&places).all(|(se, at)| *se == error(at)));
                    }
                }
                Part::Pairs(pairs) => {
                    let expected = self.estimate.strongest_pairs(pairs.pairs.len());
                    let place = |pair: &v1::CouplingPair| (pair.receiver as usize, pair.sender as usize);
                    assert!(
                        pairs.pairs.iter().map(place).eq(expected.iter().map(|p| (p.receiver, p.sender)))
                    );
                    receivers = self.estimate.n_neurons();
                }
                _ => {}
            }
        }
        assert_eq!(receivers, self.estimate.n_neurons());
    }

    /// What so many watchers, each with a connection of its own, cost at each publication.
    async fn watchers(self, address: &str, watchers: usize, query: v1::CouplingsQuery) {
        let name = if query.top_pairs > 0 { "top 20" } else { "matrices" };
        let n = self.estimate.n_neurons();
        let alone = self.publishing(0, Arc::new(Barrier::new(1))).await;
        let read = Arc::new(Barrier::new(watchers + 1));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..watchers {
            let (query, read) = (self.query(query.clone()), Arc::clone(&read));
            let expected = if query.top_pairs > 0 { 20 } else { n * n };
            let channel = connect(address).await;
            tasks.spawn(async move {
                let request = v1::WatchCouplingsRequest { query: Some(query) };
                let mut inference = InferenceServiceClient::new(channel);
                let mut stream = inference.watch_couplings(request).await.expect("an answer").into_inner();
                let mut found = 0;
                while let Ok(Some(message)) = stream.message().await {
                    found += match message.part {
                        Some(WatchedPart::Rows(rows)) => rows.couplings.len(),
                        Some(WatchedPart::Pairs(pairs)) => pairs.pairs.len(),
                        _ => 0,
                    };
                    if found >= expected {
                        assert_eq!(found, expected);
                        found = 0;
                        read.wait().await;
                    }
                }
            });
        }
        // What was published before.
        all_have(&read).await;
        let watched = self.publishing(REPEATS, read).await;
        let bytes = if query.top_pairs > 0 { 20 * 60 } else { 8 * n * n };
        let each = (watched - alone).max(0.0) / watchers as f64;
        println!(
            "{watchers} watchers of {name}, n = {n}: {watched:.1} ms of the daemon's threads a publication, {each:.3} ms for each watcher, \
             {:.2} MB",
            bytes as f64 / 1e6
        );
    }

    /// Milliseconds of the daemon's threads for one publication that all have read.
    async fn publishing(&self, at_least: usize, read: Arc<Barrier>) -> f64 {
        let publications = at_least.max(REPEATS);
        let before = daemon_ms();
        for _ in 0..publications {
            self.publish().await;
            all_have(&read).await;
        }
        // Threads that have just written are counted up to the last tick.
        tokio::time::sleep(Duration::from_millis(20)).await;
        (daemon_ms() - before) / publications as f64
    }
}

/// Wait until all have read.
async fn all_have(read: &Barrier) {
    tokio::time::timeout(Duration::from_secs(60), read.wait()).await.expect("every watcher reads");
}

fn encoded_len(part: &Part) -> usize {
    v1::GetCouplingsResponse { part: Some(part.clone()) }.encoded_len()
}

fn report(name: &str, mut times: Vec<Duration>, bytes: usize) {
    times.sort();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    let (median, least) = (ms(times[times.len() / 2]), ms(times[0]));
    println!("{name}: median {median:.2} ms (min {least:.2} ms), {:.2} MB", bytes as f64 / 1e6);
}

/// Milliseconds of processor time that all threads but those of the clients have taken; 0 where the system does not tell.
fn daemon_ms() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let of_thread = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        // Nanoseconds on a processor come first.
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let is_client = name.starts_with("client") || name.starts_with("queries");
        (!is_client).then(|| times.split(' ').next()?.parse::<f64>().ok()).flatten()
    };
    tasks.flatten().filter_map(of_thread).sum::<f64>() / 1e6
}
