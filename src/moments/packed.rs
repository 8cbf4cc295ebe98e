use std::ops::Range;

use crate::model::SpikeBlock;

/// Neurons side by side in a tile.
pub(super) const TILE: usize = 32;

/// One word of 64 bins for each neuron of a tile.
pub(super) type TileWord = [u64; TILE];

/// Bins as bits: a word holds 64 bins of a neuron, and the words of [`TILE`] neurons lie side by side, so that one tile can be counted
/// against another without leaving the first-level cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackedBins {
    n_bins: usize,
    words: usize,
    /// `(tiles, words, TILE)`; bin `k` is bit `k % 64` of word `k / 64`.
    tiles: Vec<TileWord>,
}

impl PackedBins {
    /// The bins `run[bins]`.
    pub(super) fn pack(run: &SpikeBlock, bins: Range<usize>, n_neurons: usize) -> Self {
        let mut packed = Self::empty(n_neurons.div_ceil(TILE), bins.len());
        // One word of every neuron at a time, which stays in the first-level cache while its 64 bins are set.
        let mut column = vec![0_u64; n_neurons.next_multiple_of(TILE)];
        for word in 0..packed.words {
            column.fill(0);
            let first = bins.start + word * 64;
            for bin in first..bins.end.min(first + 64) {
                let bit = 1 << (bin - first);
                for &neuron in run.bin(bin) {
                    column[usize::from(neuron)] |= bit;
                }
            }
            for (tile, of_tile) in column.as_chunks::<TILE>().0.iter().enumerate() {
                packed.tiles[tile * packed.words + word] = *of_tile;
            }
        }
        packed
    }

    fn empty(tiles: usize, n_bins: usize) -> Self {
        let words = n_bins.div_ceil(64);
        Self { n_bins, words, tiles: vec![[0; TILE]; tiles * words] }
    }

    /// The bins `bins` of these, with bits of no bin 0.
    pub(super) fn window(&self, bins: Range<usize>) -> Self {
        let tiles = self.tiles.len().checked_div(self.words).unwrap_or(0);
        let mut window = Self::empty(tiles, bins.len());
        let (skipped, shift) = (bins.start / 64, bins.start % 64);
        for tile in 0..tiles {
            let from = &self.tile(tile)[skipped.min(self.words)..];
            let to = &mut window.tiles[tile * window.words..][..window.words];
            for (w, to) in to.iter_mut().enumerate() {
                for (k, to) in to.iter_mut().enumerate() {
                    let word = |w: usize| from.get(w).map_or(0, |word| word[k]);
                    *to = if shift == 0 { word(w) } else { word(w) >> shift | word(w + 1) << (64 - shift) };
                }
            }
            if let (Some(last), 1..) = (to.last_mut(), bins.len() % 64) {
                let mask = (1 << (bins.len() % 64)) - 1;
                last.iter_mut().for_each(|word| *word &= mask);
            }
        }
        debug_assert!(bins.end <= self.n_bins);
        window
    }

    /// The words of one tile.
    pub(super) fn tile(&self, tile: usize) -> &[TileWord] {
        &self.tiles[tile * self.words..][..self.words]
    }
}
