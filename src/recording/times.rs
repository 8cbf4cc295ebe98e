//! Spike times and intervals: from seconds in a file to sorted integer nanoseconds, with what is odd about them.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::Path;

use super::{Problem, RecordingError};
use crate::model::{Interval, Neuron, RecordedUnit};
use crate::storage::InputFile;

/// Times farther from zero than this are taken for garbage: the Unix epoch lies within, and the nanoseconds between
/// any two of them fit an `i64`.
const SECONDS_MAX: f64 = 4e9;
/// The same in nanoseconds.
pub(super) const NS_MAX: i64 = 4_000_000_000_000_000_000;
/// Most units of a recording that are read; a probe of today has a few thousand.
pub(super) const UNITS_MAX: usize = 1_000_000;
/// Most intervals of one table that are read.
pub(super) const INTERVALS_MAX: usize = 10_000_000;

/// Nanoseconds of a time, rounded half to even; `None` when it is not finite or beyond ±4 · 10⁹ s.
pub(super) fn nanoseconds(seconds: f64) -> Option<i64> {
    // A NaN fails the comparison.
    (seconds.abs() <= SECONDS_MAX).then(|| (seconds * 1e9).round_ties_even() as i64)
}

/// Seconds of a time. Within ±26 days of zero [`nanoseconds`] gives the very time back, beyond it may be a fraction of a microsecond off.
pub(super) fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// Seconds that read back as `ns` or, where no number does, the next later time.
pub(super) fn seconds_from(ns: i64) -> f64 {
    let mut seconds = seconds(ns);
    // Once or, where the product of the two roundings asks for it, twice.
    while nanoseconds(seconds).is_some_and(|read| read < ns) {
        seconds = seconds.next_up();
    }
    seconds
}

/// Seconds that read back as `ns` or, where no number does, the next earlier time.
pub(super) fn seconds_to(ns: i64) -> f64 {
    let mut seconds = seconds(ns);
    while nanoseconds(seconds).is_some_and(|read| read > ns) {
        seconds = seconds.next_down();
    }
    seconds
}

/// Concatenated spike times and how they divide into units.
pub(super) struct SpikeColumn<'a> {
    pub(super) path: &'a Path,
    /// Dataset of the times.
    pub(super) object: &'a str,
    /// Times in seconds, those after the last end left out or not.
    pub(super) seconds: &'a [f64],
    /// Number of times in the file.
    pub(super) available: usize,
    /// Whether the file holds them in single precision.
    pub(super) single_precision: bool,
    /// One past the last time of each unit; not decreasing and within `seconds`.
    pub(super) ends: &'a [usize],
}

impl SpikeColumn<'_> {
    /// One unit per neuron, times sorted; what was odd is added to `problems`.
    pub(super) fn units(
        &self,
        neurons: Vec<Neuron>,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<RecordedUnit>, RecordingError> {
        debug_assert_eq!(neurons.len(), self.ends.len());
        let mut tally = Tally::default();
        let mut units = Vec::with_capacity(neurons.len());
        let mut start = 0;
        for (unit, (neuron, &end)) in neurons.into_iter().zip(self.ends).enumerate() {
            let mut times = train(self.path, self.object, unit, &self.seconds[start..end])?;
            tally.take(unit, &mut times);
            units.push(RecordedUnit { neuron, spike_times_ns: times, observed: None });
            start = end;
        }
        if start < self.available {
            let entries = self.available - start;
            problems.push(Problem::UnindexedEntries { object: self.object.to_owned(), entries });
        }
        if self.single_precision {
            problems
                .push(Problem::SinglePrecision { object: self.object.to_owned(), blur_ns: tally.blur_ns() });
        }
        tally.report(problems);
        Ok(units)
    }
}

/// Nanoseconds of the spikes of one unit, which stand in seconds in `object`.
pub(super) fn train(
    path: &Path,
    object: &str,
    unit: usize,
    seconds: &[f64],
) -> Result<Vec<i64>, RecordingError> {
    let mut times = Vec::with_capacity(seconds.len());
    for (spike, &s) in seconds.iter().enumerate() {
        times.push(nanoseconds(s).ok_or_else(|| RecordingError::UnusableTime {
            path: path.to_owned(),
            object: object.to_owned(),
            unit,
            spike,
            seconds: s,
        })?);
    }
    Ok(times)
}

/// Units from their spike times in nanoseconds, sorted; what was odd is added to `problems`.
pub(super) fn units_of_trains(
    trains: Vec<(Neuron, Vec<i64>)>,
    problems: &mut Vec<Problem>,
) -> Vec<RecordedUnit> {
    let mut tally = Tally::default();
    let mut units = Vec::with_capacity(trains.len());
    for (unit, (neuron, mut times)) in trains.into_iter().enumerate() {
        tally.take(unit, &mut times);
        units.push(RecordedUnit { neuron, spike_times_ns: times, observed: None });
    }
    tally.report(problems);
    units
}

/// An integer quotient, rounded half to even; the divisor is positive.
pub(super) fn divide_half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    let is_up = match (2 * rest).cmp(&divisor) {
        Ordering::Less => false,
        Ordering::Equal => quotient % 2 != 0,
        Ordering::Greater => true,
    };
    quotient + i128::from(is_up)
}

/// Refuse a column that is not as long as the one it belongs to.
pub(super) fn check_length(
    file: &InputFile,
    object: &str,
    got: usize,
    reference: &str,
    expected: usize,
) -> Result<(), RecordingError> {
    if got == expected {
        return Ok(());
    }
    Err(RecordingError::LengthMismatch {
        path: file.path().to_owned(),
        object: object.to_owned(),
        got,
        expected,
        reference: reference.to_owned(),
    })
}

/// Number of units that share an oddity, and the first of them.
#[derive(Default)]
struct Affected {
    units: usize,
    first_unit: usize,
}

impl Affected {
    fn add(&mut self, unit: usize) {
        if self.units == 0 {
            self.first_unit = unit;
        }
        self.units += 1;
    }
}

/// What is odd about the units, so far.
#[derive(Default)]
struct Tally {
    silent: Affected,
    unsorted: Affected,
    unsorted_steps: usize,
    duplicated: Affected,
    repeats: usize,
    reset: Affected,
    /// Place of the first reset, and the times before and after.
    first_reset: (usize, i64, i64),
    negative: usize,
    range_ns: Option<(i64, i64)>,
    median_intervals_ns: Vec<i64>,
}

impl Tally {
    /// Sort the times of one unit and note what was odd about them.
    fn take(&mut self, unit: usize, times: &mut [i64]) {
        if times.is_empty() {
            self.silent.add(unit);
            return;
        }
        self.note_order(unit, times);
        times.sort_unstable();
        let repeats = times.windows(2).filter(|w| w[0] == w[1]).count();
        if repeats > 0 {
            self.duplicated.add(unit);
            self.repeats += repeats;
        }
        self.negative += times.partition_point(|&t| t < 0);
        let (first, last) = (times[0], times[times.len() - 1]);
        let (lowest, highest) = self.range_ns.unwrap_or((first, last));
        self.range_ns = Some((lowest.min(first), highest.max(last)));
        if times.len() > 2 {
            let mut intervals: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
            let middle = intervals.len() / 2;
            self.median_intervals_ns.push(*intervals.select_nth_unstable(middle).1);
        }
    }

    /// A few large falls between long rising runs are a clock that was reset; anything else is disorder.
    fn note_order(&mut self, unit: usize, times: &[i64]) {
        const RUN_SPIKES_MIN: usize = 10;
        let falls: Vec<usize> = (1..times.len()).filter(|&k| times[k] < times[k - 1]).collect();
        let Some(&spike) = falls.first() else { return };
        let (lowest, highest) = times.iter().fold((i64::MAX, i64::MIN), |(a, b), &t| (a.min(t), b.max(t)));
        let run_ends = falls.iter().copied().chain([times.len()]);
        let run_starts = [0].into_iter().chain(falls.iter().copied());
        let runs_are_long = run_starts.zip(run_ends).all(|(a, b)| b - a >= RUN_SPIKES_MIN);
        let falls_are_large = falls.iter().all(|&k| times[k - 1] - times[k] > (highest - lowest) / 4);
        if runs_are_long && falls_are_large {
            let (before_ns, after_ns) = (times[spike - 1], times[spike]);
            if self.reset.units == 0 {
                self.first_reset = (spike, before_ns, after_ns);
            }
            self.reset.add(unit);
            return;
        }
        if self.unsorted.units == 0 {
            self.unsorted_steps = falls.len();
        }
        self.unsorted.add(unit);
    }

    /// Distance between neighbouring single-precision numbers at the time farthest from zero.
    fn blur_ns(&self) -> i64 {
        let (lowest, highest) = self.range_ns.unwrap_or((0, 0));
        let farthest = (lowest.unsigned_abs().max(highest.unsigned_abs()) as f64 / 1e9) as f32;
        (f64::from(farthest.next_up() - farthest) * 1e9).ceil() as i64
    }

    fn report(mut self, problems: &mut Vec<Problem>) {
        if self.unsorted.units > 0 {
            let Affected { units, first_unit } = self.unsorted;
            problems.push(Problem::UnsortedTimes { units, first_unit, steps_back: self.unsorted_steps });
        }
        if self.reset.units > 0 {
            let Affected { units, first_unit } = self.reset;
            let (spike, before_ns, after_ns) = self.first_reset;
            problems.push(Problem::TimesReset { units, first_unit, spike, before_ns, after_ns });
        }
        if self.duplicated.units > 0 {
            let Affected { units, first_unit } = self.duplicated;
            problems.push(Problem::DuplicateTimes { units, first_unit, repeats: self.repeats });
        }
        if self.silent.units > 0 {
            let Affected { units, first_unit } = self.silent;
            problems.push(Problem::SilentUnits { units, first_unit });
        }
        let Some((lowest, highest)) = self.range_ns else { return };
        if self.negative > 0 {
            problems.push(Problem::NegativeTimes { spikes: self.negative, earliest_ns: lowest });
        }
        if let Some(problem) = self.milliseconds(highest - lowest) {
            problems.push(problem);
        }
    }

    /// Neurons that fire less than once in 3 s in a recording of days are most likely ordinary ones in milliseconds.
    fn milliseconds(&mut self, span_ns: i64) -> Option<Problem> {
        const SPAN_NS_MIN: i64 = 24 * 3600 * 1_000_000_000;
        const INTERVAL_NS_MIN: i64 = 3_000_000_000;
        if span_ns < SPAN_NS_MIN || self.median_intervals_ns.is_empty() {
            return None;
        }
        let middle = self.median_intervals_ns.len() / 2;
        let median_ns = *self.median_intervals_ns.select_nth_unstable(middle).1;
        (median_ns >= INTERVAL_NS_MIN).then_some(Problem::LooksLikeMilliseconds {
            span_seconds: span_ns.unsigned_abs() / 1_000_000_000,
            median_interval_ms: median_ns.unsigned_abs() / 1_000_000,
        })
    }
}

/// Neurons from ids and labels; ids that are missing or not distinct give way to the units' places.
pub(super) fn neurons(
    n: usize,
    ids: Option<Vec<i64>>,
    labels: Option<Vec<String>>,
    id_object: &str,
    problems: &mut Vec<Problem>,
) -> Vec<Neuron> {
    let by_place = || (0..n).map(|k| k as i64).collect::<Vec<i64>>();
    let ids = match ids {
        None => {
            problems.push(Problem::MissingIds { object: id_object.to_owned() });
            by_place()
        }
        Some(ids) => {
            let mut seen = HashSet::with_capacity(n);
            match ids.iter().position(|&id| !seen.insert(id)) {
                None => ids,
                Some(unit) => {
                    problems.push(Problem::DuplicateIds { id: ids[unit], unit });
                    by_place()
                }
            }
        }
    };
    let mut labels = labels.unwrap_or_default();
    labels.resize(n, String::new());
    labels.iter_mut().for_each(clean);
    ids.into_iter().zip(labels).map(|(id, label)| Neuron { id, label }).collect()
}

/// Control characters, a zero byte among them, have no place in a name: they spoil terminals and cannot be stored.
fn clean(label: &mut String) {
    if label.chars().any(char::is_control) {
        *label =
            label.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    }
}

/// What is odd about the intervals of one table or dataset, so far.
#[derive(Default)]
pub(super) struct OddIntervals {
    unusable: usize,
    unsorted: bool,
    endless: usize,
}

impl OddIntervals {
    pub(super) fn report(self, object: &str, problems: &mut Vec<Problem>) {
        if self.unusable > 0 {
            problems.push(Problem::UnusableIntervals { object: object.to_owned(), intervals: self.unusable });
        }
        if self.endless > 0 {
            problems.push(Problem::EndlessIntervals { object: object.to_owned(), intervals: self.endless });
        }
        if self.unsorted {
            problems.push(Problem::UnsortedIntervals { object: object.to_owned() });
        }
    }
}

/// Intervals in order of their start; those that stop at infinity stop at `end_ns`, those that are empty, reversed or not
/// finite are left out.
pub(super) fn intervals(
    starts_and_stops: impl Iterator<Item = (f64, f64)>,
    end_ns: Option<i64>,
    odd: &mut OddIntervals,
) -> Vec<Interval> {
    let mut intervals = Vec::new();
    for (start, stop) in starts_and_stops {
        let endless = stop == f64::INFINITY;
        let stop_ns = if endless { end_ns } else { nanoseconds(stop) };
        match (nanoseconds(start), stop_ns) {
            (Some(start_ns), Some(stop_ns)) if start_ns < stop_ns => {
                intervals.push(Interval { start_ns, stop_ns });
                odd.endless += usize::from(endless);
            }
            _ => odd.unusable += 1,
        }
    }
    if !intervals.is_sorted() {
        odd.unsorted = true;
        intervals.sort_unstable();
    }
    intervals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_half_to_even_and_garbage_is_refused() {
        for (seconds, ns) in
            [(1.5e-9, 2), (2.5e-9, 2), (-0.5e-9, 0), (0.1 + 0.2, 300_000_000), (4e9, 4 * 10_i64.pow(18))]
        {
            assert_eq!(nanoseconds(seconds), Some(ns), "{seconds}");
        }
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 4.000_001e9, -5e9] {
            assert_eq!(nanoseconds(seconds), None, "{seconds}");
        }
    }

    #[test]
    fn times_that_no_number_has_are_rounded_to_the_side_asked_for() {
        let mut inexact = 0;
        for ns in (0..2000).map(|k| 3_999_999_000_000_000_000 - k * 123_456_789_013) {
            let (from, to) = (nanoseconds(seconds_from(ns)).unwrap(), nanoseconds(seconds_to(ns)).unwrap());
            assert!(to <= ns && ns <= from && from - to < 2000, "{to} {ns} {from}");
            inexact += u32::from(from != to);
        }
        assert!(inexact > 1000);
        for ns in (0..2000).map(|k| (1_i64 << 51) - k * 1_234_567_891) {
            assert_eq!((nanoseconds(seconds_from(ns)), nanoseconds(seconds_to(ns))), (Some(ns), Some(ns)));
        }
    }

    #[test]
    fn a_reset_clock_is_told_from_disorder() {
        let rising: Vec<i64> = (0..40).map(|k| k * 1_000_000_000).collect();
        let mut tally = Tally::default();
        tally.take(3, &mut [&rising[..], &rising[..]].concat());
        assert_eq!((tally.reset.units, tally.reset.first_unit, tally.first_reset.0), (1, 3, 40));
        assert_eq!(tally.unsorted.units, 0);

        let mut shuffled = rising.clone();
        shuffled.swap(5, 30);
        tally.take(4, &mut shuffled);
        assert_eq!((tally.unsorted.units, tally.unsorted.first_unit, tally.reset.units), (1, 4, 1));
        assert_eq!(shuffled, rising);
    }

    #[test]
    fn milliseconds_are_suspected_but_slow_neurons_are_not() {
        let problem = |interval_s: i64, spikes: i64| {
            let mut tally = Tally::default();
            tally.take(0, &mut (0..spikes).map(|k| k * interval_s * 1_000_000_000).collect::<Vec<_>>());
            let mut problems = Vec::new();
            tally.report(&mut problems);
            problems.iter().any(|p| matches!(p, Problem::LooksLikeMilliseconds { .. }))
        };
        assert!(problem(200, 3000), "5 spikes per second for 10 minutes, in milliseconds");
        assert!(!problem(20, 300), "one spike in 20 s for 100 minutes");
        assert!(!problem(1, 200_000), "two days at one spike per second");
    }
}
