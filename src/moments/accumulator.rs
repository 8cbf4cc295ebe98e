use std::ops::Range;

use super::bin_spikes::BinSpikes;
use super::bits::Bits;
use super::counts::triangle_row;
use super::gathered::Gathered;
use super::kernel::{Costs, Work};
use super::piece::{Piece, Side};
use super::rows::Rows;
use super::threads::for_each_piece;
use super::{Counts, Kernel, LagCounts, direct};
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
    threads: usize,
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

    /// The totals, less those of `gone`. Worked out by up to so many threads where there are many: the memory is new, and the system hands it
    /// out page by page.
    fn totals(&self, gone: Option<&Self>, threads: usize) -> Vec<u64> {
        let mut totals = vec![0_u64; self.recent.len()];
        let mut pieces: Vec<_> = (0..).step_by(Self::PIECE).zip(totals.chunks_mut(Self::PIECE)).collect();
        let threads = if self.recent.len() > Self::THREADED { threads } else { 1 };
        for_each_piece(threads, &mut pieces, 1, |pieces| {
            for (first, totals) in pieces {
                self.add_to(totals, *first, |total, count| total + count);
                if let Some(gone) = gone {
                    gone.add_to(totals, *first, |total, count| total - count);
                }
            }
        });
        totals
    }

    /// Pairs worked out together, and how many there must be for threads.
    const PIECE: usize = 1 << 16;
    const THREADED: usize = 1 << 22;

    fn add_to(&self, totals: &mut [u64], first: usize, add: impl Fn(u64, u64) -> u64) {
        for (total, &recent) in totals.iter_mut().zip(&self.recent[first..]) {
            *total = add(*total, u64::from(recent));
        }
        for (total, &folded) in totals.iter_mut().zip(self.folded.get(first..).unwrap_or_default()) {
            *total = add(*total, folded);
        }
    }

    fn bytes(&self) -> usize {
        self.recent.len() * 4 + self.folded.len() * 8
    }
}

impl Accumulator {
    /// Most bins counted in one go.
    const PIECE_BINS: usize = 4096;

    /// How long, roughly, the counting of a piece takes for which threads are begun.
    const THREADED_NS: f64 = 2e6;

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
            threads: 1,
        }
    }

    /// Let the counting of many bins spread over up to so many threads, where it takes long enough to be worth it. What is counted does
    /// not depend on it.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Add the bins `run[new]` and every transition whose *later* bin is one of them.
    ///
    /// `run` is a stretch without gap or trial edge; what precedes `new` in it is context that was added before.
    pub fn add_newest(&mut self, run: &SpikeBlock, new: Range<usize>) {
        self.add(run, new, Side::Newest, None);
    }

    /// Add the bins `run[old]` and every transition whose *earlier* bin is one of them.
    ///
    /// `run` is a stretch without gap or trial edge; what follows `old` in it is context, as long as the longest lag where
    /// the recording goes on that far.
    pub fn add_oldest(&mut self, run: &SpikeBlock, old: Range<usize>) {
        self.add(run, old, Side::Oldest, None);
    }

    /// Add the bins of `runs` that lie in `bins` and every transition whose *later* bin is one of them.
    pub fn add_runs(&mut self, runs: &Runs, bins: Range<u64>) {
        for run in &runs.blocks {
            let place = |bin: u64| (bin.clamp(run.first_bin(), run.end_bin()) - run.first_bin()) as usize;
            self.add_newest(run, place(bins.start)..place(bins.end));
        }
    }

    /// Like [`Accumulator::add_newest`] with the kernel prescribed instead of chosen, and all threads however little
    /// there is to count; for tests and benchmarks.
    pub fn add_newest_with(&mut self, run: &SpikeBlock, new: Range<usize>, kernel: Kernel) {
        self.add(run, new, Side::Newest, Some(kernel));
    }

    /// Like [`Accumulator::add_oldest`] with the kernel prescribed instead of chosen, and all threads however little
    /// there is to count; for tests and benchmarks.
    pub fn add_oldest_with(&mut self, run: &SpikeBlock, old: Range<usize>, kernel: Kernel) {
        self.add(run, old, Side::Oldest, Some(kernel));
    }

    fn add(&mut self, run: &SpikeBlock, bins: Range<usize>, side: Side, kernel: Option<Kernel>) {
        let shifts: Vec<usize> = self.lags.iter().map(|lag| lag.lag_bins as usize).collect();
        // Pieces, so that the kernel is chosen by what is going on and its scratch is bounded.
        for from in bins.clone().step_by(Self::PIECE_BINS) {
            let bins = from..bins.end.min(from + Self::PIECE_BINS);
            self.add_piece(&Piece { run, n_neurons: self.n_neurons, bins, side, lags: &shifts }, kernel);
        }
    }

    fn add_piece(&mut self, piece: &Piece<'_>, kernel: Option<Kernel>) {
        self.bins += piece.bins.len() as u64;
        let spikes = BinSpikes::new(piece);
        spikes.add(&mut self.spikes, piece.bins.clone());
        for (lag, (shift, earlier)) in self.lags.iter_mut().zip(piece.lags()) {
            lag.transitions += earlier.len() as u64;
            spikes.add(&mut lag.receiver, earlier.start + shift..earlier.end + shift);
            spikes.add(&mut lag.sender, earlier);
        }
        let mut work = Work::default();
        work.add(piece.run, piece.bins.clone());
        let costs = Costs::of(self.n_neurons, self.lags.len(), &work);
        let is_long = |kernel| costs.ns(kernel) > Self::THREADED_NS;
        let (kernel, threads) = match kernel {
            Some(prescribed) => (prescribed, self.threads),
            None => {
                let cheapest = costs.cheapest();
                (cheapest, if is_long(cheapest) { self.threads } else { 1 })
            }
        };
        let equal_time = self.equal_time.recent_for(piece.equal_time().len() as u64);
        let counters = self.lags.iter_mut().zip(piece.lags());
        let delayed =
            counters.map(|(lag, (_, earlier))| lag.delayed.recent_for(earlier.len() as u64)).collect();
        count(piece, kernel, equal_time, delayed, threads);
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
        let pairs = |all: &PairTotals, gone: Option<&PairTotals>| all.totals(gone, self.threads);
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

/// Count the pairs of a piece.
fn count(
    piece: &Piece<'_>,
    kernel: Kernel,
    equal_time: &mut [u32],
    mut delayed: Vec<&mut [u32]>,
    threads: usize,
) {
    let n = piece.n_neurons;
    let add = |add_to: &(dyn Fn(&mut Rows<'_>) + Sync), rows: &mut [Rows<'_>]| {
        for_each_piece(threads, rows, 1, |rows| rows.iter_mut().for_each(add_to));
    };
    match kernel {
        Kernel::Direct => {
            direct::add_equal_time(equal_time, n, piece.run, piece.equal_time());
            for ((shift, earlier), delayed) in piece.lags().zip(&mut delayed) {
                direct::add_delayed(delayed, n, piece.run, earlier, shift);
            }
        }
        Kernel::Gathered => {
            let gathered = Gathered::new(piece);
            add(&|rows| gathered.add_to(rows), &mut Rows::of_all(n, equal_time, delayed));
        }
        Kernel::Dense(instructions) => {
            let bits = Bits::new(piece, instructions);
            add(&|rows| bits.add_to(rows), &mut Rows::of_all(n, equal_time, delayed));
        }
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
        assert_eq!(pairs.totals(None, 1), [u64::from(u32::MAX) + 3, 0]);
        assert_eq!(pairs.recent, [3, 0]);
        let gone = pairs.clone();
        pairs.recent_for(5)[1] += 5;
        assert_eq!(pairs.totals(Some(&gone), 2), [0, 5]);
    }

    #[test]
    fn stated_size_is_the_size() {
        let lags = Lags::new(&[1, 4]).unwrap();
        assert_eq!(Accumulator::new(37, &lags).bytes(), Accumulator::bytes_for(37, 2));
    }
}
