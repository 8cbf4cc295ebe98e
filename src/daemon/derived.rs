//! What readers of an estimate need beyond it: worked out when the first one asks, once for all who do.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::kinetic::Predictor;
use crate::model::{CouplingPair, Estimate, Significance};
use crate::moments::Counts;

/// What is worked out of one estimate. Asking takes O(n²) or more the first time: not for async threads.
#[derive(Debug, Default)]
pub(super) struct Derived {
    significance: OnceLock<Significance>,
    fields: OnceLock<FieldFacts>,
    predictor: OnceLock<Predictor>,
    strongest: Mutex<Strongest>,
}

/// The strongest pairs of an estimate.
#[derive(Debug, Default)]
struct Strongest {
    /// How many were asked for; there may be fewer.
    asked: usize,
    pairs: Arc<Vec<CouplingPair>>,
}

/// Most pairs that are kept for those who ask for as many, or fewer, of the same estimate.
const PAIRS_KEPT_MAX: usize = 10_000;

/// What the fields of an estimate are worth, one number per neuron.
#[derive(Debug, Default)]
pub(super) struct FieldFacts {
    /// 0 where there is none.
    pub(super) standard_errors: Vec<f64>,
    /// Field over its standard error, 0 where there is none.
    pub(super) z: Vec<f64>,
    /// 1 where there is no standard error.
    pub(super) p: Vec<f64>,
    /// 1 where there is none.
    pub(super) q: Vec<f64>,
}

impl Derived {
    /// How the couplings of the estimate rank.
    pub(super) fn significance(&self, estimate: &Estimate) -> &Significance {
        self.significance.get_or_init(|| Significance::of(estimate))
    }

    /// At least the so many strongest pairs of the estimate, or all there are, strongest first. Who asks for what someone works out
    /// waits for it.
    pub(super) fn strongest_pairs(&self, estimate: &Estimate, count: usize) -> Arc<Vec<CouplingPair>> {
        let significance = self.significance(estimate);
        let find = || Arc::new(estimate.strongest_pairs_with_q(count, significance));
        if count > PAIRS_KEPT_MAX {
            return find();
        }
        let mut strongest = self.strongest.lock().unwrap_or_else(PoisonError::into_inner);
        if strongest.asked < count {
            *strongest = Strongest { asked: count, pairs: find() };
        }
        Arc::clone(&strongest.pairs)
    }

    /// What the fields of the estimate are worth.
    pub(super) fn fields(&self, estimate: &Estimate) -> &FieldFacts {
        self.fields.get_or_init(|| FieldFacts::of(estimate))
    }

    /// What predicts by the estimate; by the rates of `counts` where a neuron has none.
    pub(super) fn predictor(&self, estimate: &Estimate, counts: &Counts) -> &Predictor {
        self.predictor.get_or_init(|| Predictor::new(estimate, counts))
    }

    /// Whether someone has asked for the predictor.
    pub(super) fn predicts(&self) -> bool {
        self.predictor.get().is_some()
    }

    /// Bytes held by now.
    pub(super) fn bytes(&self) -> usize {
        let significance = self.significance.get().map_or(0, Significance::bytes);
        let fields = self.fields.get().map_or(0, |facts| 4 * size_of_val(facts.z.as_slice()));
        // While they are worked out there are none.
        let pairs = self.strongest.try_lock().map_or(0, |strongest| size_of_val(strongest.pairs.as_slice()));
        significance + fields + pairs + self.predictor.get().map_or(0, Predictor::bytes)
    }
}

impl FieldFacts {
    fn of(estimate: &Estimate) -> Self {
        let mut facts = Self::default();
        for (i, q) in Significance::fields_q(estimate).into_iter().enumerate() {
            let standard_error = estimate.field_standard_error(i);
            let z = standard_error.map(|standard_error| estimate.fields[i] / standard_error);
            facts.standard_errors.push(standard_error.unwrap_or(0.0));
            facts.z.push(z.unwrap_or(0.0));
            facts.p.push(z.map_or(1.0, Significance::p));
            facts.q.push(q.unwrap_or(1.0));
        }
        facts
    }
}
