//! Predictions of the next bin, as bins are counted: for closed loops, so without detours.
//!
//! The engine passes counted bins on through a channel that overwrites what readers are too slow for; each reader has a thread of its
//! own that predicts from them with the estimate of the newest publication. Nothing a reader does reaches the engine.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array1;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tonic::Status;

use super::choice::Choice;
use super::convert::estimator_to_proto;
use super::handle::SessionHandle;
use super::publish::{Found, Latest, Publication};
use crate::kinetic::Predictor;
use crate::model::{SpikeBlock, Trial};
use crate::proto::v1;
use crate::proto::v1::stream_predictions_response::Part;

/// Most bytes of bins passed on in one piece, unless one bin takes more.
const PIECE_BYTES: usize = 1 << 16;
/// Pieces a reader may be behind before it misses some: with these the readers of a session hold 32 MiB at most.
pub(super) const PIECES_QUEUED: usize = 256;
/// Most bytes of probabilities in one message.
const MESSAGE_BYTES: usize = 1 << 18;

/// Counted bins on their way to those who predict from them.
#[derive(Debug)]
pub(super) struct Applied {
    block: SpikeBlock,
    /// Bins counted before these, gaps left out.
    observed_before: u64,
    /// The trials that have bins in the block, in order.
    trials: Arc<[Trial]>,
}

impl Applied {
    /// The bins of a block from place `fresh`, before which so many have been counted, in pieces.
    pub(super) fn pieces(
        block: &SpikeBlock,
        fresh: usize,
        observed_before: u64,
        trials: Arc<[Trial]>,
    ) -> impl Iterator<Item = Self> {
        let mut start = fresh;
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = |&k: &usize| {
                bytes += size_of::<u32>() + size_of_val(block.bin(k));
                k == start || bytes <= PIECE_BYTES
            };
            let end = start + (start..block.n_bins()).take_while(fits).count();
            let piece = (start < end).then(|| Self {
                block: block.slice(start, end),
                observed_before: observed_before + (start - fresh) as u64,
                trials: Arc::clone(&trials),
            });
            start = end;
            piece
        })
    }
}

impl Applied {
    /// The active neurons of a bin, and its place in its trial when it is in one.
    fn bin(&self, k: usize) -> (&[u16], Option<u64>) {
        let bin = self.block.first_bin() + k as u64;
        let started = self.trials.partition_point(|trial| trial.start_bin <= bin);
        let trial = self.trials[..started].last().filter(|trial| bin < trial.stop_bin);
        (self.block.bin(k), trial.map(|trial| bin - trial.start_bin))
    }
}

/// What someone wants predicted.
pub(super) struct Asked {
    pub(super) session: Arc<SessionHandle>,
    pub(super) choice: Choice,
    /// Indices of neurons.
    pub(super) neurons: Vec<u32>,
}

/// Where predictions go.
pub(super) type Answers = mpsc::Sender<Result<v1::StreamPredictionsResponse, Status>>;

/// Predict from bins as they are counted until the session ends or the reader goes. Blocks its thread.
pub(super) fn predict(
    asked: Asked,
    mut applied: broadcast::Receiver<Arc<Applied>>,
    answers: &Answers,
    runtime: &Handle,
) {
    let mut ended = asked.session.publisher.watch();
    let mut stream = Stream { asked, model: None, expected: None, skipped: 0 };
    while let Some(applied) = runtime.block_on(next(&mut applied, answers, &mut ended)) {
        stream.count_skipped(&applied);
        for message in stream.predictions(&applied) {
            if answers.blocking_send(Ok(response(Part::Predictions(message)))).is_err() {
                return;
            }
        }
    }
    if stream.asked.session.is_failed() {
        // A client that has gone needs no status.
        drop(answers.blocking_send(Err(stream.asked.session.closed_error().into())));
    }
}

/// A message of the stream.
pub(super) fn response(part: Part) -> v1::StreamPredictionsResponse {
    v1::StreamPredictionsResponse { part: Some(part) }
}

/// The next counted bins; `None` when no more come, or nobody waits for them.
async fn next(
    applied: &mut broadcast::Receiver<Arc<Applied>>,
    answers: &Answers,
    ended: &mut watch::Receiver<Latest>,
) -> Option<Arc<Applied>> {
    loop {
        // What was counted goes before the end.
        tokio::select! {
            biased;
            received = applied.recv() => match received {
                Ok(applied) => return Some(applied),
                // Those that come tell how many were missed.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            },
            () = answers.closed() => return None,
            _ = ended.wait_for(|latest| latest.ended) => return None,
        }
    }
}

struct Stream {
    asked: Asked,
    model: Option<Model>,
    /// Bins counted before the next piece, if nothing is missed.
    expected: Option<u64>,
    /// Bins missed since the last message.
    skipped: u64,
}

/// The estimate that predicts.
struct Model {
    publication: Arc<Publication>,
    told: v1::PredictionModel,
}

impl Stream {
    fn count_skipped(&mut self, applied: &Applied) {
        let before = applied.observed_before;
        self.skipped += self.expected.map_or(0, |expected| before.saturating_sub(expected));
        self.expected = Some(before + applied.block.n_bins() as u64);
    }

    /// What the bins say by the newest estimate, in messages made one by one; nothing while there is no estimate.
    fn predictions(&mut self, applied: &Applied) -> impl Iterator<Item = v1::Predictions> {
        let block = &applied.block;
        self.follow_publications();
        let found = self.model.as_ref().and_then(|model| {
            let found = self.asked.choice.find(&self.asked.session, &model.publication).ok()?;
            Some((model, found))
        });
        let mut skipped = if found.is_some() { std::mem::take(&mut self.skipped) } else { 0 };
        let neurons = &self.asked.neurons;
        found.into_iter().flat_map(move |(model, found)| {
            let predictor = found.predictor();
            let message = move |bins: Range<usize>| v1::Predictions {
                first_bin: block.first_bin() + bins.start as u64,
                bin_count: bins.len() as u32,
                probabilities: probabilities(predictor, neurons, bins.map(|k| applied.bin(k))),
                model: Some(model.told.clone()),
                skipped: std::mem::take(&mut skipped),
            };
            message_bins(block.n_bins(), neurons.len()).map(message)
        })
    }

    fn follow_publications(&mut self) {
        let Some(publication) = self.asked.session.publisher.latest() else { return };
        if self.model.as_ref().is_some_and(|model| model.told.publication == publication.sequence) {
            return;
        }
        // One without the estimate asked for leaves the model before in its place.
        if let Ok(found) = self.asked.choice.find(&self.asked.session, &publication) {
            let told = told(&publication, &found);
            self.model = Some(Model { told, publication: Arc::clone(&publication) });
        }
    }
}

/// So many bins, cut so that the probabilities of so many neurons fit a message.
fn message_bins(n_bins: usize, n_neurons: usize) -> impl Iterator<Item = Range<usize>> {
    let per_message = (MESSAGE_BYTES / (size_of::<f32>() * n_neurons.max(1))).max(1);
    (0..n_bins).step_by(per_message).map(move |start| start..n_bins.min(start + per_message))
}

fn told(publication: &Publication, found: &Found<'_>) -> v1::PredictionModel {
    let scored = found.scored();
    v1::PredictionModel {
        publication: publication.sequence,
        estimator: estimator_to_proto(scored.estimate.estimator).into(),
        window: found.snapshot.window.window.to_string(),
        ridge: scored.estimate.ridge,
        end_bin: scored.end_bin,
    }
}

/// Probabilities of a spike of each of these neurons after each of these bins, bin after bin.
fn probabilities<'a>(
    predictor: &Predictor,
    neurons: &[u32],
    bins: impl ExactSizeIterator<Item = (&'a [u16], Option<u64>)>,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(bins.len() * neurons.len());
    // For a few neurons it costs less to look their couplings up one by one.
    if neurons.len() * 4 < predictor.n_neurons() {
        for (active, trial_bin) in bins {
            out.extend(neurons.iter().map(|&i| predictor.probability(i as usize, active, trial_bin) as f32));
        }
        return out;
    }
    let mut log_odds = Array1::zeros(predictor.n_neurons());
    for (active, trial_bin) in bins {
        predictor.log_odds(active, trial_bin, &mut log_odds);
        out.extend(neurons.iter().map(|&i| (1.0 / (1.0 + (-log_odds[i as usize]).exp())) as f32));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::journaling::SessionJournal;
    use crate::daemon::session_spec::session_spec;

    #[tokio::test]
    async fn the_end_of_a_failed_engine_is_an_error_and_that_of_a_closed_one_is_not() {
        for failed in [false, true] {
            let asked = v1::SessionSpec { neuron_count: 2, bin_width_us: 20_000, ..Default::default() };
            let config = crate::daemon::DaemonConfig::default();
            let spec = session_spec(asked, &config.defaults, &config.limits).unwrap();
            let (sender, _) = mpsc::channel(1);
            let journal = SessionJournal::default();
            let session = SessionHandle::new("s-1".to_owned(), Arc::new(spec), sender, 1 << 20, journal);
            let session = Arc::new(session);
            let choice = Choice::of_predictions(&session, &v1::StreamPredictionsRequest::default()).unwrap();
            let (answers, mut stream) = mpsc::channel(1);
            let (applied, runtime) = (session.applied.subscribe(), Handle::current());
            if failed {
                session.set_failed();
            }
            session.set_closed();
            session.publisher.end();
            let asked = Asked { session, choice, neurons: vec![0, 1] };
            let predicted = tokio::task::spawn_blocking(move || predict(asked, applied, &answers, &runtime));
            let end = stream.recv().await;
            assert_eq!(end.map(|end| end.unwrap_err().code()), failed.then_some(tonic::Code::Internal));
            predicted.await.unwrap();
        }
    }

    #[test]
    fn pieces_are_the_block_from_its_first_fresh_bin() {
        let mut block = SpikeBlock::empty(10);
        let all: Vec<u16> = (0..1000).collect();
        (0..100_u16).for_each(|k| block.push_sorted(&all[..usize::from(k) * 10]));
        let trials =
            Arc::from([Trial { start_bin: 12, stop_bin: 40 }, Trial { start_bin: 50, stop_bin: u64::MAX }]);
        let pieces: Vec<Applied> = Applied::pieces(&block, 3, 70, trials).collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.block.bytes() <= PIECE_BYTES + 4));
        let mut joined = SpikeBlock::empty(13);
        for piece in &pieces {
            assert_eq!(piece.observed_before, 70 + joined.n_bins() as u64);
            joined.extend_from(&piece.block, 0, piece.block.n_bins());
        }
        assert_eq!(joined, block.slice(3, 100));
        assert_eq!(Applied::pieces(&block, 100, 0, Arc::from([])).count(), 0);
        let places = [0, 26, 27, 36, 37].map(|k| pieces[0].bin(k).1);
        assert_eq!(places, [Some(1), Some(27), None, None, Some(0)], "bins 13, 39, 40, 49 and 50");
    }
}
