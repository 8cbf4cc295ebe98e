use std::ops::Range;

use super::InstructionSet;
use crate::model::SpikeBlock;

/// How pairs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Increment the pairs of active neurons, bin by bin.
    Direct,
    /// Increment the same pairs, neuron by neuron.
    Gathered,
    /// Bit-packed: AND and population count over words of 64 bins, with these instructions.
    Dense(InstructionSet),
}

impl Kernel {
    /// All that this processor can run.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let dense = InstructionSet::available().into_iter().map(Self::Dense);
        [Self::Direct, Self::Gathered].into_iter().chain(dense).collect()
    }
}

/// What there is to count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    n_bins: usize,
    /// Active (neuron, bin) entries.
    entries: usize,
    /// `Σ_t k_t²`, where `k_t` neurons are active in bin t.
    active_pairs: u64,
}

impl Work {
    /// These bins of a block as well.
    pub(crate) fn add(&mut self, block: &SpikeBlock, bins: Range<usize>) {
        self.n_bins += bins.len();
        for bin in bins {
            let active = block.bin(bin).len();
            self.entries += active;
            self.active_pairs += (active * active) as u64;
        }
    }

    /// Whether so many bins as active as these would be counted by a kernel that is not at its best for a few bins.
    pub(crate) fn gains_from_waiting(&self, n_neurons: usize, n_lags: usize, n_bins: usize) -> bool {
        let scale = n_bins as f64 / self.n_bins.max(1) as f64;
        let scaled = Self {
            n_bins,
            entries: (self.entries as f64 * scale) as usize,
            active_pairs: (self.active_pairs as f64 * scale) as u64,
        };
        Costs::of(n_neurons, n_lags, &scaled).cheapest() != Kernel::Direct
    }
}

/// How long each kernel takes, roughly, in ns: a wrong estimate costs time, never a count.
///
/// The constants are measured with `cargo bench --bench counting` (Xeon with AVX-512, 2 MiB of second-level cache).
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    direct: f64,
    gathered: f64,
    dense: f64,
}

impl Costs {
    pub(super) fn of(n_neurons: usize, n_lags: usize, work: &Work) -> Self {
        let n = n_neurons as f64;
        // Half a matrix for equal times, a whole one for each lag.
        let matrices = 0.5 + n_lags as f64;
        let counters = n * n * matrices;
        let increments = work.active_pairs as f64 * matrices;
        let (entries, words) = (work.entries as f64, work.n_bins.div_ceil(64) as f64);
        // Each stretch of increments in one row begins with a branch that is predicted badly.
        let stretches = entries * (1.0 + n_lags as f64) * 20.0;
        let direct_increment = match counters * 4.0 {
            ..1e6 => 0.7,
            ..1e8 => 2.0,
            // Neither the counter nor its page is at hand.
            _ => 12.0,
        };
        Self {
            direct: stretches + increments * direct_increment,
            gathered: stretches + increments * 0.8 + entries * 20.0 + n * 5.0 + counters * 0.3,
            dense: counters
                * (words * InstructionSet::best().ns_per_word() + words.div_euclid(32.0).max(1.0) * 0.3)
                + entries * 2.0,
        }
    }

    pub(super) fn ns(&self, kernel: Kernel) -> f64 {
        match kernel {
            Kernel::Direct => self.direct,
            Kernel::Gathered => self.gathered,
            Kernel::Dense(_) => self.dense,
        }
    }

    pub(super) fn cheapest(&self) -> Kernel {
        let of = |kernel: &Kernel| self.ns(*kernel);
        [Kernel::Direct, Kernel::Gathered, Kernel::Dense(InstructionSet::best())]
            .into_iter()
            .min_by(|a, b| of(a).total_cmp(&of(b)))
            .unwrap_or(Kernel::Direct)
    }
}
