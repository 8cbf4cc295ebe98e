use std::ops::Range;

use super::counts::triangle_row;
use super::{Counts, Kernel, LagCounts, dense, sparse};
use crate::model::{Lags, Runs, SpikeBlock};

/// Running counts to which stretches of recording are added; subtracting two of them gives the counts between.
///
/// Pair counts are held as `u32` (half the memory traffic of the hot loop) and folded into `u64` totals before they
/// could wrap. Memory: 6 n² bytes for one lag, 4 n² more for each further lag, twice that again after 2³² bins.
#[derive(Debug, Clone)]
pub struct Accumulator {
    n_neurons: usize,
    bins: u64,
    spikes: Vec<u64>,
    equal_time: PairTotals,
    lags: Vec<LagAccumulator>,
}

#[derive(Debug, Clone)]
struct LagAccumulator {
    lag_bins: u32,
    transitions: u64,
    sender: Vec<u64>,
    receiver: Vec<u64>,
    delayed: PairTotals,
}

/// Pair counts: `folded[k] + recent[k]`.
#[derive(Debug, Clone)]
struct PairTotals {
    recent: Vec<u32>,
    recent_bins: u64,
    /// Empty until the first fold.
    folded: Vec<u64>,
}

impl PairTotals {
    fn zero(pairs: usize) -> Self {
        Self { recent: vec![0; pairs], recent_bins: 0, folded: Vec::new() }
    }

    /// The counters to increment for `bins` further bins, none of which can wrap.
    fn recent_for(&mut self, bins: u64) -> &mut [u32] {
        debug_assert!(bins <= u64::from(u32::MAX));
        self.recent_bins += bins;
        if self.recent_bins > u64::from(u32::MAX) {
            self.fold();
            self.recent_bins = bins;
        }
        &mut self.recent
    }

    fn fold(&mut self) {
        self.folded.resize(self.recent.len(), 0);
        for (total, recent) in self.folded.iter_mut().zip(&mut self.recent) {
            *total += u64::from(std::mem::take(recent));
        }
    }

    fn total(&self, k: usize) -> u64 {
        u64::from(self.recent[k]) + self.folded.get(k).copied().unwrap_or(0)
    }

    fn totals(&self) -> Vec<u64> {
        (0..self.recent.len()).map(|k| self.total(k)).collect()
    }

    fn totals_minus(&self, gone: &Self) -> Vec<u64> {
        (0..self.recent.len()).map(|k| self.total(k) - gone.total(k)).collect()
    }

    fn bytes(&self) -> usize {
        self.recent.len() * 4 + self.folded.len() * 8
    }
}

impl Accumulator {
    const PIECE_BINS: usize = 4096;

    /// Counts of no bins.
    #[must_use]
    pub fn new(n_neurons: usize, lags: &Lags) -> Self {
        let lag = |&lag_bins: &u32| LagAccumulator {
            lag_bins,
            transitions: 0,
            sender: vec![0; n_neurons],
            receiver: vec![0; n_neurons],
            delayed: PairTotals::zero(n_neurons * n_neurons),
        };
        Self {
            n_neurons,
            bins: 0,
            spikes: vec![0; n_neurons],
            equal_time: PairTotals::zero(n_neurons * (n_neurons + 1) / 2),
            lags: lags.as_slice().iter().map(lag).collect(),
        }
    }

    /// Add the bins `run[new]` and every transition whose *later* bin is one of them.
    ///
    /// `run` is a stretch without gap or trial edge; what precedes `new` in it is context that was added before.
    pub fn add_newest(&mut self, run: &SpikeBlock, new: Range<usize>) {
        let senders = |lag: usize| new.start.saturating_sub(lag)..new.end.saturating_sub(lag);
        self.add(run, new.clone(), senders, None);
    }

    /// Add the bins `run[old]` and every transition whose *earlier* bin is one of them.
    ///
    /// `run` is a stretch without gap or trial edge; what follows `old` in it is context, as long as the longest lag where
    /// the recording goes on that far.
    pub fn add_oldest(&mut self, run: &SpikeBlock, old: Range<usize>) {
        let n_bins = run.n_bins();
        let senders = |lag: usize| old.start..old.end.min(n_bins.saturating_sub(lag)).max(old.start);
        self.add(run, old.clone(), senders, None);
    }

    /// Add the bins of `runs` that lie in `bins` and every transition whose *later* bin is one of them.
    pub fn add_runs(&mut self, runs: &Runs, bins: Range<u64>) {
        for run in &runs.blocks {
            let place = |bin: u64| (bin.clamp(run.first_bin(), run.end_bin()) - run.first_bin()) as usize;
            let (start, end) = (place(bins.start), place(bins.end));
            // Pieces, so that the kernel is chosen by what is going on and its scratch stays in the cache.
            for from in (start..end).step_by(Self::PIECE_BINS) {
                self.add_newest(run, from..end.min(from + Self::PIECE_BINS));
            }
        }
    }

    /// Like [`Accumulator::add_newest`] with the kernel prescribed instead of chosen; for tests and benchmarks.
    pub fn add_newest_with(&mut self, run: &SpikeBlock, new: Range<usize>, kernel: Kernel) {
        let senders = |lag: usize| new.start.saturating_sub(lag)..new.end.saturating_sub(lag);
        self.add(run, new.clone(), senders, Some(kernel));
    }

    fn add(
        &mut self,
        run: &SpikeBlock,
        bins: Range<usize>,
        senders: impl Fn(usize) -> Range<usize>,
        kernel: Option<Kernel>,
    ) {
        self.bins += bins.len() as u64;
        for k in bins.clone() {
            increment(&mut self.spikes, run.bin(k));
        }
        let kernel = kernel.unwrap_or_else(|| {
            let (mut entries, mut pairs) = (0, 0);
            for k in bins {
                let active = run.bin(k).len();
                entries += active;
                pairs += (active * active) as u64;
            }
            Kernel::choose(self.n_neurons, senders(1).len(), entries, pairs)
        });
        let n = self.n_neurons;
        let lag_one = senders(1);
        let equal_time = self.equal_time.recent_for(lag_one.len() as u64);
        match kernel {
            Kernel::Sparse => sparse::add_equal_time(equal_time, n, run, lag_one),
            Kernel::Dense => dense::add_equal_time(equal_time, n, run, lag_one),
        }
        for lag in &mut self.lags {
            let shift = lag.lag_bins as usize;
            let earlier = senders(shift);
            lag.transitions += earlier.len() as u64;
            for k in earlier.clone() {
                increment(&mut lag.sender, run.bin(k));
                increment(&mut lag.receiver, run.bin(k + shift));
            }
            let delayed = lag.delayed.recent_for(earlier.len() as u64);
            match kernel {
                Kernel::Sparse => sparse::add_delayed(delayed, n, run, earlier, shift),
                Kernel::Dense => dense::add_delayed(delayed, n, run, earlier, shift),
            }
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.to_counts(None)
    }

    /// The counts of what is in `self` but not in `gone`, which must have been added to both.
    #[must_use]
    pub fn counts_without(&self, gone: &Self) -> Counts {
        self.to_counts(Some(gone))
    }

    fn to_counts(&self, gone: Option<&Self>) -> Counts {
        let pairs = |all: &PairTotals, gone: Option<&PairTotals>| match gone {
            Some(gone) => all.totals_minus(gone),
            None => all.totals(),
        };
        let each = |all: &[u64], gone: Option<&[u64]>| match gone {
            Some(gone) => all.iter().zip(gone).map(|(a, g)| a - g).collect(),
            None => all.to_vec(),
        };
        let lag = |(k, all): (usize, &LagAccumulator)| {
            let gone = gone.map(|g| &g.lags[k]);
            LagCounts {
                lag_bins: all.lag_bins,
                transitions: all.transitions - gone.map_or(0, |g| g.transitions),
                sender: each(&all.sender, gone.map(|g| g.sender.as_slice())),
                receiver: each(&all.receiver, gone.map(|g| g.receiver.as_slice())),
                delayed: pairs(&all.delayed, gone.map(|g| &g.delayed)),
            }
        };
        Counts {
            n_neurons: self.n_neurons,
            bins: self.bins - gone.map_or(0, |g| g.bins),
            spikes: each(&self.spikes, gone.map(|g| g.spikes.as_slice())),
            equal_time: pairs(&self.equal_time, gone.map(|g| &g.equal_time)),
            lags: self.lags.iter().enumerate().map(lag).collect(),
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let lags: usize =
            self.lags.iter().map(|l| l.delayed.bytes() + (l.sender.len() + l.receiver.len()) * 8).sum();
        self.spikes.len() * 8 + self.equal_time.bytes() + lags
    }

    /// Bytes an accumulator of this size takes before its first fold.
    #[must_use]
    pub fn bytes_for(n_neurons: usize, n_lags: usize) -> usize {
        let equal_time = triangle_row(n_neurons, n_neurons) * 4;
        equal_time + n_lags * (n_neurons * n_neurons * 4 + n_neurons * 16) + n_neurons * 8
    }
}

fn increment(counts: &mut [u64], active: &[u16]) {
    for &neuron in active {
        counts[usize::from(neuron)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_every_count() {
        let mut pairs = PairTotals::zero(2);
        pairs.recent_for(u64::from(u32::MAX) - 1)[0] = u32::MAX - 1;
        pairs.recent_for(1)[0] += 1;
        assert!(pairs.folded.is_empty(), "exactly u32::MAX bins still fit");
        pairs.recent_for(3)[0] += 3;
        assert_eq!(pairs.totals(), [u64::from(u32::MAX) + 3, 0]);
        assert_eq!(pairs.recent, [3, 0]);
        let gone = pairs.clone();
        pairs.recent_for(5)[1] += 5;
        assert_eq!(pairs.totals_minus(&gone), [0, 5]);
    }

    #[test]
    fn stated_size_is_the_size() {
        let lags = Lags::new(&[1, 4]).unwrap();
        assert_eq!(Accumulator::new(37, &lags).bytes(), Accumulator::bytes_for(37, 2));
    }
}
