//! Multi Channel Systems, HDF5 files of the Multi Channel DataManager.
//!
//! ```text
//! /Data/Recording_0/TimeStampStream/Stream_0      one group per recording and stream
//!    InfoTimeStamp        compound (n_entities)   TimeStampEntityID, Exponent  integers; Label  text, optional
//!    TimeStampEntity_<ID> integer (1, n_spikes)   in units of 10^Exponent seconds; a silent electrode may have none
//! ```

use std::collections::HashSet;

use super::layout::{Layout, RecordingLayout};
use super::parts::Part;
use super::times::{self, UNITS_MAX};
use super::{Problem, Recording, RecordingError, RecordingFacts};
use crate::model::RecordedSession;
use crate::storage::{InputFile, StorageError};

pub(super) struct MultiChannelSystems;

/// Exponents that a clock can have: from picoseconds to seconds.
const EXPONENTS: std::ops::RangeInclusive<i64> = -12..=0;
const INFO: &str = "InfoTimeStamp";
const ENTITY: &str = "TimeStampEntity_";

impl RecordingLayout for MultiChannelSystems {
    fn layout(&self) -> Layout {
        Layout::MultiChannelSystems
    }

    fn mark(&self) -> &'static str {
        "groups /Data/Recording_*/TimeStampStream/Stream_*"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        Ok(!find_streams(file)?.is_empty())
    }

    fn parts(&self, file: &InputFile) -> Result<Vec<Part>, StorageError> {
        find_streams(file)
    }

    fn read(&self, file: &InputFile, part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let info_object = format!("{part}/{INFO}");
        let info = file.dataset(&info_object, "the table of entities")?.list()?;
        let info = info.rows_at_most(UNITS_MAX, "entities")?;
        let entities = info.integer_fields(["TimeStampEntityID", "Exponent"])?;
        let labels = info.labels_field().unwrap_or_else(|error| {
            problems.push(Problem::UnusableLabels { object: info_object.clone(), found: error.short() });
            None
        });
        report_unlisted(file, part, &entities, &mut problems)?;
        let mut trains = Vec::with_capacity(entities.len());
        for (unit, &[id, exponent]) in entities.iter().enumerate() {
            if !EXPONENTS.contains(&exponent) {
                return Err(RecordingError::UnusableExponent {
                    path: file.path().to_owned(),
                    object: info_object,
                    row: unit,
                    exponent,
                });
            }
            trains.push(read_entity(file, &format!("{part}/{ENTITY}{id}"), unit, exponent)?);
        }
        let ids = Some(entities.iter().map(|&[id, _]| id).collect());
        let neurons = times::neurons(entities.len(), ids, labels, &info_object, &mut problems);
        let units = times::units_of_trains(neurons.into_iter().zip(trains).collect(), &mut problems);
        let finest = entities.iter().map(|&[_, exponent]| exponent).min();
        Ok(Recording {
            layout: Layout::MultiChannelSystems,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: RecordingFacts {
                resolution_seconds: finest.map(|exponent| 10_f64.powi(exponent as i32)),
                units_object: Some(part.to_owned()),
                ..RecordingFacts::default()
            },
            problems,
        })
    }
}

fn find_streams(file: &InputFile) -> Result<Vec<Part>, StorageError> {
    let mut parts = Vec::new();
    for recording in file.groups("/Data")? {
        if !recording.starts_with("/Data/Recording_") {
            continue;
        }
        for object in file.groups(&format!("{recording}/TimeStampStream"))? {
            let has_spikes = file.has_rows(&format!("{object}/{INFO}"));
            parts.push(Part { object, has_spikes });
        }
    }
    Ok(parts)
}

/// Times of an entity; none when it has no dataset.
fn read_entity(
    file: &InputFile,
    object: &str,
    unit: usize,
    exponent: i64,
) -> Result<Vec<i64>, RecordingError> {
    let Some(dataset) = file.optional_dataset(object)? else { return Ok(Vec::new()) };
    // A row or a column; times of events have a second row, their durations.
    if dataset.shape().iter().filter(|&&length| length != 1).count() > 1 {
        return Err(dataset.wrong_shape("one row of times").into());
    }
    let stamps = dataset.integers()?;
    let time = |(spike, &stamp): (usize, &i64)| {
        nanoseconds(stamp, exponent).ok_or_else(|| RecordingError::UnusableTime {
            path: file.path().to_owned(),
            object: object.to_owned(),
            unit,
            spike,
            seconds: stamp as f64 * 10_f64.powi(exponent as i32),
        })
    };
    stamps.iter().enumerate().map(time).collect()
}

/// `stamp · 10^exponent` seconds in nanoseconds, rounded half to even; `None` beyond ±4 · 10⁹ s.
fn nanoseconds(stamp: i64, exponent: i64) -> Option<i64> {
    let power = 10_i128.pow(u32::try_from((exponent + 9).abs()).ok()?);
    let ns = match exponent {
        -9.. => i128::from(stamp) * power,
        _ => times::divide_half_even(i128::from(stamp), power),
    };
    times::nanoseconds(ns as f64 / 1e9).and(i64::try_from(ns).ok())
}

/// Datasets of entities that the table does not list have no unit of time, and are not read.
fn report_unlisted(
    file: &InputFile,
    part: &str,
    entities: &[[i64; 2]],
    problems: &mut Vec<Problem>,
) -> Result<(), StorageError> {
    let listed: HashSet<String> = entities.iter().map(|[id, _]| format!("{ENTITY}{id}")).collect();
    let members = file.members(part)?;
    let mut unlisted = members.iter().filter(|name| name.starts_with(ENTITY) && !listed.contains(*name));
    if let Some(first) = unlisted.next() {
        let (first, entities) = (format!("{part}/{first}"), unlisted.count() + 1);
        problems.push(Problem::UnlistedEntities { object: format!("{part}/{INFO}"), entities, first });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_become_nanoseconds_exactly() {
        for (stamp, exponent, ns) in [
            (1_119_314, -6, 1_119_314_000),
            (-3, 0, -3_000_000_000),
            (1_500, -12, 2),
            (2_500, -12, 2),
            (-2_501, -12, -3),
            (7, -9, 7),
        ] {
            assert_eq!(nanoseconds(stamp, exponent), Some(ns), "{stamp}e{exponent}");
        }
        assert_eq!(nanoseconds(i64::MAX, -6), None);
        assert_eq!(nanoseconds(5_000_000_000, 0), None);
    }
}
