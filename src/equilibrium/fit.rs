use super::{EquilibriumError, Samples};
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
    let _ = (samples, options);
    match method {
        EquilibriumMethod::ErasureMachine => todo!(),
        EquilibriumMethod::Hopfield => Ok(hopfield(samples)),
        EquilibriumMethod::MaximumLikelihood if samples.n() > 20 => {
            Err(EquilibriumError::TooManyNeurons { method, max: 20, found: samples.n() })
        }
        EquilibriumMethod::Nmf => todo!(),
        EquilibriumMethod::Tap => todo!(),
        EquilibriumMethod::PseudoLikelihood => todo!(),
        EquilibriumMethod::MaximumLikelihood => todo!(),
        EquilibriumMethod::Boltzmann => todo!(),
        EquilibriumMethod::ManyStates => todo!(),
        EquilibriumMethod::ManyStatesTap => todo!(),
    }
}

fn hopfield(samples: &Samples) -> EquilibriumModel {
    let mut couplings = samples.spread_matrix(&samples.second_moments);
    couplings.diag_mut().fill(0.0);
    let closed = crate::model::EquilibriumDiagnostics::ClosedForm;
    let model = samples.nothing(EquilibriumMethod::Hopfield, crate::model::RowStatus::Ok, closed);
    EquilibriumModel { couplings, fields: samples.spread(&samples.magnetizations), ..model }
}
