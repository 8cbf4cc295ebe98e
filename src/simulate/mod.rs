//! Ground truth: networks with known couplings and the spikes they produce.

mod equilibrium;
mod kinetic;
mod stimulus;

pub use equilibrium::{EquilibriumIsing, GibbsSampler};
pub use kinetic::{KineticIsing, KineticSimulation, SimulationError};
pub use stimulus::{StimulusSimulation, stimulus_drive};
