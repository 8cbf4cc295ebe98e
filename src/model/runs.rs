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
