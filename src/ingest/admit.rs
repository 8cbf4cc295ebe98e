//! Bins as they come off the wire, checked exactly, as [`SpikeBlock`]s.

use crate::model::{BIN_MAX, BlockError, SpikeBlock, TrialMark};

/// A run of bins that cannot be admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// A run without bins, or with more than are taken at once.
    #[error("a message holds 1 to {bins_max} bins, got {found}")]
    BinCount {
        /// Number of bins found.
        found: u64,
        /// Most bins taken at once.
        bins_max: u32,
    },
    /// A bin number beyond what can be counted.
    #[error("bins {first_bin} to {end_bin} were sent; bin numbers go up to {BIN_MAX}")]
    BinTooLarge {
        /// First bin of the run.
        first_bin: u64,
        /// Bin after the last one of the run.
        end_bin: u64,
    },
    /// The counts of active neurons do not add up to the number of neurons listed.
    #[error("the active counts add up to {expected} neurons, but {found} are listed")]
    ActiveCounts {
        /// Sum of the counts.
        expected: u64,
        /// Length of the list.
        found: usize,
    },
    /// Packed bits of the wrong length.
    #[error("{bin_count} bins of {n_neurons} neurons take {expected} bytes, got {found}")]
    PackedLength {
        /// Number of bins.
        bin_count: u32,
        /// Number of neurons of the session.
        n_neurons: usize,
        /// Bytes these take.
        expected: u64,
        /// Bytes found.
        found: usize,
    },
    /// A bit that stands for no neuron is set.
    #[error("bin {bin}: bit {bit} is set, but the session has {n_neurons} neurons (bits 0 to {})", n_neurons - 1)]
    LeftoverBit {
        /// Bin number.
        bin: u64,
        /// Index of the bit within its bin.
        bit: usize,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// A list of active neurons that does not describe a bin.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A trial edge before the run it comes with.
    #[error("the trial edge at bin {bin} lies before bin {first_bin}, the first of its message")]
    TrialEdgeBeforeRun {
        /// Bin of the edge.
        bin: u64,
        /// First bin of the run.
        first_bin: u64,
    },
    /// Trial edges that do not increase.
    #[error("trial edges must increase, but {bin} follows {previous}")]
    TrialEdgesUnordered {
        /// Bin of the edge.
        bin: u64,
        /// Bin of the edge before it in the list.
        previous: u64,
    },
    /// A trial that begins before the run it comes with.
    #[error("the trial of {mark} begins before bin {first_bin}, the first of its message")]
    TrialBeforeRun {
        /// The trial.
        mark: TrialMark,
        /// First bin of the run.
        first_bin: u64,
    },
    /// A trial that stops before it starts.
    #[error("the trial of {mark} has no bins")]
    TrialBounds {
        /// The trial.
        mark: TrialMark,
    },
    /// Trials that do not follow one another.
    #[error("trials must follow one another, but the one of {mark} comes after the one of {previous}")]
    TrialsUnordered {
        /// The trial.
        mark: TrialMark,
        /// The trial before it in the list.
        previous: TrialMark,
    },
}

fn check_bins(first_bin: u64, found: u64, bins_max: u32) -> Result<(), AdmitError> {
    if found == 0 || found > u64::from(bins_max) {
        return Err(AdmitError::BinCount { found, bins_max });
    }
    match first_bin.checked_add(found) {
        Some(end_bin) if end_bin <= BIN_MAX => Ok(()),
        _ => Err(AdmitError::BinTooLarge { first_bin, end_bin: first_bin.saturating_add(found) }),
    }
}

/// A block from lists of active neurons: bin *k* of the run holds the next `active_counts[k]` entries of `neurons`, in any
/// order; repeats within a bin count once.
///
/// # Errors
/// [`AdmitError`] naming what does not fit.
pub fn from_sparse(
    first_bin: u64,
    active_counts: &[u32],
    neurons: &[u32],
    n_neurons: usize,
    bins_max: u32,
) -> Result<SpikeBlock, AdmitError> {
    check_bins(first_bin, active_counts.len() as u64, bins_max)?;
    let expected = active_counts.iter().map(|&count| u64::from(count)).sum();
    if expected != neurons.len() as u64 {
        return Err(AdmitError::ActiveCounts { expected, found: neurons.len() });
    }
    let mut block = SpikeBlock::with_capacity(first_bin, active_counts.len(), neurons.len());
    let mut rest = neurons;
    for &count in active_counts {
        // The counts add up to the length of the list, so every cut lies inside it.
        let (active, after) = rest.split_at(count as usize);
        block.push_unsorted(active.iter().map(|&neuron| u64::from(neuron)), n_neurons)?;
        rest = after;
    }
    Ok(block)
}

/// Most bytes of packed bits that become one block: as a list, a set bit takes 16 times its room.
const PIECE_BYTES: usize = 256 << 10;

/// Blocks, made one at a time as they are asked for, from one bit per neuron: `⌈n_neurons / 8⌉` bytes per bin, neuron *i* is
/// bit `i % 8` (least significant first) of byte `i / 8`, the bits left over are 0.
///
/// # Errors
/// [`AdmitError`] naming what does not fit; the whole run is checked before the first block is made.
pub fn from_packed(
    first_bin: u64,
    bin_count: u32,
    bits: &[u8],
    n_neurons: usize,
    bins_max: u32,
) -> Result<impl Iterator<Item = SpikeBlock> + Send, AdmitError> {
    check_bins(first_bin, u64::from(bin_count), bins_max)?;
    let row_bytes = n_neurons.div_ceil(8);
    let expected = u64::from(bin_count) * row_bytes as u64;
    if expected != bits.len() as u64 {
        return Err(AdmitError::PackedLength { bin_count, n_neurons, expected, found: bits.len() });
    }
    let left_over = (row_bytes * 8 - n_neurons) as u32;
    for (row, bin) in bits.chunks_exact(row_bytes).zip(first_bin..) {
        if let Some(last) = row.last().filter(|last| last.leading_zeros() < left_over) {
            let bit = row_bytes * 8 - 1 - last.leading_zeros() as usize;
            return Err(AdmitError::LeftoverBit { bin, bit, n_neurons });
        }
    }
    let piece_bins = (PIECE_BYTES / row_bytes).max(1);
    let pieces = bits.chunks(piece_bins * row_bytes).zip((first_bin..).step_by(piece_bins));
    Ok(pieces.map(move |(rows, first_bin)| {
        let entries = rows.iter().map(|byte| byte.count_ones() as usize).sum();
        let mut block = SpikeBlock::with_capacity(first_bin, rows.len() / row_bytes, entries);
        rows.chunks_exact(row_bytes).for_each(|row| block.push_bits(row));
        block
    }))
}

/// Check the trial edges that come with a run: increasing, none before its first bin.
///
/// # Errors
/// [`AdmitError`] naming the edge.
pub fn check_trial_edges(first_bin: u64, edges: &[u64]) -> Result<(), AdmitError> {
    if let Some(&bin) = edges.first().filter(|&&bin| bin < first_bin) {
        return Err(AdmitError::TrialEdgeBeforeRun { bin, first_bin });
    }
    match edges.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(AdmitError::TrialEdgesUnordered { bin: pair[1], previous: pair[0] }),
        None => Ok(()),
    }
}

/// Check the trials that come with a run: one after the other, none before its first bin.
///
/// # Errors
/// [`AdmitError`] naming the trial.
pub fn check_trials(first_bin: u64, marks: &[TrialMark]) -> Result<(), AdmitError> {
    if let Some(&mark) = marks.first().filter(|mark| mark.start_bin < first_bin) {
        return Err(AdmitError::TrialBeforeRun { mark, first_bin });
    }
    if let Some(&mark) = marks.iter().find(|mark| mark.stop_bin.is_some_and(|stop| stop <= mark.start_bin)) {
        return Err(AdmitError::TrialBounds { mark });
    }
    match marks
        .windows(2)
        .find(|pair| pair[0].stop_bin.unwrap_or(pair[0].start_bin.saturating_add(1)) > pair[1].start_bin)
    {
        Some(pair) => Err(AdmitError::TrialsUnordered { mark: pair[1], previous: pair[0] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_packed_give_the_same_block() {
        let lists = [vec![0u16, 8, 9], vec![], vec![3]];
        let expected = SpikeBlock::from_lists(5, &lists, 10).unwrap();
        assert_eq!(from_sparse(5, &[3, 0, 1], &[9, 0, 8, 3], 10, 100).unwrap(), expected);
        let packed: Vec<_> = from_packed(5, 3, &[1, 3, 0, 0, 8, 0], 10, 100).unwrap().collect();
        assert_eq!(packed, [expected]);
    }

    #[test]
    fn bin_counts_and_numbers_have_limits() {
        assert_eq!(from_sparse(0, &[], &[], 4, 2), Err(AdmitError::BinCount { found: 0, bins_max: 2 }));
        assert_eq!(from_sparse(0, &[0; 3], &[], 4, 2), Err(AdmitError::BinCount { found: 3, bins_max: 2 }));
        assert_eq!(
            from_packed(0, u32::MAX, &[], 4, 2).err(),
            Some(AdmitError::BinCount { found: u32::MAX.into(), bins_max: 2 })
        );
        for first_bin in [BIN_MAX, u64::MAX] {
            assert!(matches!(from_sparse(first_bin, &[0], &[], 4, 2), Err(AdmitError::BinTooLarge { .. })));
        }
        assert!(from_sparse(BIN_MAX - 1, &[0], &[], 4, 2).is_ok());
    }

    #[test]
    fn lists_that_do_not_add_up_are_refused() {
        let expected = u64::from(u32::MAX) * 2;
        assert_eq!(
            from_sparse(0, &[u32::MAX, u32::MAX], &[1], 4, 9),
            Err(AdmitError::ActiveCounts { expected, found: 1 })
        );
        let error = from_sparse(7, &[1, 1], &[0, 4], 4, 9).unwrap_err();
        assert_eq!(error, BlockError::NeuronOutOfRange { bin: 8, neuron: 4, n_neurons: 4 }.into());
    }

    #[test]
    fn packed_bits_must_fit_exactly() {
        let error = from_packed(0, 2, &[0; 3], 10, 9).err().unwrap();
        assert_eq!(error, AdmitError::PackedLength { bin_count: 2, n_neurons: 10, expected: 4, found: 3 });
        let error = from_packed(0, 2, &[0, 0, 0, 4], 10, 9).err().unwrap();
        assert_eq!(error, AdmitError::LeftoverBit { bin: 1, bit: 10, n_neurons: 10 });
    }

    #[test]
    fn packed_bits_become_blocks_of_bounded_size() {
        let bits = vec![255; PIECE_BYTES * 5 / 2];
        let bins = (bits.len() / 2) as u32;
        let blocks: Vec<_> = from_packed(7, bins, &bits, 16, bins).unwrap().collect();
        assert_eq!(blocks.len(), 3);
        let mut next = 7;
        for block in &blocks {
            assert_eq!((block.first_bin(), block.n_active()), (next, 16 * block.n_bins()));
            // Two bytes per entry, four per bin; a list that grew holds up to twice its room.
            assert!(block.bytes() <= 2 * (PIECE_BYTES * 16 + PIECE_BYTES / 2 * 4), "{}", block.bytes());
            next = block.end_bin();
        }
        assert_eq!(next, 7 + u64::from(bins));
    }

    #[test]
    fn trial_edges_increase_from_the_first_bin() {
        assert_eq!(check_trial_edges(5, &[5, 7, 90]), Ok(()));
        assert_eq!(check_trial_edges(5, &[4]), Err(AdmitError::TrialEdgeBeforeRun { bin: 4, first_bin: 5 }));
        assert_eq!(
            check_trial_edges(5, &[6, 6]),
            Err(AdmitError::TrialEdgesUnordered { bin: 6, previous: 6 })
        );
    }
    #[test]
    fn trials_follow_one_another_from_the_first_bin() {
        let mark = |start_bin, stop_bin| TrialMark { start_bin, stop_bin };
        let good = [mark(5, Some(7)), mark(7, None), mark(9, None), mark(20, Some(30))];
        assert_eq!(check_trials(5, &good), Ok(()));
        assert_eq!(check_trials(6, &good), Err(AdmitError::TrialBeforeRun { mark: good[0], first_bin: 6 }));
        let none = mark(8, Some(8));
        assert_eq!(check_trials(5, &[none]), Err(AdmitError::TrialBounds { mark: none }));
        for (previous, mark) in [(mark(5, Some(9)), mark(8, None)), (mark(6, None), mark(6, Some(9)))] {
            let error = Err(AdmitError::TrialsUnordered { mark, previous });
            assert_eq!(check_trials(5, &[previous, mark]), error);
        }
    }
}
