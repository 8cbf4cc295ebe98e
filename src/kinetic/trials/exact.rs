use std::collections::VecDeque;

use super::TrialOptions;
use super::correlations::information;
use super::likelihood::{Evaluation, ProfileLikelihood};
use super::linear::{Factor, dot, penalized, sandwich};
use super::row::{Receiver, Regression, Row, norm};
use crate::model::RowStatus;

/// Pairs of steps and changes of the gradient that the quasi-Newton direction is built from.
const MEMORY: usize = 10;
/// Halvings of one step.
const HALVINGS_MAX: u32 = 40;
/// A standard error of a coupling above this says that the likelihood has no maximum in its direction: wherever it has one, the
/// transitions against the rest leave an information of order one. A spike with a coupling of 3 changes the odds by e¹².
const STANDARD_ERROR_MAX: f64 = 3.0;

/// Maximum likelihood of a row with a free field in each trial bin.
///
/// The fields are profiled out and the couplings follow L-BFGS (Nocedal & Wright, *Numerical Optimization*, algorithm 7.4),
/// preconditioned with the naive mean field's `B⁽ⁱ⁾`, from naive mean field or zero, whichever is likelier. The profile
/// log-likelihood is concave. Converged means a gradient norm of at most `gradient_norm_max`.
///
/// With a field per bin couplings are too large by `R/(R − 1)` at `R` repeats, which matters below about 20 of them.
///
/// Without a ridge the likelihood may have no maximum. A row is [`RowStatus::Separated`] when its last couplings tell every spike from
/// every silence, or when the information at them leaves a coupling with a standard error above 3; the second is reliable
/// for a `gradient_norm_max` of 1e-8 or less.
pub(super) fn exact(receiver: &Receiver<'_>, start: &Regression, options: &TrialOptions) -> Row {
    let mut likelihood = ProfileLikelihood::of(receiver);
    let mut search = Search::start(&mut likelihood, receiver, start);
    let converged = search.run(&mut likelihood, start, options);
    let Search { couplings, at, evaluations, .. } = search;
    let gradient_norm = at.gradient_norm;
    // A last line search that failed has left the fields elsewhere.
    likelihood.evaluate(&couplings);
    let penalty = receiver.ridge * receiver.total_gain;
    let information = information(receiver.repeats, &likelihood.gains(&couplings));
    let separated = Row { iterations: evaluations, gradient_norm, ..Row::without(RowStatus::Separated) };
    let Some(factor) = Factor::of(&penalized(&information.matrix, penalty)) else { return separated };
    let (coupling_variance, drive_variance) =
        sandwich(&factor, &information.matrix, penalty, &information.sender_mean);
    let unsure = coupling_variance.iter().any(|v| !v.is_finite() || v.sqrt() > STANDARD_ERROR_MAX);
    if receiver.ridge == 0.0 && (unsure || likelihood.separates(&couplings)) {
        return separated;
    }
    let n_bins = f64::from(information.n_bins.max(1) as u32);
    let sum: f64 = couplings.iter().sum();
    Row {
        status: if converged { RowStatus::Ok } else { RowStatus::NotConverged },
        fields: likelihood.silent_fields.iter().map(|field| field + sum).collect(),
        couplings,
        coupling_variance,
        // The profile Fisher information: what is left of a field's own information is that of its bin.
        field_variance: information.inverse_weights / (n_bins * n_bins) + drive_variance,
        iterations: evaluations,
        gradient_norm,
    }
}

struct Search {
    couplings: Vec<f64>,
    at: Evaluation,
    evaluations: u32,
    /// The preconditioner is a sum over the transitions, the loss a mean.
    transitions: f64,
    /// Steps, changes of the gradient and their products, oldest first.
    memory: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl Search {
    fn start(likelihood: &mut ProfileLikelihood<'_>, receiver: &Receiver<'_>, start: &Regression) -> Self {
        let zero = vec![0.0; receiver.repeats.n_active()];
        let (at_zero, at_start) = (likelihood.evaluate(&zero), likelihood.evaluate(&start.couplings));
        let (couplings, at) =
            if at_start.loss < at_zero.loss { (start.couplings.clone(), at_start) } else { (zero, at_zero) };
        let transitions = receiver.transitions as f64;
        Self { couplings, at, evaluations: 2, transitions, memory: VecDeque::with_capacity(MEMORY) }
    }

    fn run(
        &mut self,
        likelihood: &mut ProfileLikelihood<'_>,
        preconditioner: &Regression,
        options: &TrialOptions,
    ) -> bool {
        while self.at.gradient_norm > options.gradient_norm_max {
            let mut direction = self.direction(preconditioner);
            let mut slope = dot(&direction, &self.at.gradient);
            if slope >= 0.0 {
                // Rounding has spoiled the memory: begin anew.
                self.memory.clear();
                direction = self.direction(preconditioner);
                slope = dot(&direction, &self.at.gradient);
            }
            if !self.advance(likelihood, &direction, slope, options.iterations_max) {
                return false;
            }
        }
        true
    }

    /// `−H g` by the two-loop recursion.
    fn direction(&self, preconditioner: &Regression) -> Vec<f64> {
        let mut q = self.at.gradient.clone();
        let mut shares = Vec::with_capacity(self.memory.len());
        for (step, change, product) in self.memory.iter().rev() {
            let share = dot(step, &q) / product;
            q.iter_mut().zip(change).for_each(|(q, y)| *q -= share * y);
            shares.push(share);
        }
        preconditioner.factor.solve(&mut q);
        q.iter_mut().for_each(|q| *q *= self.transitions);
        for ((step, change, product), share) in self.memory.iter().zip(shares.iter().rev()) {
            let back = dot(change, &q) / product;
            q.iter_mut().zip(step).for_each(|(q, s)| *q += (share - back) * s);
        }
        q.iter_mut().for_each(|q| *q = -*q);
        q
    }

    /// Move along `direction` to where the loss has fallen enough; tells whether there was such a place.
    fn advance(
        &mut self,
        likelihood: &mut ProfileLikelihood<'_>,
        direction: &[f64],
        slope: f64,
        evaluations_max: u32,
    ) -> bool {
        let mut length = 1.0;
        for _ in 0..HALVINGS_MAX {
            if self.evaluations >= evaluations_max {
                return false;
            }
            let moved: Vec<f64> = self.couplings.iter().zip(direction).map(|(j, d)| j + length * d).collect();
            let next = likelihood.evaluate(&moved);
            self.evaluations += 1;
            let enough = next.loss <= self.at.loss + 1e-4 * length * slope;
            // Where the loss no longer resolves the step its slope still does (Hager & Zhang, SIAM J. Optim. 16, 170 (2005)).
            let flat = next.loss <= self.at.loss + 1e-13 * self.at.loss.abs().max(1e-3)
                && dot(direction, &next.gradient).abs() <= 0.9 * slope.abs();
            if enough || flat {
                self.remember(&moved, &next);
                (self.couplings, self.at) = (moved, next);
                return true;
            }
            length *= 0.5;
        }
        false
    }

    fn remember(&mut self, moved: &[f64], next: &Evaluation) {
        let step: Vec<f64> = moved.iter().zip(&self.couplings).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next.gradient.iter().zip(&self.at.gradient).map(|(a, b)| a - b).collect();
        let product = dot(&step, &change);
        if product > f64::EPSILON * norm(&step) * norm(&change) {
            if self.memory.len() == MEMORY {
                self.memory.pop_front();
            }
            self.memory.push_back((step, change, product));
        }
    }
}
