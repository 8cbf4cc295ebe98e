//! Which spikes are admissible, and in which bin?

mod binning;

pub use binning::{BinnedRecording, BinningError, bin_recording};
