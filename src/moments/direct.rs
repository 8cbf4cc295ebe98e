//! Bin by bin: each pair of neurons active in a bin, or in two bins a lag apart, is one increment. For a few bins at a time.

use std::ops::Range;

use super::counts::triangle_row;
use crate::model::SpikeBlock;

/// Count the pairs `i ≤ j` active together in the bins `run[bins]` into a packed upper triangle.
pub(super) fn add_equal_time(pairs: &mut [u32], n_neurons: usize, run: &SpikeBlock, bins: Range<usize>) {
    for k in bins {
        let active = run.bin(k);
        for (a, &i) in active.iter().enumerate() {
            let i = usize::from(i);
            let row = &mut pairs[triangle_row(n_neurons, i)..][..n_neurons - i];
            for &j in &active[a..] {
                row[usize::from(j) - i] += 1;
            }
        }
    }
}

/// Count, for every bin of `run[earlier]`, the neurons active in it (columns) with those active `shift` bins later (rows).
pub(super) fn add_delayed(
    pairs: &mut [u32],
    n_neurons: usize,
    run: &SpikeBlock,
    earlier: Range<usize>,
    shift: usize,
) {
    for k in earlier {
        let senders = run.bin(k);
        for &receiver in run.bin(k + shift) {
            let row = &mut pairs[usize::from(receiver) * n_neurons..][..n_neurons];
            for &sender in senders {
                row[usize::from(sender)] += 1;
            }
        }
    }
}
