use std::ops::Range;

/// A run of consecutive bins with, for each, the neurons that fired in it.
///
/// Stored as a compressed list: bin `k` (0-based inside the block) holds
/// `neurons[offsets[k]..offsets[k + 1]]`, strictly increasing neuron indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpikeBlock {
    first_bin: u64,
    offsets: Vec<u32>,
    neurons: Vec<u16>,
}

/// A list of active neurons that does not describe a bin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A neuron index is not below the number of neurons.
    #[error("bin {bin}: neuron index {neuron} does not exist, the session has {n_neurons} neurons (0 to {})", n_neurons - 1)]
    NeuronOutOfRange {
        /// Bin number.
        bin: u64,
        /// The index found.
        neuron: u64,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// The block holds more spikes than a block can index.
    #[error("bin {bin}: a block holds at most {} active entries", u32::MAX)]
    TooManySpikes {
        /// Bin number at which the limit was passed.
        bin: u64,
    },
}

impl SpikeBlock {
    /// A block without bins that starts at `first_bin`.
    #[must_use]
    pub fn empty(first_bin: u64) -> Self {
        Self { first_bin, offsets: vec![0], neurons: Vec::new() }
    }

    /// A block without bins, with room for so many bins and entries.
    #[must_use]
    pub fn with_capacity(first_bin: u64, bins: usize, entries: usize) -> Self {
        let mut offsets = Vec::with_capacity(bins + 1);
        offsets.push(0);
        Self { first_bin, offsets, neurons: Vec::with_capacity(entries) }
    }

    /// A block from lists of active neurons, one list per bin, in any order and with repeats.
    ///
    /// # Errors
    /// [`BlockError`] naming the bin and neuron that does not fit.
    pub fn from_lists(first_bin: u64, lists: &[Vec<u16>], n_neurons: usize) -> Result<Self, BlockError> {
        let mut block = Self::empty(first_bin);
        for list in lists {
            block.push_unsorted(list.iter().map(|&i| u64::from(i)), n_neurons)?;
        }
        Ok(block)
    }

    /// A block from its parts, whose lists must be strictly increasing.
    pub(crate) fn from_sorted_parts(first_bin: u64, offsets: Vec<u32>, neurons: Vec<u16>) -> Self {
        debug_assert!(offsets.first() == Some(&0) && offsets.last() == Some(&(neurons.len() as u32)));
        let block = Self { first_bin, offsets, neurons };
        debug_assert!(block.bins().all(|bin| bin.windows(2).all(|w| w[0] < w[1])));
        block
    }

    /// Append one bin whose active neurons are given strictly increasing and in range.
    ///
    /// # Panics
    /// Past 2³² − 1 active entries and, in debug builds, when the list is not strictly increasing.
    pub fn push_sorted(&mut self, active: &[u16]) {
        debug_assert!(active.windows(2).all(|w| w[0] < w[1]), "active neurons must be strictly increasing");
        self.neurons.extend_from_slice(active);
        self.offsets.push(Self::offset(self.neurons.len()));
    }

    /// Append one bin whose active neurons are the bits set in `bytes`: neuron *i* is bit `i % 8` of byte `i / 8`.
    ///
    /// # Panics
    /// Past 2³² − 1 active entries, and with bits from 2¹⁶ on.
    pub fn push_bits(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= 1 << 13, "neurons are numbered with 16 bits");
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let words = words.iter().chain([&last]).map(|&word| u64::from_le_bytes(word));
        for (first, mut left) in (0_u32..).step_by(64).zip(words) {
            while left != 0 {
                self.neurons.push((first + left.trailing_zeros()) as u16);
                left &= left - 1;
            }
        }
        self.offsets.push(Self::offset(self.neurons.len()));
    }

    /// Append one bin from neuron indices in any order; repeats within the bin count once.
    ///
    /// # Errors
    /// [`BlockError`] when an index is not below `n_neurons` or the block is full; the block is then unchanged.
    pub fn push_unsorted(
        &mut self,
        active: impl Iterator<Item = u64>,
        n_neurons: usize,
    ) -> Result<(), BlockError> {
        let start = self.neurons.len();
        let bin = self.end_bin();
        let mut sorted = true;
        for neuron in active {
            let index = match u16::try_from(neuron) {
                Ok(index) if usize::from(index) < n_neurons => index,
                _ => {
                    self.neurons.truncate(start);
                    return Err(BlockError::NeuronOutOfRange { bin, neuron, n_neurons });
                }
            };
            sorted &= self.neurons.len() == start || self.neurons.last().is_some_and(|&last| last < index);
            self.neurons.push(index);
        }
        if !sorted {
            self.neurons[start..].sort_unstable();
            let mut keep = start;
            for k in start..self.neurons.len() {
                if k == start || self.neurons[k] != self.neurons[keep - 1] {
                    self.neurons[keep] = self.neurons[k];
                    keep += 1;
                }
            }
            self.neurons.truncate(keep);
        }
        let Ok(end) = u32::try_from(self.neurons.len()) else {
            self.neurons.truncate(start);
            return Err(BlockError::TooManySpikes { bin });
        };
        self.offsets.push(end);
        Ok(())
    }

    fn offset(entries: usize) -> u32 {
        assert!(entries <= u32::MAX as usize, "a block holds at most 2³² − 1 active entries");
        entries as u32
    }

    /// Append the bins `from..to` (0-based inside `other`) of another block.
    ///
    /// # Panics
    /// Past 2³² − 1 active entries.
    pub fn extend_from(&mut self, other: &SpikeBlock, from: usize, to: usize) {
        let (a, b) = (other.offsets[from], other.offsets[to]);
        let base = self.neurons.len() as u32;
        // Every offset of the result is at most the last one.
        Self::offset(self.neurons.len() + (b - a) as usize);
        self.neurons.extend_from_slice(&other.neurons[a as usize..b as usize]);
        self.offsets.extend(other.offsets[from + 1..=to].iter().map(|&o| o - a + base));
    }

    /// The bins `from..to` (0-based inside this block) as a block of their own.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> SpikeBlock {
        let mut part = SpikeBlock::empty(self.first_bin + from as u64);
        part.extend_from(self, from, to);
        part
    }

    /// Number of the first bin.
    #[must_use]
    pub fn first_bin(&self) -> u64 {
        self.first_bin
    }

    /// Number of the bin after the last one.
    #[must_use]
    pub fn end_bin(&self) -> u64 {
        self.first_bin + self.n_bins() as u64
    }

    /// Number of bins.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of active (neuron, bin) entries.
    #[must_use]
    pub fn n_active(&self) -> usize {
        self.neurons.len()
    }

    /// Active neurons of bin `k`, 0-based inside the block, strictly increasing.
    #[must_use]
    pub fn bin(&self, k: usize) -> &[u16] {
        &self.neurons[self.offsets[k] as usize..self.offsets[k + 1] as usize]
    }

    /// Active neurons of the bins `bins`, 0-based inside the block, one bin after the other.
    #[must_use]
    pub fn active_in(&self, bins: Range<usize>) -> &[u16] {
        &self.neurons[self.offsets[bins.start] as usize..self.offsets[bins.end] as usize]
    }

    /// All bins in order.
    pub fn bins(&self) -> impl ExactSizeIterator<Item = &[u16]> {
        (0..self.n_bins()).map(|k| self.bin(k))
    }

    /// Bytes this block occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.offsets.len() * 4 + self.neurons.len() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_disorder_become_a_sorted_set() {
        let block = SpikeBlock::from_lists(7, &[vec![3, 1, 3], vec![], vec![0, 2]], 4).unwrap();
        assert_eq!(block.bins().collect::<Vec<_>>(), [&[1u16, 3][..], &[], &[0, 2]]);
        assert_eq!((block.first_bin(), block.end_bin(), block.n_active()), (7, 10, 4));
    }

    #[test]
    fn a_wrong_neuron_is_named_with_its_bin_and_leaves_the_block_as_it_was() {
        let mut block = SpikeBlock::from_lists(5, &[vec![1]], 4).unwrap();
        let before = block.clone();
        let error = block.push_unsorted([0, 4].into_iter(), 4).unwrap_err();
        assert_eq!(error, BlockError::NeuronOutOfRange { bin: 6, neuron: 4, n_neurons: 4 });
        assert_eq!(block, before);
        assert!(block.push_unsorted([u64::MAX].into_iter(), 4).is_err());
    }

    #[test]
    fn bits_are_the_neurons_they_stand_for() {
        let mut block = SpikeBlock::with_capacity(3, 3, 4);
        block.push_bits(&[0b1000_0001, 2]);
        block.push_bits(&[]);
        block.push_bits(&[0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 4]);
        assert_eq!(block.bins().collect::<Vec<_>>(), [&[0u16, 7, 9][..], &[], &[63, 64, 130]]);
    }

    #[test]
    fn slices_join_to_the_whole() {
        let block = SpikeBlock::from_lists(2, &[vec![1], vec![0, 2], vec![], vec![3]], 4).unwrap();
        for cut in 0..=4 {
            let mut joined = block.slice(0, cut);
            joined.extend_from(&block, cut, 4);
            assert_eq!(joined, block);
        }
        assert_eq!(block.slice(1, 3).first_bin(), 3);
    }
}
