use super::{
    BoltzmannOptions, EquilibriumError, ErasureOptions, HopfieldOptions, ManyStatesOptions,
    MaximumLikelihoodOptions, MeanFieldOptions, PseudoLikelihoodOptions, Samples, boltzmann, erasure_machine,
    hopfield, many_states, maximum_likelihood, nmf, pseudo_likelihood, tap,
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
    let FitOptions { threads, seed } = *options;
    let states = |tap| ManyStatesOptions { tap, seed, threads, ..ManyStatesOptions::default() };
    match method {
        EquilibriumMethod::ErasureMachine => {
            erasure_machine(samples, &ErasureOptions { threads, ..ErasureOptions::default() })
        }
        EquilibriumMethod::Hopfield => hopfield(samples, &HopfieldOptions::default()),
        EquilibriumMethod::Nmf => nmf(samples, &MeanFieldOptions::default()),
        EquilibriumMethod::Tap => tap(samples, &MeanFieldOptions::default()),
        EquilibriumMethod::PseudoLikelihood => pseudo_likelihood(
            samples,
            &PseudoLikelihoodOptions { threads, ..PseudoLikelihoodOptions::default() },
        ),
        EquilibriumMethod::MaximumLikelihood => {
            maximum_likelihood(samples, &MaximumLikelihoodOptions::default())
        }
        EquilibriumMethod::Boltzmann => {
            boltzmann(samples, &BoltzmannOptions { threads, seed, ..BoltzmannOptions::default() })
        }
        EquilibriumMethod::ManyStates => many_states(samples, &states(false)),
        EquilibriumMethod::ManyStatesTap => many_states(samples, &states(true)),
    }
}
