use std::ops::Range;

use crate::model::SpikeBlock;
use crate::moments::Work;

/// Bins that wait to be counted: many active neurons are counted at a fraction of the cost when there are many bins of them.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bins: u64,
    work: Work,
}

impl Pending {
    /// Bins after which nothing is gained by waiting any longer.
    pub(super) const BINS_MAX: u64 = 2048;

    /// The bins `bins` (0-based inside `block`) have arrived.
    pub(super) fn add(&mut self, block: &SpikeBlock, bins: Range<usize>) {
        self.bins += bins.len() as u64;
        self.work.add(block, bins);
    }

    /// Whether it is time to count them.
    pub(super) fn is_due(&self, n_neurons: usize, n_lags: usize) -> bool {
        self.bins >= Self::BINS_MAX
            || !self.work.gains_from_waiting(n_neurons, n_lags, Self::BINS_MAX as usize)
    }

    /// They are counted; gives how far they reach back.
    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(self).bins
    }
}
