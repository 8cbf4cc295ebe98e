use std::collections::BTreeSet;
use std::ops::Range;

use arbitrary::Unstructured;

use super::up_to;
use crate::model::{
    BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, SpikeBlock, TrialMark, Window,
};
use crate::moments::Counts;
use crate::session::{EquilibriumSpec, Marks, Session, SessionSpec};

/// Bins of one input: more take time and find no more.
const BINS_MAX: usize = 500;

/// A session of so many neurons, bins of 1 ms and windows of so many bins, and of the whole session.
///
/// # Panics
/// When the lags or windows are not allowed.
pub(super) fn session(n_neurons: usize, lags: &[u32], windows: Vec<u64>) -> Session {
    let windows = windows.into_iter().map(|ms| Window::Last { ms }).chain([Window::All]);
    let spec = SessionSpec {
        name: String::new(),
        neurons: (0..n_neurons as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(1000).expect("allowed"),
        origin_ns: 0,
        windows: windows.collect(),
        lags: Lags::new(lags).expect("allowed"),
        estimators: vec![Estimator::Nmf],
        ridges: Ridges::none(),
        refresh_interval_bins: 37,
        refit_interval_bins: 1000,
        refit_bins_max: 100,
        score_memory_bins: 1000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
    };
    Session::new(spec).expect("allowed")
}

/// A rig that repeats itself, leaves holes and marks trials early, late and wrongly: counting what comes, counting all of it again in
/// whole stretches, and counting it by definition give equal counts of every window.
///
/// # Panics
/// When they do not.
pub fn counting(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let n_neurons = 1 + up_to(&mut input, 69_usize);
    let lags: BTreeSet<u32> = (0..up_to(&mut input, 3_u8)).map(|_| 2 + up_to(&mut input, 30_u32)).collect();
    let lags: Vec<u32> = [1].into_iter().chain(lags).collect();
    let short = 64 + up_to(&mut input, 100_u64);
    let windows = vec![short, short + 1 + up_to(&mut input, 200_u64)];
    let mut live = session(n_neurons, &lags, windows.clone());
    let mut taken = Taken::default();
    while !input.is_empty() && taken.bins.len() < BINS_MAX {
        taken.step(&mut live, &mut input, n_neurons);
    }
    let mut whole = session(n_neurons, &lags, windows);
    taken.push_whole(&mut whole);
    assert_eq!(live.gaps(), whole.gaps());
    for window in 0..live.spec().windows.len() {
        let counted = live.window_counts(window);
        assert_eq!(counted, whole.window_counts(window), "in pieces and whole, window {window}");
        let defined = taken.counts(counted.first_bin..counted.end_bin, n_neurons, &live.spec().lags);
        assert_eq!(*counted.counts, defined, "window {window} from bin {}", counted.first_bin);
    }
    let bins = 0..live.next_bin();
    assert_eq!(live.trials(bins.clone()), whole.trials(bins));
}

/// What the session took.
#[derive(Default)]
struct Taken {
    bins: Vec<(u64, Vec<u16>)>,
    edges: BTreeSet<u64>,
    trials: BTreeSet<TrialMark>,
}

impl Taken {
    fn step(&mut self, live: &mut Session, input: &mut Unstructured<'_>, n_neurons: usize) {
        let next_bin = live.next_bin();
        match up_to(input, 7_u8) {
            0 => {
                let mark = mark_near(input, next_bin);
                if live.mark_trial(mark.start_bin, mark.stop_bin).is_ok() {
                    self.trials.insert(mark);
                }
            }
            1 => {
                let bin = near(input, next_bin);
                if live.mark_trial_edge(bin).is_ok() {
                    self.edges.insert(bin);
                }
            }
            _ => {
                let first_bin = near(input, next_bin);
                let block = block(input, first_bin, n_neurons);
                let edges: Vec<u64> = marks(input, |input| near(input, block.first_bin()));
                let trials: Vec<TrialMark> = marks(input, |input| mark_near(input, block.first_bin()));
                let sent = Marks { trial_edges: &edges, trials: &trials };
                if live.push_with_marks(&block, sent, &mut |_| ()).is_ok() {
                    self.take(&block, &edges, &trials, next_bin);
                }
            }
        }
    }

    /// The marks of a block that was counted before are repeats like its bins, but for what they say of bins ahead.
    fn take(&mut self, block: &SpikeBlock, edges: &[u64], trials: &[TrialMark], next_bin: u64) {
        let repeated = |bin: u64| block.end_bin() <= next_bin && bin < next_bin;
        let over = |mark: &TrialMark| repeated(mark.start_bin) && mark.stop_bin.is_none_or(repeated);
        self.edges.extend(edges.iter().filter(|&&bin| !repeated(bin)));
        self.trials.extend(trials.iter().filter(|mark| !over(mark)));
        let numbered = (block.first_bin()..).zip(block.bins());
        self.bins
            .extend(numbered.filter(|&(bin, _)| bin >= next_bin).map(|(bin, list)| (bin, list.to_vec())));
    }

    /// All of it, each stretch without a gap as one block.
    fn push_whole(&self, session: &mut Session) {
        for mark in &self.trials {
            session.mark_trial(mark.start_bin, mark.stop_bin).expect("it was taken before");
        }
        for &bin in &self.edges {
            session.mark_trial_edge(bin).expect("it was taken before");
        }
        let mut bins = &self.bins[..];
        while let Some(&(first_bin, _)) = bins.first() {
            let length =
                bins.iter().zip(first_bin..).take_while(|((bin, _), expected)| bin == expected).count();
            let (stretch, rest) = bins.split_at(length);
            let mut block = SpikeBlock::empty(first_bin);
            stretch.iter().for_each(|(_, list)| block.push_sorted(list));
            session.push(&block, &mut |_| ()).expect("it was taken before");
            bins = rest;
        }
    }

    /// The counts of the bins of a window, by their definition.
    fn counts(&self, window: Range<u64>, n_neurons: usize, lags: &Lags) -> Counts {
        let mut counts = Counts::zero(n_neurons, lags);
        let bins: Vec<_> = self.bins.iter().filter(|(bin, _)| window.contains(bin)).collect();
        let ends = self.trials.iter().flat_map(|mark| [Some(mark.start_bin), mark.stop_bin]).flatten();
        let edges: BTreeSet<u64> = self.edges.iter().copied().chain(ends).collect();
        counts.bins = bins.len() as u64;
        for (k, (late, receivers)) in bins.iter().enumerate() {
            receivers.iter().for_each(|&i| counts.spikes[usize::from(i)] += 1);
            for lag in &mut counts.lags {
                let Some(place) = k.checked_sub(lag.lag_bins as usize) else { continue };
                let (early, senders) = bins[place];
                if late - early != u64::from(lag.lag_bins) || edges.range(early + 1..=*late).next().is_some()
                {
                    continue;
                }
                lag.transitions += 1;
                receivers.iter().for_each(|&i| lag.receiver[usize::from(i)] += 1);
                for &j in senders {
                    let j = usize::from(j);
                    lag.sender[j] += 1;
                    receivers.iter().for_each(|&i| lag.delayed[usize::from(i) * n_neurons + j] += 1);
                }
                if lag.lag_bins == 1 {
                    for (place, &i) in senders.iter().enumerate() {
                        for &j in &senders[place..] {
                            let (i, j) = (usize::from(i), usize::from(j));
                            counts.equal_time[i * (2 * n_neurons + 1 - i) / 2 + j - i] += 1;
                        }
                    }
                }
            }
        }
        counts
    }
}

/// Mostly the bin itself, otherwise one a little before or after.
fn near(input: &mut Unstructured<'_>, bin: u64) -> u64 {
    match up_to(input, 5_u8) {
        0 => bin.saturating_sub(up_to(input, 40)),
        1 => bin + up_to(input, 40_u64),
        2 => bin + up_to(input, 700_u64),
        _ => bin,
    }
}

fn mark_near(input: &mut Unstructured<'_>, bin: u64) -> TrialMark {
    let start_bin = near(input, bin);
    let has_stop = up_to(input, 1_u8) == 1;
    TrialMark { start_bin, stop_bin: has_stop.then(|| start_bin + up_to(input, 60_u64)) }
}

fn marks<T>(input: &mut Unstructured<'_>, mut mark: impl FnMut(&mut Unstructured<'_>) -> T) -> Vec<T> {
    (0..up_to(input, 7_u8).saturating_sub(4)).map(|_| mark(input)).collect()
}

/// Bins in which few neurons fire, or none, or all.
fn block(input: &mut Unstructured<'_>, first_bin: u64, n_neurons: usize) -> SpikeBlock {
    let mut block = SpikeBlock::empty(first_bin);
    for _ in 0..up_to(input, 90_u8) {
        let list: Vec<u64> = match up_to(input, 7_u8) {
            0 => (0..n_neurons as u64).collect(),
            few => (0..few.saturating_sub(3)).map(|_| up_to(input, n_neurons as u64 - 1)).collect(),
        };
        block.push_unsorted(list.into_iter(), n_neurons).expect("indices are in range");
    }
    block
}
