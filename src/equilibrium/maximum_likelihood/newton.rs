//! Newton's method on the mean log-likelihood `Σ_S w_S ⟨χ_S⟩_data − ln Z`, which is concave.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::enumeration::{Ensemble, parameter_sets};

/// Norm of the gradient at which the moments are matched.
const GRADIENT_MAX: f64 = 1e-10;
/// Largest change of a parameter in the last step, next to its size.
const STEP_MAX: f64 = 1e-6;
/// With the moments matched, a maximum that is anywhere is closer than this.
const ESCAPE: f64 = 1e-2;
/// Shortest step tried.
const SHORTEST: f64 = 1e-6;

/// Where Newton's method ended.
pub(super) struct Maximum {
    /// Fields, then couplings `i < j` row by row.
    pub(super) parameters: Vec<f64>,
    /// Norm of the gradient.
    pub(super) gradient_norm: f64,
    /// Mean log-likelihood, nats.
    pub(super) value: f64,
    pub(super) iterations: u32,
    pub(super) end: End,
    /// The Fisher matrix there, shape `(p, p)`.
    fisher: Mat<f64>,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Converged,
    /// The last iteration allowed.
    Iterations,
    /// The moments are matched ever better by ever larger parameters: the likelihood has no finite maximum.
    NoMaximum,
}

/// What is maximised.
struct Likelihood<'a> {
    n: usize,
    sets: Vec<usize>,
    /// Data moments of the sets.
    observed: &'a [f64],
}

/// The likelihood at some parameters.
struct Place {
    parameters: Vec<f64>,
    ensemble: Ensemble,
    value: f64,
}

impl Likelihood<'_> {
    fn at(&self, parameters: Vec<f64>) -> Place {
        let ensemble = Ensemble::of(self.n, &self.sets, &parameters);
        let value = dot(&parameters, self.observed) - ensemble.log_partition;
        Place { parameters, ensemble, value }
    }

    fn gradient(&self, place: &Place) -> Vec<f64> {
        let moments = self.sets.iter().map(|&set| place.ensemble.moments[set]);
        self.observed.iter().zip(moments).map(|(data, model)| data - model).collect()
    }

    /// The longest of halved steps that gives at least a part of the increase that the slope promises, up to rounding of the values.
    fn search(&self, from: &Place, step: &[f64], slope: f64) -> Option<Place> {
        let rounding = 1e-13 * from.value.abs().max(1.0);
        let mut length = 1.0;
        while length >= SHORTEST {
            let moved = from.parameters.iter().zip(step).map(|(w, d)| w + length * d).collect();
            let there = self.at(moved);
            if there.value >= from.value + 1e-4 * length * slope - rounding {
                return Some(there);
            }
            length *= 0.5;
        }
        None
    }
}

/// Maximise for these data moments of `n` neurons, fields first. At first neurons are independent.
pub(super) fn maximise(n: usize, observed: &[f64], iterations_max: u32) -> Maximum {
    let likelihood = Likelihood { n, sets: parameter_sets(n), observed };
    let mut start = vec![0.0; observed.len()];
    start.iter_mut().zip(&observed[..n]).for_each(|(field, m)| *field = m.atanh());
    let mut here = likelihood.at(start);
    let mut iterations = 1;
    let end = loop {
        let gradient = likelihood.gradient(&here);
        let matched = dot(&gradient, &gradient).sqrt() <= GRADIENT_MAX;
        let fisher = fisher(&likelihood.sets, &here.ensemble.moments);
        let Some(step) = solve(&fisher, Mat::from_fn(gradient.len(), 1, |p, _| gradient[p])) else {
            break End::NoMaximum;
        };
        let step = step.col_as_slice(0);
        let shares = step.iter().zip(&here.parameters).map(|(d, w)| d.abs() / w.abs().max(1.0));
        let largest = shares.fold(0.0, f64::max);
        if matched && largest <= STEP_MAX {
            break End::Converged;
        }
        if matched && largest > ESCAPE {
            break End::NoMaximum;
        }
        if iterations >= iterations_max {
            break End::Iterations;
        }
        iterations += 1;
        match likelihood.search(&here, step, dot(&gradient, step)) {
            Some(there) => here = there,
            None => break End::Iterations,
        }
    };
    let gradient = likelihood.gradient(&here);
    let fisher = fisher(&likelihood.sets, &here.ensemble.moments);
    Maximum {
        gradient_norm: dot(&gradient, &gradient).sqrt(),
        parameters: here.parameters,
        value: here.value,
        iterations,
        end,
        fisher,
    }
}

impl Maximum {
    /// `F⁻¹ v` of every column of `vectors`, shape `(p, columns)`.
    pub(super) fn influence(&self, vectors: Mat<f64>) -> Option<Mat<f64>> {
        solve(&self.fisher, vectors)
    }
}

fn fisher(sets: &[usize], moments: &[f64]) -> Mat<f64> {
    Mat::from_fn(sets.len(), sets.len(), |p, q| {
        moments[sets[p] ^ sets[q]] - moments[sets[p]] * moments[sets[q]]
    })
}

/// `F⁻¹` times each column; `None` where `F` is singular to rounding.
fn solve(fisher: &Mat<f64>, mut columns: Mat<f64>) -> Option<Mat<f64>> {
    let p = fisher.nrows();
    let factor = fisher.llt(Side::Lower).ok()?;
    let lower = factor.L();
    // The moments behind F are exact to some 1e-15.
    if (0..p).any(|k| lower[(k, k)] * lower[(k, k)] < 1e-14) {
        return None;
    }
    factor.solve_in_place(columns.as_mut());
    let finite = columns.col_iter().all(|column| column.iter().all(|x| x.is_finite()));
    finite.then_some(columns)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
