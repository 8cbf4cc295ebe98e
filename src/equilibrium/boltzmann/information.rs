use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Mat, Side};

use super::BoltzmannOptions;
use super::chains::{Chains, Family, Network};
use super::learn::Learnt;

/// Configurations sampled: so many for each parameter, but at least so many in all.
const SAMPLES_PER_PARAMETER: usize = 20;
const SAMPLES_MIN: usize = 8192;
/// Sweeps between them.
const SWEEPS: usize = 4;

/// Fisher information of a configuration, the covariance of the operators, as a factor.
pub(super) struct Information {
    factor: faer::linalg::solvers::Llt<f64>,
    n_parameters: usize,
    /// `(M − p − 1)/M`.
    shrink: f64,
}

impl Information {
    /// Sampled where learning has ended; `None` when it is singular.
    pub(super) fn of<F: Family>(family: &F, learnt: &mut Learnt, options: &BoltzmannOptions) -> Option<Self> {
        let network = family.network(&learnt.parameters);
        let information = Self::sample(family, &mut learnt.chains, &network, options);
        learnt.diagnostics.sweeps = learnt.chains.sweeps;
        information
    }

    /// Sampled in a model; `None` when it is singular.
    pub(super) fn sample<F: Family>(
        family: &F,
        chains: &mut Chains,
        network: &Network,
        options: &BoltzmannOptions,
    ) -> Option<Self> {
        let n = family.data().len();
        let count = (SAMPLES_PER_PARAMETER * n).max(SAMPLES_MIN).div_ceil(options.chains);
        let drawn = chains.draw(network, count, SWEEPS);
        let lower = family.covariance(&drawn, options.threads);
        let shrink = (drawn.len() - n - 1) as f64 / drawn.len() as f64;
        Self::factor(&lower, shrink)
    }

    /// Of a symmetric matrix, the lower triangle by rows; `None` when it is singular or not positive. `shrink` multiplies its inverse.
    pub(super) fn factor(lower: &[Vec<f64>], shrink: f64) -> Option<Self> {
        let n = lower.len();
        let matrix = Mat::from_fn(n, n, |a, b| if b <= a { lower[a][b] } else { 0.0 });
        let factor = matrix.llt(Side::Lower).ok()?;
        // A pivot is what the operators before it leave unexplained: rounding alone leaves some n ε of it.
        let smallest = 64.0 * n as f64 * f64::EPSILON;
        let root = factor.L();
        let singular = (0..n).any(|a| !(root[(a, a)] * root[(a, a)] > smallest * lower[a][a]));
        (!singular).then_some(Self { factor, n_parameters: n, shrink })
    }

    /// `F⁻¹ x`.
    pub(super) fn solve(&self, x: &[f64]) -> Vec<f64> {
        let mut column = Mat::from_fn(x.len(), 1, |a, _| x[a]);
        self.factor.solve_in_place(column.as_mut());
        column.col_as_slice(0).iter().map(|x| self.shrink * x).collect()
    }

    /// The diagonal of `F⁻¹`.
    pub(super) fn variances(&self) -> Vec<f64> {
        let inverse = self.factor.inverse();
        (0..self.n_parameters).map(|a| self.shrink * inverse[(a, a)]).collect()
    }
}
