//! Bit-packed pair counting: AND and population count over words of 64 bins, a tile of 32 neurons against another at a time.
//!
//! The inner loop is written for each instruction set, chosen when the program runs; all count the same.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::sync::OnceLock;

use super::packed::{TILE, TileWord};

/// `counts[i][j]`: bins in which neuron `i` of one tile and neuron `j` of another were both active.
pub(super) type TileCounts = [[u32; TILE]; TILE];

/// Count two tiles of equally many words, at most [`WORDS_MAX`].
pub(super) type CountTiles = fn(rows: &[TileWord], columns: &[TileWord], counts: &mut TileCounts);

/// Most words of a tile in one call: 2048 bins, so that two tiles take 16 KiB of the first-level cache.
pub(super) const WORDS_MAX: usize = 32;

/// An instruction set with a kernel of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 with VPOPCNTDQ.
    Avx512,
    /// AVX2.
    Avx2,
    /// Whatever the compiler makes of plain code.
    Portable,
}

impl InstructionSet {
    /// Those that this processor has, the best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = avx512::is_available().then_some(Self::Avx512);
            let avx2 = avx2::is_available().then_some(Self::Avx2);
            avx512.into_iter().chain(avx2).chain([Self::Portable]).collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec![Self::Portable]
    }

    /// The best that this processor has.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// Roughly what a word of a pair costs.
    pub(super) fn ns_per_word(self) -> f64 {
        match self {
            Self::Avx512 => 0.07,
            Self::Avx2 => 0.2,
            Self::Portable => 0.7,
        }
    }

    /// Its kernel; the portable one where this processor does not have it.
    pub(super) fn kernel(self) -> CountTiles {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Avx512 if avx512::is_available() => return avx512::count_tiles,
            Self::Avx2 if avx2::is_available() => return avx2::count_tiles,
            _ => {}
        }
        count_tiles_portable
    }
}

/// The safe twin of all others.
fn count_tiles_portable(rows: &[TileWord], columns: &[TileWord], counts: &mut TileCounts) {
    for (i, counts) in counts.iter_mut().enumerate() {
        let mut sums = [0_u64; TILE];
        for (row, column) in rows.iter().zip(columns) {
            for (sum, word) in sums.iter_mut().zip(column) {
                *sum += u64::from((row[i] & word).count_ones());
            }
        }
        for (count, sum) in counts.iter_mut().zip(sums) {
            *count = sum as u32;
        }
    }
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
        for words in [0, 1, 2, 7, WORDS_MAX - 1, WORDS_MAX] {
            let mut tile = |full: bool| -> Vec<TileWord> {
                (0..words).map(|_| std::array::from_fn(|_| if full { u64::MAX } else { next() })).collect()
            };
            for (rows, columns) in [(tile(false), tile(false)), (tile(true), tile(true))] {
                let expected: TileCounts = std::array::from_fn(|i| {
                    std::array::from_fn(|j| {
                        rows.iter().zip(&columns).map(|(r, c)| (r[i] & c[j]).count_ones()).sum()
                    })
                });
                for set in InstructionSet::available() {
                    let mut counts = [[7; TILE]; TILE];
                    set.kernel()(&rows, &columns, &mut counts);
                    assert_eq!(counts, expected, "{set:?}, {words} words");
                }
            }
        }
    }
}
