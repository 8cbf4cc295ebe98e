//! Standard errors of closed forms of the moments, from contiguous blocks of bins.

use ndarray::{Array1, Array2};

use super::{ERROR_BLOCKS, Samples};
use crate::model::EquilibriumErrors;

/// Part of a block that is taken away. Not all of it: a neuron that fires in one block alone would fall silent without, and its
/// covariance singular.
const TAKEN: f64 = 0.5;
/// Most multiplications to spend on closed forms, each some n³: 32 blocks of 3000 neurons.
const OPERATIONS_MAX: f64 = 1e12;

/// Blocks the bins are cut into.
pub(super) fn n_blocks(samples: &Samples) -> usize {
    ERROR_BLOCKS.min(samples.configurations.n_bins())
}

/// The configurations of the bins of a block, in time order.
pub(super) fn block_bins(samples: &Samples, block: usize) -> &[u32] {
    let (order, blocks) = (samples.configurations.order(), n_blocks(samples));
    &order[block * order.len() / blocks..(block + 1) * order.len() / blocks]
}

/// Errors of `estimate(⟨s_i⟩, ⟨s_i s_j⟩)`, which gave `(J, h)` = `full` for all bins, by the jackknife: the estimate is made again with
/// half of one block taken away, for each block in turn. `None` with fewer than two blocks, where any of these has no estimate, and
/// beyond some 3000 neurons.
pub(super) fn standard_errors(
    samples: &Samples,
    full: &(Array2<f64>, Array1<f64>),
    estimate: impl Fn(&Array1<f64>, &Array2<f64>) -> Option<(Array2<f64>, Array1<f64>)>,
) -> Option<EquilibriumErrors> {
    let (blocks, n) = (n_blocks(samples), samples.n());
    if blocks < 2 || blocks as f64 * (n as f64).powi(3) > OPERATIONS_MAX {
        return None;
    }
    let bins = samples.n_bins() as f64;
    // Sums of the differences from the full estimate, and of their squares.
    let mut couplings = [Array2::<f64>::zeros((n, n)), Array2::zeros((n, n))];
    let mut fields = [Array1::<f64>::zeros(n), Array1::zeros(n)];
    for block in 0..blocks {
        let own = block_bins(samples, block);
        let mut counts = vec![0.0; samples.configurations.len()];
        own.iter().for_each(|&c| counts[c as usize] += 1.0);
        let (first, second) = samples.configurations.weighted_moments(&counts);
        let left = bins - TAKEN * own.len() as f64;
        let magnetizations = (&samples.magnetizations * bins - first * TAKEN) / left;
        let second_moments = (&samples.second_moments * bins - second * TAKEN) / left;
        let (j, h) = estimate(&magnetizations, &second_moments)?;
        let (j, h) = (j - &full.0, h - &full.1);
        couplings[1] += &(&j * &j);
        couplings[0] += &j;
        fields[1] += &(&h * &h);
        fields[0] += &h;
    }
    // To first order a difference is `−x / (B − x)` times the block's own deviation for a part x, and −1/(B − 1) for all of it.
    let blocks_f64 = blocks as f64;
    let whole = (blocks_f64 - TAKEN) / (TAKEN * (blocks_f64 - 1.0));
    let scale = whole * whole * (blocks_f64 - 1.0) / blocks_f64;
    let error = |sum: f64, square: f64| (scale * (square - sum * sum / blocks_f64).max(0.0)).sqrt();
    let j =
        ndarray::Zip::from(&couplings[0]).and(&couplings[1]).map_collect(|&sum, &square| error(sum, square));
    let h = ndarray::Zip::from(&fields[0]).and(&fields[1]).map_collect(|&sum, &square| error(sum, square));
    Some(EquilibriumErrors {
        couplings: samples.spread_matrix(&j),
        fields: samples.spread(&h),
        blocks: blocks as u32,
    })
}
