//! MaxWell Biosystems, files of MaxLab Live since 2019.
//!
//! ```text
//! /version                            text
//! /wells/well000/rec0000              one group per well and recording; also as /recordings/rec0000/well000 and
//!                                     /data_store/data0000, which is read where the others are links
//!    spikes    compound (n_spikes)    frameno, channel  integers; amplitude, not read
//!    settings/sampling  real (1)      Hz
//!    settings/mapping   compound (n_channels)   channel, electrode  integers; x, y, not read
//!    groups/routed/frame_nos  integer (n_frames)   frame of each sample, optional: the first is that of the recording
//! ```
//!
//! Frames are counted since the device was started.

use super::frames::{FrameClock, FrameSpikes};
use super::layout::{Layout, RecordingLayout};
use super::parts::Part;
use super::times::UNITS_MAX;
use super::{Problem, Recording, RecordingError, RecordingFacts};
use crate::model::{Neuron, RecordedSession, RecordedUnit};
use crate::storage::{Found, InputFile, StorageError};

pub(super) struct MaxWell;

/// Groups over the parts, and how many levels lie between them.
const ROOTS: [(&str, bool); 3] = [("/wells", true), ("/recordings", true), ("/data_store", false)];

impl RecordingLayout for MaxWell {
    fn layout(&self) -> Layout {
        Layout::MaxWell
    }

    fn mark(&self) -> &'static str {
        "spikes or settings in /wells/*/*, /recordings/*/* or /data_store/*"
    }

    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError> {
        Ok(!find_parts(file)?.is_empty())
    }

    fn parts(&self, file: &InputFile) -> Result<Vec<Part>, StorageError> {
        find_parts(file)
    }

    fn read(&self, file: &InputFile, part: &str) -> Result<Recording, RecordingError> {
        let mut problems = Vec::new();
        let sampling_object = format!("{part}/settings/sampling");
        let sampling = file.dataset(&sampling_object, "the sampling rate")?;
        let rate_hz =
            sampling.first_quantity()?.ok_or_else(|| file.missing(&sampling_object, "a sampling rate"))?;
        let mut clock = FrameClock::new(file, &sampling_object, rate_hz)?;
        let frames_object = format!("{part}/groups/routed/frame_nos");
        let first_frame = match file.optional_dataset(&frames_object)? {
            Some(frames) => frames.list()?.first_integer()?,
            None => None,
        };
        if let Some(first_frame) = first_frame {
            clock = clock.starting_at(first_frame);
            problems.push(Problem::FramesRelative { object: frames_object, first_frame });
        }
        let spikes_object = format!("{part}/spikes");
        let mapping_object = format!("{part}/settings/mapping");
        let relative = first_frame.is_some();
        let units = read_units(file, &spikes_object, &mapping_object, clock, relative, &mut problems)?;
        Ok(Recording {
            layout: Layout::MaxWell,
            session: RecordedSession { units, ..RecordedSession::default() },
            facts: facts(file, spikes_object, clock),
            problems,
        })
    }
}

/// Groups that hold spikes or settings, below the first root that has any. Members that are links are passed over.
fn find_parts(file: &InputFile) -> Result<Vec<Part>, StorageError> {
    for (root, is_nested) in ROOTS {
        // A root that is a link leads to groups that have another name as well.
        if !matches!(file.find(root), Ok(Found::Group)) {
            continue;
        }
        let mut groups = file.groups(root)?;
        if is_nested {
            let mut nested = Vec::new();
            for group in groups {
                nested.extend(file.groups(&group)?);
            }
            groups = nested;
        }
        let mut parts = Vec::new();
        for object in groups {
            let spikes = file.find(&format!("{object}/spikes"));
            let settings = file.find(&format!("{object}/settings"));
            if matches!(spikes, Ok(Found::Nothing)) && !matches!(settings, Ok(Found::Group)) {
                continue;
            }
            let has_spikes = file.has_rows(&format!("{object}/spikes"));
            parts.push(Part { object, has_spikes });
        }
        if !parts.is_empty() {
            return Ok(parts);
        }
    }
    Ok(Vec::new())
}

/// What both versions say about themselves.
pub(super) fn facts(file: &InputFile, spikes_object: String, clock: FrameClock) -> RecordingFacts {
    let version = file.optional_dataset("/version").ok().flatten();
    let version = version.and_then(|version| version.texts().ok()).and_then(|texts| texts.into_iter().next());
    RecordingFacts {
        layout_version: version,
        resolution_seconds: Some(clock.resolution_seconds()),
        units_object: Some(spikes_object),
        ..RecordingFacts::default()
    }
}

/// Units of a list of spikes and the channels that are mapped to electrodes: one unit per channel, silent ones too.
pub(super) fn read_units(
    file: &InputFile,
    spikes_object: &str,
    mapping_object: &str,
    clock: FrameClock,
    is_relative: bool,
    problems: &mut Vec<Problem>,
) -> Result<Vec<RecordedUnit>, RecordingError> {
    let spikes = file.dataset(spikes_object, "spikes with frame and channel")?;
    let spikes = spikes.integer_fields(["frameno", "channel"])?;
    let first_spike = spikes.iter().map(|&[frame, _]| frame).min();
    if let (Some(frame), false) = (first_spike, is_relative) {
        problems.push(Problem::FramesOfDevice { object: spikes_object.to_owned(), frame });
    }
    let mapping = read_mapping(file, mapping_object);
    let (mapping, is_mapped) = match mapping {
        Ok(mapping) => (mapping, true),
        Err(error) => {
            let object = mapping_object.to_owned();
            problems.push(Problem::UnusableLabels { object, found: error.short() });
            (Vec::new(), false)
        }
    };
    let listed = mapping.into_iter().filter(|&[_, electrode]| electrode >= 0);
    let column = FrameSpikes {
        file,
        object: spikes_object,
        clock,
        listed: listed.map(|[channel, electrode]| ([channel, 0], format!("electrode {electrode}"))).collect(),
        list_object: is_mapped.then_some(mapping_object),
        end_frame: None,
    };
    let each = spikes.into_iter().map(|[frame, channel]| (frame, [channel, 0]));
    column.units(each, |[channel, _], label, _| Neuron { id: channel, label }, problems)
}

fn read_mapping(file: &InputFile, object: &str) -> Result<Vec<[i64; 2]>, StorageError> {
    let mapping = file.dataset(object, "channels and their electrodes")?;
    mapping.rows_at_most(UNITS_MAX, "channels")?.integer_fields(["channel", "electrode"])
}
