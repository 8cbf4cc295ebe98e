use std::ops::AddAssign;

/// Time-stamped spikes that did not become entries of bins, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LostSpikes {
    /// They came after their bin was complete, or lie before bin 0.
    pub late: u64,
    /// Their neuron had already fired in their bin.
    pub merged: u64,
    /// They lie in bins that were not observed as a whole.
    pub masked: u64,
}

impl LostSpikes {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for LostSpikes {
    fn add_assign(&mut self, other: Self) {
        // They come from a file or the network: no sum of theirs may stop the daemon.
        self.late = self.late.saturating_add(other.late);
        self.merged = self.merged.saturating_add(other.merged);
        self.masked = self.masked.saturating_add(other.masked);
    }
}
