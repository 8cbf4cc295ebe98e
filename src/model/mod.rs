//! The vocabulary every other room speaks: neurons, bins, lags, windows, spike blocks, couplings.
//!
//! Conventions, the same in code, proto, HDF5 and documentation:
//!
//! * a neuron's spin in bin *t* is `s_i(t) = +1` when it fired at least once in the bin and `−1` otherwise;
//! * couplings `J[i, j]` have the receiver *i* as row and the sender *j* as column, and are dimensionless;
//! * the kinetic model is `P(s_i(t+1) | s(t)) = exp[s_i(t+1) θ_i(t)] / 2 cosh θ_i(t)` with
//!   `θ_i(t) = h_i + Σ_j J_ij s_j(t)`, updated synchronously, self-couplings kept;
//! * a lag is a number of bins: *i* later, *j* earlier.

mod bin_width;
mod block;
mod equilibrium;
mod estimate;
mod lags;
mod lost_spikes;
mod metadata;
mod model_check;
mod recorded;
mod ridges;
mod runs;
mod score;
mod significance;
mod status;
mod strongest;
mod window;

pub use bin_width::{BinWidth, BinWidthError};
pub use block::{BlockError, SpikeBlock};
pub use equilibrium::{
    BoltzmannDiagnostics, CrossValidated, EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod,
    EquilibriumModel, ErasureStep, UnknownEquilibriumMethod,
};
pub use estimate::{
    Convergence, Estimate, Estimator, EstimatorInput, SamplingVariance, TapForm, TrialFields,
    UnknownEstimator,
};
pub use lags::{LAG_BINS_MAX, Lags, LagsError};
pub use lost_spikes::LostSpikes;
pub use metadata::{MetadataError, MetadataProblem, SessionMetadata, Subject};
pub use model_check::{ActiveCount, Agreement, CheckedPair, ModelCheck};
pub use recorded::{Interval, Neuron, RecordedSession, RecordedUnit};
pub use ridges::{Ridges, RidgesError};
pub use runs::{Runs, Trial, TrialMark};
pub use score::{RunningScore, Score};
pub use significance::Significance;
pub use status::RowStatus;
pub use strongest::CouplingPair;
pub use window::{Window, WindowError};

/// Most neurons one session may have: indices are `u16` and the counts of 16,384 neurons take 3 GB.
pub const NEURONS_MAX: usize = 16_384;

/// Largest bin number a session accepts; below 2⁵³, so that every client language holds it exactly.
pub const BIN_MAX: u64 = 1 << 52;
