use faer::linalg::solvers::Solve;
use faer::{MatMut, MatRef, Side};
use ndarray::{Array1, Array2};

use crate::moments::Counts;

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
    pub(super) fn of(counts: &Counts, active: &[usize], ridge: f64) -> Result<Self, InversionError> {
        let lag = &counts.lags[0];
        let n = active.len();
        if ridge == 0.0 && lag.transitions <= n as u64 + 1 {
            return Err(InversionError::Undersampled);
        }
        let select = |all: Array1<f64>| -> Array1<f64> { active.iter().map(|&i| all[i]).collect() };
        let square = |all: &Array2<f64>| Array2::from_shape_fn((n, n), |(i, j)| all[[active[i], active[j]]]);
        let equal_time = square(&counts.equal_time_correlations());
        let mut regression = square(&lag.delayed_correlations());
        let magnetization_sender = select(lag.magnetization_sender());
        let solution = solve(&equal_time, ridge, &mut regression, &magnetization_sender)?;
        let magnetization_receiver = select(lag.magnetization_receiver());
        Ok(Self {
            transitions: lag.transitions,
            magnetization_sender,
            gain: magnetization_receiver.mapv(|m| 1.0 - m * m),
            magnetization_receiver,
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
fn solve(
    equal_time: &Array2<f64>,
    ridge: f64,
    rhs: &mut Array2<f64>,
    magnetization: &Array1<f64>,
) -> Result<Variances, InversionError> {
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
    let mut inverse = Array2::eye(n);
    factor.solve_in_place(row_major_mut(&mut inverse));
    let solved = inverse.dot(magnetization);
    if ridge == 0.0 {
        let field_variance = 1.0 + solved.dot(magnetization);
        return Ok(Variances { sender_variance: inverse.diag().to_owned(), field_variance });
    }
    let product = inverse.dot(equal_time);
    let sender_variance = (0..n).map(|j| product.row(j).dot(&inverse.column(j))).collect();
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
    fn a_combination_of_others_is_singular() {
        let c = ndarray::arr2(&[[1.0, 0.3, 1.3], [0.3, 1.0, 1.3], [1.3, 1.3, 2.6]]);
        let mut rhs = Array2::eye(3);
        let m = Array1::zeros(3);
        assert_eq!(solve(&c, 0.0, &mut rhs, &m).err(), Some(InversionError::Singular));
        assert!(solve(&c, 0.1, &mut rhs, &m).is_ok());
    }
}
