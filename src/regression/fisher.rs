//! Fisher information of single rows: for Newton's method and for standard errors.
//!
//! `H_i = Σ_t (1 − tanh² θ_i) y yᵀ` with `y = (1, s − m⁻)`, from `A_i = Σ_t p_i (1 − p_i) (1, n)(1, n)ᵀ`: only pairs of active
//! senders count.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};

use super::cost::Layout;
use super::logistic::{LANES, Lanes, Sums, per_instruction_set};
use super::pass::{LogOdds, RowBlock, TILE_PATTERNS, Tile};
use super::patterns::Patterns;
use super::problem::{Parameters, Problem};
use crate::moments::threads;

/// `(H + Λ)⁻¹ g` of the mean penalised log-likelihood, for each row; `None` where the matrix is singular.
pub(crate) fn newton_directions(
    problem: &Problem,
    points: &[(usize, &Parameters)],
    gradients: &[&Parameters],
    threads: usize,
) -> Vec<Option<Parameters>> {
    for_each_row(problem, points, threads, |k, information| {
        let factor = penalised(problem, points[k].0, &information).llt(Side::Lower).ok()?;
        let gradient = gradients[k];
        let mut direction = Mat::from_fn(problem.n() + 1, 1, |j, _| {
            let component = if j == 0 { gradient.drive } else { gradient.couplings[j - 1] };
            component * problem.observations
        });
        factor.solve_in_place(direction.as_mut());
        let direction = Parameters {
            drive: direction[(0, 0)],
            couplings: (1..=problem.n()).map(|j| direction[(j, 0)]).collect(),
        };
        direction.is_finite().then_some(direction)
    })
}

/// Squared standard errors of a row.
pub(crate) struct RowVariance {
    /// Of the couplings; 0 for one that is held.
    pub(crate) couplings: Vec<f64>,
    /// Of the field `h_i`.
    pub(crate) field: f64,
}

/// Diagonal of `(H + Λ)⁻¹ H (H + Λ)⁻¹` at the points, for `(h, J)`; `None` where the matrix is singular.
pub(crate) fn variances(
    problem: &Problem,
    points: &[(usize, &Parameters)],
    threads: usize,
) -> Vec<Option<RowVariance>> {
    for_each_row(problem, points, threads, |k, information| {
        let row = points[k].0;
        let inverse = penalised(problem, row, &information).llt(Side::Lower).ok()?.inverse();
        row_variance(problem, row, &information, &inverse)
    })
}

/// A row's [`RowVariance`], and how its parameters follow gradients.
pub(crate) struct RowResponse {
    /// As from [`variances`].
    pub(crate) variance: RowVariance,
    /// `(H + Λ)⁻¹ g` of each gradient, shape `(1 + n, gradients)`: the drive first, then the couplings.
    pub(crate) moved: Mat<f64>,
}

/// What sums of gradients (of observations, not their mean) do to each row, the gradients of row `k` being the columns of `gradients[k]`,
/// shape `(1 + n, …)`; `None` where the matrix is singular.
pub(crate) fn responses(
    problem: &Problem,
    points: &[(usize, &Parameters)],
    gradients: &[Mat<f64>],
    threads: usize,
) -> Vec<Option<RowResponse>> {
    for_each_row(problem, points, threads, |k, information| {
        let row = points[k].0;
        let factor = penalised(problem, row, &information).llt(Side::Lower).ok()?;
        let variance = row_variance(problem, row, &information, &factor.inverse())?;
        let mut moved = gradients[k].clone();
        factor.solve_in_place(moved.as_mut());
        let finite = moved.col_iter().all(|column| column.iter().all(|v| v.is_finite()));
        finite.then_some(RowResponse { variance, moved })
    })
}

fn row_variance(
    problem: &Problem,
    row: usize,
    information: &Mat<f64>,
    inverse: &Mat<f64>,
) -> Option<RowVariance> {
    let n = problem.n();
    let free = |j: usize| !problem.holds(row, j - 1);
    // h = u − Σ_j J_j m_j⁻.
    let field = Mat::from_fn(n + 1, 1, |j, _| match j {
        0 => 1.0,
        j if free(j) => -problem.magnetization(j - 1),
        _ => 0.0,
    });
    let along = inverse * &field;
    let only_free = |j: usize, variance: f64| if free(j) { variance } else { 0.0 };
    let variance = if problem.ridge == 0.0 {
        RowVariance {
            couplings: (1..=n).map(|j| only_free(j, inverse[(j, j)])).collect(),
            field: (field.transpose() * &along)[(0, 0)],
        }
    } else {
        let product = information * inverse;
        let coupling = |j: usize| (inverse.col(j).transpose() * product.col(j)).max(0.0);
        RowVariance {
            couplings: (1..=n).map(|j| only_free(j, coupling(j))).collect(),
            field: (along.transpose() * information * &along)[(0, 0)],
        }
    };
    let finite = variance.field.is_finite() && variance.couplings.iter().all(|v| v.is_finite());
    finite.then_some(variance)
}

/// `H + Λ`, `Λ = T λ a_i` on couplings.
fn penalised(problem: &Problem, row: usize, information: &Mat<f64>) -> Mat<f64> {
    let penalty = problem.observations * problem.penalty(row);
    let mut penalised = information.clone();
    for j in 1..=problem.n() {
        penalised[(j, j)] += penalty;
    }
    penalised
}

/// Call `finish` with the Fisher information of each row at its point, shape `(1 + n, 1 + n)`.
fn for_each_row<R: Send>(
    problem: &Problem,
    points: &[(usize, &Parameters)],
    threads: usize,
    finish: impl Fn(usize, Mat<f64>) -> R + Sync,
) -> Vec<R> {
    let blocks: Vec<&[(usize, &Parameters)]> = points.chunks(LANES).collect();
    let results = threads::map(threads, blocks.len(), |block| {
        let rows: Vec<LogOdds> = blocks[block].iter().map(|(_, point)| problem.log_odds(point)).collect();
        let rows = RowBlock::of(&rows, problem.n());
        let finish = |row: usize, lower: Mat<f64>| {
            let (place, _) = blocks[block][row];
            finish(block * LANES + row, centred(problem, place, &lower))
        };
        match problem.costs.fisher_layout {
            Layout::Sparse => sparse(problem.patterns, &rows, finish),
            Layout::Dense => dense(problem.patterns, &rows, finish),
        }
    });
    results.into_iter().flatten().collect()
}

/// `H` of a row from the lower triangle of `A`. A coupling that is held is separate from the others, with the information of the drive.
fn centred(problem: &Problem, row: usize, lower: &Mat<f64>) -> Mat<f64> {
    // y_j = 2 (n_j − K_j⁻/T)
    let share = |j: usize| problem.sender_share[j - 1];
    Mat::from_fn(lower.nrows(), lower.ncols(), |j, k| {
        let (j, k) = (j.max(k), j.min(k));
        match (j, k) {
            (j, k) if j > 0 && problem.holds(row, j - 1) || k > 0 && problem.holds(row, k - 1) => {
                if j == k {
                    4.0 * lower[(0, 0)]
                } else {
                    0.0
                }
            }
            (0, 0) => 4.0 * lower[(0, 0)],
            (j, 0) => 8.0 * (lower[(j, 0)] - share(j) * lower[(0, 0)]),
            (j, k) => {
                let shift = share(j) * lower[(k, 0)] + share(k) * lower[(j, 0)];
                16.0 * (lower[(j, k)] - shift + share(j) * share(k) * lower[(0, 0)])
            }
        }
    })
}

fn sparse<R>(patterns: &Patterns, block: &RowBlock, finish: impl Fn(usize, Mat<f64>) -> R) -> Vec<R> {
    let columns = 1 + patterns.n_senders;
    let mut pairs = vec![[0.0; LANES]; columns * (columns + 1) / 2];
    sum_pairs(patterns, &block.coefficients, &mut pairs);
    let lower = |row: usize| {
        Mat::from_fn(columns, columns, |j, k| if j >= k { pairs[triangle_row(j) + k][row] } else { 0.0 })
    };
    (0..block.n_rows).map(|row| finish(row, lower(row))).collect()
}

/// Place of the pair `(j, 0)` in a packed lower triangle.
#[inline(always)]
fn triangle_row(j: usize) -> usize {
    j * (j + 1) / 2
}

per_instruction_set!(
    /// `Σ p (1 − p) (1, n)(1, n)ᵀ` over all patterns, a packed lower triangle.
    fn sum_pairs(patterns: &Patterns, coefficients: &[Lanes], pairs: &mut [Lanes]) = sum_pairs_body
);

#[inline(always)]
fn sum_pairs_body<const FMA: bool>(patterns: &Patterns, coefficients: &[Lanes], pairs: &mut [Lanes]) {
    let [constant, senders @ ..] = coefficients else { return };
    let mut totals = Sums::new();
    for pattern in 0..patterns.len() {
        let active = patterns.senders(pattern);
        let mut x = *constant;
        for &sender in active {
            let effect = &senders[usize::from(sender)];
            for r in 0..LANES {
                x[r] += effect[r];
            }
        }
        totals.take::<FMA>(&mut x, patterns.weight(pattern), true);
        let mut add = |pair: usize| {
            let sum = &mut pairs[pair];
            for r in 0..LANES {
                sum[r] += x[r];
            }
        };
        add(0);
        for (k, &j) in active.iter().enumerate() {
            let row = triangle_row(1 + usize::from(j));
            add(row);
            for &i in &active[..=k] {
                add(row + 1 + usize::from(i));
            }
        }
    }
}

fn dense<R>(patterns: &Patterns, block: &RowBlock, finish: impl Fn(usize, Mat<f64>) -> R) -> Vec<R> {
    let columns = 1 + patterns.n_senders;
    let mut lower: Vec<Mat<f64>> = (0..block.n_rows).map(|_| Mat::zeros(columns, columns)).collect();
    let mut tile = Tile::new(patterns.n_senders, block.groups);
    let mut weighted = vec![0.0; columns * TILE_PATTERNS];
    let mut totals = Sums::new();
    for start in (0..patterns.len()).step_by(TILE_PATTERNS) {
        tile.expand(patterns, start..patterns.len().min(start + TILE_PATTERNS));
        tile.log_odds(block);
        take_gains(&mut tile.log_odds[..tile.n], &tile.weights, &mut totals);
        for (row, lower) in lower.iter_mut().enumerate() {
            let all = tile.senders.chunks_exact(columns).zip(weighted.chunks_exact_mut(columns));
            for ((from, to), gains) in all.zip(&tile.log_odds[..tile.n]) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = gains[row] * from);
            }
            let weighted = MatRef::from_column_major_slice(&weighted[..columns * tile.n], columns, tile.n);
            add_lower(lower.as_mut(), weighted, tile.senders().transpose());
        }
    }
    lower.into_iter().enumerate().map(|(row, lower)| finish(row, lower)).collect()
}

/// Add the lower triangle of a product.
fn add_lower(to: MatMut<'_, f64>, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    if to.nrows() <= 32 {
        // Splitting off triangles pays for large matrices alone.
        matmul(to, Accum::Add, left, right, 1.0, Par::Seq);
        return;
    }
    triangular::matmul(
        to,
        BlockStructure::TriangularLower,
        Accum::Add,
        left,
        BlockStructure::Rectangular,
        right,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

per_instruction_set!(
    fn take_gains(log_odds: &mut [Lanes], weights: &[f64], totals: &mut Sums) = take_gains_body
);

#[inline(always)]
fn take_gains_body<const FMA: bool>(log_odds: &mut [Lanes], weights: &[f64], totals: &mut Sums) {
    for (x, &weight) in log_odds.iter_mut().zip(weights) {
        totals.take::<FMA>(x, weight, true);
    }
}
