use super::{
    EquilibriumError, ManyStatesOptions, MaximumLikelihoodOptions, Samples, many_states, maximum_likelihood,
};
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
    let states = |tap| ManyStatesOptions {
        tap,
        seed: options.seed,
        threads: options.threads,
        ..ManyStatesOptions::default()
    };
    match method {
        EquilibriumMethod::ErasureMachine => todo!(),
        EquilibriumMethod::Hopfield => todo!(),
        EquilibriumMethod::Nmf => todo!(),
        EquilibriumMethod::Tap => todo!(),
        EquilibriumMethod::PseudoLikelihood => todo!(),
        EquilibriumMethod::MaximumLikelihood => {
            maximum_likelihood(samples, &MaximumLikelihoodOptions::default())
        }
        EquilibriumMethod::Boltzmann => todo!(),
        EquilibriumMethod::ManyStates => many_states(samples, &states(false)),
        EquilibriumMethod::ManyStatesTap => many_states(samples, &states(true)),
    }
}
