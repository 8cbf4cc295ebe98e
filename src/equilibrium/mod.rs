//! Couplings from configurations: which pairwise model `P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j)` do the bins come from?
//!
//! Every method takes [`Samples`]: the distinct configurations of the bins with their multiplicities. Neurons that are silent,
//! saturated or repeat another's spikes take no part and say so.

mod configurations;
mod error;
mod fit;
mod kernels;
mod pseudo_likelihood;
mod samples;

pub use configurations::Configurations;
pub use error::EquilibriumError;
pub use fit::{FitOptions, fit};
pub use pseudo_likelihood::{ERRORS_SECONDS_MAX, FOLDS_MAX, PseudoLikelihoodOptions, pseudo_likelihood};
pub use samples::Samples;

/// Contiguous blocks of bins whose differences give standard errors.
pub const ERROR_BLOCKS: usize = 32;
