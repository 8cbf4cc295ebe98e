//! Spikes over time, and how often each neuron fires.

use glauber::model::{Interval, RecordedSession};

use super::order::Sort;
use super::{Words, label, median, title_name};
use crate::cli::text;

/// Columns that time is cut into: as many as are told apart.
pub(crate) const COLUMNS: usize = 700;
/// Stretches of time that the rate of all neurons is told of.
pub(crate) const STRETCHES: usize = 160;

/// What a neuron does in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Quiet,
    Spike,
    /// Not observed for at least half of the column.
    Unobserved,
}

/// A neuron.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) marks: Vec<Mark>,
    /// Spikes per second of observed time of all there is, and its error if spikes were independent.
    pub(crate) rate: Option<(f64, f64)>,
}

/// The figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RasterFigure {
    pub(crate) words: Words,
    /// Seconds from [`RasterView::zero_ns`].
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) rows: Vec<Row>,
    /// Spikes per second and neuron that is observed, in stretches of equal length; `None` where no neuron is.
    pub(crate) population: Vec<Option<f64>>,
}

/// What to show of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RasterView<'a> {
    pub(crate) name: &'a str,
    pub(crate) origin: &'a str,
    /// Only so many neurons, the most active.
    pub(crate) top: Option<usize>,
    pub(crate) sort: Sort,
    /// Stretch to show, in nanoseconds of the recording.
    pub(crate) shown: Interval,
    /// All there is, which rates are of.
    pub(crate) all: Interval,
    /// What is 0 on the axis of time.
    pub(crate) zero_ns: i64,
    /// Where spikes were counted in bins.
    pub(crate) binned: Option<Binned>,
}

/// Spikes that are known by their bins; their times are the middles of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binned {
    /// Width of a bin.
    pub(crate) width_ns: i64,
    /// Which bins these are, and how far back they reach: sentences.
    pub(crate) told: Vec<String>,
}

/// First and last moment that something is known of: of spikes and observed intervals. `None` of a recording without spikes.
pub(crate) fn extent(session: &RecordedSession) -> Option<Interval> {
    let first = session.units.iter().filter_map(|unit| unit.spike_times_ns.first().copied());
    let last = session.units.iter().filter_map(|unit| unit.spike_times_ns.last().copied());
    let (mut start_ns, mut stop_ns) = (first.min()?, last.max()?.saturating_add(1));
    for interval in session.units.iter().filter_map(|unit| unit.observed.as_ref()).flatten() {
        start_ns = start_ns.min(interval.start_ns);
        stop_ns = stop_ns.max(interval.stop_ns);
    }
    Some(Interval { start_ns, stop_ns })
}

impl RasterFigure {
    pub(crate) fn of(session: &RecordedSession, view: &RasterView<'_>) -> Self {
        let order = order(session, view);
        let rows: Vec<Row> = order.iter().map(|&k| row(session, k, view.shown, view.all)).collect();
        let seconds = |ns: i64| ns.saturating_sub(view.zero_ns) as f64 / 1e9;
        Self {
            words: words(session, view, &rows),
            from_s: seconds(view.shown.start_ns),
            to_s: seconds(view.shown.stop_ns),
            population: population(session, &order, view),
            rows,
        }
    }
}

fn order(session: &RecordedSession, view: &RasterView<'_>) -> Vec<usize> {
    let spikes = |k: usize| session.units[k].spike_times_ns.len();
    let mut by_activity: Vec<usize> = (0..session.units.len()).collect();
    by_activity.sort_by_key(|&k| (std::cmp::Reverse(spikes(k)), k));
    by_activity.truncate(view.top.unwrap_or(usize::MAX));
    if view.sort == Sort::Index {
        by_activity.sort_unstable();
    }
    by_activity
}

/// Time of `within` that a unit was observed, as intervals: what it says of itself, without what is invalid.
fn observed(session: &RecordedSession, unit: usize, within: Interval) -> Vec<Interval> {
    let own = session.units[unit].observed.clone().unwrap_or_else(|| vec![within]);
    let mut left: Vec<Interval> = own.iter().filter_map(|&interval| overlap(interval, within)).collect();
    for invalid in &session.invalid {
        left = left.into_iter().flat_map(|interval| without(interval, *invalid)).collect();
    }
    left
}

fn overlap(a: Interval, b: Interval) -> Option<Interval> {
    let both = Interval { start_ns: a.start_ns.max(b.start_ns), stop_ns: a.stop_ns.min(b.stop_ns) };
    (both.start_ns < both.stop_ns).then_some(both)
}

fn without(interval: Interval, gone: Interval) -> impl Iterator<Item = Interval> {
    let before = Interval { stop_ns: interval.stop_ns.min(gone.start_ns), ..interval };
    let after = Interval { start_ns: interval.start_ns.max(gone.stop_ns), ..interval };
    [before, after].into_iter().filter(|part| part.start_ns < part.stop_ns)
}

fn length_s(intervals: &[Interval]) -> f64 {
    intervals.iter().map(|i| (i.stop_ns - i.start_ns) as f64 / 1e9).sum()
}

/// Spikes that were fired while the unit was observed.
fn spikes_in<'a>(times: &'a [i64], intervals: &'a [Interval]) -> impl Iterator<Item = i64> + 'a {
    intervals.iter().flat_map(move |interval| {
        let first = times.partition_point(|&t| t < interval.start_ns);
        let last = times.partition_point(|&t| t < interval.stop_ns);
        times[first..last].iter().copied()
    })
}

/// Observed seconds in each of `count` equal parts of a stretch.
fn observed_parts(intervals: &[Interval], shown: Interval, count: usize) -> Vec<f64> {
    let part_s = (shown.stop_ns - shown.start_ns) as f64 / 1e9 / count as f64;
    let mut parts = vec![0.0; count];
    for interval in intervals {
        let at = |ns: i64| (ns - shown.start_ns) as f64 / 1e9 / part_s;
        let (from, to) = (at(interval.start_ns), at(interval.stop_ns));
        for (k, part) in parts.iter_mut().enumerate().take(to.ceil() as usize).skip(from.floor() as usize) {
            *part += (to.min(k as f64 + 1.0) - from.max(k as f64)).max(0.0) * part_s;
        }
    }
    parts
}

fn place(time: i64, shown: Interval, count: usize) -> usize {
    let share = (time - shown.start_ns) as f64 / (shown.stop_ns - shown.start_ns) as f64;
    ((share * count as f64) as usize).min(count - 1)
}

/// Add 1 to parts of a stretch, by how much of the time lies in each.
fn spread((start_ns, stop_ns): (i64, i64), shown: Interval, parts: &mut [f64]) {
    let (count, length) = (parts.len(), (shown.stop_ns - shown.start_ns) as f64);
    if start_ns >= stop_ns {
        parts[place(start_ns, shown, count)] += 1.0;
        return;
    }
    let at = |ns: i64| (ns - shown.start_ns) as f64 / length * count as f64;
    let (from, to) = (at(start_ns), at(stop_ns));
    for (k, part) in parts.iter_mut().enumerate().take(to.ceil() as usize).skip(from.floor() as usize) {
        *part += (to.min(k as f64 + 1.0) - from.max(k as f64)).max(0.0) / (to - from);
    }
}

fn row(session: &RecordedSession, unit: usize, shown: Interval, all: Interval) -> Row {
    let of = &session.units[unit];
    let seen = observed(session, unit, shown);
    let half_s = (shown.stop_ns - shown.start_ns) as f64 / 1e9 / COLUMNS as f64 / 2.0;
    let parts = observed_parts(&seen, shown, COLUMNS);
    let mut marks: Vec<Mark> =
        parts.iter().map(|&s| if s < half_s { Mark::Unobserved } else { Mark::Quiet }).collect();
    for time in spikes_in(&of.spike_times_ns, &seen) {
        marks[place(time, shown, COLUMNS)] = Mark::Spike;
    }
    let ever = observed(session, unit, all);
    let (spikes, time_s) = (spikes_in(&of.spike_times_ns, &ever).count() as f64, length_s(&ever));
    let rate = (time_s > 0.0).then(|| (spikes / time_s, spikes.sqrt() / time_s));
    Row { label: label(&of.neuron), marks, rate }
}

/// Mean rates. A spike of a bin counts in each stretch by the share of the bin that lies there, lest a stretch that is no whole number of bins
/// have a rate of its own making.
fn population(session: &RecordedSession, order: &[usize], view: &RasterView<'_>) -> Vec<Option<f64>> {
    let shown = view.shown;
    let half_ns = view.binned.as_ref().map_or(0, |binned| binned.width_ns / 2);
    let (mut spikes, mut time_s) = (vec![0.0; STRETCHES], vec![0.0; STRETCHES]);
    for &unit in order {
        let seen = observed(session, unit, shown);
        for time in spikes_in(&session.units[unit].spike_times_ns, &seen) {
            let (first, last) =
                (time.saturating_sub(half_ns).max(shown.start_ns), time.saturating_add(half_ns));
            spread((first, last), shown, &mut spikes);
        }
        let parts = observed_parts(&seen, shown, STRETCHES);
        time_s.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    spikes.iter().zip(&time_s).map(|(spikes, &time)| (time > 0.0).then(|| spikes / time)).collect()
}

fn words(session: &RecordedSession, view: &RasterView<'_>, rows: &[Row]) -> Words {
    let seconds = |interval: Interval| text::seconds((interval.stop_ns - interval.start_ns) as f64 / 1e9);
    let spikes: usize = rows.iter().map(|row| row.marks.iter().filter(|m| **m == Mark::Spike).count()).sum();
    let middle = median(rows.iter().filter_map(|row| row.rate.map(|(rate, _)| rate)).collect());
    let kept = if rows.len() < session.units.len() {
        format!(" of {}, the most active", text::count(session.units.len() as u64))
    } else {
        String::new()
    };
    let order = if view.sort == Sort::Index { "as recorded" } else { "the most active first" };
    let hidden = rows.iter().any(|row| row.marks.contains(&Mark::Unobserved));
    let marks = match &view.binned {
        Some(_) => "a mark is one spike or more, drawn in the middle of its bin",
        None => "a mark is one spike or more",
    };
    let stretch = match &view.binned {
        Some(_) => format!("the newest {}", seconds(view.all)),
        None => format!("{} of {}", seconds(view.shown), seconds(view.all)),
    };
    let mut caption = vec![format!(
        "Each column is {}; {marks}. Rates are of all observed time, ± √spikes.",
        text::seconds((view.shown.stop_ns - view.shown.start_ns) as f64 / 1e9 / COLUMNS as f64)
    )];
    caption.extend(view.binned.iter().flat_map(|binned| binned.told.iter().cloned()));
    caption.push(if hidden {
        "Grey: not observed.".to_owned()
    } else {
        "Every neuron was observed all the time.".to_owned()
    });
    if spikes == 0 {
        caption.push("No neuron fires in this stretch.".to_owned());
    }
    Words {
        title: format!("{}: spikes", title_name(view.name)),
        facts: vec![
            format!(
                "{}{kept}, {order}; {stretch} shown; {} in the median",
                text::counted(rows.len() as u64, "neuron"),
                middle.map_or_else(|| "no rate".to_owned(), |rate| format!("{rate:.2} spikes/s"))
            ),
            view.origin.to_owned(),
        ],
        caption,
    }
}

#[cfg(test)]
mod tests {
    use glauber::model::{Neuron, RecordedUnit};

    use super::*;

    const S: i64 = 1_000_000_000;

    fn unit(id: i64, times: &[i64], observed: Option<&[(i64, i64)]>) -> RecordedUnit {
        let interval = |&(start_ns, stop_ns): &(i64, i64)| Interval { start_ns, stop_ns };
        RecordedUnit {
            neuron: Neuron { id, label: String::new() },
            spike_times_ns: times.to_vec(),
            observed: observed.map(|intervals| intervals.iter().map(interval).collect()),
        }
    }

    fn view(start_ns: i64, stop_ns: i64) -> RasterView<'static> {
        RasterView {
            name: "rig",
            origin: "",
            top: None,
            sort: Sort::Index,
            shown: Interval { start_ns, stop_ns },
            all: Interval { start_ns: 0, stop_ns: 10 * S },
            zero_ns: 0,
            binned: None,
        }
    }

    #[test]
    fn what_was_not_observed_is_neither_quiet_nor_counted_in_rates() {
        let units =
            vec![unit(1, &[S, 3 * S, 9 * S], Some(&[(0, 4 * S), (8 * S, 10 * S)])), unit(2, &[5 * S], None)];
        let invalid = vec![Interval { start_ns: 2 * S, stop_ns: 4 * S }];
        let session = RecordedSession { units, invalid, ..RecordedSession::default() };
        assert_eq!(extent(&session), Some(Interval { start_ns: 0, stop_ns: 10 * S }));
        let figure = RasterFigure::of(&session, &view(0, 10 * S));
        let mark =
            |row: usize, second: f64| figure.rows[row].marks[(second / 10.0 * COLUMNS as f64) as usize];
        assert_eq!(
            [1.0, 3.0, 5.0, 9.0].map(|s| mark(0, s)),
            [Mark::Spike, Mark::Unobserved, Mark::Unobserved, Mark::Spike]
        );
        assert_eq!((mark(1, 5.0), mark(1, 6.0), mark(1, 3.0)), (Mark::Spike, Mark::Quiet, Mark::Unobserved));
        // Two spikes in 0..2 and 8..10 seconds; that of the invalid time is none.
        let (rate, error) = figure.rows[0].rate.unwrap();
        assert!((rate - 0.5).abs() < 1e-9 && (error - 2_f64.sqrt() / 4.0).abs() < 1e-9);
        assert_eq!(figure.population[(0.3 * STRETCHES as f64) as usize], None);
        assert!(figure.words.caption.iter().any(|line| line.contains("not observed")));
    }

    #[test]
    fn the_most_active_are_kept_in_the_order_asked_for() {
        let units = vec![unit(1, &[S], None), unit(2, &[S, 2 * S, 3 * S], None), unit(3, &[S, 2 * S], None)];
        let session = RecordedSession { units, ..RecordedSession::default() };
        let labels = |sort, top| {
            let figure = RasterFigure::of(&session, &RasterView { top, sort, ..view(0, 4 * S) });
            figure.rows.iter().map(|row| row.label.clone()).collect::<Vec<_>>()
        };
        assert_eq!(labels(Sort::Index, Some(2)), ["2", "3"]);
        assert_eq!(labels(Sort::Strength, None), ["2", "3", "1"]);
    }

    #[test]
    fn a_stretch_is_shown_with_the_spikes_that_are_in_it() {
        let session =
            RecordedSession { units: vec![unit(1, &[S, 2 * S, 3 * S], None)], ..RecordedSession::default() };
        let figure = RasterFigure::of(&session, &RasterView { zero_ns: S, ..view(2 * S, 3 * S) });
        assert_eq!(figure.rows[0].marks.iter().filter(|m| **m == Mark::Spike).count(), 1);
        assert_eq!((figure.from_s, figure.to_s), (1.0, 2.0));
    }

    #[test]
    fn spikes_of_bins_count_where_the_bin_lies_and_are_told_of_as_bins() {
        // Ten bins of a second, in 160 stretches: 16 of them to a bin, a spike in each bin but those of a gap.
        let middles: Vec<i64> = [0, 1, 2, 6, 7, 8, 9].map(|bin| bin * S + S / 2).to_vec();
        let observed: &[(i64, i64)] = &[(0, 3 * S), (6 * S, 10 * S)];
        let session =
            RecordedSession { units: vec![unit(1, &middles, Some(observed))], ..RecordedSession::default() };
        let told = vec!["Bins 0 to 9.".to_owned()];
        let binned = Some(Binned { width_ns: S, told });
        let figure = RasterFigure::of(&session, &RasterView { binned, ..view(0, 10 * S) });
        for (place, rate) in figure.population.iter().enumerate() {
            match place / 16 {
                3..6 => assert_eq!(*rate, None, "{place}"),
                _ => assert!((rate.unwrap() - 1.0).abs() < 1e-9, "{place}: {rate:?}"),
            }
        }
        assert_eq!(figure.rows[0].rate.map(|(rate, _)| rate), Some(1.0));
        assert!(figure.words.facts[0].contains("the newest 10.0 s shown"), "{:?}", figure.words);
        assert!(figure.words.caption.contains(&"Bins 0 to 9.".to_owned()), "{:?}", figure.words);
    }
}
