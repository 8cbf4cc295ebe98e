use std::fmt;

use super::parts;

/// Something odd about a file that did not stop it from being read: what, where, and what was done about it.
///
/// Units are named by their 0-based place in the file; times are in nanoseconds of the recording's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Spike times of some units are not in order; they were sorted.
    UnsortedTimes {
        /// Number of units concerned.
        units: usize,
        /// The first of them.
        first_unit: usize,
        /// Steps backwards in that unit.
        steps_back: usize,
    },
    /// The clock of some units starts again in the middle, as when segments were joined; the times were sorted, so the
    /// segments now overlap.
    TimesReset {
        /// Number of units concerned.
        units: usize,
        /// The first of them.
        first_unit: usize,
        /// 0-based position of that unit's first spike after the reset.
        spike: usize,
        /// Time before the reset.
        before_ns: i64,
        /// Time after it.
        after_ns: i64,
    },
    /// The times look like milliseconds; they were taken as seconds, as the layout says.
    LooksLikeMilliseconds {
        /// Time from the first to the last spike, if the unit is the second.
        span_seconds: u64,
        /// Median interval between spikes of a unit, if the unit is the second, in milliseconds.
        median_interval_ms: u64,
    },
    /// Spikes of one unit at the very same time; kept, they fall into one bin.
    DuplicateTimes {
        /// Number of units concerned.
        units: usize,
        /// The first of them.
        first_unit: usize,
        /// Number of repeats in all units.
        repeats: usize,
    },
    /// Units without spikes; kept.
    SilentUnits {
        /// Number of units concerned.
        units: usize,
        /// The first of them.
        first_unit: usize,
    },
    /// Times are single-precision numbers, which blur late times; read as they are.
    SinglePrecision {
        /// The dataset.
        object: String,
        /// Distance between representable times at the latest spike.
        blur_ns: i64,
    },
    /// Spikes before time zero; kept.
    NegativeTimes {
        /// Number of spikes.
        spikes: usize,
        /// The earliest of them.
        earliest_ns: i64,
    },
    /// An index is signed where the layout prescribes unsigned integers; read.
    SignedIndex {
        /// The index.
        object: String,
    },
    /// Entries after the last end of an index belong to no unit; ignored.
    UnindexedEntries {
        /// The data.
        object: String,
        /// Number of entries ignored.
        entries: usize,
    },
    /// The same id stands for several units; all units were numbered by their place instead.
    DuplicateIds {
        /// The id.
        id: i64,
        /// The unit that repeats it.
        unit: usize,
    },
    /// There are no ids; units were numbered by their place.
    MissingIds {
        /// The dataset that is missing.
        object: String,
    },
    /// The ids are no integers or lie elsewhere; units were numbered by their place.
    UnusableIds {
        /// The dataset.
        object: String,
        /// What was found.
        found: String,
    },
    /// A column of names cannot be read; passed over.
    UnusableLabels {
        /// The dataset.
        object: String,
        /// What is wrong with it.
        found: String,
    },
    /// Intervals that stop at infinity; taken to go on until a second after the last spike or trial.
    EndlessIntervals {
        /// The table or dataset.
        object: String,
        /// Number of intervals concerned.
        intervals: usize,
    },
    /// Intervals that end before they start, are empty or not finite; left out.
    UnusableIntervals {
        /// The table or dataset.
        object: String,
        /// Number of intervals left out.
        intervals: usize,
    },
    /// Intervals are not in order of their start; sorted.
    UnsortedIntervals {
        /// The table or dataset.
        object: String,
    },
    /// Trials overlap; kept.
    OverlappingTrials {
        /// Number of trials that start before an earlier one stops.
        trials: usize,
        /// The first such start.
        first_start_ns: i64,
    },
    /// Units with an empty list of observation intervals although others have some; taken as always observed.
    NoObservedIntervals {
        /// Number of units concerned.
        units: usize,
        /// The first of them.
        first_unit: usize,
    },
    /// The units stand elsewhere than the layout prescribes; read from there.
    UnitsElsewhere {
        /// Where they were found.
        object: String,
        /// Further tables of units that were not read.
        ignored: usize,
    },
    /// The file holds several recordings; one was read.
    OtherParts {
        /// The group that was read.
        read: String,
        /// The groups that were not.
        others: Vec<String>,
    },
    /// Frames are counted since the device was started, and the file does not say at which the recording began; times were taken
    /// from frame 0 on.
    FramesOfDevice {
        /// Dataset of the spikes.
        object: String,
        /// The first spike's frame.
        frame: i64,
    },
    /// Frames are counted since the device was started; times were taken from the first frame of the recording on.
    FramesRelative {
        /// Dataset that says which frame that is.
        object: String,
        /// The frame at time zero.
        first_frame: i64,
    },
    /// Spikes of channels that the file's list does not have; kept as units without a label.
    UnlistedChannels {
        /// The list.
        object: String,
        /// Number of channels concerned.
        channels: usize,
        /// The first of them.
        first: i64,
    },
    /// Spikes after the end of the recording that the file gives; kept.
    SpikesBeyondEnd {
        /// Number of spikes.
        spikes: usize,
        /// End of the recording.
        end_ns: i64,
    },
    /// Datasets of spike times that the table of units does not list; left out.
    UnlistedEntities {
        /// The table.
        object: String,
        /// Number of datasets.
        entities: usize,
        /// The first of them.
        first: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |ns: &i64| *ns as f64 / 1e9;
        match self {
            Self::UnsortedTimes { units, first_unit, steps_back } => write!(
                f,
                "spike times of {} are out of order (unit {first_unit}: {}); sorted",
                counted(*units, "unit"),
                counted(*steps_back, "step") + " back"
            ),
            Self::TimesReset { units, first_unit, spike, before_ns, after_ns } => write!(
                f,
                "times of {} fall back as if the clock had been reset (unit {first_unit}: from {} s to {} s at spike \
                 {spike}); sorted",
                counted(*units, "unit"),
                s(before_ns),
                s(after_ns)
            ),
            Self::LooksLikeMilliseconds { span_seconds, median_interval_ms } => write!(
                f,
                "times look like milliseconds (span {span_seconds} s, median interval {median_interval_ms} ms as seconds); \
                 taken as seconds"
            ),
            Self::DuplicateTimes { units, first_unit, repeats } => {
                write!(
                    f,
                    "{} in {} (first: unit {first_unit}); kept",
                    counted(*repeats, "repeated spike time"),
                    counted(*units, "unit")
                )
            }
            Self::SilentUnits { units, first_unit } => {
                write!(f, "{} without spikes (first: unit {first_unit}); kept", counted(*units, "unit"))
            }
            Self::SinglePrecision { object, blur_ns } => {
                write!(f, "{object} is single precision: late times are {blur_ns} ns apart; read as is")
            }
            Self::NegativeTimes { spikes, earliest_ns } => {
                write!(
                    f,
                    "{} before time zero (earliest {} s); kept",
                    counted(*spikes, "spike"),
                    s(earliest_ns)
                )
            }
            Self::SignedIndex { object } => write!(f, "{object} is signed, expected unsigned; read as is"),
            Self::UnindexedEntries { object, entries } => {
                write!(
                    f,
                    "{} after the last end of {object}'s index, of no unit; ignored",
                    counted(*entries, "value")
                )
            }
            Self::DuplicateIds { id, unit } => {
                write!(f, "id {id} is used again by unit {unit}; all units numbered by their place")
            }
            Self::UnusableIds { object, found } => {
                write!(f, "{object} is {found}, expected integers; units numbered by their place")
            }
            Self::UnusableLabels { object, found } => write!(f, "{object} {found}; passed over"),
            Self::EndlessIntervals { object, intervals } => write!(
                f,
                "{} of {object} without an end; taken to go on until a second after the last spike or trial",
                counted(*intervals, "interval")
            ),
            Self::MissingIds { object } => write!(f, "{object} is missing; units numbered by their place"),
            Self::UnusableIntervals { object, intervals } => {
                write!(
                    f,
                    "{} of {object} empty, reversed or not finite; left out",
                    counted(*intervals, "interval")
                )
            }
            Self::UnsortedIntervals { object } => write!(f, "intervals of {object} are out of order; sorted"),
            Self::OverlappingTrials { trials, first_start_ns } => {
                write!(
                    f,
                    "{} overlapping an earlier one (first at {} s); kept",
                    counted(*trials, "trial"),
                    s(first_start_ns)
                )
            }
            Self::NoObservedIntervals { units, first_unit } => write!(
                f,
                "{} without observation intervals (first: unit {first_unit}); taken as always observed",
                counted(*units, "unit")
            ),
            Self::UnitsElsewhere { object, ignored } => {
                write!(f, "units read from {object}; {} of units ignored", counted(*ignored, "further table"))
            }
            Self::OtherParts { read, others } => {
                let others = parts::listed(others.iter().map(String::as_str));
                write!(f, "{read} was read; not read: {others} (ask for one with --part)")
            }
            Self::FramesOfDevice { object, frame } => write!(
                f,
                "frames of {object} are counted since the device was started (first spike: frame {frame}) and the file does not \
                 say where the recording began; times taken from frame 0"
            ),
            Self::FramesRelative { object, first_frame } => {
                write!(
                    f,
                    "frames are counted since the device was started; times taken from frame {first_frame}, the first of {object}"
                )
            }
            Self::UnlistedChannels { object, channels, first } => {
                write!(
                    f,
                    "{} not in {object} (first: {first}); kept without a label",
                    counted(*channels, "channel")
                )
            }
            Self::SpikesBeyondEnd { spikes, end_ns } => {
                write!(
                    f,
                    "{} after the end of the recording at {} s; kept",
                    counted(*spikes, "spike"),
                    s(end_ns)
                )
            }
            Self::UnlistedEntities { object, entities, first } => {
                write!(f, "{} not in {object} (first: {first}); left out", counted(*entities, "dataset"))
            }
        }
    }
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
