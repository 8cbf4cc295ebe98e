//! Spikes as sampling frames and channels: from numbered frames to units with integer nanoseconds.

use std::collections::HashMap;

use super::times::{self, UNITS_MAX};
use super::{Problem, RecordingError};
use crate::model::{Neuron, RecordedUnit};
use crate::storage::InputFile;

/// Sampling rates beyond this are taken for garbage, in Hz; those below 1 Hz as well.
const RATE_HZ_MAX: f64 = 1e7;

/// How frames become times.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameClock {
    rate_hz: f64,
    /// The frame at time zero.
    first_frame: i64,
}

impl FrameClock {
    /// A clock of the rate that stands in `object`, whose time zero is frame 0.
    pub(super) fn new(file: &InputFile, object: &str, rate_hz: f64) -> Result<Self, RecordingError> {
        // A NaN is in no range.
        if (1.0..=RATE_HZ_MAX).contains(&rate_hz) {
            return Ok(Self { rate_hz, first_frame: 0 });
        }
        Err(RecordingError::UnusableRate { path: file.path().to_owned(), object: object.to_owned(), rate_hz })
    }

    /// The same clock with another frame at time zero.
    pub(super) fn starting_at(self, first_frame: i64) -> Self {
        Self { first_frame, ..self }
    }

    /// Time between two frames.
    pub(super) fn resolution_seconds(self) -> f64 {
        1.0 / self.rate_hz
    }

    fn seconds(self, frame: i64) -> f64 {
        (i128::from(frame) - i128::from(self.first_frame)) as f64 / self.rate_hz
    }

    /// Nanoseconds of a frame, rounded half to even; exact when the rate is a whole number. `None` beyond ±4 · 10⁹ s.
    pub(super) fn nanoseconds(self, frame: i64) -> Option<i64> {
        let seconds = self.seconds(frame);
        let approximate = times::nanoseconds(seconds)?;
        if self.rate_hz.fract() != 0.0 {
            return Some(approximate);
        }
        let frames = i128::from(frame) - i128::from(self.first_frame);
        i64::try_from(times::divide_half_even(frames * 1_000_000_000, self.rate_hz as i128)).ok()
    }
}

/// The number of a channel, or of a channel and a sorted unit on it.
pub(super) type ChannelKey = [i64; 2];

/// Spikes of a file, in any order, and the channels it lists.
pub(super) struct FrameSpikes<'a> {
    pub(super) file: &'a InputFile,
    /// Dataset of the spikes.
    pub(super) object: &'a str,
    pub(super) clock: FrameClock,
    /// Channels that the file lists, with their labels, silent or not; the first of equal ones counts.
    pub(super) listed: Vec<(ChannelKey, String)>,
    /// Where it lists them; nowhere when that is `None`, and then all channels are as good as listed.
    pub(super) list_object: Option<&'a str>,
    /// Frames before this one belong to the recording.
    pub(super) end_frame: Option<i64>,
}

impl FrameSpikes<'_> {
    /// Units in the order of the list, then those it does not have by number; `neuron` names them, given key, label and place.
    pub(super) fn units(
        self,
        spikes: impl Iterator<Item = (i64, ChannelKey)>,
        neuron: impl Fn(ChannelKey, String, usize) -> Neuron,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<RecordedUnit>, RecordingError> {
        let trains = self.trains(spikes)?;
        let mut order: Vec<(ChannelKey, String)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        order.extend(self.listed.iter().filter(|(key, _)| known.insert(*key)).cloned());
        let mut unlisted: Vec<ChannelKey> =
            trains.keys().filter(|key| !known.contains(*key)).copied().collect();
        unlisted.sort_unstable();
        if let (Some(object), Some(first)) = (self.list_object, unlisted.first()) {
            let (object, channels, first) = (object.to_owned(), unlisted.len(), first[0]);
            problems.push(Problem::UnlistedChannels { object, channels, first });
        }
        order.extend(unlisted.into_iter().map(|key| (key, String::new())));
        self.check_units(order.len())?;
        self.report_beyond_end(&trains, problems);
        let mut trains = trains;
        let mut units = Vec::with_capacity(order.len());
        for (place, (key, label)) in order.into_iter().enumerate() {
            let frames = trains.remove(&key).unwrap_or_default();
            units.push((neuron(key, label, place), self.train(place, &frames)?));
        }
        Ok(times::units_of_trains(units, problems))
    }

    fn trains(
        &self,
        spikes: impl Iterator<Item = (i64, ChannelKey)>,
    ) -> Result<HashMap<ChannelKey, Vec<i64>>, RecordingError> {
        let mut trains: HashMap<ChannelKey, Vec<i64>> = HashMap::new();
        for (frame, key) in spikes {
            trains.entry(key).or_default().push(frame);
            if trains.len() > UNITS_MAX {
                self.check_units(trains.len())?;
            }
        }
        Ok(trains)
    }

    fn check_units(&self, units: usize) -> Result<(), RecordingError> {
        if units <= UNITS_MAX {
            return Ok(());
        }
        let (path, object) = (self.file.path().to_owned(), self.object.to_owned());
        Err(RecordingError::TooManyUnits { path, object, limit: UNITS_MAX })
    }

    fn train(&self, unit: usize, frames: &[i64]) -> Result<Vec<i64>, RecordingError> {
        let time = |(spike, &frame): (usize, &i64)| {
            self.clock.nanoseconds(frame).ok_or_else(|| RecordingError::UnusableTime {
                path: self.file.path().to_owned(),
                object: self.object.to_owned(),
                unit,
                spike,
                seconds: self.clock.seconds(frame),
            })
        };
        frames.iter().enumerate().map(time).collect()
    }

    fn report_beyond_end(&self, trains: &HashMap<ChannelKey, Vec<i64>>, problems: &mut Vec<Problem>) {
        let Some(end) = self.end_frame else { return };
        let spikes = trains.values().flatten().filter(|&&frame| frame >= end).count();
        if let (1.., Some(end_ns)) = (spikes, self.clock.nanoseconds(end)) {
            problems.push(Problem::SpikesBeyondEnd { spikes, end_ns });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_exact_at_whole_rates() {
        let clock = FrameClock { rate_hz: 30_000.0, first_frame: 1_000_000 };
        assert_eq!(clock.nanoseconds(1_000_000), Some(0));
        // 33,333.3 and -33,333.3 ns.
        assert_eq!(clock.nanoseconds(1_000_001), Some(33_333));
        assert_eq!(clock.nanoseconds(999_999), Some(-33_333));
        // 10¹⁰ frames are 333,333.3 s: as a double the last digits would be lost in part.
        assert_eq!(clock.nanoseconds(10_001_000_000), Some(333_333_333_333_333));
        assert_eq!(clock.nanoseconds(i64::MAX), None);
        assert_eq!(clock.nanoseconds(i64::MIN), None);
        let odd = FrameClock { rate_hz: 17_855.5, first_frame: 0 };
        assert_eq!(odd.nanoseconds(17_855_500), Some(1_000_000_000_000));
    }
}
