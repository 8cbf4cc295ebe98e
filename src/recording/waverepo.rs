//! The layout of the public waverepo collection of multi-electrode recordings (Eglen et al., GigaScience 3, 3 (2014)).
//!
//! ```text
//! /spikes   float64 (n_spikes)     all units one after the other, seconds
//! /sCount   integer (n_units)      number of spikes of each unit
//! /names    text (n_units)         electrode or cell, optional
//! /epos     float64 (2, n_units)   electrode positions, not read
//! /meta     optional: key, age, species
//! ```

use super::layout::{Layout, RecordingLayout};
use super::times::{self, SpikeColumn, UNITS_MAX};
use super::{Problem, Recording, RecordingError, RecordingFacts};
use crate::model::RecordedSession;
use crate::storage::{Found, InputFile, StorageError};

pub(super) struct Waverepo;

const SPIKES: &str = "/spikes";
const SPIKE_COUNTS: &str = "/sCount";
const NAMES: &str = "/names";

impl RecordingLayout for Waverepo {
    fn layout(&self) -> Layout {
        Layout::Waverepo
    }

    fn mark(&self) -> &'static str {
        "datasets /spikes and /sCount"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        Ok(file.find(SPIKES)? == Found::Dataset && file.find(SPIKE_COUNTS)? == Found::Dataset)
    }

    fn read(&self, file: &InputFile, _part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let spikes = file.dataset(SPIKES, "spike times")?.list()?;
        let spike_counts = file.dataset(SPIKE_COUNTS, "spikes per unit")?.list()?;
        let spike_counts = spike_counts.rows_at_most(UNITS_MAX, "units")?;
        let available = spikes.shape()[0];
        let ends = ends_of_counts(file, &spike_counts.integers()?, available)?;
        let seconds = spikes.first_numbers(ends.last().copied().unwrap_or(0))?;
        let labels = read_labels(file, ends.len()).unwrap_or_else(|error| {
            problems.push(Problem::UnusableLabels { object: NAMES.to_owned(), found: error.short() });
            None
        });
        // Units of this layout have no numbers of their own: their places are not a makeshift.
        let ids = Some((0..ends.len() as i64).collect());
        let neurons = times::neurons(ends.len(), ids, labels, SPIKE_COUNTS, &mut problems);
        let column = SpikeColumn {
            path: file.path(),
            object: SPIKES,
            seconds: &seconds,
            available,
            single_precision: spikes.is_single_precision(),
            ends: &ends,
        };
        let units = column.units(neurons, &mut problems)?;
        let key = file.optional_dataset("/meta/key").ok().flatten();
        let identifier = key.and_then(|key| key.texts().ok()).and_then(|texts| texts.into_iter().next());
        Ok(Recording {
            layout: Layout::Waverepo,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: RecordingFacts {
                identifier,
                units_object: Some(SPIKES.to_owned()),
                ..RecordingFacts::default()
            },
            problems,
        })
    }
}

/// The units' names, when there is one for each.
fn read_labels(file: &InputFile, n: usize) -> Result<Option<Vec<String>>, StorageError> {
    match file.optional_dataset(NAMES)? {
        Some(names) if names.is_text() && names.shape() == [n] => names.texts().map(Some),
        _ => Ok(None),
    }
}

/// Cumulative ends of the units' spikes, which must add up to the spikes there are.
fn ends_of_counts(
    file: &InputFile,
    spike_counts: &[i64],
    n_spikes: usize,
) -> Result<Vec<usize>, RecordingError> {
    let mut end = 0_usize;
    let mut ends = Vec::with_capacity(spike_counts.len());
    for (position, &count) in spike_counts.iter().enumerate() {
        let next = usize::try_from(count).ok().and_then(|count| end.checked_add(count));
        match next {
            None => {
                return Err(RecordingError::IndexNotMonotonic {
                    path: file.path().to_owned(),
                    object: SPIKE_COUNTS.to_owned(),
                    position,
                    before: end as i64,
                    after: (end as i64).saturating_add(count),
                });
            }
            Some(next) if next > n_spikes => {
                return Err(RecordingError::IndexOutOfRange {
                    path: file.path().to_owned(),
                    object: format!("the sum of {SPIKE_COUNTS}"),
                    target: SPIKES.to_owned(),
                    position,
                    end: next as i64,
                    available: n_spikes,
                });
            }
            Some(next) => end = next,
        }
        ends.push(end);
    }
    Ok(ends)
}
