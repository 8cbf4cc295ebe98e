use ndarray::Array2;

use super::super::participation::Participation;
use crate::model::{Lags, RowStatus, Runs, SpikeBlock, Trial};
use crate::moments::{Accumulator, Counts};

/// Most bins of a trial that fields are estimated for: more than five minutes at 20 ms. Transitions later in a trial are left out.
///
/// It bounds memory: fields, their flags and the predictors made of them take 17 bytes per neuron, trial bin and ridge, which is 280 MB
/// for 1000 neurons at one ridge.
pub const TRIAL_BINS_MAX: usize = 1 << 14;

/// The transitions of the trials, ordered by trial bin, of the neurons that take part.
///
/// Bins that fewer than two repeats have are left out: they hold no transition here. Memory: 2 bytes per sender's and 8 per
/// receiver's spike, 8 per transition, 16 per neuron and trial bin.
pub(super) struct Repeats {
    /// Repeats that have the transition `t → t + 1`, shape `(n_bins)`; 0 and 1 where the bin is left out.
    pub(super) repeats: Vec<u64>,
    /// Indices of the neurons that take part, increasing.
    pub(super) active: Vec<usize>,
    /// Why the other neurons take no part; [`RowStatus::Ok`] for those that do.
    pub(super) status: Vec<RowStatus>,
    /// `4 (K_ij(1) − Σ_t K⁺_i(t) K⁻_j(t) / R_t)`, which is `Σ_t R_t D_ij(t)`; shape `(n_active, n_active)`.
    pub(super) delayed: Array2<f64>,
    /// `K⁻_j(t)`: repeats in whose bin `t` the neuron fired; shape `(n_bins, n_active)`.
    pub(super) sends: Array2<f64>,
    /// `K⁺_i(t)`: repeats in whose bin `t + 1` the neuron fired; shape `(n_active, n_bins)`.
    pub(super) receives: Array2<f64>,
    /// Transitions of trial bin `t`: `starts[t]..starts[t + 1]`.
    starts: Vec<usize>,
    /// Active senders of a transition: `senders[offsets[r]..offsets[r + 1]]`, as places in `active`.
    offsets: Vec<usize>,
    senders: Vec<u16>,
    /// Transitions in whose later bin each neuron that takes part fired, increasing.
    fired: Vec<Vec<usize>>,
}

/// One transition: its trial bin, and where its earlier bin stands.
#[derive(Clone, Copy)]
struct Place {
    trial_bin: u32,
    block: u32,
    bin: u32,
}

impl Repeats {
    pub(super) fn of(runs: &Runs, trials: &[Trial]) -> Self {
        let trials = disjoint(trials);
        let places = places(runs, &trials);
        let (repeats, starts, ordered) = ordered(&places);
        let counts = count(runs, &trials, &repeats);
        let Participation { mut status, mut active } = Participation::of(&counts);
        if ordered.is_empty() {
            (status, active) = (vec![RowStatus::TooFewRepeats; runs.n_neurons], Vec::new());
        }
        let (sends, receives) = per_bin(runs, &ordered, &starts, &active);
        // A neuron that does the same in every repeat of every bin tells nothing that its fields do not.
        let varies = |row: usize| {
            let in_some_bin = |fired: &dyn Fn(usize) -> f64| {
                (0..repeats.len()).any(|t| fired(t) > 0.0 && fired(t) < (starts[t + 1] - starts[t]) as f64)
            };
            in_some_bin(&|t| sends[[t, row]]) && in_some_bin(&|t| receives[[row, t]])
        };
        let rows: Vec<usize> = (0..active.len()).filter(|&row| varies(row)).collect();
        for &i in
            active.iter().enumerate().filter(|(row, _)| rows.binary_search(row).is_err()).map(|(_, i)| i)
        {
            status[i] = RowStatus::TooFewRepeats;
        }
        let sends = sends.select(ndarray::Axis(1), &rows);
        let receives = receives.select(ndarray::Axis(0), &rows);
        let active: Vec<usize> = rows.iter().map(|&row| active[row]).collect();
        let delayed = delayed(&counts, &active, &repeats, &sends, &receives);
        let (offsets, senders, fired) = spikes(runs, &ordered, &active);
        Self { repeats, active, status, delayed, sends, receives, starts, offsets, senders, fired }
    }

    /// Number of trial bins.
    pub(super) fn n_bins(&self) -> usize {
        self.repeats.len()
    }

    /// Number of neurons that take part.
    pub(super) fn n_active(&self) -> usize {
        self.active.len()
    }

    /// Number of transitions in use.
    pub(super) fn transitions(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Transitions of trial bin `t`; none where the bin is left out.
    pub(super) fn transitions_of(&self, t: usize) -> std::ops::Range<usize> {
        self.starts[t]..self.starts[t + 1]
    }

    /// Neurons that fired in the earlier bin of transition `r`, as places among those that take part, increasing.
    pub(super) fn senders(&self, r: usize) -> &[u16] {
        &self.senders[self.offsets[r]..self.offsets[r + 1]]
    }

    /// Transitions in whose later bin neuron `row` (place among those that take part) fired.
    pub(super) fn fired(&self, row: usize) -> &[usize] {
        &self.fired[row]
    }
}

/// The trials in order of their start, none of them empty. One that another begins in ends there; of several with the same
/// start the longest stays.
fn disjoint(trials: &[Trial]) -> Vec<Trial> {
    let mut sorted: Vec<Trial> = trials.iter().copied().filter(|t| t.start_bin < t.stop_bin).collect();
    sorted.sort_unstable();
    let mut out: Vec<Trial> = Vec::with_capacity(sorted.len());
    for trial in sorted {
        if let Some(last) = out.last_mut() {
            if last.start_bin == trial.start_bin {
                *last = trial;
                continue;
            }
            last.stop_bin = last.stop_bin.min(trial.start_bin);
        }
        out.push(trial);
    }
    out
}

/// Bins of `block` (0-based) that are the earlier one of a transition inside `trial`.
fn earlier_bins(block: &SpikeBlock, trial: &Trial) -> std::ops::Range<usize> {
    let first = block.first_bin();
    let within = trial.start_bin.saturating_add(TRIAL_BINS_MAX as u64 + 1);
    let start = trial.start_bin.max(first);
    let stop = trial.stop_bin.min(block.end_bin()).min(within);
    if stop < start + 2 {
        return 0..0;
    }
    (start - first) as usize..(stop - 1 - first) as usize
}

/// Every pair of trial and run that share bins.
fn overlaps<'a>(
    runs: &'a Runs,
    trials: &'a [Trial],
) -> impl Iterator<Item = (&'a Trial, usize, &'a SpikeBlock)> {
    trials.iter().flat_map(|trial| {
        let first = runs.blocks.partition_point(|block| block.end_bin() <= trial.start_bin);
        let shared = runs.blocks[first..].iter().take_while(|block| block.first_bin() < trial.stop_bin);
        shared.enumerate().map(move |(k, block)| (trial, first + k, block))
    })
}

fn places(runs: &Runs, trials: &[Trial]) -> Vec<Place> {
    let mut places = Vec::new();
    for (trial, index, block) in overlaps(runs, trials) {
        places.extend(earlier_bins(block, trial).map(|bin| Place {
            // Below TRIAL_BINS_MAX, and a block indexes its bins with 32 bits.
            trial_bin: (block.first_bin() + bin as u64 - trial.start_bin) as u32,
            block: index as u32,
            bin: bin as u32,
        }));
    }
    places
}

/// Repeats of each trial bin up to the last one with two, and the places of those bins with two or more, ordered by bin.
fn ordered(places: &[Place]) -> (Vec<u64>, Vec<usize>, Vec<Place>) {
    let mut repeats = vec![0u64; TRIAL_BINS_MAX];
    for place in places {
        repeats[place.trial_bin as usize] += 1;
    }
    let n_bins = repeats.iter().rposition(|&count| count >= 2).map_or(0, |last| last + 1);
    repeats.truncate(n_bins);
    let mut starts = vec![0; n_bins + 1];
    for (t, &count) in repeats.iter().enumerate() {
        starts[t + 1] = starts[t] + if count >= 2 { count as usize } else { 0 };
    }
    let mut next = starts.clone();
    let mut ordered = vec![Place { trial_bin: 0, block: 0, bin: 0 }; starts[n_bins]];
    for place in places {
        let t = place.trial_bin as usize;
        if repeats.get(t).is_some_and(|&count| count >= 2) {
            ordered[next[t]] = *place;
            next[t] += 1;
        }
    }
    (repeats, starts, ordered)
}

/// The exact counts over the transitions in use.
fn count(runs: &Runs, trials: &[Trial], repeats: &[u64]) -> Counts {
    let mut counts = Accumulator::new(runs.n_neurons, &Lags::default());
    for (trial, _, block) in overlaps(runs, trials) {
        let used = |bin: &usize| {
            let t = (block.first_bin() + *bin as u64 - trial.start_bin) as usize;
            repeats.get(t).is_some_and(|&count| count >= 2)
        };
        let mut bins = earlier_bins(block, trial).peekable();
        while let Some(start) = bins.find(|bin| used(bin)) {
            let mut stop = start + 1;
            while bins.next_if(|bin| used(bin)).is_some() {
                stop += 1;
            }
            let piece = block.slice(start, stop + 1);
            counts.add_newest(&piece, 0..piece.n_bins());
        }
    }
    counts.counts()
}

/// Place of each neuron among those that take part.
fn places_among(active: &[usize], n_neurons: usize) -> Vec<Option<u16>> {
    let mut place = vec![None; n_neurons];
    for (row, &i) in active.iter().enumerate() {
        place[i] = Some(row as u16);
    }
    place
}

fn per_bin(runs: &Runs, ordered: &[Place], starts: &[usize], active: &[usize]) -> (Array2<f64>, Array2<f64>) {
    let n_bins = starts.len() - 1;
    let place = places_among(active, runs.n_neurons);
    let mut sends = Array2::zeros((n_bins, active.len()));
    let mut receives = Array2::zeros((active.len(), n_bins));
    for at in ordered {
        let (block, t) = (&runs.blocks[at.block as usize], at.trial_bin as usize);
        for row in block.bin(at.bin as usize).iter().filter_map(|&i| place[usize::from(i)]) {
            sends[[t, usize::from(row)]] += 1.0;
        }
        for row in block.bin(at.bin as usize + 1).iter().filter_map(|&i| place[usize::from(i)]) {
            receives[[usize::from(row), t]] += 1.0;
        }
    }
    (sends, receives)
}

fn delayed(
    counts: &Counts,
    active: &[usize],
    repeats: &[u64],
    sends: &Array2<f64>,
    receives: &Array2<f64>,
) -> Array2<f64> {
    let mut share = sends.clone();
    for (mut row, &count) in share.rows_mut().into_iter().zip(repeats) {
        // A bin that is left out has no spikes counted.
        row.mapv_inplace(|fired| fired / count.max(1) as f64);
    }
    let mut delayed = receives.dot(&share);
    for ((i, j), value) in delayed.indexed_iter_mut() {
        let both = counts.lags[0].delayed[active[i] * counts.n_neurons + active[j]];
        *value = 4.0 * (both as f64 - *value);
    }
    delayed
}

fn spikes(runs: &Runs, ordered: &[Place], active: &[usize]) -> (Vec<usize>, Vec<u16>, Vec<Vec<usize>>) {
    let place = places_among(active, runs.n_neurons);
    let mut offsets = Vec::with_capacity(ordered.len() + 1);
    offsets.push(0);
    let mut senders = Vec::new();
    let mut fired = vec![Vec::new(); active.len()];
    for (r, at) in ordered.iter().enumerate() {
        let block = &runs.blocks[at.block as usize];
        senders.extend(block.bin(at.bin as usize).iter().filter_map(|&i| place[usize::from(i)]));
        offsets.push(senders.len());
        for row in block.bin(at.bin as usize + 1).iter().filter_map(|&i| place[usize::from(i)]) {
            fired[usize::from(row)].push(r);
        }
    }
    (offsets, senders, fired)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(start_bin: u64, stop_bin: u64) -> Trial {
        Trial { start_bin, stop_bin }
    }

    #[test]
    fn a_trial_ends_where_the_next_one_begins() {
        let given = [trial(20, 30), trial(5, 5), trial(0, 25), trial(20, 28), trial(9, 3)];
        assert_eq!(disjoint(&given), [trial(0, 20), trial(20, 30)]);
    }

    #[test]
    fn transitions_lie_inside_one_trial_and_one_run() {
        let lists = |bins: usize| vec![vec![0u16]; bins];
        let block = |first, bins| SpikeBlock::from_lists(first, &lists(bins), 2).unwrap();
        // Bins 0 to 9 and 12 to 19; trials begin at 0, 8 and 15, the second runs through the gap, the third past the end.
        let runs = Runs { n_neurons: 2, blocks: vec![block(0, 10), block(12, 8)] };
        let trials = [trial(0, 5), trial(8, 15), trial(15, 99)];
        let repeats = Repeats::of(&runs, &trials);
        // Trial bins of the transitions: 0 1 2 3, then 0 | 4 5, then 0 1 2 3.
        assert_eq!(repeats.repeats, [3, 2, 2, 2]);
        assert_eq!(repeats.transitions(), 9);
        assert!(repeats.status.iter().all(|s| matches!(s, RowStatus::Silent | RowStatus::Saturated)));
    }
}
