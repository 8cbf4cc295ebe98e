//! Naive mean field in several states at once, by least squares.
//!
//! In state `a` differentiating `atanh m_i = h_i + Σ_j J_ij m_j` by the fields gives `Σ_j J_ij C^a_jk = −δ_ik + C^a_ik / (1 − (m^a_i)²)`,
//! and the equation itself, with its mean over states taken off so that `h_i` drops out,
//! `Σ_j J_ij (m^a_j − m̄_j) = atanh m^a_i − mean`. All are linear in a row of `J`, whose diagonal is free and stands for what a neuron
//! does to itself through others. A row leaves out the states its neuron is frozen in.

use std::collections::BTreeMap;

use faer::{Mat, Side};
use ndarray::{Array1, Array2, Zip};

use super::states::State;

/// Eigenvalues of `A Aᵀ` with its diagonal scaled to 1 below this share of the largest count as zero. Unscaled, the row of a neuron that fires
/// rarely is as small as the square of its variance, and looks like one that no equation speaks of.
const CUT_OFF: f64 = 1e-12;
/// A coupling is determined when no more of it than this lies in directions that no equation speaks of.
const NULL_SHARE_MAX: f64 = 1e-6;

/// Eigenvectors and the inverse from them take as long as this many n³ multiplications of the products of matrices.
const EIGEN_COST: f64 = 30.0;

/// Couplings by naive mean field.
#[derive(Debug, Clone)]
pub(super) struct MeanField {
    /// `(J + Jᵀ) / 2`, or the one of the two that is determined; zero on the diagonal.
    pub(super) couplings: Array2<f64>,
    /// Whether a pair's coupling is determined.
    pub(super) determined: Array2<bool>,
    /// Sum of squares of what is left of the equations, and their number.
    pub(super) residual: (f64, f64),
}

/// States a neuron is not frozen in.
pub(super) fn usable(states: &[State], i: usize) -> Vec<usize> {
    (0..states.len()).filter(|&a| !states[a].frozen[i]).collect()
}

/// Rows by the states they may use.
pub(super) fn rows_by_states(states: &[State], n: usize) -> BTreeMap<Vec<usize>, Vec<usize>> {
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    (0..n).for_each(|i| groups.entry(usable(states, i)).or_default().push(i));
    groups.remove(&Vec::new());
    groups
}

/// Multiplications of [`MeanField::of`] for `n` neurons in so many states, and sets of states that rows use.
pub(super) fn cost(states: usize, n: usize, sets: usize) -> f64 {
    sets as f64 * (EIGEN_COST + 3.0 * states as f64) * (n as f64).powi(3)
}

/// `Σ_a C^a C^a + d^a d^aᵀ` with `d^a = m^a − m̄`.
pub(super) fn normal_matrix(states: &[&State]) -> Array2<f64> {
    let mean = mean_magnetizations(states);
    let n = mean.len();
    let mut normal = Array2::zeros((n, n));
    for state in states {
        ndarray::linalg::general_mat_mul(1.0, &state.covariance, &state.covariance, 1.0, &mut normal);
        let apart = (&state.magnetizations - &mean).insert_axis(ndarray::Axis(1));
        ndarray::linalg::general_mat_mul(1.0, &apart, &apart.t(), 1.0, &mut normal);
    }
    normal
}

fn mean_magnetizations(states: &[&State]) -> Array1<f64> {
    let n = states.first().map_or(0, |state| state.magnetizations.len());
    let sum = states.iter().fold(Array1::zeros(n), |sum, state| sum + &state.magnetizations);
    sum / states.len() as f64
}

impl MeanField {
    /// Of at least one state of `n` neurons. Cost O(n³) for every set of states that rows may use.
    pub(super) fn of(states: &[State], n: usize) -> Self {
        let mut rows = Array2::<f64>::zeros((n, n));
        let mut determined_by_row = Array2::from_elem((n, n), false);
        let mut residual = (0.0, 0.0);
        for (usable, group) in rows_by_states(states, n) {
            let used: Vec<&State> = usable.iter().map(|&a| &states[a]).collect();
            let Some(inverse) = PseudoInverse::of(&normal_matrix(&used)) else { continue };
            let mean = mean_magnetizations(&used);
            for i in group {
                let equations = Equations::of(&used, i);
                let row = inverse.matrix.dot(&equations.right_side(&used, &mean));
                equations.add_residual(&used, &mean, &row, &mut residual);
                rows.row_mut(i).assign(&row);
                determined_by_row.row_mut(i).iter_mut().zip(&inverse.null_share).for_each(|(d, share)| {
                    *d = *share <= NULL_SHARE_MAX;
                });
            }
        }
        let couplings = Array2::from_shape_fn((n, n), |(i, j)| {
            match (determined_by_row[[i, j]], determined_by_row[[j, i]]) {
                _ if i == j => 0.0,
                (true, true) => 0.5 * (rows[[i, j]] + rows[[j, i]]),
                (true, false) => rows[[i, j]],
                (false, true) => rows[[j, i]],
                (false, false) => 0.0,
            }
        });
        let determined =
            Array2::from_shape_fn((n, n), |(i, j)| determined_by_row[[i, j]] || determined_by_row[[j, i]]);
        Self { couplings, determined, residual }
    }
}

/// Right sides of a row's equations.
struct Equations {
    /// `b^a_k` of each state.
    responses: Vec<Array1<f64>>,
    /// `atanh m^a_i − mean` of each state.
    apart: Vec<f64>,
}

impl Equations {
    fn of(states: &[&State], i: usize) -> Self {
        let response = |state: &&State| {
            let m = state.magnetizations[i];
            let mut response = &state.covariance.row(i) / (1.0 - m * m);
            response[i] -= 1.0;
            response
        };
        let inputs: Vec<f64> = states.iter().map(|state| state.magnetizations[i].atanh()).collect();
        let mean_input = inputs.iter().sum::<f64>() / inputs.len() as f64;
        let apart = inputs.iter().map(|input| input - mean_input).collect();
        Self { responses: states.iter().map(response).collect(), apart }
    }

    /// `A Bᵀ`.
    fn right_side(&self, states: &[&State], mean: &Array1<f64>) -> Array1<f64> {
        let mut sum = Array1::zeros(mean.len());
        for ((state, response), apart) in states.iter().zip(&self.responses).zip(&self.apart) {
            sum += &state.covariance.dot(response);
            sum.scaled_add(*apart, &(&state.magnetizations - mean));
        }
        sum
    }

    fn add_residual(
        &self,
        states: &[&State],
        mean: &Array1<f64>,
        row: &Array1<f64>,
        residual: &mut (f64, f64),
    ) {
        for ((state, response), apart) in states.iter().zip(&self.responses).zip(&self.apart) {
            let left = state.covariance.dot(row) - response;
            let field = row.dot(&(&state.magnetizations - mean)) - apart;
            residual.0 += left.dot(&left) + field * field;
            residual.1 += left.len() as f64 + 1.0;
        }
    }
}

/// Inverse where there is one.
struct PseudoInverse {
    matrix: Array2<f64>,
    /// Of each coordinate the share that lies in the null space.
    null_share: Array1<f64>,
}

impl PseudoInverse {
    fn of(normal: &Array2<f64>) -> Option<Self> {
        let n = normal.nrows();
        let unit = normal.diag().mapv(|square: f64| if square > 0.0 { square.sqrt().recip() } else { 0.0 });
        let eigen = eigen(&Array2::from_shape_fn((n, n), |(i, j)| normal[[i, j]] * (unit[i] * unit[j])))?;
        let bound = CUT_OFF * eigen.values.last()?.max(f64::MIN_POSITIVE);
        let mut roots = eigen.vectors;
        let mut null_share = Array1::zeros(n);
        for (k, &value) in eigen.values.iter().enumerate() {
            let mut column = roots.column_mut(k);
            if value > bound {
                Zip::from(&mut column).and(&unit).for_each(|x, unit| *x *= unit / value.sqrt());
            } else {
                null_share.zip_mut_with(&column, |share: &mut f64, x| *share += x * x);
                column.fill(0.0);
            }
        }
        Some(Self { matrix: roots.dot(&roots.t()), null_share })
    }
}

/// Eigenvalues, increasing, and eigenvectors as columns of a symmetric matrix.
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Array2<f64>,
}

/// `None` only where the iteration fails, which it does on numbers that are not finite.
pub(super) fn eigen(matrix: &Array2<f64>) -> Option<Eigen> {
    let n = matrix.nrows();
    let found = Mat::from_fn(n, n, |i, j| matrix[[i, j]]).self_adjoint_eigen(Side::Lower).ok()?;
    let values = found.S().column_vector();
    let vectors = found.U();
    Some(Eigen {
        values: (0..n).map(|k| values[k]).collect(),
        vectors: Array2::from_shape_fn((n, n), |(i, k)| vectors[(i, k)]),
    })
}
