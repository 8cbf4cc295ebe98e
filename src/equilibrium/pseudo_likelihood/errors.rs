use faer::Mat;
use ndarray::{Array1, Array2};

use super::bins::Bins;
use super::training::Fitted;
use crate::equilibrium::Configurations;
use crate::moments::threads;
use crate::regression::{self, LogOdds, RowResponse, RowVariance, Summand, separation};

/// What blocks of bins say of a fit.
pub(super) struct Responses {
    rows: Vec<Option<RowResponse>>,
    blocks: usize,
}

/// Standard errors of the neurons of a fit.
pub(super) struct StandardErrors {
    pub(super) couplings: Array2<f64>,
    pub(super) fields: Array1<f64>,
    pub(super) blocks: u32,
}

impl Responses {
    /// How the parameters of each row would move with more of a block's bins: `(H_i + Λ_i)⁻¹ g_ib`, `g_ib` the block's sum of gradients less
    /// its share of the total. `None` with fewer than two blocks.
    pub(super) fn of(
        fitted: &Fitted<'_>,
        configurations: &Configurations,
        keep: &[usize],
        blocks: usize,
        threads: usize,
    ) -> Option<Self> {
        let blocks = blocks.min(configurations.n_bins());
        if blocks < 2 {
            return None;
        }
        let gradients = block_gradients(fitted, configurations, keep, blocks, threads);
        let points: Vec<_> = fitted.rows.iter().map(|row| (row.place, &row.parameters)).collect();
        let rows = regression::responses(&fitted.problem, &points, &gradients, threads);
        Some(Self { rows, blocks })
    }

    /// Rows whose likelihood has no finite maximum.
    pub(super) fn separated(&self, fitted: &Fitted<'_>) -> Vec<bool> {
        if fitted.problem.ridge > 0.0 {
            return vec![false; fitted.rows.len()];
        }
        let variances = self.rows.iter().map(|row| row.as_ref().map(|row| &row.variance));
        separation::by_variances(&fitted.problem, &fitted.rows, variances)
    }

    /// Of the symmetric model: blocks are taken to be independent, the `B` movements `δ_b` of a parameter to have the mean zero, and
    /// `SE² = B/(B − 1) Σ_b δ_b²`; but no less than if bins were independent, by the Fisher information of the rows, since blocks say
    /// nothing of a neuron that fires in one of them alone. `None` where a row has no response.
    pub(super) fn standard_errors(self, fitted: &Fitted<'_>) -> Option<StandardErrors> {
        let rows: Option<Vec<RowResponse>> = self.rows.into_iter().collect();
        let (variances, rows): (Vec<RowVariance>, Vec<Mat<f64>>) =
            rows?.into_iter().map(|row| (row.variance, row.moved)).unzip();
        let (n, blocks) = (fitted.problem.n(), self.blocks);
        let scale = blocks as f64 / (blocks as f64 - 1.0);
        let pair = |i: usize, j: usize, b: usize| 0.5 * (rows[i][(1 + j, b)] + rows[j][(1 + i, b)]);
        let error = |moves: &mut dyn Iterator<Item = f64>| {
            scale * moves.map(|movement| movement * movement).sum::<f64>()
        };
        // Of the mean of two rows whose errors are taken to be independent.
        let independent = |i: usize, j: usize| 0.25 * (variances[i].couplings[j] + variances[j].couplings[i]);
        let couplings = Array2::from_shape_fn((n, n), |(i, j)| {
            if i == j {
                return 0.0;
            }
            let (i, j) = (i.min(j), i.max(j));
            error(&mut (0..blocks).map(|b| pair(i, j, b))).max(independent(i, j)).sqrt()
        });
        let fields = Array1::from_shape_fn(n, |i| {
            let mut moves = (0..blocks).map(|b| {
                let shift = |j: usize| pair(i, j, b) * fitted.problem.magnetization(j);
                rows[i][(0, b)] - (0..n).filter(|&j| j != i).map(shift).sum::<f64>()
            });
            error(&mut moves).max(variances[i].field).sqrt()
        });
        let finite = couplings.iter().chain(&fields).all(|error| error.is_finite());
        finite.then_some(StandardErrors { couplings, fields, blocks: blocks as u32 })
    }
}

/// Per row the gradients of blocks, shape `(1 + n, blocks)`.
fn block_gradients(
    fitted: &Fitted<'_>,
    configurations: &Configurations,
    keep: &[usize],
    blocks: usize,
    threads: usize,
) -> Vec<Mat<f64>> {
    let (problem, n) = (&fitted.problem, keep.len());
    let log_odds: Vec<LogOdds> = fitted.rows.iter().map(|row| problem.log_odds(&row.parameters)).collect();
    let of_blocks = threads::map(threads, blocks, |block| {
        let bins = Bins::piece(configurations, block, blocks);
        let layout = problem.costs.pass_layout;
        let sums = regression::sums(&bins.patterns(keep), layout, &log_odds, Summand::Probability, 1);
        let rows = fitted.rows.iter().zip(sums).map(|(row, sums)| {
            let together: Vec<u64> = keep.iter().map(|&j| bins.together(keep[row.place], j)).collect();
            problem.gradient_sums(row.place, bins.active(keep[row.place]), &together, &sums)
        });
        (bins.total as f64 / problem.observations, rows.collect::<Vec<_>>())
    });
    let of_row = |row: usize| {
        let total = |j: usize| of_blocks.iter().map(|(_, rows)| rows[row][j]).sum::<f64>();
        let totals: Vec<f64> = (0..=n).map(total).collect();
        Mat::from_fn(n + 1, blocks, |j, b| of_blocks[b].1[row][j] - of_blocks[b].0 * totals[j])
    };
    (0..fitted.rows.len()).map(of_row).collect()
}
