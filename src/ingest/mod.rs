//! Which spikes are admissible, and in which bin?

mod admit;
mod binning;
mod runs;
mod timestamps;

pub use admit::{AdmitError, check_trial_edges, check_trials, from_packed, from_sparse};
pub use binning::{BinnedRecording, BinningError, bin_recording};
pub use timestamps::{ClockSource, TimedSpikes, TimestampBinner, TimestampError, TimestampSettings};
