//! Bit-packed pair counting.
//!
//! 64 bins of a neuron make a word. Columns are laid out in tiles of [`TILE`] neurons, word by word, so that the inner loop
//! runs over neurons side by side: one word of the row neuron is ANDed with the same word of `TILE` column
//! neurons, and the counts stay in registers over all words. A tile fits the first-level cache while all rows pass over it.

use std::ops::Range;

use super::counts::triangle_row;
use crate::model::SpikeBlock;

/// Column neurons counted side by side.
const TILE: usize = 32;
/// Most words per pass: 2048 bins; a tile then takes 8 KiB.
const WORDS_MAX: usize = 32;

/// Count the pairs `i ≤ j` active together in the bins `run[bins]` into a packed upper triangle.
pub(super) fn add_equal_time(pairs: &mut [u32], n_neurons: usize, run: &SpikeBlock, bins: Range<usize>) {
    for_each_pass(bins, |pass| {
        let rows = pack_rows(run, pass.clone(), n_neurons);
        let tiles = Tiles::pack(run, pass, n_neurons);
        for (tile, columns) in tiles.iter() {
            let first_column = tile * TILE;
            let last_row = n_neurons.min(first_column + TILE);
            for i in 0..last_row {
                let counts = count_tile(&rows[i * tiles.words..][..tiles.words], columns);
                // Columns below the diagonal are the other half of the triangle.
                let from = i.saturating_sub(first_column);
                let to = TILE.min(n_neurons - first_column);
                let row = &mut pairs[triangle_row(n_neurons, i)..][..n_neurons - i];
                let out = &mut row[first_column + from - i..first_column + to - i];
                for (total, &count) in out.iter_mut().zip(&counts[from..to]) {
                    *total += count as u32;
                }
            }
        }
    });
}

/// Count, for every bin of `run[earlier]`, the neurons active in it (columns) with those active `shift` bins later (rows).
pub(super) fn add_delayed(
    pairs: &mut [u32],
    n_neurons: usize,
    run: &SpikeBlock,
    earlier: Range<usize>,
    shift: usize,
) {
    for_each_pass(earlier, |pass| {
        let rows = pack_rows(run, pass.start + shift..pass.end + shift, n_neurons);
        let tiles = Tiles::pack(run, pass, n_neurons);
        for (tile, columns) in tiles.iter() {
            let first_column = tile * TILE;
            let width = TILE.min(n_neurons - first_column);
            for i in 0..n_neurons {
                let counts = count_tile(&rows[i * tiles.words..][..tiles.words], columns);
                let out = &mut pairs[i * n_neurons + first_column..][..width];
                for (total, &count) in out.iter_mut().zip(&counts) {
                    *total += count as u32;
                }
            }
        }
    });
}

fn for_each_pass(bins: Range<usize>, mut pass: impl FnMut(Range<usize>)) {
    let mut start = bins.start;
    while start < bins.end {
        let end = bins.end.min(start + WORDS_MAX * 64);
        pass(start..end);
        start = end;
    }
}

/// Words of each neuron one after the other: `(n_neurons, words)`, bin `k` of the range is bit `k % 64` of word `k / 64`.
fn pack_rows(run: &SpikeBlock, bins: Range<usize>, n_neurons: usize) -> Vec<u64> {
    let words = bins.len().div_ceil(64);
    let mut packed = vec![0; n_neurons * words];
    for (k, bin) in bins.enumerate() {
        for &neuron in run.bin(bin) {
            packed[usize::from(neuron) * words + k / 64] |= 1 << (k % 64);
        }
    }
    packed
}

/// Words in tiles: `(tiles, words, TILE)`.
struct Tiles {
    words: usize,
    packed: Vec<[u64; TILE]>,
}

impl Tiles {
    fn pack(run: &SpikeBlock, bins: Range<usize>, n_neurons: usize) -> Self {
        let words = bins.len().div_ceil(64);
        let mut packed = vec![[0; TILE]; n_neurons.div_ceil(TILE) * words];
        for (k, bin) in bins.enumerate() {
            for &neuron in run.bin(bin) {
                let neuron = usize::from(neuron);
                packed[neuron / TILE * words + k / 64][neuron % TILE] |= 1 << (k % 64);
            }
        }
        Self { words, packed }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[[u64; TILE]])> {
        self.packed.chunks_exact(self.words).enumerate()
    }
}

/// For each column of the tile, the bits it shares with the row over all words.
fn count_tile(row: &[u64], columns: &[[u64; TILE]]) -> [u64; TILE] {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512vpopcntdq") && is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions the function is compiled for; it has no other requirement.
            return unsafe { count_tile_avx512(row, columns) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: as above.
            return unsafe { count_tile_avx2(row, columns) };
        }
    }
    count_tile_portable(row, columns)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_tile_avx512(row: &[u64], columns: &[[u64; TILE]]) -> [u64; TILE] {
    count_tile_portable(row, columns)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn count_tile_avx2(row: &[u64], columns: &[[u64; TILE]]) -> [u64; TILE] {
    count_tile_portable(row, columns)
}

/// The one body of all variants: inlined into each, the compiler vectorizes it for that instruction set.
#[inline(always)]
fn count_tile_portable(row: &[u64], columns: &[[u64; TILE]]) -> [u64; TILE] {
    let mut counts = [0; TILE];
    for (word, column) in row.iter().zip(columns) {
        for (count, other) in counts.iter_mut().zip(column) {
            *count += u64::from((word & other).count_ones());
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_counts_as_the_portable_code() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for words in [1, 2, 7, WORDS_MAX] {
            let row: Vec<u64> = (0..words).map(|_| next()).collect();
            let columns: Vec<[u64; TILE]> = (0..words).map(|_| std::array::from_fn(|_| next())).collect();
            let expected: [u64; TILE] = std::array::from_fn(|c| {
                row.iter().zip(&columns).map(|(w, col)| u64::from((w & col[c]).count_ones())).sum()
            });
            assert_eq!(count_tile_portable(&row, &columns), expected);
            assert_eq!(count_tile(&row, &columns), expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                // SAFETY: the features were just detected.
                assert_eq!(unsafe { count_tile_avx2(&row, &columns) }, expected);
            }
        }
    }
}
