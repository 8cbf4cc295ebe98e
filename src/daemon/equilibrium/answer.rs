//! An equilibrium model as a client asks for it: selected, ranked and cut into messages.

use std::sync::Arc;

use ndarray::Array2;

use super::choice::{Choice, Found};
use super::header::header;
use crate::daemon::convert::status_to_proto;
use crate::daemon::couplings::{CHUNK_PAIRS, TOP_PAIRS_MAX, chunks, receivers, rows_per_chunk};
use crate::daemon::error::RequestError;
use crate::daemon::handle::SessionHandle;
use crate::daemon::registry::Registry;
use crate::model::{EquilibriumModel, RowStatus, Significance};
use crate::proto::v1;
use crate::proto::v1::get_equilibrium_model_response::Part;

/// A checked query.
#[derive(Clone)]
pub(in crate::daemon) struct Query {
    session: Arc<SessionHandle>,
    choice: Choice,
    selection: Selection,
    checked_pairs: bool,
}

#[derive(Clone)]
enum Selection {
    Header,
    Rows { neurons: Arc<[u32]>, standard_errors: bool },
    Pairs { count: usize },
}

/// The messages of an answer, made as they are sent.
pub(in crate::daemon) type Parts = Box<dyn Iterator<Item = v1::GetEquilibriumModelResponse> + Send>;

fn message(part: Part) -> v1::GetEquilibriumModelResponse {
    v1::GetEquilibriumModelResponse { part: Some(part) }
}

impl Query {
    /// Check a request against the session it names.
    pub(in crate::daemon) fn check(
        registry: &Registry,
        request: &v1::GetEquilibriumModelRequest,
    ) -> Result<Self, RequestError> {
        let session = registry.get(&request.session_id)?;
        let choice = Choice::check(&session, request.method, &request.window)?;
        let n_neurons = session.spec.n_neurons();
        if let Some(&neuron) = request.neurons.iter().find(|&&neuron| neuron as usize >= n_neurons) {
            return Err(RequestError::UnknownNeuron { neuron, n_neurons });
        }
        if request.top_pairs > TOP_PAIRS_MAX {
            let (asked, max) = (request.top_pairs, TOP_PAIRS_MAX);
            return Err(RequestError::TooManyPairs { field: "top_pairs", asked, max });
        }
        let selection = match (request.header_only, request.top_pairs) {
            (true, _) => Selection::Header,
            (false, 0) => Selection::Rows {
                neurons: receivers(&request.neurons, n_neurons),
                standard_errors: request.standard_errors,
            },
            (false, count) => Selection::Pairs { count: count as usize },
        };
        Ok(Self { session, choice, selection, checked_pairs: request.checked_pairs })
    }

    /// Whether the answer keeps a model in memory until it is read.
    pub(in crate::daemon) fn is_bulk(&self) -> bool {
        !matches!(self.selection, Selection::Header)
    }

    /// The messages that answer the query from the newest publication.
    ///
    /// # Errors
    /// When it holds no such model.
    pub(in crate::daemon) async fn parts(&self) -> Result<Parts, RequestError> {
        let (query, found) = (self.clone(), self.choice.find(&self.session)?);
        // Ranking n² pairs is work for a thread of its own.
        let answer = tokio::task::spawn_blocking(move || query.answer(&found));
        answer.await.map_err(|_| RequestError::Stopped { what: "query" })
    }

    fn answer(&self, found: &Found) -> Parts {
        let header = std::iter::once(message(Part::Header(header(&self.session, found, self.checked_pairs))));
        let Ok(model) = &found.scored.fitted.model else { return Box::new(header) };
        match &self.selection {
            Selection::Header => Box::new(header),
            Selection::Rows { neurons, standard_errors } => {
                Box::new(header.chain(rows(found.clone(), Arc::clone(neurons), *standard_errors)))
            }
            Selection::Pairs { count } => {
                let pairs = strongest_pairs(model, *count);
                Box::new(header.chain(self.pair_messages(model, &pairs)))
            }
        }
    }

    fn pair_messages(
        &self,
        model: &EquilibriumModel,
        pairs: &[Pair],
    ) -> std::vec::IntoIter<v1::GetEquilibriumModelResponse> {
        let neurons = &self.session.spec.neurons;
        let to_proto = |pair: &Pair| v1::CouplingPair {
            receiver: pair.first as u32,
            sender: pair.second as u32,
            receiver_id: neurons[pair.first].id,
            sender_id: neurons[pair.second].id,
            coupling: model.couplings[[pair.first, pair.second]],
            standard_error: pair.standard_error.unwrap_or(0.0),
            z: pair.z.unwrap_or(0.0),
            status: status_to_proto(pair.status).into(),
            p: pair.z.map_or(1.0, Significance::p),
            q: None,
        };
        let chunk = |pairs: &[Pair]| {
            let pairs = pairs.iter().map(to_proto).collect();
            message(Part::Pairs(v1::CouplingPairs { pairs, found: 0 }))
        };
        if pairs.is_empty() {
            // The reader must not wait for pairs that there are not.
            return vec![chunk(&[])].into_iter();
        }
        pairs.chunks(CHUNK_PAIRS).map(chunk).collect::<Vec<_>>().into_iter()
    }
}

fn rows(
    found: Found,
    neurons: Arc<[u32]>,
    standard_errors: bool,
) -> impl Iterator<Item = v1::GetEquilibriumModelResponse> + Send {
    let n_neurons = found.scored.fitted.model.as_ref().map_or(0, EquilibriumModel::n_neurons);
    let per_chunk = rows_per_chunk(n_neurons, 1 + usize::from(standard_errors));
    chunks(neurons, per_chunk).map_while(move |neurons| {
        let model = found.scored.fitted.model.as_ref().ok()?;
        let of = |matrix: &Array2<f64>| -> Vec<f64> {
            neurons.iter().flat_map(|&i| matrix.row(i as usize).to_vec()).collect()
        };
        let errors = model.errors.as_ref().filter(|_| standard_errors);
        let rows = v1::CouplingRows {
            couplings: of(&model.couplings),
            standard_errors: errors.map_or_else(Vec::new, |errors| of(&errors.couplings)),
            q_values: Vec::new(),
            receivers: neurons,
        };
        Some(message(Part::Rows(rows)))
    })
}

/// Two neurons, `first < second`, and what their coupling is worth.
struct Pair {
    first: usize,
    second: usize,
    standard_error: Option<f64>,
    z: Option<f64>,
    /// Of the first that is not OK, if one is not.
    status: RowStatus,
}

/// The strongest of the pairs that have an estimate, at most so many: those of two neurons that are OK first, by |z| or, where the method
/// gives no standard errors, |J|. Cost O(n² log n).
fn strongest_pairs(model: &EquilibriumModel, count: usize) -> Vec<Pair> {
    let n = model.n_neurons();
    let pair = |(first, second): (usize, usize)| {
        let [one, other] = [first, second].map(|i| model.status[i]);
        if !one.has_estimate() || !other.has_estimate() {
            return None;
        }
        let errors = model.errors.as_ref().map(|errors| errors.couplings[[first, second]]);
        let standard_error = errors.filter(|&error| error > 0.0);
        let z = standard_error.map(|error| model.couplings[[first, second]] / error);
        let status = if one == RowStatus::Ok { other } else { one };
        Some(Pair { first, second, standard_error, z, status })
    };
    let mut pairs: Vec<Pair> =
        (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).filter_map(pair).collect();
    let strength = |pair: &Pair| match model.errors {
        Some(_) => pair.z.unwrap_or(0.0).abs(),
        None => model.couplings[[pair.first, pair.second]].abs(),
    };
    // Stable: equals stay in the order of their indices.
    pairs.sort_by(|a, b| {
        let is_ok = |pair: &Pair| pair.status == RowStatus::Ok;
        is_ok(b).cmp(&is_ok(a)).then_with(|| strength(b).total_cmp(&strength(a)))
    });
    pairs.truncate(count);
    pairs
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;
    use crate::model::{EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod};

    fn model(status: [RowStatus; 3]) -> EquilibriumModel {
        let (method, diagnostics) = (EquilibriumMethod::Nmf, EquilibriumDiagnostics::ClosedForm);
        let mut model = EquilibriumModel::zeros(method, status.to_vec(), 100, 8, diagnostics);
        for (i, j, coupling) in [(0, 1, 0.1), (0, 2, -0.3), (1, 2, 0.2)] {
            model.couplings[[i, j]] = coupling;
            model.couplings[[j, i]] = coupling;
        }
        model
    }

    fn places(pairs: &[Pair]) -> Vec<(usize, usize)> {
        pairs.iter().map(|pair| (pair.first, pair.second)).collect()
    }

    #[test]
    fn pairs_are_ranked_by_z_and_without_errors_by_size() {
        let ok = RowStatus::Ok;
        let mut model = model([ok; 3]);
        assert_eq!(places(&strongest_pairs(&model, 10)), [(0, 2), (1, 2), (0, 1)]);
        let mut couplings = Array2::from_elem((3, 3), 0.1);
        couplings[[0, 1]] = 0.01;
        couplings[[1, 2]] = 0.0;
        model.errors = Some(EquilibriumErrors { couplings, fields: Array1::zeros(3), blocks: 32 });
        let pairs = strongest_pairs(&model, 10);
        assert_eq!(places(&pairs), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!((pairs[0].z, pairs[2].z, pairs[2].standard_error), (Some(10.0), None, None));
        assert_eq!(places(&strongest_pairs(&model, 1)), [(0, 1)]);
    }

    #[test]
    fn pairs_of_neurons_that_are_not_ok_come_last_and_without_an_estimate_not_at_all() {
        let not_converged = RowStatus::NotConverged;
        let pairs = strongest_pairs(&model([not_converged, RowStatus::Ok, RowStatus::Ok]), 10);
        assert_eq!(places(&pairs), [(1, 2), (0, 2), (0, 1)]);
        assert_eq!(pairs[1].status, not_converged);
        let pairs = strongest_pairs(&model([RowStatus::Silent, RowStatus::Ok, RowStatus::Ok]), 10);
        assert_eq!(places(&pairs), [(1, 2)]);
    }
}
