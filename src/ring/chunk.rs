use std::borrow::Cow;

use crate::model::SpikeBlock;

/// Bins that no longer change.
#[derive(Debug)]
pub(super) struct Chunk {
    first_bin: u64,
    n_bins: usize,
    starts_run: bool,
    bins: Stored,
}

#[derive(Debug)]
enum Stored {
    Lists(SpikeBlock),
    /// `(n_bins, words_per_bin)`, neuron `i` is bit `i % 64` of word `i / 64`.
    Bits {
        words_per_bin: usize,
        words: Vec<u64>,
    },
}

impl Chunk {
    /// What a chunk takes besides its bins: itself, and the book-keeping of two allocations.
    pub(super) const OVERHEAD_BYTES: usize = size_of::<Self>() + 64;

    pub(super) fn new(block: SpikeBlock, starts_run: bool, n_neurons: usize) -> Self {
        let (first_bin, n_bins) = (block.first_bin(), block.n_bins());
        let words_per_bin = n_neurons.div_ceil(64);
        let bins = if block.bytes() <= n_bins * words_per_bin * 8 {
            // Not `block` itself: it may have room for many more spikes than it holds.
            Stored::Lists(block.slice(0, n_bins))
        } else {
            let mut words = vec![0; n_bins * words_per_bin];
            for (bin, row) in block.bins().zip(words.chunks_exact_mut(words_per_bin)) {
                for &neuron in bin {
                    row[usize::from(neuron) / 64] |= 1 << (neuron % 64);
                }
            }
            Stored::Bits { words_per_bin, words }
        };
        Self { first_bin, n_bins, starts_run, bins }
    }

    pub(super) fn first_bin(&self) -> u64 {
        self.first_bin
    }

    pub(super) fn end_bin(&self) -> u64 {
        self.first_bin + self.n_bins as u64
    }

    pub(super) fn starts_run(&self) -> bool {
        self.starts_run
    }

    pub(super) fn bytes(&self) -> usize {
        let bins = match &self.bins {
            Stored::Lists(block) => block.bytes(),
            Stored::Bits { words, .. } => words.len() * 8,
        };
        bins + Self::OVERHEAD_BYTES
    }

    pub(super) fn unpack(&self) -> Cow<'_, SpikeBlock> {
        match &self.bins {
            Stored::Lists(block) => Cow::Borrowed(block),
            Stored::Bits { words_per_bin, words } => {
                let mut block = SpikeBlock::empty(self.first_bin);
                let mut active = Vec::new();
                for row in words.chunks_exact(*words_per_bin) {
                    active.clear();
                    for (w, &word) in row.iter().enumerate() {
                        let mut left = word;
                        while left != 0 {
                            active.push((w * 64 + left.trailing_zeros() as usize) as u16);
                            left &= left - 1;
                        }
                    }
                    block.push_sorted(&active);
                }
                Cow::Owned(block)
            }
        }
    }
}
