use std::fmt;
use std::ops::Range;

use super::SpikeBlock;

/// Bins of a recording as its runs: stretches of consecutive bins without gap or trial edge, in time order. Transitions lie inside
/// a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// Number of neurons; every index in the blocks is below it.
    pub n_neurons: usize,
    /// The runs, none of them empty.
    pub blocks: Vec<SpikeBlock>,
}

impl Runs {
    /// Number of lag-1 transitions.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.blocks.iter().map(|block| (block.n_bins() as u64).saturating_sub(1)).sum()
    }

    /// The bins of a range.
    #[must_use]
    pub fn range(&self, bins: Range<u64>) -> Self {
        let cut = |block: &SpikeBlock| {
            let place =
                |bin: u64| (bin.clamp(block.first_bin(), block.end_bin()) - block.first_bin()) as usize;
            let (start, end) = (place(bins.start), place(bins.end));
            (start < end).then(|| block.slice(start, end))
        };
        Self { n_neurons: self.n_neurons, blocks: self.blocks.iter().filter_map(cut).collect() }
    }

    /// The newest bins, at most so many.
    #[must_use]
    pub fn last_bins(&self, bins_max: u64) -> Self {
        let mut left = bins_max;
        let mut blocks = Vec::new();
        for block in self.blocks.iter().rev() {
            let n_bins = block.n_bins();
            let taken = n_bins.min(usize::try_from(left).unwrap_or(usize::MAX));
            if taken == 0 {
                break;
            }
            blocks.push(block.slice(n_bins - taken, n_bins));
            left -= taken as u64;
        }
        blocks.reverse();
        Self { n_neurons: self.n_neurons, blocks }
    }

    /// Number of bins.
    #[must_use]
    pub fn n_bins(&self) -> u64 {
        self.blocks.iter().map(|block| block.n_bins() as u64).sum()
    }
}

/// A trial: bins that were recorded under a repeated condition, aligned at `start_bin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trial {
    /// First bin.
    pub start_bin: u64,
    /// Bin after the last one.
    pub stop_bin: u64,
}

/// A trial as it is marked while it is recorded, perhaps before its end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrialMark {
    /// First bin.
    pub start_bin: u64,
    /// Bin after the last one; `None` when the trial lasts until the next one is marked.
    pub stop_bin: Option<u64>,
}

impl TrialMark {
    /// Whether the two cannot both be: they overlap, or end the same trial in different bins.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        if self.start_bin == other.start_bin {
            return self.stop_bin.zip(other.stop_bin).is_some_and(|(a, b)| a != b);
        }
        let (first, second) = if self.start_bin < other.start_bin { (self, other) } else { (other, self) };
        first.stop_bin.is_some_and(|stop| stop > second.start_bin)
    }
}

impl From<Trial> for TrialMark {
    fn from(Trial { start_bin, stop_bin }: Trial) -> Self {
        Self { start_bin, stop_bin: Some(stop_bin) }
    }
}

impl fmt::Display for TrialMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop_bin {
            Some(stop_bin) => write!(f, "bins {} to {stop_bin}", self.start_bin),
            None => write!(f, "bin {} on", self.start_bin),
        }
    }
}
