use std::f64::consts::LN_2;

use super::bins::Bins;
use super::training::{Fitted, Symmetric, Training};
use crate::equilibrium::Configurations;
use crate::model::CrossValidated;
use crate::regression::{self, Costs, LogOdds, Patterns, Stopping, Summand, separation};

/// Gradients of left-out fits, in units of `1/√T` (that of a spin's mean over `T` bins): a thousandth of their sampling error changes a
/// score by a millionth of what sampling does.
const GRADIENT_SHARE: f64 = 1e-3;

/// What every ridge (increasing) scores on contiguous folds left out one after the other. A ridge is missing if it leaves no estimate of
/// some neuron in some fold: zero, where the data have no finite maximum or are too few.
///
/// The model that is scored is that of the rows together, with symmetric couplings. Neurons that never or always fire in the bins of the
/// other folds are predicted by their rate `(K + ½) / (T + 1)`.
pub(super) fn scores(
    configurations: &Configurations,
    all: &Bins<'_>,
    ridges: &[f64],
    folds: usize,
    stopping: Stopping,
) -> Vec<CrossValidated> {
    let folds = folds.min(configurations.n_bins());
    let mut nats = vec![Some(0.0); ridges.len()];
    let mut bins = 0;
    for fold in 0..folds {
        let left_out = Bins::piece(configurations, fold, folds);
        let others = all.without(&left_out);
        let training = Training::of_all(&others);
        if training.keep.is_empty() {
            // Rates alone tell nothing of ridges.
            continue;
        }
        bins += left_out.total;
        let test = LeftOut::of(&left_out);
        let mut warm: Option<Fitted<'_>> = None;
        for (ridge, nats) in ridges.iter().zip(&mut nats).rev().filter(|(_, nats)| nats.is_some()) {
            let fitted = training.fit(*ridge, warm.as_ref(), approximately(stopping, *ridge, others.total));
            let fitted = fitted.ok().filter(Fitted::is_complete).filter(|fitted| {
                !separation::by_gains(&fitted.problem, &fitted.rows, stopping.threads).contains(&true)
            });
            *nats = nats.zip(fitted.as_ref()).map(|(nats, fitted)| {
                nats + test.log_likelihood(&others, &training.keep, &fitted.symmetric(), stopping.threads)
            });
            warm = fitted.or(warm);
        }
    }
    let scored = ridges.iter().zip(nats).filter(|_| bins > 0);
    scored
        .filter_map(|(&ridge, nats)| {
            let bits_per_bin = nats? / LN_2 / bins as f64;
            bits_per_bin.is_finite().then_some(CrossValidated { ridge, bits_per_bin })
        })
        .collect()
}

/// As near the maximum as a score needs. Without a ridge as near as asked for, since separation shows there alone.
fn approximately(stopping: Stopping, ridge: f64, bins: u64) -> Stopping {
    let enough = if ridge > 0.0 { GRADIENT_SHARE / (bins as f64).sqrt() } else { 0.0 };
    Stopping { gradient_norm_max: stopping.gradient_norm_max.max(enough), ..stopping }
}

/// Bins that are scored.
struct LeftOut<'a, 'b> {
    bins: &'a Bins<'b>,
    patterns: Patterns,
    costs: Costs,
}

impl<'a, 'b> LeftOut<'a, 'b> {
    fn of(bins: &'a Bins<'b>) -> Self {
        let patterns = bins.patterns(&(0..bins.n_neurons()).collect::<Vec<_>>());
        let costs = Costs::of(&patterns);
        Self { bins, patterns, costs }
    }

    /// `Σ_t Σ_i log P(s_i(t) | s_j(t), j ≠ i)`, nats, by a model of the neurons `keep` and the others' rates in the bins it was fitted to.
    fn log_likelihood(&self, fitted_to: &Bins<'_>, keep: &[usize], model: &Symmetric, threads: usize) -> f64 {
        let n = self.bins.n_neurons();
        let mut log_odds: Vec<LogOdds> = vec![vec![0.0; 1 + n]; n];
        for (i, row) in log_odds.iter_mut().enumerate() {
            let active = fitted_to.active(i) as f64;
            row[0] = ((active + 0.5) / (fitted_to.total as f64 - active + 0.5)).ln();
        }
        for (row, &i) in keep.iter().enumerate() {
            let couplings = model.couplings.row(row);
            log_odds[i][0] = 2.0 * (model.fields[row] - couplings.sum());
            keep.iter().zip(couplings).for_each(|(&j, coupling)| log_odds[i][1 + j] = 4.0 * coupling);
        }
        let layout = self.costs.pass_layout;
        let sums = regression::sums(&self.patterns, layout, &log_odds, Summand::Probability, threads);
        let of_row = |i: usize| {
            let pairs = (0..n).map(|j| self.bins.together(i, j) as f64 * log_odds[i][1 + j]);
            self.bins.active(i) as f64 * log_odds[i][0] + pairs.sum::<f64>() - sums[i].softplus
        };
        (0..n).map(of_row).sum()
    }
}
