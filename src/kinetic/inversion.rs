use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Mat, MatMut, MatRef, Side};
use ndarray::{Array1, Array2, ArrayView1};

use crate::moments::Counts;

/// Moments of the active neurons, all of shape `(n_active)` or `(n_active, n_active)`.
pub(super) struct Moments {
    pub(super) transitions: u64,
    /// `m⁻`.
    magnetization_sender: Array1<f64>,
    /// `m⁺`.
    magnetization_receiver: Array1<f64>,
    /// `C`.
    equal_time: Array2<f64>,
    /// `D`, row = receiver.
    delayed: Array2<f64>,
}

impl Moments {
    pub(super) fn of(counts: &Counts, active: &[usize]) -> Self {
        let lag = &counts.lags[0];
        let n = active.len();
        let select = |all: Array1<f64>| -> Array1<f64> { active.iter().map(|&i| all[i]).collect() };
        let square = |all: &Array2<f64>| Array2::from_shape_fn((n, n), |(i, j)| all[[active[i], active[j]]]);
        Self {
            transitions: lag.transitions,
            magnetization_sender: select(lag.magnetization_sender()),
            magnetization_receiver: select(lag.magnetization_receiver()),
            equal_time: square(&counts.equal_time_correlations()),
            delayed: square(&lag.delayed_correlations()),
        }
    }
}

/// What the estimators share: the moments of the active neurons and `B = D (C + λI)⁻¹`.
pub(super) struct Inversion {
    pub(super) transitions: u64,
    /// `m⁻`, shape `(n_active)`.
    pub(super) magnetization_sender: Array1<f64>,
    /// `m⁺`, shape `(n_active)`.
    pub(super) magnetization_receiver: Array1<f64>,
    /// `a_i = 1 − (m_i⁺)²`, shape `(n_active)`.
    pub(super) gain: Array1<f64>,
    /// `B`, shape `(n_active, n_active)`, row = receiver.
    pub(super) regression: Array2<f64>,
    /// `[(C + λI)⁻¹ C (C + λI)⁻¹]_jj`, shape `(n_active)`.
    pub(super) sender_variance: Array1<f64>,
    /// `1 + m⁻ᵀ (C + λI)⁻¹ C (C + λI)⁻¹ m⁻`.
    pub(super) field_variance: f64,
}

/// Why the correlation matrix has no usable inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InversionError {
    /// No more transitions than unknowns of a row: its couplings and its field.
    Undersampled,
    /// A sender's spike train is, to rounding, a combination of others.
    Singular,
}

impl Inversion {
    pub(super) fn of(moments: &Moments, ridge: f64) -> Result<Self, InversionError> {
        let n = moments.magnetization_sender.len();
        if ridge == 0.0 && moments.transitions <= n as u64 + 1 {
            return Err(InversionError::Undersampled);
        }
        let mut regression = moments.delayed.clone();
        let solution = solve(&moments.equal_time, ridge, &mut regression, &moments.magnetization_sender)?;
        Ok(Self {
            transitions: moments.transitions,
            magnetization_sender: moments.magnetization_sender.clone(),
            magnetization_receiver: moments.magnetization_receiver.clone(),
            gain: moments.magnetization_receiver.mapv(|m| 1.0 - m * m),
            regression,
            sender_variance: solution.sender_variance,
            field_variance: solution.field_variance,
        })
    }

    /// Number of neurons that take part.
    pub(super) fn n_active(&self) -> usize {
        self.gain.len()
    }

    /// `1 − (m_j⁻)²`, shape `(n_active)`.
    pub(super) fn sender_gain(&self) -> Array1<f64> {
        self.magnetization_sender.mapv(|m| 1.0 - m * m)
    }
}

/// Parts of the sandwich `S = (C + λI)⁻¹ C (C + λI)⁻¹`.
struct Variances {
    /// `S_jj`.
    sender_variance: Array1<f64>,
    /// `1 + mᵀ S m`.
    field_variance: f64,
}

/// Overwrite `rhs` (D) with `D (C + λI)⁻¹` and give what the sampling variance needs.
///
/// A `λ` that is negative or not finite is no ridge and leaves nothing to invert: [`InversionError::Singular`].
fn solve(
    equal_time: &Array2<f64>,
    ridge: f64,
    rhs: &mut Array2<f64>,
    magnetization: &Array1<f64>,
) -> Result<Variances, InversionError> {
    if !(0.0..f64::INFINITY).contains(&ridge) {
        return Err(InversionError::Singular);
    }
    let n = equal_time.nrows();
    let mut ridged = equal_time.clone();
    ridged.diag_mut().mapv_inplace(|c| c + ridge);
    let factor = row_major(&ridged).llt(Side::Lower).map_err(|_| InversionError::Singular)?;
    // A pivot is the variance of a sender that the ones before it leave unexplained. Rounding alone leaves some n ε of it.
    let smallest = 64.0 * n as f64 * f64::EPSILON;
    let lower = factor.L();
    if (0..n).any(|k| lower[(k, k)] * lower[(k, k)] < smallest * ridged[[k, k]]) {
        return Err(InversionError::Singular);
    }
    // D row-major is Dᵀ column-major: solving in place turns it into (C + λI)⁻¹ Dᵀ = Bᵀ, which read by rows is B.
    factor.solve_in_place(row_major_mut(rhs).transpose_mut());
    variances(&factor.inverse(), equal_time, ridge, magnetization)
}

/// The diagonal of `S` and `1 + mᵀ S m` from `A⁻¹ = (C + λI)⁻¹` in O(n²).
///
/// `C A⁻¹ = I − λ A⁻¹` spares the product of matrices: `S_jj = (A⁻¹)_jj (C A⁻¹)_jj − λ Σ_{k≠j} (A⁻¹)_jk²`. Taking
/// `(C A⁻¹)_jj` from `C` and not as `1 − λ (A⁻¹)_jj` keeps its digits however large λ is.
fn variances(
    inverse: &Mat<f64>,
    equal_time: &Array2<f64>,
    ridge: f64,
    magnetization: &Array1<f64>,
) -> Result<Variances, InversionError> {
    let column = |j: usize| ArrayView1::from(inverse.col_as_slice(j));
    let n = inverse.ncols();
    let solved: Array1<f64> = (0..n).map(|j| column(j).dot(magnetization)).collect();
    if ridge == 0.0 {
        let sender_variance = (0..n).map(|j| inverse[(j, j)]).collect();
        return Ok(Variances { sender_variance, field_variance: 1.0 + solved.dot(magnetization) });
    }
    let sender_variance: Array1<f64> = (0..n)
        .map(|j| {
            let (column, own) = (column(j), inverse[(j, j)]);
            let others = (0..n).filter(|&k| k != j).map(|k| column[k] * column[k]).sum::<f64>();
            own * equal_time.row(j).dot(&column) - ridge * others
        })
        .collect();
    // Only a C that is singular next to a ridge of some 1e-10 could leave less than rounding.
    if sender_variance.iter().any(|&variance| variance < 0.0) {
        return Err(InversionError::Singular);
    }
    Ok(Variances { sender_variance, field_variance: 1.0 + solved.dot(&equal_time.dot(&solved)) })
}

fn row_major(matrix: &Array2<f64>) -> MatRef<'_, f64> {
    let (rows, columns) = matrix.dim();
    let slice = matrix.as_slice().unwrap_or_else(|| unreachable!("built row-major"));
    MatRef::from_row_major_slice(slice, rows, columns)
}

fn row_major_mut(matrix: &mut Array2<f64>) -> MatMut<'_, f64> {
    let (rows, columns) = matrix.dim();
    let slice = matrix.as_slice_mut().unwrap_or_else(|| unreachable!("built row-major"));
    MatMut::from_row_major_slice_mut(slice, rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_the_regression_and_the_sandwich() {
        let c = ndarray::arr2(&[[2.0, 0.5], [0.5, 1.0]]);
        let d = ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]);
        for ridge in [0.0, 0.7] {
            let mut b = d.clone();
            let m = ndarray::arr1(&[-0.5, 0.25]);
            let variance = solve(&c, ridge, &mut b, &m).unwrap();
            let ridged = &c + &(Array2::<f64>::eye(2) * ridge);
            assert!((&b.dot(&ridged) - &d).iter().all(|e| e.abs() < 1e-14), "B (C + λI) = D");
            let det = ridged[[0, 0]] * ridged[[1, 1]] - ridged[[0, 1]] * ridged[[1, 0]];
            let inverse = ndarray::arr2(&[[ridged[[1, 1]], -0.5], [-0.5, ridged[[0, 0]]]]) / det;
            let sandwich = inverse.dot(&c).dot(&inverse);
            assert!((&variance.sender_variance - &sandwich.diag()).iter().all(|e| e.abs() < 1e-14));
            assert!((variance.field_variance - 1.0 - m.dot(&sandwich.dot(&m))).abs() < 1e-14);
        }
    }

    #[test]
    fn the_sandwich_keeps_its_digits_for_every_ridge() {
        // Correlations from rare spikes (0.01) to even ones (1) and, with `close`, two neurons that are all but one.
        let n = 12;
        for close in [0.3, 0.999_999] {
            let chain = |i: usize, j: usize| {
                (i.min(j)..i.max(j)).map(|k| if k == 0 { close } else { 0.9 }).product::<f64>()
            };
            let scale = Array1::from_shape_fn(n, |i| 10f64.powf(-(i as f64) / (n - 1) as f64));
            let c = Array2::from_shape_fn((n, n), |(i, j)| chain(i, j) * scale[i] * scale[j]);
            let m = scale.mapv(|s| s - 1.0);
            for exponent in -12..=12 {
                let ridge = 10f64.powi(exponent);
                let found = solve(&c, ridge, &mut c.clone(), &m).unwrap();
                let ridged =
                    nalgebra::DMatrix::from_fn(n, n, |i, j| c[[i, j]] + if i == j { ridge } else { 0.0 });
                let inverse = ridged.try_inverse().unwrap();
                let sandwich = &inverse * nalgebra::DMatrix::from_fn(n, n, |i, j| c[[i, j]]) * &inverse;
                for j in 0..n {
                    let error = found.sender_variance[j] / sandwich[(j, j)] - 1.0;
                    assert!(error.abs() < 1e-9, "λ = {ridge}, sender {j}: {error:e}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_ridge_is_refused_and_a_huge_one_is_finite() {
        let c = ndarray::arr2(&[[0.5, 0.1], [0.1, 0.25]]);
        let m = ndarray::arr1(&[-0.5, 0.25]);
        for ridge in [-0.1, -1e-300, f64::NEG_INFINITY, f64::INFINITY, f64::NAN] {
            assert_eq!(solve(&c, ridge, &mut c.clone(), &m).err(), Some(InversionError::Singular), "{ridge}");
        }
        for ridge in [f64::MIN_POSITIVE, 1e16, 1e150, 1e300, f64::MAX] {
            let mut b = c.clone();
            let found = solve(&c, ridge, &mut b, &m).unwrap();
            let finite = |v: &f64| v.is_finite();
            assert!(b.iter().all(finite) && found.sender_variance.iter().all(finite), "{ridge}");
            assert!(found.field_variance.is_finite() && found.sender_variance.iter().all(|&v| v >= 0.0));
        }
    }

    #[test]
    fn a_combination_of_others_is_singular() {
        let c = ndarray::arr2(&[[1.0, 0.3, 1.3], [0.3, 1.0, 1.3], [1.3, 1.3, 2.6]]);
        let mut rhs = Array2::eye(3);
        let m = Array1::zeros(3);
        assert_eq!(solve(&c, 0.0, &mut rhs, &m).err(), Some(InversionError::Singular));
        assert!(solve(&c, 0.1, &mut rhs, &m).is_ok());
    }
}
