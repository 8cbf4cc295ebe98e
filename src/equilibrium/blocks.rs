use ndarray::{Array1, Array2, Zip};

use super::Configurations;

/// Contiguous blocks of bins whose differences give standard errors.
pub const ERROR_BLOCKS: usize = 32;

/// Part of a block that a replicate of the jackknife goes without. Not all of it: a neuron that fires in one block alone would fall silent,
/// and what is estimated of it with it.
pub(super) const TAKEN: f64 = 0.5;

impl Configurations {
    /// Blocks that the bins are cut into: [`ERROR_BLOCKS`], or one for each bin where there are fewer.
    pub(super) fn n_blocks(&self) -> usize {
        ERROR_BLOCKS.min(self.n_bins())
    }

    /// The configurations of the bins of a block, in time order. Blocks differ by at most one bin.
    pub(super) fn block(&self, block: usize) -> &[u32] {
        let (order, blocks) = (self.order(), self.n_blocks());
        &order[block * order.len() / blocks..(block + 1) * order.len() / blocks]
    }

    /// The distinct configurations of a block in the order of their first occurrence, and how often each occurs in it.
    pub(super) fn block_counts(&self, block: usize) -> Vec<(usize, f64)> {
        let mut place = vec![usize::MAX; self.len()];
        let mut counts: Vec<(usize, f64)> = Vec::new();
        for c in self.block(block).iter().map(|&c| c as usize) {
            if place[c] == usize::MAX {
                place[c] = counts.len();
                counts.push((c, 0.0));
            }
            counts[place[c]].1 += 1.0;
        }
        counts
    }
}

/// Sums over replicates of a jackknife that each go without the part [`TAKEN`] of a block.
pub(super) struct Replicates {
    count: f64,
    /// Of the differences from the estimate of all bins, and of their squares.
    couplings: [Array2<f64>; 2],
    fields: [Array1<f64>; 2],
}

impl Replicates {
    pub(super) fn new(n: usize) -> Self {
        Self {
            count: 0.0,
            couplings: [Array2::zeros((n, n)), Array2::zeros((n, n))],
            fields: [Array1::zeros(n), Array1::zeros(n)],
        }
    }

    /// Add a replicate `(J, h)` of the estimate `full`.
    pub(super) fn add(&mut self, replicate: &(Array2<f64>, Array1<f64>), full: &(Array2<f64>, Array1<f64>)) {
        self.count += 1.0;
        let (couplings, fields) = (&replicate.0 - &full.0, &replicate.1 - &full.1);
        self.couplings[0] += &couplings;
        self.couplings[1] += &couplings.mapv(|j| j * j);
        self.fields[0] += &fields;
        self.fields[1] += &fields.mapv(|h| h * h);
    }

    /// Standard errors of `(J, h)`, of at least two replicates.
    pub(super) fn errors(&self) -> (Array2<f64>, Array1<f64>) {
        // To first order a difference is `−x / (B − x)` times the block's own deviation for a part x, and −1/(B − 1) for all of it.
        let blocks = self.count;
        let whole = (blocks - TAKEN) / (TAKEN * (blocks - 1.0));
        let scale = whole * whole * (blocks - 1.0) / blocks;
        let error = |&sum: &f64, &square: &f64| (scale * (square - sum * sum / blocks).max(0.0)).sqrt();
        (
            Zip::from(&self.couplings[0]).and(&self.couplings[1]).map_collect(error),
            Zip::from(&self.fields[0]).and(&self.fields[1]).map_collect(error),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Runs, SpikeBlock};

    fn configurations(bins: usize) -> Configurations {
        let lists: Vec<Vec<u16>> =
            (0..bins as u16).map(|t| (0..4).filter(|i| t >> i & 1 == 1).collect()).collect();
        Configurations::of(&Runs {
            n_neurons: 4,
            blocks: vec![SpikeBlock::from_lists(0, &lists, 4).unwrap()],
        })
    }

    #[test]
    fn blocks_are_all_bins_in_order_and_differ_by_one() {
        for bins in [1, 5, 32, 75, 1000] {
            let found = configurations(bins);
            assert_eq!(found.n_blocks(), bins.min(32));
            let blocks: Vec<&[u32]> = (0..found.n_blocks()).map(|b| found.block(b)).collect();
            assert_eq!(blocks.concat(), found.order());
            assert!(blocks.iter().all(|block| block.len() == bins / blocks.len() || block.len() == bins / blocks.len() + 1));
            for (b, block) in blocks.iter().enumerate() {
                let counts = found.block_counts(b);
                for &(c, count) in &counts {
                    assert_eq!(count, block.iter().filter(|&&own| own as usize == c).count() as f64);
                }
                assert_eq!(counts.iter().map(|(_, count)| count).sum::<f64>(), block.len() as f64);
            }
        }
    }

    #[test]
    fn replicates_of_a_mean_give_its_standard_error() {
        // The values of blocks are their own means; half of one taken away leaves (Σ x − x_b / 2) / (B − ½).
        let values: Vec<f64> = (0..32).map(|b| f64::from(b * b % 37)).collect();
        let mean = values.iter().sum::<f64>() / 32.0;
        let both = |x: f64| (Array2::from_elem((1, 1), x), Array1::from_elem(1, x));
        let mut replicates = Replicates::new(1);
        values.iter().for_each(|x| replicates.add(&both((32.0 * mean - 0.5 * x) / 31.5), &both(mean)));
        let expected = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (32.0 * 31.0)).sqrt();
        let (couplings, fields) = replicates.errors();
        assert!((couplings[[0, 0]] - expected).abs() < 1e-12 && (fields[0] - expected).abs() < 1e-12);
    }
}
