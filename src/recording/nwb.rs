//! Neurodata Without Borders 2.x.
//!
//! ```text
//! /  @nwb_version = "2.x"  @neurodata_type = "NWBFile"
//!  /identifier, /session_description, /session_start_time    text
//!  /units                             absent when there are no units; some writers put it into /processing/<module>
//!    spike_times        float (n_spikes)         seconds, all units one after the other; @resolution, seconds
//!    spike_times_index  integer (n_units)        one past the last spike of each unit, any width and sign
//!    id                 integer (n_units)
//!    obs_intervals      float (n_intervals, 2)   seconds;  obs_intervals_index  integer (n_units)
//!    unit_name | label | electrode_label | name  text (n_units), the first that is there
//!  /intervals/trials, /intervals/invalid_times   start_time, stop_time  float, seconds
//!  /general/{subject, experimenter, lab, …}      text
//!  /processing/glauber                           what files of the daemon say besides (see `own`)
//! ```

use super::layout::{Layout, RecordingLayout};
use super::times::{self, INTERVALS_MAX, OddIntervals, SpikeColumn, UNITS_MAX};
use super::{Problem, Recording, RecordingError, RecordingFacts, own, read_metadata};
use crate::model::{Interval, Neuron, RecordedSession, RecordedUnit};
use crate::storage::{Found, InputDataset, InputFile, StorageError};

pub(super) struct Nwb;

/// Columns that name a unit, in order of preference.
const LABEL_COLUMNS: [&str; 4] = ["unit_name", "label", "electrode_label", "name"];

impl RecordingLayout for Nwb {
    fn layout(&self) -> Layout {
        Layout::Nwb
    }

    fn mark(&self) -> &'static str {
        "attribute nwb_version 2.x"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        if let Some(version) = file.optional_text_attribute("/", "nwb_version")? {
            return Ok(version.starts_with("2."));
        }
        let kind = file.optional_text_attribute("/", "neurodata_type")?;
        Ok(kind.as_deref() == Some("NWBFile"))
    }

    fn read(&self, file: &InputFile, _part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let table = find_units(file, &mut problems)?;
        let units = match &table {
            Some(table) => read_units(file, table, &mut problems)?,
            None => Vec::new(),
        };
        let trials = read_intervals(file, "/intervals/trials", end_of_recording(&units, &[]), &mut problems)?;
        report_overlaps(&trials, &mut problems);
        let invalid = read_intervals(
            file,
            "/intervals/invalid_times",
            end_of_recording(&units, &trials),
            &mut problems,
        )?;
        let resolution_seconds = match &table {
            Some(table) => file.optional_number_attribute(&format!("{table}/spike_times"), "resolution")?,
            None => None,
        };
        let mut session = RecordedSession { units, trials, invalid, ..RecordedSession::default() };
        let own = own::read(file)?;
        if let Some(own) = &own {
            own.complete(file, &mut session)?;
        }
        let facts = RecordingFacts {
            identifier: optional_text(file, "/identifier"),
            description: optional_text(file, "/session_description"),
            session_start: optional_text(file, "/session_start_time"),
            layout_version: file.optional_text_attribute("/", "nwb_version")?,
            // Of bins wider than the format's inspector allows for, the resolution is a part.
            resolution_seconds: own.map(|own| own.bin_width.seconds()).or(resolution_seconds),
            units_object: table,
            metadata: read_metadata::read(file),
        };
        Ok(Recording { layout: Layout::Nwb, session, facts, problems })
    }
}

/// The table of units: `/units`, else the first one in a processing module.
fn find_units(file: &InputFile, problems: &mut Vec<Problem>) -> Result<Option<String>, RecordingError> {
    if file.find("/units")? == Found::Group {
        return Ok(Some("/units".to_owned()));
    }
    let mut tables = Vec::new();
    for module in file.members("/processing")? {
        let module = format!("/processing/{module}");
        if file.find(&module)? != Found::Group {
            continue;
        }
        for name in file.members(&module)? {
            let object = format!("{module}/{name}");
            // Something else in the module may be a link; that is no reason to refuse the file.
            if !matches!(file.find(&object), Ok(Found::Group)) {
                continue;
            }
            let kind = file.optional_text_attribute(&object, "neurodata_type")?;
            if kind.as_deref() == Some("Units") {
                tables.push(object);
            }
        }
    }
    let ignored = tables.len().saturating_sub(1);
    let first = tables.into_iter().next();
    if let Some(object) = &first {
        problems.push(Problem::UnitsElsewhere { object: object.clone(), ignored });
    }
    Ok(first)
}

fn read_units(
    file: &InputFile,
    table: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<RecordedUnit>, RecordingError> {
    let (id_object, times_object) = (format!("{table}/id"), format!("{table}/spike_times"));
    let index_object = format!("{table}/spike_times_index");
    let ids = read_ids(file, &id_object, problems)?;
    // A table without rows needs no columns; with rows, units without times cannot be used.
    let nothing_there =
        file.find(&times_object)? == Found::Nothing && file.find(&index_object)? == Found::Nothing;
    if nothing_there && ids.as_ref().is_none_or(|ids| ids.len() == 0) {
        return Ok(Vec::new());
    }
    let spike_times = file.dataset(&times_object, "spike times of the units")?.list()?;
    let available = spike_times.shape()[0];
    let index = file.dataset(&index_object, "one past the last spike of each unit")?.list()?;
    let index = index.rows_at_most(UNITS_MAX, "units")?;
    let ends = read_index(file, &index, &times_object, available, problems)?;
    // What lies after the last end belongs to no unit and may be much.
    let seconds = spike_times.first_numbers(ends.last().copied().unwrap_or(0))?;
    if let Some(ids) = &ids {
        times::check_length(file, &id_object, ids.len(), &index_object, ends.len())?;
    }
    let ids = ids.map(|ids| ids.usable(ends.len()));
    let labels = read_labels(file, table, ends.len(), problems)?;
    let neurons: Vec<Neuron> = times::neurons(ends.len(), ids, labels, &id_object, problems);
    let column = SpikeColumn {
        path: file.path(),
        object: &times_object,
        seconds: &seconds,
        available,
        single_precision: spike_times.is_single_precision(),
        ends: &ends,
    };
    let mut units = column.units(neurons, problems)?;
    read_observed(file, table, &mut units, problems)?;
    Ok(units)
}

/// The column of ids: numbers, or something else that is only as long.
enum Ids {
    Numbers(Vec<i64>),
    Unusable { rows: usize },
}

impl Ids {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(ids) => ids.len(),
            Self::Unusable { rows } => *rows,
        }
    }

    /// The ids, or the places of the units.
    fn usable(self, n: usize) -> Vec<i64> {
        match self {
            Self::Numbers(ids) => ids,
            Self::Unusable { .. } => (0..n as i64).collect(),
        }
    }
}

/// The ids of the units; a column that is of no use as such is reported, and is no reason to refuse the spikes.
fn read_ids(
    file: &InputFile,
    object: &str,
    problems: &mut Vec<Problem>,
) -> Result<Option<Ids>, RecordingError> {
    let column = match file.optional_dataset(object) {
        Ok(None) => return Ok(None),
        Ok(Some(column)) => column.list()?.rows_at_most(UNITS_MAX, "units")?,
        Err(StorageError::NotFollowed { kind, .. }) => {
            problems.push(Problem::UnusableIds { object: object.to_owned(), found: kind.to_owned() });
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let rows = column.shape()[0];
    match column.integers() {
        Ok(ids) => Ok(Some(Ids::Numbers(ids))),
        Err(StorageError::WrongType { got, .. }) => {
            problems.push(Problem::UnusableIds { object: object.to_owned(), found: got });
            Ok(Some(Ids::Unusable { rows }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Cumulative ends of an index, checked against the length of what it divides.
fn read_index(
    file: &InputFile,
    index: &InputDataset<'_>,
    target: &str,
    available: usize,
    problems: &mut Vec<Problem>,
) -> Result<Vec<usize>, RecordingError> {
    if index.is_signed() {
        problems.push(Problem::SignedIndex { object: index.object().to_owned() });
    }
    let mut before = 0_i64;
    let mut ends = Vec::with_capacity(index.shape()[0]);
    for (position, after) in index.integers()?.into_iter().enumerate() {
        let (path, object) = (file.path().to_owned(), index.object().to_owned());
        if after < before {
            return Err(RecordingError::IndexNotMonotonic { path, object, position, before, after });
        }
        match usize::try_from(after) {
            Ok(end) if end <= available => ends.push(end),
            _ => {
                let target = target.to_owned();
                return Err(RecordingError::IndexOutOfRange {
                    path,
                    object,
                    target,
                    position,
                    end: after,
                    available,
                });
            }
        }
        before = after;
    }
    Ok(ends)
}

/// The first column that names the units in plain text; one that cannot be read is reported and passed over.
fn read_labels(
    file: &InputFile,
    table: &str,
    n: usize,
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<String>>, RecordingError> {
    for name in LABEL_COLUMNS {
        match labels_in(file, &format!("{table}/{name}"), n) {
            Ok(None) => {}
            Ok(labels) => return Ok(labels),
            Err(error) => {
                problems.push(Problem::UnusableLabels {
                    object: format!("{table}/{name}"),
                    found: error.short(),
                });
            }
        }
    }
    Ok(None)
}

fn labels_in(file: &InputFile, object: &str, n: usize) -> Result<Option<Vec<String>>, StorageError> {
    if file.find(object)? != Found::Dataset {
        return Ok(None);
    }
    match file.optional_dataset(object)? {
        Some(column) if column.is_text() && column.shape() == [n] => column.texts().map(Some),
        _ => Ok(None),
    }
}

/// Observation intervals of each unit, when the table has them.
fn read_observed(
    file: &InputFile,
    table: &str,
    units: &mut [RecordedUnit],
    problems: &mut Vec<Problem>,
) -> Result<(), RecordingError> {
    let object = format!("{table}/obs_intervals");
    let index_object = format!("{table}/obs_intervals_index");
    let Some(observed) = file.optional_dataset(&object)? else { return Ok(()) };
    let observed = observed.rows_at_most(INTERVALS_MAX, "intervals")?;
    if observed.shape().len() != 2 || observed.shape()[1] != 2 {
        return Err(observed.wrong_shape("(n_intervals, 2)").into());
    }
    let bounds = observed.numbers_or_integers()?;
    let index = file.dataset(&index_object, "one past the last interval of each unit")?.list()?;
    let index = index.rows_at_most(UNITS_MAX, "units")?;
    let ends = read_index(file, &index, &object, bounds.len() / 2, problems)?;
    times::check_length(file, &index_object, ends.len(), &format!("{table}/spike_times_index"), units.len())?;
    let end_ns = end_of_recording(units, &[]);
    let mut start = 0;
    let mut without = Vec::new();
    let mut odd = OddIntervals::default();
    for (unit, end) in ends.into_iter().enumerate() {
        let pairs = bounds[2 * start..2 * end].chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if start == end {
            without.push(unit);
        } else {
            units[unit].observed = Some(times::intervals(pairs, end_ns, &mut odd));
        }
        start = end;
    }
    odd.report(&object, problems);
    if let Some(&first_unit) = without.first() {
        problems.push(Problem::NoObservedIntervals { units: without.len(), first_unit });
    }
    Ok(())
}

/// A second after the last spike and the last trial, when there is either: what is observed, or invalid, without an end
/// goes on until then.
fn end_of_recording(units: &[RecordedUnit], trials: &[Interval]) -> Option<i64> {
    let spikes = units.iter().filter_map(|unit| unit.spike_times_ns.last().copied());
    spikes.chain(trials.iter().map(|trial| trial.stop_ns)).max().map(|last_ns| last_ns + 1_000_000_000)
}

fn read_intervals(
    file: &InputFile,
    table: &str,
    end_ns: Option<i64>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Interval>, RecordingError> {
    if file.find(table)? != Found::Group {
        return Ok(Vec::new());
    }
    let (start_object, stop_object) = (format!("{table}/start_time"), format!("{table}/stop_time"));
    let Some(starts) = file.optional_dataset(&start_object)? else { return Ok(Vec::new()) };
    let starts = starts.list()?.rows_at_most(INTERVALS_MAX, "intervals")?.numbers_or_integers()?;
    let stops = file.dataset(&stop_object, "ends of the intervals")?.list()?;
    let stops = stops.rows_at_most(INTERVALS_MAX, "intervals")?.numbers_or_integers()?;
    times::check_length(file, &stop_object, stops.len(), &start_object, starts.len())?;
    let mut odd = OddIntervals::default();
    let intervals = times::intervals(starts.into_iter().zip(stops), end_ns, &mut odd);
    odd.report(table, problems);
    Ok(intervals)
}

fn report_overlaps(trials: &[Interval], problems: &mut Vec<Problem>) {
    let mut stop_ns = i64::MIN;
    let mut overlapping = Vec::new();
    for trial in trials {
        if trial.start_ns < stop_ns {
            overlapping.push(trial.start_ns);
        }
        stop_ns = stop_ns.max(trial.stop_ns);
    }
    if let Some(&first_start_ns) = overlapping.first() {
        problems.push(Problem::OverlappingTrials { trials: overlapping.len(), first_start_ns });
    }
}

/// A fact about the session; one that is absent, or stored in some odd way, is no reason to refuse the spikes.
fn optional_text(file: &InputFile, object: &str) -> Option<String> {
    let dataset = file.optional_dataset(object).ok()??;
    dataset.texts().ok()?.into_iter().next()
}
