//! Ground truth: networks with known couplings and the spikes they produce.

mod kinetic;

pub use kinetic::{KineticIsing, KineticSimulation, SimulationError};
