//! Rigs: what they send is a function of session and bin alone.

use std::path::Path;

use glauber::model::{SpikeBlock, TrialMark};
use glauber::proto::v1;
use glauber::proto::v1::stream_spikes_request::Message as Request;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::Client;
use crate::Oracle;
use crate::oracle::{LAGS, WINDOWS};

/// What happens in a session, whoever tells it and in however many pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Story {
    seed: u64,
    pub(crate) n_neurons: usize,
    activity: f64,
}

/// A message as a rig sends it.
pub(crate) struct Message {
    pub(crate) block: SpikeBlock,
    pub(crate) trial_edges: Vec<u64>,
    pub(crate) trials: Vec<TrialMark>,
}

/// Of each so many bins, the last few never come.
const GAP_EVERY: u64 = 700;
const GAP_BINS: u64 = 5;
/// A trial begins at each multiple, and takes less.
const TRIAL_EVERY: u64 = 250;
const TRIAL_BINS: u64 = 180;

impl Story {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let kinds = [(40, 0.05), (7, 0.4), (130, 0.3)];
        let (n_neurons, activity) = kinds[(number % kinds.len() as u64) as usize];
        Self { seed: seed << 32 | number, n_neurons, activity }
    }

    fn bin(&self, bin: u64) -> Vec<u16> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bin);
        (0..self.n_neurons as u16).filter(|_| rng.random_bool(self.activity)).collect()
    }

    /// The first bin from `bin` on that comes.
    fn observed_from(bin: u64) -> u64 {
        if bin % GAP_EVERY >= GAP_EVERY - GAP_BINS { bin - bin % GAP_EVERY + GAP_EVERY } else { bin }
    }

    /// The message that begins at `bin`, or behind the gap there, of at most so many bins and none from `end_bin` on.
    pub(crate) fn message(&self, bin: u64, end_bin: u64, n_bins: u64) -> Message {
        let first = Self::observed_from(bin);
        let gap = first - first % GAP_EVERY + GAP_EVERY - GAP_BINS;
        let end = (first + n_bins).min(gap).min(end_bin.max(first + 1));
        let lists: Vec<Vec<u16>> = (first..end).map(|bin| self.bin(bin)).collect();
        let block = SpikeBlock::from_lists(first, &lists, self.n_neurons).expect("neurons that exist");
        let starts = (first..end).filter(|bin| bin % TRIAL_EVERY == 0);
        let trial = |start_bin| TrialMark { start_bin, stop_bin: Some(start_bin + TRIAL_BINS) };
        let trial_edges = (first..end).filter(|bin| bin % 333 == 0).collect();
        Message { block, trial_edges, trials: starts.map(trial).collect() }
    }
}

/// A session and the rig that feeds it.
pub(crate) struct Rig {
    story: Story,
    session_id: String,
    oracle: Oracle,
    epoch: u64,
    durable_through: u64,
    rng: ChaCha8Rng,
}

impl Rig {
    pub(crate) async fn begin(client: &Client, story: Story) -> Self {
        let spec = v1::SessionSpec {
            neuron_count: story.n_neurons as u32,
            bin_width_us: 1000,
            windows: WINDOWS.map(String::from).to_vec(),
            lags_bins: LAGS.to_vec(),
            estimators: vec![v1::Estimator::Nmf.into()],
            ridge: Some(0.1),
            refresh_interval_bins: Some(1000),
            ..Default::default()
        };
        let request = v1::CreateSessionRequest { spec: Some(spec) };
        let created = client.sessions.clone().create_session(request).await.expect("a session");
        let session_id = created.into_inner().session.expect("a session").session_id;
        let oracle = Oracle::new(&story);
        Self {
            story,
            session_id,
            oracle,
            epoch: 0,
            durable_through: 0,
            rng: ChaCha8Rng::seed_from_u64(story.seed),
        }
    }

    pub(crate) fn durable_through(&self) -> u64 {
        self.durable_through
    }

    /// Send until the connection breaks.
    pub(crate) fn send(mut self, client: Client) -> JoinHandle<Self> {
        tokio::spawn(async move {
            // That the connection breaks is what is waited for: the daemon is dead. An answer of the daemon is not.
            if let Err(status) = self.send_until_killed(client).await {
                let broken = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal];
                assert!(broken.contains(&status.code()), "session {} is refused: {status}", self.session_id);
            }
            self
        })
    }

    async fn send_until_killed(&mut self, client: Client) -> Result<(), tonic::Status> {
        let (sender, receiver) = mpsc::channel(4);
        self.epoch += self.rng.random_range(0..2_u64);
        let open = v1::OpenStream {
            session_id: self.session_id.clone(),
            producer_epoch: self.epoch,
            durable_acks_only: self.rng.random_bool(0.5),
            timestamps: None,
        };
        let open = v1::StreamSpikesRequest { message: Some(Request::Open(open)) };
        sender.send(open).await.map_err(|_| tonic::Status::cancelled("ended"))?;
        let mut replies =
            client.ingest.clone().stream_spikes(ReceiverStream::new(receiver)).await?.into_inner();
        let Some(Reply::Opened(opened)) = replies.message().await?.and_then(|reply| reply.message) else {
            panic!("no place to resume from")
        };
        let mut next = opened.resume_from_bin;
        assert!(next >= self.durable_through, "{next} to resume from, {} was durable", self.durable_through);
        let story = self.story;
        let mut rng = ChaCha8Rng::seed_from_u64(self.rng.random());
        let feeder = tokio::spawn(async move {
            loop {
                let n_bins = rng.random_range(1..60);
                let message = story.message(next, u64::MAX, n_bins);
                // Now and then it forgets that it has sent something.
                next =
                    if rng.random_bool(0.03) { message.block.first_bin() } else { message.block.end_bin() };
                if sender.send(encode(message)).await.is_err() {
                    return;
                }
                if rng.random_bool(0.3) {
                    tokio::time::sleep(std::time::Duration::from_micros(rng.random_range(0..3000))).await;
                }
            }
        });
        let ended = loop {
            match replies.message().await {
                Ok(Some(reply)) => {
                    if let Some(Reply::Ack(ack)) = reply.message {
                        let marks = ack.watermarks.expect("watermarks");
                        assert!(marks.durable_through <= marks.applied_through);
                        assert!(marks.applied_through <= marks.received_through);
                        self.durable_through = self.durable_through.max(marks.durable_through);
                    }
                }
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        feeder.abort();
        ended
    }

    /// Compare what the daemon has with what it must have; nobody sends meanwhile.
    pub(crate) async fn compare(&mut self, client: &Client) {
        let request = v1::GetSessionRequest { session_id: self.session_id.clone() };
        let answer = client.sessions.clone().get_session(request).await.expect("the session is still there");
        let session = answer.into_inner().session.expect("a session");
        let marks = session.watermarks.expect("watermarks");
        let end_bin = marks.applied_through;
        assert_eq!((marks.durable_through, marks.received_through), (end_bin, end_bin));
        assert!(
            end_bin >= self.durable_through,
            "session {}: {} was acknowledged as durable, {end_bin} found",
            self.session_id,
            self.durable_through
        );
        self.durable_through = end_bin;
        self.oracle.advance(&self.story, end_bin);
        assert_eq!((session.gap_count, session.gap_bins), self.oracle.gaps());
        if end_bin == 0 {
            return;
        }
        for (place, window) in WINDOWS.into_iter().enumerate() {
            for (lag, lag_bins) in LAGS.into_iter().enumerate() {
                self.compare_window(client, place, window, lag, lag_bins).await;
            }
        }
    }

    async fn compare_window(
        &mut self,
        client: &Client,
        place: usize,
        window: &str,
        lag: usize,
        lag_bins: u32,
    ) {
        let request = v1::GetCorrelationsRequest {
            session_id: self.session_id.clone(),
            window: window.to_owned(),
            lag_bins,
            header_only: false,
        };
        let mut parts =
            client.inference.clone().get_correlations(request).await.expect("correlations").into_inner();
        let expected = self.oracle.counts(place);
        let counts = &expected.counts;
        let (mut equal_time, mut lagged) = (Vec::new(), Vec::new());
        while let Some(part) = parts.message().await.expect("a part") {
            match part.part.expect("a part") {
                v1::get_correlations_response::Part::Header(header) => {
                    assert_eq!((header.first_bin, header.end_bin), (expected.first_bin, expected.end_bin));
                    assert_eq!(header.bins_observed, counts.bins);
                    assert_eq!(header.spikes, counts.spikes);
                    assert_eq!(header.transitions, counts.lags[lag].transitions);
                }
                v1::get_correlations_response::Part::Rows(rows) => {
                    equal_time.extend(rows.equal_time);
                    lagged.extend(rows.delayed);
                }
            }
        }
        assert!(counts.equal_time_correlations().iter().eq(&equal_time), "window {window}: C differs");
        assert!(
            counts.lags[lag].delayed_correlations().iter().eq(&lagged),
            "window {window}: D({lag_bins}) differs"
        );
    }

    /// Whether the daemon has closed the session, though nobody has heard of it.
    pub(crate) async fn is_gone(&self, client: &Client) -> bool {
        let request = v1::GetSessionRequest { session_id: self.session_id.clone() };
        match client.sessions.clone().get_session(request).await {
            Ok(_) => false,
            Err(status) if status.code() == Code::NotFound => true,
            Err(status) => panic!("session {}: {status}", self.session_id),
        }
    }

    /// Every spike of a closed session must be in its recording; nothing was sent since the last comparison.
    pub(crate) fn check_recording(&mut self, snapshots: &Path) {
        let expected: u64 = self.oracle.counts(0).counts.spikes.iter().sum();
        if self.durable_through == 0 {
            return;
        }
        let path = snapshots.join(&self.session_id).join(format!("{}.nwb", self.session_id));
        let recording = glauber::recording::open(&path).unwrap_or_else(|error| panic!("{error}"));
        let found: usize = recording.session.units.iter().map(|unit| unit.spike_times_ns.len()).sum();
        assert_eq!(found as u64, expected, "spikes in the recording of session {}", self.session_id);
    }

    /// Begin to close the session; nobody waits for it.
    pub(crate) fn begin_to_close(&self, client: &Client) {
        let request = v1::CloseSessionRequest { session_id: self.session_id.clone() };
        let mut sessions = client.sessions.clone();
        tokio::spawn(async move { drop(sessions.close_session(request).await) });
    }

    pub(crate) async fn close(&self, client: &Client) {
        let request = v1::CloseSessionRequest { session_id: self.session_id.clone() };
        client.sessions.clone().close_session(request).await.expect("it closes");
    }
}

fn encode(message: Message) -> v1::StreamSpikesRequest {
    let Message { block, trial_edges, trials } = message;
    let sparse = v1::SparseBins {
        active_counts: block.bins().map(|bin| bin.len() as u32).collect(),
        neurons: block.bins().flatten().map(|&neuron| u32::from(neuron)).collect(),
    };
    let trial = |TrialMark { start_bin, stop_bin }| v1::Trial { start_bin, stop_bin };
    let bins = v1::SpikeBins {
        first_bin: block.first_bin(),
        spikes: Some(v1::spike_bins::Spikes::Sparse(sparse)),
        trial_edges,
        trials: trials.into_iter().map(trial).collect(),
    };
    v1::StreamSpikesRequest { message: Some(Request::Bins(bins)) }
}
