//! Couplings from configurations: which pairwise model `P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j)` do the bins come from?
//!
//! Every method takes [`Samples`]: the distinct configurations of the bins with their multiplicities. Neurons that are silent,
//! saturated or repeat another's spikes take no part and say so.

mod blocks;
mod boltzmann;
mod check;
mod compatible;
mod configurations;
mod erasure;
mod error;
mod fit;
mod hopfield;
mod jackknife;
mod kernels;
mod many_states;
mod maximum_likelihood;
mod mean_field;
mod predict;
mod pseudo_likelihood;
mod reconstruct;
mod samples;

pub use blocks::ERROR_BLOCKS;
pub use boltzmann::{
    BoltzmannOptions, TiedModel, TiedParameter, Tying, boltzmann, boltzmann_tied, separated_pairs,
};
pub use check::{CheckOptions, PredictedPairs, check, predicted_pairs};
pub use configurations::Configurations;
pub use erasure::{ErasureOptions, ErasureSolver, erasure_machine, erasure_path};
pub use error::EquilibriumError;
pub use fit::{FitOptions, fit};
pub use hopfield::{HopfieldOptions, hopfield};
pub use many_states::{ManyStatesOptions, many_states};
pub use maximum_likelihood::{MaximumLikelihoodOptions, maximum_likelihood};
pub use mean_field::{MeanFieldOptions, nmf, tap};
pub use predict::{Conditional, Rates};
pub use pseudo_likelihood::{ERRORS_SECONDS_MAX, FOLDS_MAX, PseudoLikelihoodOptions, pseudo_likelihood};
pub use reconstruct::{
    Guess, Missing, Observation, ReconstructError, ReconstructOptions, Reconstruction, ReconstructionScore,
    ReconstructionScoreOptions, reconstruct, reconstruction_score,
};
pub use samples::Samples;
