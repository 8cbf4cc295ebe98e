use std::ops::Range;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{ANSWERS_QUEUED, Answers};
use crate::daemon::choice::{Choice, window_index};
use crate::daemon::couplings::{Query, rows_per_chunk};
use crate::daemon::engine::Command;
use crate::daemon::equilibrium::{self, Reconstruction};
use crate::daemon::error::RequestError;
use crate::daemon::handle::SessionHandle;
use crate::daemon::predictions::{self, Asked, predict};
use crate::daemon::recent_spikes::recent_spikes;
use crate::daemon::registry::Registry;
use crate::daemon::score_history::score_history;
use crate::moments::{Counts, LagCounts, connected, triangle_row};
use crate::proto::v1;
use crate::proto::v1::get_correlations_response::Part as CorrelationsPart;
use crate::proto::v1::inference_service_server::InferenceService;
use crate::proto::v1::stream_predictions_response::Part as PredictionsPart;
use crate::session::WindowCounts;

/// Couplings, correlations and predictions out.
pub(in crate::daemon) struct InferenceRpc {
    pub(in crate::daemon) registry: Arc<Registry>,
}

#[tonic::async_trait]
impl InferenceService for InferenceRpc {
    type GetCouplingsStream = Answers<v1::GetCouplingsResponse>;
    type WatchCouplingsStream = ReceiverStream<Result<v1::WatchCouplingsResponse, Status>>;
    type GetCorrelationsStream = Answers<v1::GetCorrelationsResponse>;
    type GetEquilibriumModelStream = Answers<v1::GetEquilibriumModelResponse>;
    type StreamPredictionsStream = ReceiverStream<Result<v1::StreamPredictionsResponse, Status>>;

    async fn get_couplings(
        &self,
        request: Request<v1::GetCouplingsRequest>,
    ) -> Result<Response<Self::GetCouplingsStream>, Status> {
        let query = Query::check(&self.registry, request.into_inner().query)?;
        let publication = query.session.publication()?;
        let place = if query.is_bulk() { Some(self.registry.bulk_answer().await?) } else { None };
        let parts = query.parts(&publication, 0).await?;
        let answers = parts.map(move |part| {
            // Given back with the answer.
            let _place = &place;
            Ok(part.into())
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn watch_couplings(
        &self,
        request: Request<v1::WatchCouplingsRequest>,
    ) -> Result<Response<Self::WatchCouplingsStream>, Status> {
        let query = Query::check(&self.registry, request.into_inner().query)?;
        let place = self.registry.watcher()?;
        let (answers, stream) = mpsc::channel(ANSWERS_QUEUED);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = watch(&query, &answers).await {
                // A client that has gone needs no status.
                drop(answers.send(Err(error.into())).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_correlations(
        &self,
        request: Request<v1::GetCorrelationsRequest>,
    ) -> Result<Response<Self::GetCorrelationsStream>, Status> {
        let request = request.into_inner();
        let session = self.registry.get(&request.session_id)?;
        let index = window_index(&session, &request.window, "window")?;
        let lag_bins = lag_of_session(&session, request.lag_bins.max(1))?;
        let place = self.registry.bulk_answer().await?;
        let window = current_counts(&session, index).await?;
        let parts = correlations(&session, &window, lag_bins, request.header_only)?;
        let answers = parts.map(move |part| {
            // Given back with the answer.
            let _place = &place;
            Ok(part)
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn stream_predictions(
        &self,
        request: Request<v1::StreamPredictionsRequest>,
    ) -> Result<Response<Self::StreamPredictionsStream>, Status> {
        let asked = predictions_asked(&self.registry, request.into_inner())?;
        let place = self.registry.prediction_stream()?;
        let header = v1::PredictionsHeader {
            session_id: asked.session.id.clone(),
            neurons: asked.neurons.clone(),
            neuron_ids: asked.neurons.iter().map(|&i| asked.session.spec.neurons[i as usize].id).collect(),
        };
        let (answers, stream) = mpsc::channel(ANSWERS_QUEUED);
        // There is room for it.
        drop(answers.try_send(Ok(predictions::response(PredictionsPart::Header(header)))));
        let (applied, runtime) = (asked.session.applied.subscribe(), Handle::current());
        tokio::task::spawn_blocking(move || {
            let _place = place;
            predict(asked, applied, &answers, &runtime);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn refit(&self, request: Request<v1::RefitRequest>) -> Result<Response<v1::RefitResponse>, Status> {
        let v1::RefitRequest { session_id, equilibrium } = request.into_inner();
        let session = self.registry.get(&session_id)?;
        // First, so that the publication that is told of holds both.
        let models = if equilibrium { Some(session.fit_equilibrium().await?) } else { None };
        let published = session.refit().await?;
        let (publication, end_bin) = (published.sequence, published.end_bin());
        let equilibrium_publication = models.map(|models| models.sequence);
        Ok(Response::new(v1::RefitResponse { publication, end_bin, equilibrium_publication }))
    }

    async fn get_equilibrium_model(
        &self,
        request: Request<v1::GetEquilibriumModelRequest>,
    ) -> Result<Response<Self::GetEquilibriumModelStream>, Status> {
        let query = equilibrium::Query::check(&self.registry, request.get_ref())?;
        let place = if query.is_bulk() { Some(self.registry.bulk_answer().await?) } else { None };
        let answers = query.parts().await?.map(move |part| {
            // Given back with the answer.
            let _place = &place;
            Ok(part)
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn reconstruct(
        &self,
        request: Request<v1::ReconstructRequest>,
    ) -> Result<Response<v1::ReconstructResponse>, Status> {
        let asked = Reconstruction::check(&self.registry, request.get_ref())?;
        let place = self.registry.bulk_answer().await?;
        Ok(Response::new(asked.answer(place).await?))
    }

    async fn get_recent_spikes(
        &self,
        request: Request<v1::GetRecentSpikesRequest>,
    ) -> Result<Response<v1::GetRecentSpikesResponse>, Status> {
        let session = self.registry.get(&request.get_ref().session_id)?;
        let _place = self.registry.bulk_answer().await?;
        Ok(Response::new(recent_spikes(&session, request.get_ref()).await?))
    }

    async fn get_score_history(
        &self,
        request: Request<v1::GetScoreHistoryRequest>,
    ) -> Result<Response<v1::GetScoreHistoryResponse>, Status> {
        let session = self.registry.get(&request.get_ref().session_id)?;
        Ok(Response::new(score_history(&session)))
    }
}

/// What is to be predicted, checked against the session it names.
fn predictions_asked(
    registry: &Registry,
    mut request: v1::StreamPredictionsRequest,
) -> Result<Asked, RequestError> {
    let session = registry.get(&request.session_id)?;
    if session.is_closed() {
        return Err(session.closed_error());
    }
    let choice = Choice::of_predictions(&session, &request)?;
    let n_neurons = session.spec.n_neurons();
    let mut neurons = std::mem::take(&mut request.neurons);
    if let Some(&neuron) = neurons.iter().find(|&&neuron| neuron as usize >= n_neurons) {
        return Err(RequestError::UnknownNeuron { neuron, n_neurons });
    }
    if neurons.len() > n_neurons {
        return Err(RequestError::TooManyNeurons { asked: neurons.len(), n_neurons });
    }
    if neurons.is_empty() {
        neurons.extend(0..n_neurons as u32);
    }
    Ok(Asked { session, choice, neurons })
}

/// Send the last publication and each one that follows, until the session ends or the client goes. One without the estimate asked for
/// is passed over; when it was so to the end, that is the answer, and so is an engine that has failed.
async fn watch(
    query: &Query,
    answers: &mpsc::Sender<Result<v1::WatchCouplingsResponse, Status>>,
) -> Result<(), RequestError> {
    let mut updates = query.session.publisher.watch();
    let (mut seen, mut sent, mut missing) = (None, None, None);
    loop {
        let latest = updates.borrow_and_update().clone();
        if let Some(publication) = latest.publication.filter(|publication| seen != Some(publication.sequence))
        {
            seen = Some(publication.sequence);
            let skipped = sent.map_or(0, |sent| publication.sequence - sent - 1);
            match query.parts(&publication, skipped).await {
                Ok(parts) => {
                    for part in parts {
                        if answers.send(Ok(part.into())).await.is_err() {
                            return Ok(());
                        }
                    }
                    sent = seen;
                }
                Err(error @ (RequestError::NotEstimated { .. } | RequestError::NothingScored { .. })) => {
                    missing = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if latest.ended && query.session.is_failed() {
            return Err(query.session.closed_error());
        }
        if latest.ended {
            return missing.filter(|_| sent.is_none()).map_or(Ok(()), Err);
        }
        tokio::select! {
            changed = updates.changed() => if changed.is_err() { return Ok(()) },
            () = answers.closed() => return Ok(()),
        }
    }
}

fn lag_of_session(session: &SessionHandle, lag_bins: u32) -> Result<u32, RequestError> {
    let lags = session.spec.lags.as_slice();
    if lags.contains(&lag_bins) {
        return Ok(lag_bins);
    }
    let available: Vec<_> = lags.iter().map(ToString::to_string).collect();
    Err(RequestError::NotOfSession {
        field: "lag_bins",
        asked: lag_bins.to_string(),
        available: available.join(", "),
    })
}

/// The counts of a window: of an open session as of its newest bin, of a closed one as of its last.
async fn current_counts(session: &SessionHandle, index: usize) -> Result<WindowCounts, RequestError> {
    match session.ask(|reply| Command::WindowCounts { index, reply }).await {
        Ok(window) => Ok(window),
        Err(error) => {
            let publication = session.publisher.latest().ok_or(error.clone())?;
            publication.snapshots.get(index).map(|snapshot| snapshot.window.clone()).ok_or(error)
        }
    }
}

type CorrelationParts = Box<dyn Iterator<Item = v1::GetCorrelationsResponse> + Send>;

fn correlations(
    session: &SessionHandle,
    window: &WindowCounts,
    lag_bins: u32,
    header_only: bool,
) -> Result<CorrelationParts, RequestError> {
    let counts = &window.counts;
    let lag = counts.lag(lag_bins).ok_or(RequestError::Stopped { what: "query" })?;
    let header = v1::CorrelationsHeader {
        session_id: session.id.clone(),
        window: window.window.to_string(),
        first_bin: window.first_bin,
        end_bin: window.end_bin,
        bins_observed: counts.bins,
        lag_bins,
        transitions: lag.transitions,
        spikes: counts.spikes.clone(),
        magnetization: counts.magnetization().to_vec(),
        magnetization_sender: lag.magnetization_sender().to_vec(),
        magnetization_receiver: lag.magnetization_receiver().to_vec(),
        neuron_ids: session.spec.neurons.iter().map(|neuron| neuron.id).collect(),
    };
    let message = |part| v1::GetCorrelationsResponse { part: Some(part) };
    let header = std::iter::once(message(CorrelationsPart::Header(header)));
    if header_only {
        return Ok(Box::new(header));
    }
    let n = counts.n_neurons;
    let per_chunk = rows_per_chunk(n, 2);
    let counts = Arc::clone(counts);
    // Each chunk is computed when it is sent: an answer that nobody reads holds counts alone.
    let rows = (0..n).step_by(per_chunk).map_while(move |first| {
        let (lag, rows) = (counts.lag(lag_bins)?, first..n.min(first + per_chunk));
        Some(message(CorrelationsPart::Rows(v1::CorrelationRows {
            first_row: first as u32,
            row_count: rows.len() as u32,
            equal_time: equal_time_rows(&counts, rows.clone()),
            delayed: rows.flat_map(|row| lag.delayed_correlations_row(row)).collect(),
        })))
    });
    Ok(Box::new(header.chain(rows)))
}

/// Rows of the equal-time correlations, row after row. What lies below the diagonal is read from the rows above, where those of
/// neighbours lie together.
fn equal_time_rows(counts: &Counts, rows: Range<usize>) -> Vec<f64> {
    let n = counts.n_neurons;
    let LagCounts { transitions, sender, .. } = &counts.lags[0];
    let value = |both: u64, i: usize, j: usize| connected(*transitions, both, sender[i], sender[j]);
    let mut values = vec![0.0; rows.len() * n];
    for above in 0..rows.end {
        let of_row = &counts.equal_time[triangle_row(n, above)..][..n - above];
        for row in rows.start.max(above)..rows.end {
            values[(row - rows.start) * n + above] = value(of_row[row - above], row, above);
        }
        if let Some(place) = above.checked_sub(rows.start) {
            let after = &mut values[place * n + above + 1..(place + 1) * n];
            let both = of_row[1..].iter().zip(above + 1..);
            after.iter_mut().zip(both).for_each(|(into, (&both, j))| *into = value(both, above, j));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Lags, SpikeBlock};
    use crate::moments::Accumulator;

    #[test]
    fn any_rows_are_those_of_the_matrix() {
        let lists: Vec<Vec<u16>> =
            (0..40).map(|t| (0..7).filter(|i| (t * t + 3 * i) % 5 < 2).collect()).collect();
        let block = SpikeBlock::from_lists(0, &lists, 7).unwrap();
        let mut counts = Accumulator::new(7, &Lags::default());
        counts.add_newest(&block, 0..block.n_bins());
        let counts = counts.counts();
        let all = counts.equal_time_correlations();
        assert!(all.iter().any(|&c| c != 0.0));
        for (first, end) in [(0, 7), (0, 1), (2, 5), (6, 7), (3, 3)] {
            let expected: Vec<f64> = (first..end).flat_map(|row| all.row(row).to_vec()).collect();
            assert_eq!(equal_time_rows(&counts, first..end), expected);
        }
    }
}
