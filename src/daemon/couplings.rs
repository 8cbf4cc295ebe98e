//! Couplings as a client asks for them: selected, ranked and cut into messages.

use std::sync::Arc;

use ndarray::ArrayViewMut1;

use super::choice::Choice;
use super::convert::status_to_proto;
use super::derived::Derived;
use super::error::RequestError;
use super::estimate_header::estimate_header;
use super::handle::SessionHandle;
use super::publish::Publication;
use super::registry::Registry;
use crate::model::{CouplingPair, Estimate, EstimatorInput, Significance, TrialFields};
use crate::proto::v1;
use crate::session::SessionSpec;

/// Size of the matrix in one answer message: far enough below the 4 MiB that clients accept by default.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Pairs in one answer message, each at most some 60 bytes.
pub(super) const CHUNK_PAIRS: usize = 10_000;
/// Most pairs that are sorted out.
pub(super) const TOP_PAIRS_MAX: u32 = 1_000_000;

/// A checked query.
#[derive(Clone)]
pub(super) struct Query {
    pub(super) session: Arc<SessionHandle>,
    choice: Choice,
    selection: Selection,
    /// Receivers whose fields in each bin of a trial are sent as well.
    trial_fields: Option<Arc<[u32]>>,
}

#[derive(Clone)]
enum Selection {
    Header,
    Rows(Arc<[u32]>, RowExtras),
    /// The strongest pairs: of those whose q is at most `q_max`, or of all, so many.
    Pairs {
        q_max: Option<f64>,
        count: usize,
    },
}

/// What comes with rows of couplings.
#[derive(Clone, Copy)]
struct RowExtras {
    standard_errors: bool,
    q_values: bool,
}

/// One message of an answer.
pub(super) enum Part {
    Header(Box<v1::EstimateHeader>),
    Rows(v1::CouplingRows),
    Pairs(v1::CouplingPairs),
    TrialFields(v1::TrialFieldRows),
}

/// The messages of an answer, made as they are sent.
pub(super) type Parts = Box<dyn Iterator<Item = Part> + Send>;

impl From<Part> for v1::GetCouplingsResponse {
    fn from(part: Part) -> Self {
        use v1::get_couplings_response::Part as P;
        let part = match part {
            Part::Header(header) => P::Header(*header),
            Part::Rows(rows) => P::Rows(rows),
            Part::Pairs(pairs) => P::Pairs(pairs),
            Part::TrialFields(fields) => P::TrialFields(fields),
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
            Part::TrialFields(fields) => P::TrialFields(fields),
        };
        Self { part: Some(part) }
    }
}

impl Query {
    /// Check a query against the session it names.
    pub(super) fn check(
        registry: &Registry,
        query: Option<v1::CouplingsQuery>,
    ) -> Result<Self, RequestError> {
        let query = query.ok_or(RequestError::Missing { field: "query" })?;
        let session = registry.get(&query.session_id)?;
        Self::of_session(session, query)
    }

    /// The same once its session is found.
    pub(super) fn of_session(
        session: Arc<SessionHandle>,
        query: v1::CouplingsQuery,
    ) -> Result<Self, RequestError> {
        let n_neurons = session.spec.n_neurons();
        if let Some(&receiver) = query.receivers.iter().find(|&&receiver| receiver as usize >= n_neurons) {
            return Err(RequestError::UnknownReceiver { receiver, n_neurons });
        }
        let choice = Choice::of_query(&session, &query)?;
        let selection = Selection::check(&query, n_neurons)?;
        let trial_fields = match query.trial_fields {
            true => Some(trial_receivers(choice, query.receivers, n_neurons)?),
            false => None,
        };
        Ok(Self { session, choice, selection, trial_fields })
    }

    /// Whether the answer keeps a publication in memory until it is read.
    pub(super) fn is_bulk(&self) -> bool {
        !matches!(self.selection, Selection::Header) || self.trial_fields.is_some()
    }

    /// The messages that answer the query from a publication.
    ///
    /// # Errors
    /// When it holds no such estimate.
    pub(super) async fn parts(
        &self,
        publication: &Arc<Publication>,
        skipped: u64,
    ) -> Result<Parts, RequestError> {
        let (query, publication) = (self.clone(), Arc::clone(publication));
        // Ranking n² pairs is work for a thread of its own.
        let answer = tokio::task::spawn_blocking(move || query.answer(&publication, skipped));
        answer.await.map_err(|_| RequestError::Stopped { what: "query" })?
    }

    fn answer(&self, publication: &Publication, skipped: u64) -> Result<Parts, RequestError> {
        let found = self.choice.find(&self.session, publication)?;
        let header = estimate_header(&self.session, publication, &found, skipped);
        let header = std::iter::once(Part::Header(Box::new(header)));
        let kept = Kept {
            spec: Arc::clone(&found.snapshot.spec),
            estimate: Arc::clone(&found.scored().estimate),
            derived: Arc::clone(found.derived),
        };
        let fields: Parts = match &self.trial_fields {
            Some(receivers) => Box::new(trial_fields(kept.clone(), Arc::clone(receivers))),
            None => Box::new(std::iter::empty()),
        };
        Ok(match &self.selection {
            Selection::Header => Box::new(header.chain(fields)),
            Selection::Rows(receivers, extras) => {
                if extras.q_values {
                    // Here, and not when the first row is sent.
                    kept.significance();
                }
                Box::new(header.chain(rows(kept, Arc::clone(receivers), *extras)).chain(fields))
            }
            Selection::Pairs { q_max, count } => {
                Box::new(header.chain(ranked_pairs(&kept, *q_max, *count)).chain(fields))
            }
        })
    }
}

impl Selection {
    fn check(query: &v1::CouplingsQuery, n_neurons: usize) -> Result<Self, RequestError> {
        if query.top_pairs > TOP_PAIRS_MAX {
            return Err(RequestError::TooManyPairs {
                field: "query.top_pairs",
                asked: query.top_pairs,
                max: TOP_PAIRS_MAX,
            });
        }
        if let Some(found) = query.q_max.filter(|q_max| !(*q_max > 0.0 && *q_max <= 1.0)) {
            return Err(RequestError::QMax { found });
        }
        let count = query.top_pairs as usize;
        Ok(match (query.header_only, query.q_max, count) {
            (true, ..) => Self::Header,
            (false, None, 0) => {
                let extras = RowExtras { standard_errors: query.standard_errors, q_values: query.q_values };
                Self::Rows(receivers(&query.receivers, n_neurons), extras)
            }
            (false, Some(_), 0) => Self::Pairs { q_max: query.q_max, count: TOP_PAIRS_MAX as usize },
            (false, q_max, count) => Self::Pairs { q_max, count },
        })
    }
}

/// The receivers asked for; all when none is named.
pub(super) fn receivers(asked: &[u32], n_neurons: usize) -> Arc<[u32]> {
    if asked.is_empty() { (0..n_neurons as u32).collect() } else { asked.into() }
}

/// The receivers whose fields in each bin of a trial are asked for, of an estimator that has such.
fn trial_receivers(choice: Choice, asked: Vec<u32>, n_neurons: usize) -> Result<Arc<[u32]>, RequestError> {
    match choice.estimator() {
        Some(estimator) if estimator.input() != EstimatorInput::Trials => {
            Err(RequestError::NoTrialFields { estimator })
        }
        _ => Ok(receivers(&asked, n_neurons)),
    }
}

/// What an answer keeps of a publication until it is sent.
#[derive(Clone)]
struct Kept {
    spec: Arc<SessionSpec>,
    estimate: Arc<Estimate>,
    derived: Arc<Derived>,
}

impl Kept {
    fn significance(&self) -> &Significance {
        self.derived.significance(&self.estimate)
    }
}

/// Rows that fit one message.
pub(super) fn rows_per_chunk(n_neurons: usize, matrices: usize) -> usize {
    (CHUNK_BYTES / (8 * n_neurons.max(1) * matrices)).max(1)
}

/// Sequences of at most so many receivers.
pub(super) fn chunks(receivers: Arc<[u32]>, size: usize) -> impl Iterator<Item = Vec<u32>> + Send {
    let starts = (0..receivers.len()).step_by(size);
    starts.map(move |start| receivers[start..receivers.len().min(start + size)].to_vec())
}

fn rows(kept: Kept, receivers: Arc<[u32]>, extras: RowExtras) -> impl Iterator<Item = Part> + Send {
    let matrices = 1 + usize::from(extras.standard_errors) + usize::from(extras.q_values);
    let per_chunk = rows_per_chunk(kept.estimate.n_neurons(), matrices);
    chunks(receivers, per_chunk).map(move |receivers| {
        let (estimate, n) = (&kept.estimate, kept.estimate.n_neurons());
        let each = |fill: &dyn Fn(usize, &mut [f64])| -> Vec<f64> {
            let mut values = vec![0.0; receivers.len() * n];
            let rows = values.chunks_exact_mut(n).zip(&receivers);
            rows.for_each(|(row, &receiver)| fill(receiver as usize, row));
            values
        };
        let copy = |i: usize, row: &mut [f64]| ArrayViewMut1::from(row).assign(&estimate.couplings.row(i));
        let mut rows = v1::CouplingRows { couplings: each(&copy), ..Default::default() };
        if extras.standard_errors {
            rows.standard_errors = each(&|i, row| estimate.standard_errors_into(i, row));
        }
        if extras.q_values {
            let significance = kept.significance();
            rows.q_values = each(&|i, row| significance.couplings_q_into(estimate, i, row));
        }
        rows.receivers = receivers;
        Part::Rows(rows)
    })
}

fn ranked_pairs(kept: &Kept, q_max: Option<f64>, count: usize) -> std::vec::IntoIter<Part> {
    let (estimate, significance) = (&kept.estimate, kept.significance());
    let found = q_max.map(|q_max| significance.n_within(q_max));
    // Those within are the strongest: pairs without a q are ranked last, and q falls with strength.
    let count = found.map_or(count, |found| found.min(count));
    let pairs = kept.derived.strongest_pairs(estimate, count);
    let pairs = &pairs[..pairs.len().min(count)];
    let to_proto = |pair: &CouplingPair| v1::CouplingPair {
        receiver: pair.receiver as u32,
        sender: pair.sender as u32,
        receiver_id: kept.spec.neurons[pair.receiver].id,
        sender_id: kept.spec.neurons[pair.sender].id,
        coupling: pair.coupling,
        standard_error: pair.standard_error,
        z: pair.z(),
        status: status_to_proto(estimate.status[pair.receiver]).into(),
        p: pair.p(),
        q: pair.q,
    };
    let found = found.unwrap_or(0) as u64;
    let chunk = |pairs: &[CouplingPair]| {
        Part::Pairs(v1::CouplingPairs { pairs: pairs.iter().map(to_proto).collect(), found })
    };
    if pairs.is_empty() {
        // The reader must not wait for pairs that there are not.
        return vec![chunk(&[])].into_iter();
    }
    pairs.chunks(CHUNK_PAIRS).map(chunk).collect::<Vec<_>>().into_iter()
}

/// The fields of each bin of a trial; nothing when the estimate has none.
fn trial_fields(kept: Kept, receivers: Arc<[u32]>) -> impl Iterator<Item = Part> + Send {
    let n_bins = kept.estimate.trial_fields.as_ref().map_or(0, |trials| trials.repeats.len());
    // Each field comes with a byte that says whether it was estimated.
    let per_chunk = rows_per_chunk(n_bins, 2);
    chunks(receivers, per_chunk).enumerate().map_while(move |(place, receivers)| {
        let trials = kept.estimate.trial_fields.as_ref()?;
        Some(Part::TrialFields(trial_field_rows(trials, receivers, place == 0)))
    })
}

fn trial_field_rows(trials: &TrialFields, receivers: Vec<u32>, is_first: bool) -> v1::TrialFieldRows {
    let of = |&receiver: &u32| receiver as usize;
    v1::TrialFieldRows {
        bin_count: trials.repeats.len() as u32,
        fields: receivers.iter().flat_map(|i| trials.fields.row(of(i)).to_vec()).collect(),
        estimated: receivers.iter().flat_map(|i| trials.estimated.row(of(i)).to_vec()).collect(),
        repeats: if is_first { trials.repeats.clone() } else { Vec::new() },
        receivers,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::model::{Estimator, Lags};
    use crate::moments::Accumulator;

    #[test]
    fn trial_fields_come_in_chunks_with_the_repeats_once() {
        let (n, n_bins) = (3, CHUNK_BYTES / 16);
        let counts = Accumulator::new(n, &Lags::default()).counts();
        let [estimate] = &crate::kinetic::estimate(&counts, &[Estimator::Nmf], 0.1)[..] else { panic!() };
        let trials = TrialFields {
            fields: Array2::from_shape_fn((n, n_bins), |(i, t)| (i * n_bins + t) as f64),
            estimated: Array2::from_shape_fn((n, n_bins), |(i, t)| (i + t) % 2 == 0),
            repeats: vec![7; n_bins],
        };
        let estimate = Arc::new(Estimate { trial_fields: Some(trials.clone()), ..estimate.clone() });
        let kept = Kept { spec: Arc::new(spec(n)), estimate, derived: Arc::default() };
        let parts: Vec<Part> = trial_fields(kept, Arc::from([2, 0])).collect();
        let [Part::TrialFields(first), Part::TrialFields(second)] = &parts[..] else {
            panic!("one row each")
        };
        assert_eq!((&first.receivers[..], &second.receivers[..]), (&[2][..], &[0][..]));
        assert_eq!(
            (first.bin_count as usize, first.repeats.len(), second.repeats.len()),
            (n_bins, n_bins, 0)
        );
        assert_eq!(first.fields, trials.fields.row(2).to_vec());
        assert_eq!(second.estimated, trials.estimated.row(0).to_vec());
    }

    fn spec(n_neurons: usize) -> SessionSpec {
        let asked =
            v1::SessionSpec { neuron_count: n_neurons as u32, bin_width_us: 20_000, ..Default::default() };
        let config = crate::daemon::DaemonConfig::default();
        crate::daemon::session_spec::session_spec(asked, &config.defaults, &config.limits).unwrap()
    }
}
