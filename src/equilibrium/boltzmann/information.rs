use faer::linalg::solvers::{DenseSolveCore, Llt, Solve};
use faer::{Mat, Side};

use super::BoltzmannOptions;
use super::chains::{Chains, Family, Network};

/// Configurations sampled: so many for each parameter, but at least so many in all.
const SAMPLES_PER_PARAMETER: usize = 20;
const SAMPLES_MIN: usize = 8192;
/// Sweeps between them.
const SWEEPS: usize = 4;

/// Added to the diagonal for steps, relative to it: what hardly ever happens among the configurations sampled must not set their length.
const STEP_RIDGE: f64 = 1e-3;

/// Fisher information of a configuration, the covariance of the operators, as a factor.
pub(super) struct Information {
    factor: Llt<f64>,
    n_parameters: usize,
    /// `(M − p − 1)/M` for M independent configurations. Those sampled are [`SWEEPS`] sweeps apart: at strong coupling they count for
    /// fewer, and the inverse stays somewhat too large.
    shrink: f64,
}

/// Fisher information sampled in a model.
pub(super) struct Sampled {
    /// A little ridged, so that it has an inverse.
    pub(super) for_steps: Option<Information>,
    /// As it is; `None` when it is singular.
    pub(super) for_errors: Option<Information>,
}

impl Sampled {
    /// By the chains in a model.
    pub(super) fn of<F: Family>(
        family: &F,
        chains: &mut Chains,
        network: &Network,
        options: &BoltzmannOptions,
    ) -> Self {
        let n = family.data().len();
        let count = (SAMPLES_PER_PARAMETER * n).max(SAMPLES_MIN).div_ceil(options.chains);
        let drawn = chains.draw(network, count, SWEEPS);
        let mut lower = family.covariance(&drawn, options.threads);
        let shrink = (drawn.len() - n - 1) as f64 / drawn.len() as f64;
        let for_errors = Information::factor(&lower, shrink);
        lower.iter_mut().enumerate().for_each(|(a, row)| row[a] *= 1.0 + STEP_RIDGE);
        Self { for_steps: Information::factor(&lower, shrink), for_errors }
    }
}

impl Information {
    /// Of a symmetric matrix, the lower triangle by rows; `None` when it is singular or not positive. `shrink` multiplies its inverse.
    pub(super) fn factor(lower: &[Vec<f64>], shrink: f64) -> Option<Self> {
        let n = lower.len();
        let matrix = Mat::from_fn(n, n, |a, b| if b <= a { lower[a][b] } else { 0.0 });
        let factor = matrix.llt(Side::Lower).ok()?;
        // A pivot is what the operators before it leave unexplained: rounding alone leaves some n ε of it.
        let smallest = 64.0 * n as f64 * f64::EPSILON;
        let root = factor.L();
        let singular = !(0..n).all(|a| root[(a, a)] * root[(a, a)] > smallest * lower[a][a]);
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
