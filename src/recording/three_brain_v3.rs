//! 3Brain BrainWave, version 3 (`.bxr`).
//!
//! ```text
//! /3BResults/3BChEvents
//!    SpikeTimes   integer (n_spikes)   frame
//!    SpikeChIDs   integer (n_spikes)   channel
//!    SpikeUnits   integer (n_spikes)   sorted unit, optional
//! /3BRecInfo/3BRecVars
//!    SamplingRate real (1)             Hz
//!    NRecFrames   integer (1)          length of the recording, optional
//! ```

use super::frames::{ChannelKey, FrameClock, FrameSpikes};
use super::layout::{Layout, RecordingLayout};
use super::{Problem, Recording, RecordingError, RecordingFacts, times};
use crate::model::{Neuron, RecordedSession, RecordedUnit};
use crate::storage::{Found, InputFile, StorageError};

pub(super) struct ThreeBrainV3;

const EVENTS: &str = "/3BResults/3BChEvents";
const RATE: &str = "/3BRecInfo/3BRecVars/SamplingRate";
const LENGTH: &str = "/3BRecInfo/3BRecVars/NRecFrames";

impl RecordingLayout for ThreeBrainV3 {
    fn layout(&self) -> Layout {
        Layout::ThreeBrainV3
    }

    fn mark(&self) -> &'static str {
        "group /3BResults/3BChEvents"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        Ok(file.find(EVENTS)? == Found::Group)
    }

    fn read(&self, file: &InputFile, _part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let rate_hz = file.dataset(RATE, "the sampling rate")?.first_quantity()?;
        let rate_hz = rate_hz.ok_or_else(|| file.missing(RATE, "a sampling rate"))?;
        let clock = FrameClock::new(file, RATE, rate_hz)?;
        let end_frame = match file.optional_dataset(LENGTH)? {
            Some(length) => length.first_integer()?,
            None => None,
        };
        let times_object = format!("{EVENTS}/SpikeTimes");
        let column = FrameSpikes {
            file,
            object: &times_object,
            clock,
            listed: Vec::new(),
            list_object: None,
            end_frame,
        };
        let units = read_units(
            column,
            &format!("{EVENTS}/SpikeChIDs"),
            &format!("{EVENTS}/SpikeUnits"),
            &mut problems,
        )?;
        Ok(Recording {
            layout: Layout::ThreeBrainV3,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: RecordingFacts {
                resolution_seconds: Some(clock.resolution_seconds()),
                units_object: Some(EVENTS.to_owned()),
                ..RecordingFacts::default()
            },
            problems,
        })
    }
}

/// Units of columns of frames, channels and, where there are any, sorted units: one per channel, or per sorted unit on it.
pub(super) fn read_units(
    mut column: FrameSpikes<'_>,
    channels_object: &str,
    sorted_object: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<RecordedUnit>, RecordingError> {
    let (file, times_object) = (column.file, column.object);
    let frames = file.dataset(times_object, "the frame of each spike")?.list()?.integers()?;
    let channels = file.dataset(channels_object, "the channel of each spike")?.list()?;
    times::check_length(file, channels_object, channels.shape()[0], times_object, frames.len())?;
    let channels = channels.integers()?;
    let sorted = match file.optional_dataset(sorted_object)? {
        Some(sorted) => {
            let sorted = sorted.list()?;
            times::check_length(file, sorted_object, sorted.shape()[0], times_object, frames.len())?;
            Some(sorted.integers()?)
        }
        None => None,
    };
    // A column of one value alone was written without sorting.
    let sorted = sorted.filter(|sorted| sorted.windows(2).any(|pair| pair[0] != pair[1]));
    let Some(sorted) = sorted else {
        let spikes = frames.into_iter().zip(channels).map(|(frame, channel)| (frame, [channel, 0]));
        let neuron = |[channel, _]: ChannelKey, label, _| Neuron { id: channel, label };
        return column.units(spikes, neuron, problems);
    };
    // Which of the listed channels have silent units is not said.
    column.listed.clear();
    column.list_object = None;
    let keys = channels.into_iter().zip(sorted).map(|(channel, unit)| [channel, unit]);
    let neuron = |[channel, unit]: ChannelKey, _, place| Neuron {
        id: place as i64,
        label: format!("channel {channel} unit {unit}"),
    };
    column.units(frames.into_iter().zip(keys), neuron, problems)
}
