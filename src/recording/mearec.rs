//! MEArec, simulated recordings with their ground truth (Buccino and Einevoll, Neuroinformatics 19, 185 (2021)).
//!
//! ```text
//! /spiketrains/<k>/times    real (n_spikes)   seconds
//! /spiketrains/<k>/t_stop   real              end of the recording, seconds, optional
//! ```

use super::layout::{Layout, RecordingLayout};
use super::times::{self, UNITS_MAX};
use super::{Problem, Recording, RecordingError, RecordingFacts};
use crate::model::RecordedSession;
use crate::storage::{Found, InputFile, StorageError};

pub(super) struct Mearec;

const TRAINS: &str = "/spiketrains";

impl RecordingLayout for Mearec {
    fn layout(&self) -> Layout {
        Layout::Mearec
    }

    fn mark(&self) -> &'static str {
        "group /spiketrains"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        Ok(file.find(TRAINS)? == Found::Group)
    }

    fn read(&self, file: &InputFile, _part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let mut names: Vec<(Option<i64>, String)> =
            file.members(TRAINS)?.into_iter().map(|name| (name.parse().ok(), name)).collect();
        if names.len() > UNITS_MAX {
            let (path, object) = (file.path().to_owned(), TRAINS.to_owned());
            return Err(RecordingError::TooManyUnits { path, object, limit: UNITS_MAX });
        }
        // Trains are numbered; as text, 10 would come before 2.
        names.sort_unstable();
        let numbers: Option<Vec<i64>> = names.iter().map(|(number, _)| *number).collect();
        let labels = numbers.is_none().then(|| names.iter().map(|(_, name)| name.clone()).collect());
        let ids = numbers.unwrap_or_else(|| (0..names.len() as i64).collect());
        let mut trains = Vec::with_capacity(names.len());
        let (mut beyond, mut end_ns) = (0, None);
        for (unit, (_, name)) in names.iter().enumerate() {
            let object = format!("{TRAINS}/{name}/times");
            let seconds = file.dataset(&object, "spike times of the unit")?.list()?.numbers()?;
            let train = times::train(file.path(), &object, unit, &seconds)?;
            if let Some(stop_ns) = read_stop(file, &format!("{TRAINS}/{name}/t_stop")) {
                beyond += train.iter().filter(|&&time| time > stop_ns).count();
                end_ns = end_ns.max(Some(stop_ns));
            }
            trains.push(train);
        }
        if let (1.., Some(end_ns)) = (beyond, end_ns) {
            problems.push(Problem::SpikesBeyondEnd { spikes: beyond, end_ns });
        }
        let neurons = times::neurons(names.len(), Some(ids), labels, TRAINS, &mut problems);
        let units = times::units_of_trains(neurons.into_iter().zip(trains).collect(), &mut problems);
        Ok(Recording {
            layout: Layout::Mearec,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: RecordingFacts { units_object: Some(TRAINS.to_owned()), ..RecordingFacts::default() },
            problems,
        })
    }
}

/// End of the recording; one that is absent or of no use is no reason to refuse the spikes.
fn read_stop(file: &InputFile, object: &str) -> Option<i64> {
    let stop = file.optional_dataset(object).ok()??;
    times::nanoseconds(stop.first_quantity().ok()??)
}
