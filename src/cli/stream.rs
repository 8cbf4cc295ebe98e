//! Sending a binned recording into a session: batches, pace, flow control, acknowledgements, reconnection.

use std::sync::Arc;
use std::time::Duration;

use glauber::ingest::BinnedRecording;
use glauber::model::{SpikeBlock, Trial};
use glauber::proto::v1;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::client::Daemon;
use super::error::CliError;
use super::values::Speed;

/// Messages waiting between the sender and the connection; the daemon's backpressure reaches the sender through it.
const MESSAGES_WAITING_MAX: usize = 8;
/// Largest body of one message, well below the 4 MiB a gRPC server takes by default.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bins per message when nobody paces.
const BATCH_BINS_MAX: u64 = 2048;
/// Recording time per message when sent by the clock.
const BATCH_PACED: Duration = Duration::from_millis(20);
/// How long a lost connection is taken up again without a single acknowledgement in between: a daemon that is started again is
/// back within seconds, and takes up a long session at some hundred thousand bins a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before the first attempt; each further one is twice as long, up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(3);

/// What to send and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The bins.
    pub(crate) recording: Arc<BinnedRecording>,
    /// Only the bins before this one.
    pub(crate) end_bin: u64,
    /// By the clock or as fast as possible.
    pub(crate) speed: Speed,
    /// Bins per message; chosen by size and speed when `None`.
    pub(crate) batch_bins: Option<u64>,
    /// Epoch of the first connection; the streams of one session that follow one another need growing ones.
    pub(crate) first_epoch: u64,
    /// How long a lost connection is taken up again without any progress in between.
    pub(crate) patience: Duration,
}

impl Plan {
    /// All of a recording as fast as the daemon takes it.
    pub(crate) fn all(recording: Arc<BinnedRecording>) -> Self {
        let end_bin = recording.n_bins;
        Self { recording, end_bin, speed: Speed::Max, batch_bins: None, first_epoch: 0, patience: PATIENCE }
    }

    /// The bin after the last one that is sent.
    fn last_bin(&self) -> u64 {
        let before_end = self.recording.blocks.iter().rfind(|block| block.first_bin() < self.end_bin);
        before_end.map_or(0, |block| block.end_bin().min(self.end_bin))
    }

    fn batch_bins(&self) -> u64 {
        let bytes_per_bin = self.recording.neurons.len().div_ceil(8);
        let fit = (MESSAGE_BYTES_MAX / bytes_per_bin.max(1)).max(1) as u64;
        let wanted = self.batch_bins.unwrap_or_else(|| match self.speed {
            Speed::Max => BATCH_BINS_MAX,
            Speed::Times(factor) => {
                let recorded_s = BATCH_PACED.as_secs_f64() * factor;
                ((recorded_s / self.recording.bin_width.seconds()) as u64).clamp(1, BATCH_BINS_MAX)
            }
        });
        wanted.clamp(1, fit)
    }
}

/// A run of bins together with the trial edges inside it and the trials that start in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    /// The bins.
    pub(crate) block: SpikeBlock,
    /// Trial edges at the left edge of one of the bins, increasing.
    pub(crate) trial_edges: Vec<u64>,
    /// Trials that start in one of the bins, or in the gap behind them: their later bins may be observed.
    pub(crate) trials: Vec<Trial>,
}

/// The observed bins `from..end` of a recording in batches of at most `batch_bins`.
///
/// An edge inside a gap is left out: no transition crosses a gap anyway.
pub(crate) fn batches(
    recording: &BinnedRecording,
    from: u64,
    end: u64,
    batch_bins: u64,
) -> impl Iterator<Item = Batch> + '_ {
    recording.blocks.iter().enumerate().flat_map(move |(place, block)| {
        let after = recording.blocks.get(place + 1).map_or(u64::MAX, SpikeBlock::first_bin);
        let (mut next, stop) = (from.max(block.first_bin()), end.min(block.end_bin()));
        std::iter::from_fn(move || {
            if next >= stop {
                return None;
            }
            let to = stop.min(next.saturating_add(batch_bins));
            let base = block.first_bin();
            let part = block.slice((next - base) as usize, (to - base) as usize);
            let edges = &recording.trial_edges;
            let (a, b) = (edges.partition_point(|&e| e < next), edges.partition_point(|&e| e < to));
            let until = if to == block.end_bin() { after } else { to };
            let trials = &recording.trials;
            let starts_before = |bin: u64| trials.partition_point(|trial| trial.start_bin < bin);
            let trials = trials[starts_before(next)..starts_before(until)].to_vec();
            next = to;
            Some(Batch { block: part, trial_edges: edges[a..b].to_vec(), trials })
        })
    })
}

/// The batch as a message, in the shorter of the two forms.
pub(crate) fn encode(batch: &Batch, n_neurons: usize) -> v1::SpikeBins {
    let block = &batch.block;
    let bytes_per_bin = n_neurons.div_ceil(8);
    // A count or an index takes one byte below 128 and two up to the largest index.
    let sparse_bytes = block.n_bins() + block.n_active() * if n_neurons <= 128 { 1 } else { 2 };
    let spikes = if sparse_bytes <= block.n_bins() * bytes_per_bin {
        v1::spike_bins::Spikes::Sparse(v1::SparseBins {
            active_counts: block.bins().map(|bin| bin.len() as u32).collect(),
            neurons: block.bins().flatten().map(|&neuron| u32::from(neuron)).collect(),
        })
    } else {
        let mut bits = vec![0u8; block.n_bins() * bytes_per_bin];
        for (bin, row) in block.bins().zip(bits.chunks_exact_mut(bytes_per_bin)) {
            for &neuron in bin {
                row[usize::from(neuron) / 8] |= 1 << (neuron % 8);
            }
        }
        v1::spike_bins::Spikes::Packed(v1::PackedBins { bin_count: block.n_bins() as u32, bits })
    };
    v1::SpikeBins {
        first_bin: block.first_bin(),
        trial_edges: batch.trial_edges.clone(),
        trials: batch.trials.iter().map(trial).collect(),
        spikes: Some(spikes),
    }
}

fn trial(&Trial { start_bin, stop_bin }: &Trial) -> v1::Trial {
    v1::Trial { start_bin, stop_bin: Some(stop_bin) }
}

/// Send the plan's bins into a session and wait until the daemon has taken the last one.
///
/// `on_ack` hears of every acknowledgement. A lost connection is taken up again where the daemon says it stopped, also when that is a
/// daemon that has been started again and has lost what was counted and not yet durable.
pub(crate) async fn send(
    daemon: &Daemon,
    session_id: &str,
    plan: &Plan,
    on_ack: &mut dyn FnMut(v1::Watermarks),
) -> Result<v1::Watermarks, CliError> {
    let started = Instant::now();
    // Without a journal a daemon that goes down takes the session along.
    let is_journaled = daemon.keeps_journal().await?;
    let (mut failures, mut epoch) = (0, plan.first_epoch);
    let mut progress_at = Instant::now();
    let mut last = v1::Watermarks::default();
    loop {
        // What is received may be lost with a daemon that keeps a journal; what is durable may not.
        let progress = |marks: &v1::Watermarks| match is_journaled {
            true => marks.durable_through,
            false => marks.received_through,
        };
        let before = progress(&last);
        match send_once(daemon, session_id, plan, started, epoch, &mut last, on_ack).await {
            Ok(()) => return Ok(last),
            Err(Interruption::Final(error)) => return Err(error),
            Err(Interruption::Stopped(_)) if !is_journaled => {
                return Err(CliError::DaemonStops {
                    address: daemon.address().to_owned(),
                    session_id: session_id.to_owned(),
                    applied_through: last.applied_through,
                });
            }
            Err(Interruption::Lost(error) | Interruption::Stopped(error)) => {
                if progress(&last) > before {
                    (failures, progress_at) = (0, Instant::now());
                }
                // The daemon may not have noticed yet: a higher epoch takes over from the stream that broke.
                epoch += 1;
                let pause = (PAUSE_FIRST * 2_u32.saturating_pow(failures)).min(PAUSE_LONGEST);
                failures += 1;
                if progress_at.elapsed() + pause > plan.patience {
                    return Err(error);
                }
                tracing::warn!("{error}; trying again in {} ms", pause.as_millis());
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Why a stream ended early.
enum Interruption {
    /// The connection broke; the daemon may still be there.
    Lost(CliError),
    /// The daemon goes down.
    Stopped(CliError),
    /// The daemon said no.
    Final(CliError),
}

async fn send_once(
    daemon: &Daemon,
    session_id: &str,
    plan: &Plan,
    started: Instant,
    epoch: u64,
    last: &mut v1::Watermarks,
    on_ack: &mut dyn FnMut(v1::Watermarks),
) -> Result<(), Interruption> {
    let failed = |status: tonic::Status| {
        let error = CliError::from_status("sending spikes", daemon.address(), &status);
        match status.code() {
            _ if matches!(error, CliError::NoDaemon { .. }) => Interruption::Lost(error),
            // An answer, not a broken connection: the daemon goes down, and the session with it.
            Code::Unavailable => Interruption::Stopped(error),
            Code::Cancelled => Interruption::Lost(error),
            // There may be room again.
            Code::ResourceExhausted if status.message().contains("the journal is full") => {
                Interruption::Lost(error)
            }
            _ => Interruption::Final(error),
        }
    };
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    let session_id = session_id.to_owned();
    let open =
        v1::OpenStream { session_id, producer_epoch: epoch, durable_acks_only: false, timestamps: None };
    let open = v1::stream_spikes_request::Message::Open(open);
    // The channel is empty, so there is room.
    let _ = sender.try_send(v1::StreamSpikesRequest { message: Some(open) });
    let response = daemon.ingest().stream_spikes(ReceiverStream::new(receiver)).await.map_err(failed)?;
    let mut acks = response.into_inner();
    let from = resume_from(&mut acks, daemon).await.map_err(|refused| match refused {
        Ok(status) => failed(status),
        Err(error) => Interruption::Final(error),
    })?;
    let feeder = tokio::spawn(feed(sender, plan.clone(), from, started));
    loop {
        match acks.message().await {
            Ok(Some(response)) => {
                if let Some(v1::stream_spikes_response::Message::Ack(ack)) = response.message
                    && let Some(watermarks) = ack.watermarks
                {
                    *last = watermarks;
                    on_ack(watermarks);
                }
            }
            // What a daemon that is killed says last can look like an end.
            Ok(None) if last.received_through < plan.last_bin() => {
                feeder.abort();
                return Err(Interruption::Lost(daemon.protocol("an end before everything was acknowledged")));
            }
            Ok(None) => break,
            Err(status) => {
                feeder.abort();
                return Err(failed(status));
            }
        }
    }
    feeder.abort();
    Ok(())
}

async fn resume_from(
    acks: &mut Streaming<v1::StreamSpikesResponse>,
    daemon: &Daemon,
) -> Result<u64, Result<tonic::Status, CliError>> {
    match acks.message().await.map_err(Ok)? {
        Some(v1::StreamSpikesResponse {
            message: Some(v1::stream_spikes_response::Message::Opened(opened)),
        }) => Ok(opened.resume_from_bin),
        _ => Err(Err(daemon.protocol("no place to resume from"))),
    }
}

/// Put the messages into the channel, each when its last bin is over if sent by the clock.
async fn feed(sender: mpsc::Sender<v1::StreamSpikesRequest>, plan: Plan, from: u64, started: Instant) {
    let n_neurons = plan.recording.neurons.len();
    let width_s = plan.recording.bin_width.seconds();
    for batch in batches(&plan.recording, from, plan.end_bin, plan.batch_bins()) {
        if let Speed::Times(factor) = plan.speed {
            let due_s = batch.block.end_bin() as f64 * width_s / factor;
            tokio::time::sleep_until(started + Duration::from_secs_f64(due_s)).await;
        }
        let bins = v1::stream_spikes_request::Message::Bins(encode(&batch, n_neurons));
        // The receiver is gone when the call has failed; its status says why.
        if sender.send(v1::StreamSpikesRequest { message: Some(bins) }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glauber::model::{BinWidth, Neuron};

    fn recording() -> BinnedRecording {
        let neurons = (0..20).map(|id| Neuron { id, label: String::new() }).collect();
        let blocks = vec![
            SpikeBlock::from_lists(0, &[vec![1], vec![0, 2], vec![], vec![3]], 20).unwrap(),
            SpikeBlock::from_lists(10, &[vec![19], vec![]], 20).unwrap(),
        ];
        BinnedRecording {
            neurons,
            bin_width: BinWidth::from_us(1000).unwrap(),
            origin_ns: 0,
            n_bins: 12,
            blocks,
            trial_edges: vec![0, 3, 5, 10, 11],
            trials: [(0, 3), (3, 5), (6, 11), (11, 12)]
                .map(|(start_bin, stop_bin)| Trial { start_bin, stop_bin })
                .to_vec(),
            merged_spikes: 0,
            masked_spikes: 0,
        }
    }

    #[test]
    fn batches_hold_every_observed_bin_once_with_its_edges() {
        let recording = recording();
        for batch_bins in 1..6 {
            let parts: Vec<Batch> = batches(&recording, 0, 12, batch_bins).collect();
            let bins: usize = parts.iter().map(|part| part.block.n_bins()).sum();
            let edges: Vec<u64> = parts.iter().flat_map(|part| part.trial_edges.clone()).collect();
            assert_eq!(bins, 6);
            assert_eq!(edges, [0, 3, 10, 11], "the edge in the gap is not sent");
            let trials: Vec<Trial> = parts.iter().flat_map(|part| part.trials.clone()).collect();
            assert_eq!(trials, recording.trials);
            for part in &parts {
                assert!(part.trials.iter().all(|t| t.start_bin >= part.block.first_bin()));
                assert!(
                    part.trial_edges.iter().all(|&e| e >= part.block.first_bin() && e < part.block.end_bin())
                );
            }
        }
    }

    #[test]
    fn resuming_skips_what_the_daemon_has() {
        let recording = recording();
        let firsts: Vec<u64> = batches(&recording, 3, 11, 2).map(|part| part.block.first_bin()).collect();
        assert_eq!(firsts, [3, 10]);
        assert_eq!(batches(&recording, 12, 12, 2).count(), 0);
    }

    #[test]
    fn the_shorter_form_is_sent_and_holds_the_same_spikes() {
        let quiet = Batch {
            block: SpikeBlock::from_lists(4, &[vec![], vec![9], vec![]], 20).unwrap(),
            trial_edges: vec![4],
            trials: vec![Trial { start_bin: 4, stop_bin: 9 }],
        };
        let message = encode(&quiet, 20);
        let Some(v1::spike_bins::Spikes::Sparse(sparse)) = message.spikes else { panic!("expected sparse") };
        assert_eq!(message.trials, [v1::Trial { start_bin: 4, stop_bin: Some(9) }]);
        assert_eq!((message.first_bin, message.trial_edges), (4, vec![4]));
        assert_eq!((sparse.active_counts, sparse.neurons), (vec![0, 1, 0], vec![9]));

        let busy = Batch {
            block: SpikeBlock::from_lists(0, &[(0..20).collect(), vec![0, 7, 8, 19]], 20).unwrap(),
            trial_edges: vec![],
            trials: vec![],
        };
        let Some(v1::spike_bins::Spikes::Packed(packed)) = encode(&busy, 20).spikes else {
            panic!("expected packed")
        };
        assert_eq!(packed.bin_count, 2);
        assert_eq!(packed.bits, [0xff, 0xff, 0x0f, 0x81, 0x01, 0x08]);
    }
}
