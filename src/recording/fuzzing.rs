//! What readers do with columns once they are out of the file, for the fuzz targets.

use std::path::Path;

use super::times::{self, OddIntervals, SpikeColumn};
use super::{Problem, RecordingError};
use crate::model::RecordedSession;

/// Columns as a file may hold them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Spike times, seconds, all units one after the other.
    pub(crate) seconds: Vec<f64>,
    /// One past the last time of each unit; not decreasing and within `seconds`.
    pub(crate) ends: Vec<usize>,
    pub(crate) ids: Option<Vec<i64>>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) single_precision: bool,
    /// Starts and stops, seconds; with a place among the units.
    pub(crate) observed: Vec<(usize, Vec<(f64, f64)>)>,
    pub(crate) trials: Vec<(f64, f64)>,
    pub(crate) invalid: Vec<(f64, f64)>,
    /// Instants, seconds.
    pub(crate) edges: Vec<f64>,
}

/// The session that the columns make, and what is odd about it.
///
/// # Errors
/// A time that is none.
pub(crate) fn session(columns: Columns) -> Result<(RecordedSession, Vec<Problem>), RecordingError> {
    let mut problems = Vec::new();
    let n = columns.ends.len();
    let neurons = times::neurons(n, columns.ids, columns.labels, "/units/id", &mut problems);
    let column = SpikeColumn {
        path: Path::new("columns"),
        object: "/units/spike_times",
        seconds: &columns.seconds,
        available: columns.seconds.len(),
        single_precision: columns.single_precision,
        ends: &columns.ends,
    };
    let mut units = column.units(neurons, &mut problems)?;
    let last_ns = units.iter().filter_map(|unit| unit.spike_times_ns.last()).max();
    let end_ns = last_ns.map(|last_ns| last_ns + 1_000_000_000);
    let mut intervals = |pairs: Vec<(f64, f64)>, object: &str| {
        let mut odd = OddIntervals::default();
        let intervals = times::intervals(pairs.into_iter(), end_ns, &mut odd);
        odd.report(object, &mut problems);
        intervals
    };
    for (unit, pairs) in columns.observed {
        units[unit].observed = Some(intervals(pairs, "/units/obs_intervals"));
    }
    let trials = intervals(columns.trials, "/intervals/trials");
    let invalid = intervals(columns.invalid, "/intervals/invalid_times");
    let mut edges_ns: Vec<i64> = columns.edges.into_iter().filter_map(times::nanoseconds).collect();
    edges_ns.sort_unstable();
    edges_ns.dedup();
    Ok((RecordedSession { units, trials, invalid, edges_ns, ..RecordedSession::default() }, problems))
}
