use crate::model::{
    BinWidth, Interval, NEURONS_MAX, Neuron, RecordedSession, RecordedUnit, SpikeBlock, Trial,
};

/// A recording cut into bins.
///
/// Bin numbers count from the first bin of the recording; times are rounded to integer nanoseconds and divided in integers, so
/// that a spike's bin never depends on floating-point rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct BinnedRecording {
    /// The neurons kept, in file order; their place is their index.
    pub neurons: Vec<Neuron>,
    /// Width of a bin.
    pub bin_width: BinWidth,
    /// Time of the left edge of bin 0 in nanoseconds, on the recording's clock or, where it names one, the clock further upstream
    /// ([`RecordedSession::origin_ns`]).
    pub origin_ns: i64,
    /// Bins from the first to the last, observed or not.
    pub n_bins: u64,
    /// The observed stretches, in order; what lies between them was not observed and is not silence.
    pub blocks: Vec<SpikeBlock>,
    /// Bins at whose left edge a trial starts or ends, or no transition crosses for another reason; increasing.
    pub trial_edges: Vec<u64>,
    /// The trials, in order, from the bin in which each starts to the first one wholly after it or in which the next one starts; of
    /// several that start in one bin, the last. One that starts before the first observed bin is left out, one that lasts beyond
    /// the last bin ends there.
    pub trials: Vec<Trial>,
    /// Spikes that fell into a bin in which their neuron had already fired, and so count no further.
    pub merged_spikes: u64,
    /// Spikes outside the observed intervals, left out.
    pub masked_spikes: u64,
}

/// A recording that cannot be cut into bins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinningError {
    /// There is nobody to bin.
    #[error("the recording has no units")]
    NoUnits,
    /// There is nothing to bin.
    #[error("the {units} units of the recording have no spikes")]
    NoSpikes {
        /// Number of units.
        units: usize,
    },
    /// More units than a session can have.
    #[error(
        "{units} units are too many: a session has at most {NEURONS_MAX} neurons; keep the most active ones"
    )]
    TooManyUnits {
        /// Number of units.
        units: usize,
    },
    /// No unit was asked for.
    #[error("at least 1 unit must be kept")]
    NoneKept,
    /// No bin lies in an interval in which every unit was observed.
    #[error("no bin of {bin_width} lies wholly inside the intervals in which every unit was observed")]
    NothingObserved {
        /// Width of a bin.
        bin_width: BinWidth,
    },
    /// Invalid intervals cover all that was recorded.
    #[error("no bin of {bin_width} is left: the recording's invalid_times touch every one that was observed")]
    AllInvalid {
        /// Width of a bin.
        bin_width: BinWidth,
    },
    /// A span so long that the time unit is most likely wrong.
    #[error(
        "the recording spans {bins} bins of {bin_width}, more than the allowed {}: are its times in seconds?",
        BinnedRecording::BINS_MAX
    )]
    TooLong {
        /// Bins from the first to the last.
        bins: u64,
        /// Width of a bin.
        bin_width: BinWidth,
    },
}

impl BinnedRecording {
    /// Most bins of one recording: two weeks at 1 ms, and 4 bytes of bookkeeping each, 5 GB; as much again while a
    /// recording with gaps is cut into its stretches.
    pub const BINS_MAX: u64 = 1_200_000_000;

    /// Active (neuron, bin) entries.
    #[must_use]
    pub fn n_active(&self) -> u64 {
        self.blocks.iter().map(|b| b.n_active() as u64).sum()
    }

    /// Bins observed.
    #[must_use]
    pub fn n_observed(&self) -> u64 {
        self.blocks.iter().map(|b| b.n_bins() as u64).sum()
    }

    /// Length in seconds, observed or not.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.n_bins as f64 * self.bin_width.seconds()
    }
}

/// Cut a recording into bins, keeping its `top` most active units (ties go to the earlier one; file order stays) or all.
///
/// The recording spans the bins from the first to the last spike of a kept unit, and its trials; where the file says in which
/// intervals its units were observed, it spans and keeps exactly the bins wholly inside the intervals common to all kept
/// units. Bins that touch an invalid interval are left out.
///
/// # Errors
/// [`BinningError`] when there is nothing to bin or the span is absurd.
pub fn bin_recording(
    recording: &RecordedSession,
    bin_width: BinWidth,
    top: Option<usize>,
) -> Result<BinnedRecording, BinningError> {
    let units = most_active(&recording.units, top)?;
    if units.len() > NEURONS_MAX {
        return Err(BinningError::TooManyUnits { units: units.len() });
    }
    let width = bin_width.ns();
    let observed = common_observed(&units);
    let (first, end) = span(recording, &units, observed.as_deref(), width)
        .ok_or(BinningError::NoSpikes { units: units.len() })?;
    if end <= first {
        return Err(BinningError::NothingObserved { bin_width });
    }
    let n_bins = first.abs_diff(end);
    if n_bins > BinnedRecording::BINS_MAX {
        return Err(BinningError::TooLong { bins: n_bins, bin_width });
    }
    let stretches = observed_stretches(first..end, observed.as_deref(), &recording.invalid, width);
    if stretches.is_empty() && !recording.invalid.is_empty() {
        let without_masks = observed_stretches(first..end, observed.as_deref(), &[], width);
        if !without_masks.is_empty() {
            return Err(BinningError::AllInvalid { bin_width });
        }
    }
    if stretches.is_empty() {
        return Err(BinningError::NothingObserved { bin_width });
    }
    let (whole, outside, merged_spikes) = count_spikes(&units, first, n_bins, width);
    let blocks: Vec<SpikeBlock> = match stretches.as_slice() {
        [all] if *all == (first..end) => vec![whole],
        parts => {
            let offset = |bin: i64| (bin - first) as usize;
            parts.iter().map(|part| whole.slice(offset(part.start), offset(part.end))).collect()
        }
    };
    let kept: u64 = blocks.iter().map(|b| b.n_active() as u64).sum();
    let total: u64 = units.iter().map(|u| u.spike_times_ns.len() as u64).sum();
    let edges = trial_edges(recording, first, end, width);
    let first_observed = blocks.first().map_or(0, SpikeBlock::first_bin);
    let trials = trials(&recording.trials, first, end, width, first_observed);
    Ok(BinnedRecording {
        neurons: units.iter().map(|u| u.neuron.clone()).collect(),
        bin_width,
        origin_ns: recording.origin_ns.saturating_add(first * width),
        n_bins,
        trial_edges: edges,
        trials,
        // Entries that were counted but lie in masked bins, and spikes beyond the span.
        masked_spikes: outside + (total - outside - merged_spikes - kept),
        merged_spikes,
        blocks,
    })
}

fn most_active(units: &[RecordedUnit], top: Option<usize>) -> Result<Vec<&RecordedUnit>, BinningError> {
    if units.is_empty() {
        return Err(BinningError::NoUnits);
    }
    let Some(top) = top else { return Ok(units.iter().collect()) };
    if top == 0 {
        return Err(BinningError::NoneKept);
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&k| std::cmp::Reverse(units[k].spike_times_ns.len()));
    order.truncate(top);
    order.sort_unstable();
    Ok(order.into_iter().map(|k| &units[k]).collect())
}

/// The intervals in which every unit that says so was observed; `None` when none says.
fn common_observed(units: &[&RecordedUnit]) -> Option<Vec<Interval>> {
    let mut lists = units.iter().filter_map(|u| u.observed.as_deref()).map(merged);
    let first = lists.next()?;
    Some(lists.fold(first, |common, list| intersection(&common, &list)))
}

fn merged(intervals: &[Interval]) -> Vec<Interval> {
    let mut sorted: Vec<Interval> = intervals.iter().copied().filter(|i| i.start_ns < i.stop_ns).collect();
    sorted.sort_unstable();
    let mut out: Vec<Interval> = Vec::new();
    for interval in sorted {
        match out.last_mut() {
            Some(last) if interval.start_ns <= last.stop_ns => {
                last.stop_ns = last.stop_ns.max(interval.stop_ns)
            }
            _ => out.push(interval),
        }
    }
    out
}

fn intersection(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    while i < a.len() && j < b.len() {
        let start_ns = a[i].start_ns.max(b[j].start_ns);
        let stop_ns = a[i].stop_ns.min(b[j].stop_ns);
        if start_ns < stop_ns {
            out.push(Interval { start_ns, stop_ns });
        }
        if a[i].stop_ns < b[j].stop_ns { i += 1 } else { j += 1 }
    }
    out
}

/// First bin, and bin after the last one; `None` when there is neither a spike nor an observed interval.
fn span(
    recording: &RecordedSession,
    units: &[&RecordedUnit],
    observed: Option<&[Interval]>,
    width: i64,
) -> Option<(i64, i64)> {
    let spikes =
        || units.iter().flat_map(|u| u.spike_times_ns.first().into_iter().chain(u.spike_times_ns.last()));
    let first_spike = *spikes().min()?;
    let last_spike = *spikes().max()?;
    if let Some(observed) = observed {
        let (Some(first), Some(last)) = (observed.first(), observed.last()) else { return Some((0, 0)) };
        return Some((ceil_div(first.start_ns, width), last.stop_ns.div_euclid(width)));
    }
    let trials = &recording.trials;
    let first = trials.iter().map(|t| t.start_ns).chain([first_spike]).min()?;
    let end =
        trials.iter().map(|t| ceil_div(t.stop_ns, width)).chain([last_spike.div_euclid(width) + 1]).max()?;
    Some((first.div_euclid(width), end))
}

fn ceil_div(time_ns: i64, width: i64) -> i64 {
    time_ns.div_euclid(width) + i64::from(time_ns.rem_euclid(width) != 0)
}

/// The bins of `span` that were observed and touch no invalid interval, as increasing stretches.
fn observed_stretches(
    span: std::ops::Range<i64>,
    observed: Option<&[Interval]>,
    invalid: &[Interval],
    width: i64,
) -> Vec<std::ops::Range<i64>> {
    let whole = [Interval { start_ns: span.start * width, stop_ns: span.end * width }];
    let mut stretches = Vec::new();
    let mut masked = merged(invalid).into_iter().peekable();
    for interval in observed.unwrap_or(&whole) {
        let (mut start, end) = (ceil_div(interval.start_ns, width), interval.stop_ns.div_euclid(width));
        while let Some(mask) = masked.peek() {
            let (from, to) = (mask.start_ns.div_euclid(width), ceil_div(mask.stop_ns, width));
            if from >= end {
                break;
            }
            if from > start {
                stretches.push(start..from);
            }
            start = start.max(to);
            if to > end {
                break;
            }
            masked.next();
        }
        if start < end {
            stretches.push(start..end);
        }
    }
    stretches
}

/// All spikes of the span as one block; the number outside the span; the number merged within a bin.
fn count_spikes(units: &[&RecordedUnit], first: i64, n_bins: u64, width: i64) -> (SpikeBlock, u64, u64) {
    let n = n_bins as usize;
    let mut offsets = vec![0u32; n + 1];
    let (mut outside, mut merged) = (0, 0);
    for unit in units {
        let mut counted = 0;
        for bin in occupied_bins(unit, first, n_bins, width) {
            offsets[bin] += 1;
            counted += 1;
        }
        let inside = spikes_inside(unit, first, n_bins, width);
        merged += inside - counted;
        outside += unit.spike_times_ns.len() as u64 - inside;
    }
    let mut total = 0;
    for offset in &mut offsets {
        total += std::mem::replace(offset, total);
    }
    let mut neurons = vec![0u16; total as usize];
    // Units in index order fill each bin's list in increasing order. Each start is the cursor of its own list, and ends
    // as the start of the next one.
    for (index, unit) in units.iter().enumerate() {
        for bin in occupied_bins(unit, first, n_bins, width) {
            neurons[offsets[bin] as usize] = index as u16;
            offsets[bin] += 1;
        }
    }
    offsets.copy_within(..n, 1);
    offsets[0] = 0;
    (SpikeBlock::from_sorted_parts(0, offsets, neurons), outside, merged)
}

/// Bins of the span, 0-based, in which the unit fired, each once.
fn occupied_bins(
    unit: &RecordedUnit,
    first: i64,
    n_bins: u64,
    width: i64,
) -> impl Iterator<Item = usize> + '_ {
    let mut previous = None;
    unit.spike_times_ns.iter().filter_map(move |time| {
        let bin =
            usize::try_from(time.div_euclid(width) - first).ok().filter(|&bin| (bin as u64) < n_bins)?;
        (previous.replace(bin) != Some(bin)).then_some(bin)
    })
}

fn spikes_inside(unit: &RecordedUnit, first: i64, n_bins: u64, width: i64) -> u64 {
    let start = first * width;
    let stop = start + n_bins as i64 * width;
    let times = &unit.spike_times_ns;
    (times.partition_point(|&t| t < stop) - times.partition_point(|&t| t < start)) as u64
}

/// Left edges of the bins in which trials start and of the first bins wholly after them, inside the span; another edge is a trial
/// of no length.
fn trial_edges(recording: &RecordedSession, first: i64, end: i64, width: i64) -> Vec<u64> {
    let trials = recording.trials.iter().map(|t| (t.start_ns, t.stop_ns));
    let others = recording.edges_ns.iter().map(|&edge_ns| (edge_ns, edge_ns));
    let mut edges: Vec<u64> = trials
        .chain(others)
        .flat_map(|(start_ns, stop_ns)| [start_ns.div_euclid(width), ceil_div(stop_ns, width)])
        .filter(|&bin| bin > first && bin < end)
        .map(|bin| (bin - first) as u64)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// The trials in bins of the recording, none of them empty, none overlapping.
fn trials(trials: &[Interval], first: i64, end: i64, width: i64, first_observed: u64) -> Vec<Trial> {
    let mut bins: Vec<(i64, i64)> = trials
        .iter()
        .map(|t| (t.start_ns.div_euclid(width) - first, ceil_div(t.stop_ns, width).min(end) - first))
        .filter(|&(start, _)| start >= first_observed as i64)
        .collect();
    bins.sort_unstable();
    let next_starts = bins.iter().skip(1).map(|&(start, _)| start).chain([i64::MAX]);
    let within = bins.iter().zip(next_starts).map(|(&(start, stop), next)| (start, stop.min(next)));
    within
        .filter(|(start, stop)| start < stop)
        .map(|(start, stop)| Trial { start_bin: start as u64, stop_bin: stop as u64 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(id: i64, times_ms: &[i64], observed_ms: Option<&[(i64, i64)]>) -> RecordedUnit {
        RecordedUnit {
            neuron: Neuron { id, label: String::new() },
            spike_times_ns: times_ms.iter().map(|t| t * 1_000_000).collect(),
            observed: observed_ms.map(intervals),
        }
    }

    fn intervals(list_ms: &[(i64, i64)]) -> Vec<Interval> {
        let ms = 1_000_000;
        list_ms.iter().map(|&(a, b)| Interval { start_ns: a * ms, stop_ns: b * ms }).collect()
    }

    fn ten_ms() -> BinWidth {
        BinWidth::from_us(10_000).unwrap()
    }

    fn lists(block: &SpikeBlock) -> Vec<Vec<u16>> {
        block.bins().map(<[u16]>::to_vec).collect()
    }

    #[test]
    fn spans_from_the_first_to_the_last_spike_and_merges_within_a_bin() {
        let units = vec![unit(5, &[-15, -11, 0, 9], None), unit(3, &[10, 29], None)];
        let recording = RecordedSession { units, ..RecordedSession::default() };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        assert_eq!(binned.origin_ns, -20_000_000);
        assert_eq!(lists(&binned.blocks[0]), [vec![0], vec![], vec![0], vec![1], vec![1]]);
        assert_eq!((binned.n_bins, binned.merged_spikes, binned.masked_spikes), (5, 2, 0));
        assert_eq!(binned.neurons.iter().map(|n| n.id).collect::<Vec<_>>(), [5, 3]);
    }

    #[test]
    fn a_spike_on_an_edge_falls_into_the_bin_it_opens() {
        // 0.3 s in bins of 0.1 s is bin 3; in floating point 0.3 / 0.1 floors to 2.
        let units = vec![unit(0, &[0, 300], None)];
        let recording = RecordedSession { units, ..RecordedSession::default() };
        let binned = bin_recording(&recording, BinWidth::from_us(100_000).unwrap(), None).unwrap();
        assert_eq!(lists(&binned.blocks[0]), [vec![0], vec![], vec![], vec![0]]);
    }

    #[test]
    fn keeps_the_most_active_units_in_file_order_ties_to_the_earlier() {
        let units = vec![
            unit(0, &[1], None),
            unit(1, &[1, 11], None),
            unit(2, &[1, 2, 3], None),
            unit(3, &[1, 2], None),
        ];
        let recording = RecordedSession { units, ..RecordedSession::default() };
        let ids = |top| -> Vec<i64> {
            bin_recording(&recording, ten_ms(), Some(top)).unwrap().neurons.iter().map(|n| n.id).collect()
        };
        assert_eq!(ids(2), [1, 2]);
        assert_eq!(ids(3), [1, 2, 3]);
        assert_eq!(ids(99), [0, 1, 2, 3]);
        assert_eq!(bin_recording(&recording, ten_ms(), Some(0)), Err(BinningError::NoneKept));
    }

    #[test]
    fn what_was_not_observed_is_a_gap_and_not_silence() {
        let units = vec![
            unit(0, &[5, 15, 65, 95], Some(&[(0, 40), (50, 100)])),
            unit(1, &[25, 75], Some(&[(0, 25), (20, 80)])),
        ];
        let recording = RecordedSession { units, ..RecordedSession::default() };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        let spans: Vec<_> = binned.blocks.iter().map(|b| (b.first_bin(), b.end_bin())).collect();
        assert_eq!(spans, [(0, 4), (5, 8)]);
        assert_eq!((binned.n_bins, binned.masked_spikes), (8, 1));
        assert_eq!(lists(&binned.blocks[1]), [vec![], vec![0], vec![1]]);
    }

    #[test]
    fn bins_that_touch_an_invalid_interval_are_left_out() {
        let units = vec![unit(0, &[0, 25, 55, 99], None)];
        let invalid = intervals(&[(52, 55), (21, 30), (24, 35)]);
        let recording = RecordedSession { units, invalid, ..RecordedSession::default() };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        let spans: Vec<_> = binned.blocks.iter().map(|b| (b.first_bin(), b.end_bin())).collect();
        assert_eq!(spans, [(0, 2), (4, 5), (6, 10)]);
        assert_eq!((binned.masked_spikes, binned.n_active(), binned.n_observed()), (2, 2, 7));
    }

    #[test]
    fn an_invalid_interval_may_cover_several_observed_ones() {
        let units = vec![unit(0, &[5, 95], Some(&[(0, 20), (30, 50), (60, 100)]))];
        let invalid = intervals(&[(10, 70)]);
        let recording = RecordedSession { units, invalid, ..RecordedSession::default() };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        let spans: Vec<_> = binned.blocks.iter().map(|b| (b.first_bin(), b.end_bin())).collect();
        assert_eq!(spans, [(0, 1), (7, 10)]);
    }

    #[test]
    fn trials_extend_the_span_and_leave_edges() {
        let units = vec![unit(0, &[25, 61], None)];
        let trials = intervals(&[(0, 40), (40, 75)]);
        let recording = RecordedSession { units, trials, ..RecordedSession::default() };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        assert_eq!((binned.origin_ns, binned.n_bins), (0, 8));
        assert_eq!(binned.trial_edges, [4]);
        let trials = intervals(&[(11, 22), (41, 52)]);
        let recording = RecordedSession { trials, ..recording };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        assert_eq!((binned.origin_ns, binned.trial_edges), (10_000_000, vec![2, 3, 5]));
        let trial = |start_bin, stop_bin| Trial { start_bin, stop_bin };
        assert_eq!(binned.trials, [trial(0, 2), trial(3, 5)]);
    }

    #[test]
    fn trials_that_share_a_bin_end_where_the_next_begins() {
        let units = vec![unit(0, &[25, 61], Some(&[(20, 100)]))];
        // Before what was observed; the next three share bins, two of them a start; the last goes on beyond the end.
        let trials = intervals(&[(5, 30), (20, 45), (41, 50), (47, 66), (80, 150)]);
        let recording = RecordedSession { units, trials, ..RecordedSession::default() };
        let binned = bin_recording(&recording, ten_ms(), None).unwrap();
        let trial = |start_bin, stop_bin| Trial { start_bin, stop_bin };
        assert_eq!(binned.trials, [trial(0, 2), trial(2, 5), trial(6, 8)]);
    }

    #[test]
    fn the_farthest_times_that_are_read_do_not_overflow() {
        let far_ms = 4_000_000_000_000;
        for (times, invalid) in
            [([-far_ms, -far_ms + 25], (-far_ms, far_ms)), ([far_ms - 25, far_ms], (0, 1))]
        {
            let units = vec![unit(0, &times, None)];
            let recording = RecordedSession { units, ..RecordedSession::default() };
            for us in [100, 7000, 1_000_000] {
                let binned = bin_recording(&recording, BinWidth::from_us(us).unwrap(), None).unwrap();
                assert!(binned.n_active() >= 1 && binned.origin_ns <= times[0] * 1_000_000);
            }
            let masked = RecordedSession { invalid: intervals(&[invalid]), ..recording.clone() };
            let _ = bin_recording(&masked, ten_ms(), None);
            let apart = RecordedSession {
                units: vec![unit(0, &[-far_ms, far_ms], Some(&[(-far_ms, far_ms)]))],
                ..recording
            };
            assert!(matches!(bin_recording(&apart, ten_ms(), None), Err(BinningError::TooLong { .. })));
        }
    }

    #[test]
    fn nothing_to_bin_is_an_error() {
        let none = RecordedSession::default();
        assert_eq!(bin_recording(&none, ten_ms(), None), Err(BinningError::NoUnits));
        let silent = RecordedSession { units: vec![unit(0, &[], None)], ..RecordedSession::default() };
        assert_eq!(bin_recording(&silent, ten_ms(), None), Err(BinningError::NoSpikes { units: 1 }));
        let short =
            RecordedSession { units: vec![unit(0, &[3], Some(&[(1, 9)]))], ..RecordedSession::default() };
        assert!(matches!(bin_recording(&short, ten_ms(), None), Err(BinningError::NothingObserved { .. })));
        let masked = RecordedSession {
            units: vec![unit(0, &[3, 40], None)],
            invalid: intervals(&[(0, 50)]),
            ..RecordedSession::default()
        };
        assert!(matches!(bin_recording(&masked, ten_ms(), None), Err(BinningError::AllInvalid { .. })));
        let far = RecordedSession { units: vec![unit(0, &[0, 1 << 42], None)], ..RecordedSession::default() };
        assert!(matches!(bin_recording(&far, ten_ms(), None), Err(BinningError::TooLong { .. })));
    }
}
