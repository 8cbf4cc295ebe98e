//! Stands in for what comes with other branches.
#![allow(missing_docs)]
use ndarray::{Array1, Array2};

use super::{FitOptions, Samples};
use crate::model::*;

pub fn hopfield(samples: &Samples) -> EquilibriumModel {
    let mut couplings = samples.spread_matrix(&samples.second_moments);
    couplings.diag_mut().fill(0.0);
    let model = samples.nothing(
        EquilibriumMethod::Hopfield,
        RowStatus::Ok,
        EquilibriumDiagnostics::ClosedForm,
    );
    EquilibriumModel { couplings, fields: samples.spread(&samples.magnetizations), ..model }
}

pub fn rate_log_odds(samples: &Samples) -> Array1<f64> {
    Array1::zeros(samples.status.len())
}

pub fn rates_log_likelihood(_rates: &Array1<f64>, _runs: &Runs) -> f64 {
    0.0
}

pub fn score(model: &EquilibriumModel, _own: &Array1<f64>, _rates: &Array1<f64>, runs: &Runs) -> Score {
    let mut score = Score::new(model.n_neurons());
    score.transitions = runs.n_bins() as f64;
    score.spikes.fill(1.0);
    score.gain_bits.fill(0.25);
    score
}

pub fn check(_model: &EquilibriumModel, samples: &Samples, _options: &FitOptions) -> ModelCheck {
    let one = ActiveCount { active: 0, observed: 0.5, predicted: 0.25, predicted_error: 0.01 };
    let agreement = Agreement { values: 3, correlation: Some(0.5), ..Agreement::default() };
    ModelCheck {
        drawn: 10,
        bins: samples.n_bins(),
        means: agreement,
        pair_correlations: Agreement { correlation: None, ..agreement },
        triplet_correlations: agreement,
        active_counts: vec![one],
    }
}

#[allow(dead_code)]
fn unused() -> Array2<f64> {
    Array2::zeros((0, 0))
}
