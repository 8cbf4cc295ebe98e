//! Which spikes are admissible, and in which bin?
mod admit;

pub use admit::{AdmitError, check_trial_edges, from_packed, from_sparse};

use crate::model::{BinWidth, Neuron, RecordedSession, SpikeBlock};

/// A recording cut into bins.
#[derive(Debug, Clone, PartialEq)]
pub struct BinnedRecording {
    /// neurons kept, file order
    pub neurons: Vec<Neuron>,
    /// bin width
    pub bin_width: BinWidth,
    /// time of left edge of bin 0
    pub origin_ns: i64,
    /// bins from the first to the last, observed or not
    pub n_bins: u64,
    /// observed stretches in order (between them: gaps)
    pub blocks: Vec<SpikeBlock>,
    /// bins at whose left edge a trial starts or ends, increasing
    pub trial_edges: Vec<u64>,
    /// spikes that fell into a bin that already had one of the same neuron
    pub merged_spikes: u64,
    /// spikes outside the observed intervals
    pub masked_spikes: u64,
}
/// Nothing to bin
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinningError {
    /// no units
    #[error("the recording has no units")] NoUnits,
    /// no spikes
    #[error("the recording has no spikes in its {units} units")] NoSpikes { #[allow(missing_docs)] units: usize },
}
/// Bin a recording, keeping the `top` most active units (ties by index, file order kept) or all.
pub fn bin_recording(_r: &RecordedSession, _w: BinWidth, _top: Option<usize>) -> Result<BinnedRecording, BinningError> { todo!() }
