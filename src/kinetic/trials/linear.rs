use faer::linalg::solvers::{Llt, Solve};
use faer::{MatMut, MatRef, Side};
use ndarray::Array2;

/// Cholesky factor of a symmetric positive definite matrix.
pub(super) struct Factor {
    llt: Llt<f64>,
    n: usize,
}

impl Factor {
    /// `None` when the matrix is singular to rounding.
    pub(super) fn of(matrix: &Array2<f64>) -> Option<Self> {
        let n = matrix.nrows();
        let slice = matrix.as_slice().unwrap_or_else(|| unreachable!("built row-major"));
        let llt = MatRef::from_row_major_slice(slice, n, n).llt(Side::Lower).ok()?;
        // A pivot is what the columns before it leave unexplained. Rounding alone leaves some n ε of it.
        let smallest = 64.0 * n as f64 * f64::EPSILON;
        let lower = llt.L();
        let sound = |k: usize| lower[(k, k)] * lower[(k, k)] >= smallest * matrix[[k, k]];
        (0..n).all(sound).then_some(Self { llt, n })
    }

    /// Overwrite `rhs` with the solution.
    pub(super) fn solve(&self, rhs: &mut [f64]) {
        self.llt.solve_in_place(MatMut::from_column_major_slice_mut(rhs, self.n, 1));
    }

    fn inverse(&self) -> Array2<f64> {
        let mut inverse = Array2::eye(self.n);
        let slice = inverse.as_slice_mut().unwrap_or_else(|| unreachable!("built row-major"));
        // Symmetric: by rows or by columns is the same.
        self.llt.solve_in_place(MatMut::from_column_major_slice_mut(slice, self.n, self.n));
        inverse
    }
}

/// `S = (A + ρI)⁻¹ A (A + ρI)⁻¹`, the covariance of an estimate with information `A` and penalty `ρ`: its diagonal and `mᵀ S m`.
pub(super) fn sandwich(
    factor: &Factor,
    information: &Array2<f64>,
    penalty: f64,
    m: &[f64],
) -> (Vec<f64>, f64) {
    let inverse = factor.inverse();
    let solved = inverse.dot(&ndarray::ArrayView1::from(m));
    if penalty == 0.0 {
        let quadratic = solved.iter().zip(m).map(|(s, m)| s * m).sum();
        return (inverse.diag().to_vec(), quadratic);
    }
    let product = inverse.dot(information);
    let diagonal = (0..m.len()).map(|j| product.row(j).dot(&inverse.column(j))).collect();
    (diagonal, solved.dot(&information.dot(&solved)))
}

/// `matrix + penalty · I`.
pub(super) fn penalized(matrix: &Array2<f64>, penalty: f64) -> Array2<f64> {
    let mut out = matrix.clone();
    out.diag_mut().mapv_inplace(|d| d + penalty);
    out
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
