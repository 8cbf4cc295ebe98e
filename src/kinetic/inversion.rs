use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Accum, Mat, MatMut, Par};
use ndarray::{Array1, Array2};

use crate::moments::{Counts, connected, triangle_row};

/// Moments of the active neurons.
pub(super) struct Moments {
    pub(super) transitions: u64,
    /// `m⁻`, shape `(n_active)`.
    pub(super) magnetization_sender: Array1<f64>,
    /// `m⁺`, shape `(n_active)`.
    pub(super) magnetization_receiver: Array1<f64>,
    equal_time: EqualTime,
    /// `D`, shape `(n_active, n_active)`, row = receiver.
    delayed: Array2<f64>,
}

/// `C`: row after row of the upper triangle, which by symmetry are the columns of the lower one.
struct EqualTime {
    n: usize,
    packed: Vec<f64>,
}

impl EqualTime {
    /// `C_kk, …, C_k(n−1)` for each `k`.
    fn columns(&self) -> impl Iterator<Item = &[f64]> {
        let mut rest = self.packed.as_slice();
        (0..self.n).map(move |k| {
            let (column, below) = rest.split_at(self.n - k);
            rest = below;
            column
        })
    }
}

impl Moments {
    pub(super) fn of(counts: &Counts, active: &[usize]) -> Self {
        let (lag, n, all) = (&counts.lags[0], active.len(), counts.n_neurons);
        let select = |values: Array1<f64>| -> Array1<f64> { active.iter().map(|&i| values[i]).collect() };
        let mut packed = Vec::with_capacity(n * (n + 1) / 2);
        for (place, &i) in active.iter().enumerate() {
            let start = triangle_row(all, i);
            let both = &counts.equal_time[start..start + all - i];
            let value = |&j: &usize| connected(lag.transitions, both[j - i], lag.sender[i], lag.sender[j]);
            packed.extend(active[place..].iter().map(value));
        }
        let mut delayed = Vec::with_capacity(n * n);
        for &i in active {
            let both = &lag.delayed[i * all..(i + 1) * all];
            let value = |&j: &usize| connected(lag.transitions, both[j], lag.receiver[i], lag.sender[j]);
            delayed.extend(active.iter().map(value));
        }
        Self {
            transitions: lag.transitions,
            magnetization_sender: select(lag.magnetization_sender()),
            magnetization_receiver: select(lag.magnetization_receiver()),
            equal_time: EqualTime { n, packed },
            delayed: Array2::from_shape_vec((n, n), delayed).unwrap_or_else(|_| unreachable!("n rows of n")),
        }
    }

    /// Number of neurons that take part.
    pub(super) fn n_active(&self) -> usize {
        self.magnetization_sender.len()
    }
}

/// Why the correlation matrix has no usable inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InversionError {
    /// No more transitions than unknowns of a row: its couplings and its field.
    Undersampled,
    /// A sender's spike train is, to rounding, a combination of others.
    Singular,
}

/// `C + λI` taken apart for one ridge after the other, in matrices that are made once: a factor, `B` and, while variances are
/// worked out, another one.
pub(super) struct Inversion<'a> {
    moments: &'a Moments,
    /// `L` with `L Lᵀ = C + λI` in its lower triangle, until it is replaced by `(C + λI)⁻¹`.
    factor: Mat<f64>,
    ridge: f64,
}

/// Parts of the sandwich `S = (C + λI)⁻¹ C (C + λI)⁻¹`.
#[derive(Debug, Clone)]
pub(super) struct SenderVariance {
    /// `S_jj`, shape `(n_active)`.
    pub(super) sender: Array1<f64>,
    /// `1 + m⁻ᵀ S m⁻`.
    pub(super) field: f64,
}

impl SenderVariance {
    /// Of these moments. Cost O(n³).
    pub(super) fn of(moments: &Moments, ridge: f64) -> Result<Self, InversionError> {
        let mut inversion = Inversion::new(moments);
        inversion.factorize(ridge)?;
        inversion.variance()
    }
}

impl<'a> Inversion<'a> {
    pub(super) fn new(moments: &'a Moments) -> Self {
        let n = moments.n_active();
        Self { moments, factor: Mat::zeros(n, n), ridge: 0.0 }
    }

    /// Factorize `C + λI`.
    ///
    /// A `λ` that is negative or not finite is no ridge and leaves nothing to invert: [`InversionError::Singular`].
    pub(super) fn factorize(&mut self, ridge: f64) -> Result<(), InversionError> {
        let n = self.moments.n_active();
        if ridge == 0.0 && self.moments.transitions <= n as u64 + 1 {
            return Err(InversionError::Undersampled);
        }
        if !(0.0..f64::INFINITY).contains(&ridge) {
            return Err(InversionError::Singular);
        }
        self.ridge = ridge;
        for (k, column) in self.moments.equal_time.columns().enumerate() {
            let target = &mut self.factor.col_as_slice_mut(k)[k..];
            target.copy_from_slice(column);
            target[0] += ridge;
        }
        let scratch = llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, faer::Spec::default());
        let mut memory = MemBuffer::new(scratch);
        llt::factor::cholesky_in_place(
            self.factor.as_mut(),
            llt::factor::LltRegularization::default(),
            Par::Seq,
            MemStack::new(&mut memory),
            faer::Spec::default(),
        )
        .map_err(|_| InversionError::Singular)?;
        // A pivot is the variance of a sender that the ones before it leave unexplained. Rounding alone leaves some n ε of it.
        let smallest = 64.0 * n as f64 * f64::EPSILON;
        let is_sound = |(k, column): (usize, &[f64])| {
            let pivot = self.factor[(k, k)];
            pivot * pivot >= smallest * (column[0] + ridge)
        };
        let sound = self.moments.equal_time.columns().enumerate().all(is_sound);
        if sound { Ok(()) } else { Err(InversionError::Singular) }
    }

    /// Let `regression` be `B = D (C + λI)⁻¹` of the ridge factorized last, shape `(n_active, n_active)`, row = receiver.
    pub(super) fn regression(&self, regression: &mut Array2<f64>) {
        regression.assign(&self.moments.delayed);
        // D row-major is Dᵀ column-major: solving in place turns it into (C + λI)⁻¹ Dᵀ = Bᵀ, which read by rows is B.
        let transposed = row_major_mut(regression).transpose_mut();
        llt::solve::solve_in_place(self.factor.as_ref(), transposed, Par::Seq, MemStack::new(&mut []));
    }

    /// What the sampling variance needs, of the ridge factorized last; the factor is lost. O(n²) besides an inverse.
    ///
    /// `C A⁻¹ = I − λ A⁻¹` with `A = C + λI` spares a product of matrices: `S_jj = (A⁻¹)_jj (C A⁻¹)_jj − λ Σ_{k≠j} (A⁻¹)_jk²`. Taking
    /// `(C A⁻¹)_jj` from `C` and not as `1 − λ (A⁻¹)_jj` keeps its digits however large λ is.
    pub(super) fn variance(&mut self) -> Result<SenderVariance, InversionError> {
        self.invert();
        let (n, m) = (self.moments.n_active(), &self.moments.magnetization_sender);
        let m = m.as_slice().unwrap_or_default();
        // Sums over both triangles of a symmetric matrix from the lower one alone, column by column.
        let mut sums = Sums::new(n);
        for (j, equal_time) in self.moments.equal_time.columns().enumerate() {
            sums.add_column(j, &self.factor.col_as_slice(j)[j..], equal_time, m);
        }
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        if self.ridge == 0.0 {
            let sender = (0..n).map(|j| self.factor[(j, j)]).collect();
            return Ok(SenderVariance { sender, field: 1.0 + dot(&sums.solved, m) });
        }
        let of_sender = |j: usize| self.factor[(j, j)] * sums.correlated[j] - self.ridge * sums.others[j];
        let sender: Array1<f64> = (0..n).map(of_sender).collect();
        // Only a C that is singular next to a ridge of some 1e-10 could leave less than rounding.
        if sender.iter().any(|&variance| variance < 0.0) {
            return Err(InversionError::Singular);
        }
        let quadratic: f64 = self
            .moments
            .equal_time
            .columns()
            .enumerate()
            .map(|(j, column)| {
                let solved = &sums.solved[j..];
                solved[0] * (column[0] * solved[0] + 2.0 * dot(&column[1..], &solved[1..]))
            })
            .sum();
        Ok(SenderVariance { sender, field: 1.0 + quadratic })
    }

    /// Replace the factor by the lower triangle of `(C + λI)⁻¹ = L⁻ᵀ L⁻¹`.
    fn invert(&mut self) {
        let n = self.moments.n_active();
        let mut inverse = Mat::zeros(n, n);
        invert_lower_triangular(inverse.as_mut(), self.factor.as_ref(), Par::Seq);
        triangular::matmul(
            self.factor.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            inverse.transpose(),
            BlockStructure::TriangularUpper,
            inverse.as_ref(),
            BlockStructure::TriangularLower,
            1.0,
            Par::Seq,
        );
    }
}

/// Sums over the rows of `A⁻¹`, each of shape `(n_active)`.
struct Sums {
    /// `(C A⁻¹)_jj`.
    correlated: Vec<f64>,
    /// `Σ_{k≠j} (A⁻¹)_jk²`.
    others: Vec<f64>,
    /// `A⁻¹ m`.
    solved: Vec<f64>,
}

impl Sums {
    fn new(n: usize) -> Self {
        Self { correlated: vec![0.0; n], others: vec![0.0; n], solved: vec![0.0; n] }
    }

    /// Take up column `j` of the lower triangle, from the diagonal down, with that of `C`.
    fn add_column(&mut self, j: usize, inverse: &[f64], equal_time: &[f64], m: &[f64]) {
        let (own_m, m) = (m[j], &m[j + 1..]);
        let (mut correlated, mut others, mut solved) = (inverse[0] * equal_time[0], 0.0, inverse[0] * own_m);
        let below = inverse[1..].iter().zip(&equal_time[1..]).zip(m);
        let sums = self.correlated[j + 1..].iter_mut().zip(&mut self.others[j + 1..]);
        let sums = sums.zip(&mut self.solved[j + 1..]);
        for (((&inverse, &equal_time), &m), ((to_correlated, to_others), to_solved)) in below.zip(sums) {
            let (product, square) = (inverse * equal_time, inverse * inverse);
            correlated += product;
            others += square;
            solved += inverse * m;
            *to_correlated += product;
            *to_others += square;
            *to_solved += inverse * own_m;
        }
        self.correlated[j] += correlated;
        self.others[j] += others;
        self.solved[j] += solved;
    }
}

fn row_major_mut(matrix: &mut Array2<f64>) -> MatMut<'_, f64> {
    let (rows, columns) = matrix.dim();
    let slice = matrix.as_slice_mut().unwrap_or_else(|| unreachable!("built row-major"));
    MatMut::from_row_major_slice_mut(slice, rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `B` and the variances of moments given as matrices; many transitions.
    fn solve(
        c: &Array2<f64>,
        ridge: f64,
        rhs: &mut Array2<f64>,
        m: &Array1<f64>,
    ) -> Result<SenderVariance, InversionError> {
        let n = m.len();
        let moments = Moments {
            transitions: 1 << 40,
            magnetization_sender: m.clone(),
            magnetization_receiver: m.clone(),
            equal_time: EqualTime {
                n,
                packed: (0..n).flat_map(|i| c.row(i).to_vec().split_off(i)).collect(),
            },
            delayed: rhs.clone(),
        };
        let mut inversion = Inversion::new(&moments);
        inversion.factorize(ridge)?;
        inversion.regression(rhs);
        inversion.variance()
    }

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
            assert!((&variance.sender - &sandwich.diag()).iter().all(|e| e.abs() < 1e-14));
            assert!((variance.field - 1.0 - m.dot(&sandwich.dot(&m))).abs() < 1e-14);
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
                    let error = found.sender[j] / sandwich[(j, j)] - 1.0;
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
            assert!(b.iter().all(finite) && found.sender.iter().all(finite), "{ridge}");
            assert!(found.field.is_finite() && found.sender.iter().all(|&v| v >= 0.0));
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
