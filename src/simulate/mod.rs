//! Ground truth: networks with known couplings and the spikes they produce.

mod equilibrium;
mod error;
mod kinetic;
mod stimulus;

pub use equilibrium::{
    CurieWeissSampler, EquilibriumIsing, GibbsSampler, ImportanceSample, PROPOSALS_MAX, Proposals,
    TemperedSampler, importance_resampled, lattice_pairs,
};
pub(crate) use equilibrium::{GibbsChain, InputRows};
pub use error::SimulationError;
pub use kinetic::{KineticIsing, KineticSimulation};
pub use stimulus::{StimulusSimulation, stimulus_drive};
