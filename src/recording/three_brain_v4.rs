//! 3Brain BrainWave, version 4 and later (`.bxr`).
//!
//! ```text
//! /  @SamplingRate  real, Hz   @Version  integer
//! /TOC           integer (n_stretches, 2)   first frame of each stretch that was recorded, and the one after its last
//! /Well_A1       one group per well
//!    SpikeTimes    integer (n_spikes)   frame
//!    SpikeChIdxs   integer (n_spikes)   channel
//!    SpikeUnits    integer (n_spikes)   sorted unit, optional
//!    StoredChIdxs  integer (n_channels) all channels, optional
//! ```
//!
//! What lies between two stretches was not recorded, and is masked.

use super::frames::{FrameClock, FrameSpikes};
use super::layout::{Layout, RecordingLayout};
use super::parts::Part;
use super::three_brain_v3::read_units;
use super::times::{INTERVALS_MAX, UNITS_MAX};
use super::{Problem, Recording, RecordingError, RecordingFacts};
use crate::model::{Interval, RecordedSession};
use crate::storage::{Found, InputFile, StorageError};

pub(super) struct ThreeBrainV4;

const STRETCHES: &str = "/TOC";
const RATE: &str = "SamplingRate";

impl RecordingLayout for ThreeBrainV4 {
    fn layout(&self) -> Layout {
        Layout::ThreeBrainV4
    }

    fn mark(&self) -> &'static str {
        "groups /Well_* beside dataset /TOC or with SpikeTimes"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        let wells = find_wells(file)?;
        let has_stretches = !wells.is_empty() && file.find(STRETCHES)? == Found::Dataset;
        Ok(has_stretches || wells.iter().any(|well| well.has_spikes))
    }

    fn parts(&self, file: &InputFile) -> Result<Vec<Part>, StorageError> {
        find_wells(file)
    }

    fn read(&self, file: &InputFile, part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let rate_object = format!("/@{RATE}");
        let rate_hz = file.optional_quantity_attribute("/", RATE)?;
        let rate_hz = rate_hz.ok_or_else(|| file.missing(&rate_object, "the sampling rate"))?;
        let clock = FrameClock::new(file, &rate_object, rate_hz)?;
        let stretches = read_stretches(file)?;
        let channels_object = format!("{part}/StoredChIdxs");
        let listed = match file.optional_dataset(&channels_object)? {
            Some(channels) => Some(channels.list()?.rows_at_most(UNITS_MAX, "channels")?.integers()?),
            None => None,
        };
        let times_object = format!("{part}/SpikeTimes");
        let column = FrameSpikes {
            file,
            object: &times_object,
            clock,
            list_object: listed.is_some().then_some(&channels_object),
            listed: listed.into_iter().flatten().map(|channel| ([channel, 0], String::new())).collect(),
            end_frame: stretches.iter().map(|&[_, end]| end).max(),
        };
        let units =
            read_units(column, &format!("{part}/SpikeChIdxs"), &format!("{part}/SpikeUnits"), &mut problems)?;
        let invalid = between(&stretches, clock, &mut problems);
        let version = file.optional_quantity_attribute("/", "Version").ok().flatten();
        Ok(Recording {
            layout: Layout::ThreeBrainV4,
            session: RecordedSession { units, invalid, ..RecordedSession::default() },
            facts: RecordingFacts {
                layout_version: version.map(|version| version.to_string()),
                resolution_seconds: Some(clock.resolution_seconds()),
                units_object: Some(part.to_owned()),
                ..RecordingFacts::default()
            },
            problems,
        })
    }
}

fn find_wells(file: &InputFile) -> Result<Vec<Part>, StorageError> {
    let groups = file.groups("/")?.into_iter().filter(|object| object.starts_with("/Well_"));
    Ok(groups
        .map(|object| Part { has_spikes: file.has_rows(&format!("{object}/SpikeTimes")), object })
        .collect())
}

/// First frame of each stretch and the one after its last, in the file's order.
fn read_stretches(file: &InputFile) -> Result<Vec<[i64; 2]>, RecordingError> {
    let Some(table) = file.optional_dataset(STRETCHES)? else { return Ok(Vec::new()) };
    if table.shape().len() != 2 || table.shape()[1] != 2 {
        return Err(table.wrong_shape("two columns").into());
    }
    let table = table.rows_at_most(INTERVALS_MAX, "stretches")?;
    Ok(table.integers()?.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
}

/// What lies between the stretches; those that end before they start are left out.
fn between(stretches: &[[i64; 2]], clock: FrameClock, problems: &mut Vec<Problem>) -> Vec<Interval> {
    let mut sorted: Vec<[i64; 2]> = stretches.iter().filter(|[start, end]| start < end).copied().collect();
    let intervals = stretches.len() - sorted.len();
    if intervals > 0 {
        problems.push(Problem::UnusableIntervals { object: STRETCHES.to_owned(), intervals });
    }
    if !sorted.is_sorted() {
        problems.push(Problem::UnsortedIntervals { object: STRETCHES.to_owned() });
        sorted.sort_unstable();
    }
    let mut gaps = Vec::new();
    let mut end = sorted.first().map_or(0, |first| first[1]);
    for [start, next_end] in sorted {
        // Both lie within the times that are accepted, or the gap is nothing that could be masked.
        if let (true, Some(start_ns), Some(stop_ns)) =
            (start > end, clock.nanoseconds(end), clock.nanoseconds(start))
        {
            gaps.push(Interval { start_ns, stop_ns });
        }
        end = end.max(next_end);
    }
    gaps
}
