//! CellExplorer `*.spikes.cellinfo.mat`, MATLAB 7.3 (Petersen et al., Neuron 109, 3594 (2021)).
//!
//! ```text
//! /spikes/times   references (n_units, 1) or (1, n_units)   a cell array; each refers to a dataset in /#refs#:
//!                 real (1, n_spikes) or (n_spikes, 1)       seconds; one with attribute MATLAB_empty has none
//! /spikes/UID     real (n_units)                            number of each unit, optional
//! /spikes/sr      real                                      sampling rate, Hz, optional
//! ```

use super::layout::{Layout, RecordingLayout};
use super::times::{self, UNITS_MAX};
use super::{Problem, Recording, RecordingError, RecordingFacts};
use crate::model::RecordedSession;
use crate::storage::{Found, InputDataset, InputFile, InputReference, StorageError};

pub(super) struct CellExplorer;

const TIMES: &str = "/spikes/times";
const IDS: &str = "/spikes/UID";

impl RecordingLayout for CellExplorer {
    fn layout(&self) -> Layout {
        Layout::CellExplorer
    }

    fn mark(&self) -> &'static str {
        "dataset /spikes/times of a MATLAB structure"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        if file.find("/spikes")? != Found::Group {
            return Ok(false);
        }
        Ok(file.find(TIMES)? == Found::Dataset || file.find("/#refs#")? == Found::Group)
    }

    fn read(&self, file: &InputFile, _part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let cells = file.dataset(TIMES, "a cell array of spike times")?;
        let n = vector_length(&cells)?;
        if n > UNITS_MAX {
            let (path, object) = (file.path().to_owned(), TIMES.to_owned());
            return Err(RecordingError::TooManyUnits { path, object, limit: UNITS_MAX });
        }
        let mut trains = Vec::with_capacity(n);
        let cells = if is_empty(&cells)? { Vec::new() } else { cells.references()? };
        check_together(file, &cells)?;
        for (unit, reference) in cells.into_iter().enumerate() {
            let object = cell_name(unit);
            let cell = file.referenced(reference, &object)?;
            if is_empty(&cell)? {
                trains.push(Vec::new());
                continue;
            }
            vector_length(&cell)?;
            trains.push(times::train(file.path(), &object, unit, &cell.numbers()?)?);
        }
        let ids = read_ids(file, trains.len(), &mut problems)?;
        let neurons = times::neurons(trains.len(), ids, None, IDS, &mut problems);
        let units = times::units_of_trains(neurons.into_iter().zip(trains).collect(), &mut problems);
        let rate = file.optional_dataset("/spikes/sr").ok().flatten();
        let rate = rate.and_then(|rate| rate.first_quantity().ok().flatten());
        Ok(Recording {
            layout: Layout::CellExplorer,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: RecordingFacts {
                resolution_seconds: rate.filter(|rate| (1.0..1e7).contains(rate)).map(|rate| 1.0 / rate),
                units_object: Some(TIMES.to_owned()),
                ..RecordingFacts::default()
            },
            problems,
        })
    }
}

/// How a cell is called in messages: as MATLAB does.
fn cell_name(unit: usize) -> String {
    format!("{TIMES}{{{}}}", unit + 1)
}

/// Any number of cells may refer to the same dataset: what they take together must be known before the first is read.
fn check_together(file: &InputFile, cells: &[InputReference]) -> Result<(), StorageError> {
    let mut values = 0_u64;
    for (unit, &reference) in cells.iter().enumerate() {
        let cell = file.referenced(reference, &cell_name(unit))?;
        values = values.saturating_add(cell.shape().iter().product::<usize>() as u64);
    }
    // As read and as nanoseconds.
    file.check_room(TIMES, values.saturating_mul(2 * size_of::<f64>() as u64))
}

/// MATLAB stores the dimensions of an empty array in the place of its values.
fn is_empty(array: &InputDataset<'_>) -> Result<bool, StorageError> {
    Ok(array.optional_integer_attribute("MATLAB_empty")?.is_some_and(|empty| empty != 0))
}

/// Length of a row or a column.
fn vector_length(array: &InputDataset<'_>) -> Result<usize, StorageError> {
    let long = array.shape().iter().filter(|&&length| length != 1);
    match long.copied().collect::<Vec<_>>()[..] {
        [] => Ok(1),
        [length] => Ok(length),
        _ if array.shape().contains(&0) => Ok(0),
        _ => Err(array.wrong_shape("a row or a column")),
    }
}

/// Numbers of the units: real numbers in MATLAB.
fn read_ids(
    file: &InputFile,
    n: usize,
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<i64>>, RecordingError> {
    let Some(column) = file.optional_dataset(IDS)? else { return Ok(None) };
    let length = vector_length(&column)?;
    times::check_length(file, IDS, length, TIMES, n)?;
    let numbers = column.numbers_or_integers()?;
    // Beyond 2⁵³ not every integer is a number of its own.
    if numbers.iter().all(|id| id.fract() == 0.0 && id.abs() < 9e15) {
        return Ok(Some(numbers.into_iter().map(|id| id as i64).collect()));
    }
    problems.push(Problem::UnusableIds { object: IDS.to_owned(), found: "not whole numbers".to_owned() });
    Ok(Some((0..n as i64).collect()))
}
