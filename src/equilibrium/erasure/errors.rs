//! Standard errors at a fixed point, from the differences between contiguous blocks of bins.
//!
//! Weighing block `b` less by a small part changes `⟨O⟩_f̃` by that part of `−δ_b`, `δ_b = q_b (⟨O⟩_b − ⟨O⟩_f̃)`: `q_b` is the block's
//! share of `f̃` and `⟨O⟩_b` its own reweighted mean. The fixed point moves by the inverse of the Hessian of `F` times that, so that the
//! infinitesimal jackknife (Jaeckel 1972) is `Var(w) = B/(B − 1) Σ_b u_b²` with `(ε + (1 − ε) Cov_f̃(O)) u_b = δ_b`. Conjugate gradients
//! solve it without the matrix, one pass per step; `ε` keeps it well conditioned. Where `ε` is small the response is no longer linear, and
//! errors are too small: by some 10 % at ε = 0.2 with 2,000 bins of 6 neurons (`tests/erasure.rs`).

use super::super::Samples;
use super::super::jackknife::{block_bins, n_blocks};
use super::super::kernels::{dot, unpack};
use super::problem::{Problem, add};
use ndarray::Array2;

use crate::model::EquilibriumErrors;
use crate::moments::threads;

/// Norm of what is left of an equation, relative to its right side. Errors from 32 blocks are uncertain by 13 % anyway.
const RESIDUAL: f64 = 0.01;
/// Passes for one equation: expected, and at most.
const PASSES_EXPECTED: f64 = 15.0;
const PASSES_MAX: usize = 300;
/// Most to spend in all, nanoseconds of one core: some minutes.
const COST_NS_MAX: f64 = 2e11;

/// `None` where they would cost too much, judged by the number of operations and never by the clock.
pub(super) fn standard_errors(
    problem: &Problem,
    samples: &Samples,
    epsilon: f64,
    weights: &[f64],
    threads: usize,
) -> Option<EquilibriumErrors> {
    let blocks = n_blocks(samples);
    let cost = blocks as f64 * PASSES_EXPECTED * 2.0 * problem.sums.cost_ns;
    if blocks < 2 || cost > COST_NS_MAX {
        return None;
    }
    let means = problem.sums.weighted_features(weights);
    let hessian = Hessian { problem, epsilon, weights };
    // A group at a time and not all blocks, so that only few solutions are held at once.
    let mut squares = vec![0.0; means.len()];
    for group in (0..blocks).step_by(GROUP) {
        let count = GROUP.min(blocks - group);
        let solved = threads::map(threads, count, |k| {
            let residual = block_residual(problem, samples, weights, &means, group + k);
            hessian.solve(residual)
        });
        for solution in solved {
            squares.iter_mut().zip(&solution?).for_each(|(square, value)| *square += value * value);
        }
    }
    let scale = blocks as f64 / (blocks - 1) as f64;
    let errors: Vec<f64> = squares.iter().map(|square| (scale * square).sqrt()).collect();
    let (mut couplings, fields) = unpack(samples.n(), &errors);
    withhold(&mut couplings, &means, weights);
    Some(EquilibriumErrors {
        couplings: samples.spread_matrix(&couplings),
        fields: samples.spread(&fields),
        blocks: blocks as u32,
    })
}

/// No error, 0, of couplings of which the configurations say nothing because less than one effective configuration is in one of the four
/// states of the pair: no block differs from another there, and what is computed is a spurious certainty.
fn withhold(couplings: &mut Array2<f64>, means: &[f64], weights: &[f64]) {
    let effective = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
    let (second, first) = unpack(couplings.nrows(), means);
    for ((i, j), error) in couplings.indexed_iter_mut() {
        let (a, b, both) = (first[i], first[j], second[[i, j]]);
        let rarest = (1.0 - both - (a - b).abs()).min(1.0 + both - (a + b).abs());
        if 0.25 * rarest * effective < 1.0 {
            *error = 0.0;
        }
    }
}

/// Equations that are solved at the same time.
const GROUP: usize = 8;

/// `δ_b`.
fn block_residual(
    problem: &Problem,
    samples: &Samples,
    weights: &[f64],
    means: &[f64],
    block: usize,
) -> Vec<f64> {
    let configurations = &samples.configurations;
    let mut own = vec![0.0; weights.len()];
    for &c in block_bins(samples, block) {
        let c = c as usize;
        own[c] += weights[c] / configurations.multiplicities()[c] as f64;
    }
    let share: f64 = own.iter().sum();
    let mut residual = problem.sums.on_one_thread().weighted_features(&own);
    add(&mut residual, -share, means);
    residual
}

/// `ε + (1 − ε) Cov_f̃(O)`.
struct Hessian<'a> {
    problem: &'a Problem<'a>,
    epsilon: f64,
    weights: &'a [f64],
}

impl Hessian<'_> {
    fn times(&self, vector: &[f64]) -> Vec<f64> {
        let sums = self.problem.sums.on_one_thread();
        let along = sums.feature_sums(vector);
        let mean = dot(self.weights, &along);
        let centred: Vec<f64> = self.weights.iter().zip(&along).map(|(f, o)| f * (o - mean)).collect();
        let mut product = sums.weighted_features(&centred);
        product.iter_mut().zip(vector).for_each(|(p, v)| *p = (1.0 - self.epsilon) * *p + self.epsilon * v);
        product
    }

    /// By conjugate gradients; `None` where they do not get there.
    fn solve(&self, right: Vec<f64>) -> Option<Vec<f64>> {
        if self.epsilon == 1.0 {
            return Some(right);
        }
        let mut solution = vec![0.0; right.len()];
        let mut left = right;
        let (mut direction, mut square) = (left.clone(), dot(&left, &left));
        let goal = RESIDUAL * RESIDUAL * square;
        for _ in 0..PASSES_MAX {
            if square <= goal {
                return Some(solution);
            }
            let product = self.times(&direction);
            let step = square / dot(&direction, &product);
            add(&mut solution, step, &direction);
            add(&mut left, -step, &product);
            let before = std::mem::replace(&mut square, dot(&left, &left));
            let keep = square / before;
            direction.iter_mut().zip(&left).for_each(|(d, r)| *d = r + keep * *d);
        }
        None
    }
}
