use super::{EquilibriumError, PseudoLikelihoodOptions, Samples, pseudo_likelihood};
use crate::model::{EquilibriumMethod, EquilibriumModel};

/// What all methods have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOptions {
    /// Most threads to use; 0 counts as 1. No result depends on it.
    pub threads: usize,
    /// Seed of the methods that draw random numbers.
    pub seed: u64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { threads: 1, seed: 1 }
    }
}

/// Fit by one method with its default options. The result depends on the samples, the method and the seed alone.
///
/// # Errors
/// [`EquilibriumError`] when the method cannot do so many neurons.
pub fn fit(
    samples: &Samples,
    method: EquilibriumMethod,
    options: &FitOptions,
) -> Result<EquilibriumModel, EquilibriumError> {
    let threads = options.threads;
    match method {
        EquilibriumMethod::ErasureMachine => todo!(),
        EquilibriumMethod::Hopfield => todo!(),
        EquilibriumMethod::Nmf => todo!(),
        EquilibriumMethod::Tap => todo!(),
        EquilibriumMethod::PseudoLikelihood => {
            pseudo_likelihood(samples, &PseudoLikelihoodOptions { threads, ..Default::default() })
        }
        EquilibriumMethod::MaximumLikelihood => todo!(),
        EquilibriumMethod::Boltzmann => todo!(),
        EquilibriumMethod::ManyStates => todo!(),
        EquilibriumMethod::ManyStatesTap => todo!(),
    }
}
