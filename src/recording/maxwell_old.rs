//! MaxWell Biosystems, files of before 2019: one recording, sampled at 20 kHz.
//!
//! ```text
//! /version             text
//! /proc0/spikeTimes    compound (n_spikes)     frameno, channel  integers; amplitude, not read
//! /mapping             compound (n_channels)   channel, electrode  integers; x, y, not read
//! ```
//!
//! Frames are counted since the device was started, and the file does not say at which the recording began.

use super::frames::FrameClock;
use super::layout::{Layout, RecordingLayout};
use super::{Recording, RecordingError, maxwell};
use crate::model::RecordedSession;
use crate::storage::{Found, InputFile, StorageError};

pub(super) struct MaxWellOld;

const SPIKES: &str = "/proc0/spikeTimes";
const MAPPING: &str = "/mapping";
const RATE_HZ: f64 = 20_000.0;

impl RecordingLayout for MaxWellOld {
    fn layout(&self) -> Layout {
        Layout::MaxWellOld
    }

    fn mark(&self) -> &'static str {
        "group /proc0 and dataset /mapping"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        Ok(file.find("/proc0")? == Found::Group
            && (file.find(SPIKES)? == Found::Dataset || file.find(MAPPING)? == Found::Dataset))
    }

    fn read(&self, file: &InputFile, _part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let clock = FrameClock::new(file, SPIKES, RATE_HZ)?;
        let units = maxwell::read_units(file, SPIKES, MAPPING, clock, false, &mut problems)?;
        Ok(Recording {
            layout: Layout::MaxWellOld,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: maxwell::facts(file, SPIKES.to_owned(), clock),
            problems,
        })
    }
}
