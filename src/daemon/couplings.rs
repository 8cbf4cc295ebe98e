//! Couplings as a client asks for them: selected, ranked and cut into messages.

use std::sync::Arc;

use super::convert::{estimator_from_proto, estimator_to_proto, milliseconds, status_to_proto};
use super::error::{RequestError, echoed};
use super::handle::SessionHandle;
use super::publish::Publication;
use super::registry::Registry;
use crate::model::{CouplingPair, Estimator, SamplingVariance, Window};
use crate::proto::v1;
use crate::session::{ScoredEstimate, Snapshot};

/// Size of the matrix in one answer message: far enough below the 4 MiB that clients accept by default.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Pairs in one answer message, each at most some 60 bytes.
const CHUNK_PAIRS: usize = 10_000;
/// Most pairs that are sorted out.
const TOP_PAIRS_MAX: u32 = 1_000_000;

/// A checked query.
#[derive(Clone)]
pub(super) struct Query {
    pub(super) session: Arc<SessionHandle>,
    window_index: usize,
    estimator: Estimator,
    selection: Selection,
}

#[derive(Clone)]
enum Selection {
    Header,
    Rows(Arc<[u32]>),
    Pairs(usize),
}

/// One message of an answer.
pub(super) enum Part {
    Header(Box<v1::EstimateHeader>),
    Rows(v1::CouplingRows),
    Pairs(v1::CouplingPairs),
}

impl From<Part> for v1::GetCouplingsResponse {
    fn from(part: Part) -> Self {
        use v1::get_couplings_response::Part as P;
        let part = match part {
            Part::Header(header) => P::Header(*header),
            Part::Rows(rows) => P::Rows(rows),
            Part::Pairs(pairs) => P::Pairs(pairs),
        };
        Self { part: Some(part) }
    }
}

impl From<Part> for v1::WatchCouplingsResponse {
    fn from(part: Part) -> Self {
        use v1::watch_couplings_response::Part as P;
        let part = match part {
            Part::Header(header) => P::Header(*header),
            Part::Rows(rows) => P::Rows(rows),
            Part::Pairs(pairs) => P::Pairs(pairs),
        };
        Self { part: Some(part) }
    }
}

/// The place of the window of this name among those of the session; the first when it is empty.
pub(super) fn window_index(
    session: &SessionHandle,
    name: &str,
    field: &'static str,
) -> Result<usize, RequestError> {
    if name.is_empty() {
        return Ok(0);
    }
    let windows = &session.spec.windows;
    let asked = name.parse::<Window>().ok();
    asked.and_then(|asked| windows.iter().position(|&window| window == asked)).ok_or_else(|| {
        let available: Vec<_> = windows.iter().map(ToString::to_string).collect();
        RequestError::NotOfSession { field, asked: echoed(name), available: available.join(", ") }
    })
}

fn estimator(session: &SessionHandle, number: i32) -> Result<Estimator, RequestError> {
    let estimators = &session.spec.estimators;
    let found = match estimator_from_proto(number) {
        Ok(None) => estimators.first().copied(),
        Ok(Some(asked)) => Some(asked).filter(|asked| estimators.contains(asked)),
        Err(_) => None,
    };
    found.ok_or_else(|| {
        let asked = estimator_from_proto(number).ok().flatten();
        let names: Vec<_> = estimators.iter().map(|estimator| estimator.as_str()).collect();
        RequestError::NotOfSession {
            field: "query.estimator",
            asked: asked.map_or_else(|| number.to_string(), |estimator| estimator.to_string()),
            available: names.join(", "),
        }
    })
}

impl Query {
    /// Check a query against the session it names.
    pub(super) fn check(
        registry: &Registry,
        query: Option<v1::CouplingsQuery>,
    ) -> Result<Self, RequestError> {
        let query = query.ok_or(RequestError::Missing { field: "query" })?;
        let session = registry.get(&query.session_id)?;
        let n_neurons = session.spec.n_neurons();
        if let Some(&receiver) = query.receivers.iter().find(|&&receiver| receiver as usize >= n_neurons) {
            return Err(RequestError::UnknownReceiver { receiver, n_neurons });
        }
        if query.top_pairs > TOP_PAIRS_MAX {
            return Err(RequestError::TooManyPairs { asked: query.top_pairs, max: TOP_PAIRS_MAX });
        }
        let selection = match (query.header_only, query.top_pairs, query.receivers) {
            (true, ..) => Selection::Header,
            (false, 0, all) if all.is_empty() => Selection::Rows((0..n_neurons as u32).collect()),
            (false, 0, receivers) => Selection::Rows(receivers.into()),
            (false, count, _) => Selection::Pairs(count as usize),
        };
        Ok(Self {
            window_index: window_index(&session, &query.window, "query.window")?,
            estimator: estimator(&session, query.estimator)?,
            session,
            selection,
        })
    }

    /// Whether the answer keeps a publication in memory until it is read.
    pub(super) fn is_bulk(&self) -> bool {
        !matches!(self.selection, Selection::Header)
    }

    /// The messages that answer the query from a publication, made as they are sent.
    pub(super) async fn parts(
        &self,
        publication: &Publication,
        skipped: u64,
    ) -> Result<Box<dyn Iterator<Item = Part> + Send>, RequestError> {
        let missing = || RequestError::Stopped { what: "estimators" };
        let snapshot = publication.snapshots.get(self.window_index).cloned().ok_or_else(missing)?;
        let estimate = snapshot.estimate(self.estimator).ok_or_else(missing)?;
        let header = Part::Header(Box::new(self.header(publication, &snapshot, estimate, skipped)));
        let header = std::iter::once(header);
        Ok(match &self.selection {
            Selection::Header => Box::new(header),
            Selection::Rows(receivers) => {
                Box::new(header.chain(rows(snapshot, self.estimator, Arc::clone(receivers))))
            }
            Selection::Pairs(count) => {
                let (count, estimator) = (*count, self.estimator);
                // Ranking n² pairs is work for a thread of its own.
                let ranked = tokio::task::spawn_blocking(move || ranked_pairs(&snapshot, estimator, count));
                Box::new(header.chain(ranked.await.map_err(|_| missing())?))
            }
        })
    }

    fn header(
        &self,
        publication: &Publication,
        snapshot: &Snapshot,
        scored: &ScoredEstimate,
        skipped: u64,
    ) -> v1::EstimateHeader {
        let (window, estimate) = (&snapshot.window, &scored.estimate);
        let (variance_sender, variance_receiver) = match &estimate.variance {
            SamplingVariance::Factored { sender, receiver, .. } => (sender.to_vec(), receiver.to_vec()),
            SamplingVariance::Full { .. } => (Vec::new(), Vec::new()),
        };
        v1::EstimateHeader {
            session_id: self.session.id.clone(),
            estimator: estimator_to_proto(estimate.estimator).into(),
            window: window.window.to_string(),
            first_bin: scored.first_bin,
            end_bin: scored.end_bin,
            bins_observed: window.counts.bins,
            transitions: estimate.variance.transitions(),
            ridge: estimate.ridge,
            publication: publication.sequence,
            skipped,
            age_ms: milliseconds(publication.published_at.elapsed()),
            bins_since: self.session.applied_through().saturating_sub(scored.end_bin),
            status: estimate.status.iter().map(|&status| status_to_proto(status).into()).collect(),
            fields: estimate.fields.to_vec(),
            neuron_ids: snapshot.spec.neurons.iter().map(|neuron| neuron.id).collect(),
            variance_sender,
            variance_receiver,
        }
    }
}

/// Rows that fit one message.
pub(super) fn rows_per_chunk(n_neurons: usize, matrices: usize) -> usize {
    (CHUNK_BYTES / (8 * n_neurons.max(1) * matrices)).max(1)
}

fn rows(
    snapshot: Arc<Snapshot>,
    estimator: Estimator,
    receivers: Arc<[u32]>,
) -> impl Iterator<Item = Part> + Send {
    let per_chunk = rows_per_chunk(snapshot.spec.n_neurons(), 1);
    let starts = (0..receivers.len()).step_by(per_chunk);
    starts.map_while(move |start| {
        let estimate = &snapshot.estimate(estimator)?.estimate;
        let chunk = &receivers[start..receivers.len().min(start + per_chunk)];
        let mut couplings = Vec::with_capacity(chunk.len() * estimate.n_neurons());
        for &receiver in chunk {
            couplings.extend(estimate.couplings.row(receiver as usize));
        }
        Some(Part::Rows(v1::CouplingRows { receivers: chunk.to_vec(), couplings }))
    })
}

fn ranked_pairs(snapshot: &Snapshot, estimator: Estimator, count: usize) -> std::vec::IntoIter<Part> {
    let Some(scored) = snapshot.estimate(estimator) else { return Vec::new().into_iter() };
    let estimate = &scored.estimate;
    let to_proto = |pair: &CouplingPair| v1::CouplingPair {
        receiver: pair.receiver as u32,
        sender: pair.sender as u32,
        receiver_id: snapshot.spec.neurons[pair.receiver].id,
        sender_id: snapshot.spec.neurons[pair.sender].id,
        coupling: pair.coupling,
        standard_error: pair.standard_error,
        z: pair.z(),
        status: status_to_proto(estimate.status[pair.receiver]).into(),
    };
    let pairs = estimate.strongest_pairs(count);
    let chunk = |pairs: &[CouplingPair]| {
        Part::Pairs(v1::CouplingPairs { pairs: pairs.iter().map(to_proto).collect() })
    };
    if pairs.is_empty() {
        // The reader must not wait for pairs that there are not.
        return vec![chunk(&[])].into_iter();
    }
    pairs.chunks(CHUNK_PAIRS).map(chunk).collect::<Vec<_>>().into_iter()
}
