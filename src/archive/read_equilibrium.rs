use std::sync::Arc;

use ndarray::Array2;

use super::ArchiveError;
use super::read::Reader;
use super::read_estimate::Group;
use crate::model::{
    ActiveCount, Agreement, BoltzmannDiagnostics, CheckedPair, CrossValidated, EquilibriumDiagnostics,
    EquilibriumErrors, EquilibriumMethod, EquilibriumModel, ErasureStep, ModelCheck, RunningScore,
};
use crate::session::{FittedEquilibrium, Refusal, ScoredEquilibrium};
use crate::storage::{Found, StorageError};

impl Reader {
    /// What one equilibrium method has made of the window.
    pub(super) fn equilibrium(
        &self,
        method: EquilibriumMethod,
        n_neurons: usize,
    ) -> Result<Arc<ScoredEquilibrium>, ArchiveError> {
        let group = Group { reader: self, path: format!("/equilibrium/{method}"), n_neurons };
        let model = match self.file.optional_text_attribute(&group.path, "refusal")? {
            Some(refusal) => Err(Refusal(refusal)),
            None => Ok(group.model(method)?),
        };
        let fitted = FittedEquilibrium {
            method,
            model,
            check: group.check()?,
            first_bin: group.unsigned("first_bin")?,
            end_bin: group.unsigned("end_bin")?,
        };
        let score = RunningScore { total: group.score("score")?, recent: group.score("recent_score")? };
        Ok(Arc::new(ScoredEquilibrium { fitted: Arc::new(fitted), score }))
    }
}

impl Group<'_> {
    fn model(&self, method: EquilibriumMethod) -> Result<EquilibriumModel, ArchiveError> {
        Ok(EquilibriumModel {
            method,
            couplings: self.square("couplings")?,
            fields: self.vector("fields")?,
            status: self.status()?,
            errors: if self.has("standard_errors")? { Some(self.errors()?) } else { None },
            samples: self.unsigned("bins_observed")?,
            distinct: self.unsigned("distinct_configurations")?,
            iterations: self.small("iterations")?,
            diagnostics: self.diagnostics()?,
        })
    }

    fn errors(&self) -> Result<EquilibriumErrors, ArchiveError> {
        Ok(EquilibriumErrors {
            couplings: self.square("standard_errors")?,
            fields: self.vector("field_standard_errors")?,
            blocks: self.small("error_blocks")?,
        })
    }

    fn diagnostics(&self) -> Result<EquilibriumDiagnostics, ArchiveError> {
        let kind = self.reader.file.text_attribute(&self.path, "diagnostics")?;
        Ok(match kind.as_str() {
            "closed-form" => EquilibriumDiagnostics::ClosedForm,
            "erasure" => self.erasure()?,
            "pseudo-likelihood" => {
                let ridges = self.numbers("path_ridge")?;
                let bits = self.numbers_of("path_bits_per_bin", ridges.len())?;
                let point = |(ridge, bits_per_bin)| CrossValidated { ridge, bits_per_bin };
                EquilibriumDiagnostics::PseudoLikelihood {
                    ridge: self.number("ridge")?,
                    path: ridges.into_iter().zip(bits).map(point).collect(),
                    gradient_norm: self.vector("gradient_norm")?,
                }
            }
            "maximum-likelihood" => EquilibriumDiagnostics::MaximumLikelihood {
                gradient_norm: self.number("gradient_norm")?,
                log_likelihood_bits: self.number("log_likelihood_bits")?,
            },
            "boltzmann" => EquilibriumDiagnostics::Boltzmann(self.boltzmann()?),
            "many-states" => EquilibriumDiagnostics::ManyStates {
                bins: self.counts("state_bins")?,
                residual: self.number("residual")?,
            },
            _ => {
                let object = format!("{}/@diagnostics", self.path);
                return Err(self.reader.bad_value(&object, "a kind of diagnostics", &kind));
            }
        })
    }

    fn erasure(&self) -> Result<EquilibriumDiagnostics, ArchiveError> {
        let epsilons = self.numbers("path_epsilon")?;
        let steps = epsilons.len();
        let mean_energies = self.numbers_of("path_mean_energy", steps)?;
        let effective_samples = self.numbers_of("path_effective_samples", steps)?;
        let residuals = self.numbers_of("path_residual", steps)?;
        let iterations = self.counts_of("path_iterations", steps)?;
        let converged = self.counts_of("path_converged", steps)?;
        let step = |k: usize| {
            Ok(ErasureStep {
                epsilon: epsilons[k],
                mean_energy: mean_energies[k],
                effective_samples: effective_samples[k],
                residual: residuals[k],
                iterations: self.narrowed("path_iterations", iterations[k])?,
                converged: converged[k] != 0,
            })
        };
        let path = (0..steps).map(step).collect::<Result<Vec<_>, ArchiveError>>()?;
        let chosen = self.unsigned("chosen")?;
        // Without any steps, as of a window without a neuron that takes part, it is 0.
        let place = usize::try_from(chosen).ok().filter(|&place| place < steps.max(1));
        let chosen = place.ok_or_else(|| {
            let object = format!("{}/@chosen", self.path);
            self.reader.bad_value(&object, "a place in path_epsilon", &chosen.to_string())
        })?;
        Ok(EquilibriumDiagnostics::Erasure { chosen, path })
    }

    fn boltzmann(&self) -> Result<BoltzmannDiagnostics, ArchiveError> {
        Ok(BoltzmannDiagnostics {
            chains: self.small("chains")?,
            sweeps: self.unsigned("sweeps")?,
            moment_residual: self.number("moment_residual")?,
            moment_residual_max: self.number("moment_residual_max")?,
            monte_carlo_error: self.number("monte_carlo_error")?,
            parameter_error: self.number("parameter_error")?,
            chain_disagreement: self.number("chain_disagreement")?,
            converged: self.unsigned("converged")? != 0,
        })
    }

    fn check(&self) -> Result<Option<ModelCheck>, ArchiveError> {
        let group = Group { path: format!("{}/check", self.path), ..*self };
        if self.reader.file.find(&group.path)? != Found::Group {
            return Ok(None);
        }
        let active = group.counts("active")?;
        let observed = group.numbers_of("active_observed", active.len())?;
        let predicted = group.numbers_of("active_predicted", active.len())?;
        let errors = group.numbers_of("active_predicted_error", active.len())?;
        let count = |k: usize| {
            Ok(ActiveCount {
                active: group.narrowed("active", active[k])?,
                observed: observed[k],
                predicted: predicted[k],
                predicted_error: errors[k],
            })
        };
        Ok(Some(ModelCheck {
            drawn: group.unsigned("drawn")?,
            bins: group.unsigned("bins")?,
            means: group.agreement("means")?,
            pair_correlations: group.agreement("pair_correlations")?,
            triplet_correlations: group.agreement("triplet_correlations")?,
            active_counts: (0..active.len()).map(count).collect::<Result<_, ArchiveError>>()?,
            pairs: group.checked_pairs()?,
        }))
    }

    /// Pairs one by one; none in files that were written before they were kept.
    fn checked_pairs(&self) -> Result<Vec<CheckedPair>, ArchiveError> {
        if self.reader.file.find(&format!("{}/pair_first", self.path))? == Found::Nothing {
            return Ok(Vec::new());
        }
        let first = self.counts("pair_first")?;
        let second = self.counts_of("pair_second", first.len())?;
        let of = |name: &str| self.numbers_of(name, first.len());
        let (observed, observed_error) = (of("pair_observed")?, of("pair_observed_error")?);
        let (predicted, predicted_error) = (of("pair_predicted")?, of("pair_predicted_error")?);
        let pair = |k: usize| {
            Ok(CheckedPair {
                neurons: [self.neuron("pair_first", first[k])?, self.neuron("pair_second", second[k])?],
                observed: observed[k],
                observed_error: observed_error[k],
                predicted: predicted[k],
                predicted_error: predicted_error[k],
            })
        };
        (0..first.len()).map(pair).collect()
    }

    fn neuron(&self, name: &str, index: u64) -> Result<u32, ArchiveError> {
        let n_neurons = self.n_neurons;
        u32::try_from(index).ok().filter(|&index| (index as usize) < n_neurons).ok_or_else(|| {
            let object = format!("{}/{name}", self.path);
            self.reader.bad_value(&object, "the index of a neuron", &index.to_string())
        })
    }

    fn agreement(&self, name: &str) -> Result<Agreement, ArchiveError> {
        let correlation = format!("{name}_correlation");
        Ok(Agreement {
            values: self.unsigned(&format!("{name}_values"))?,
            correlation: self.reader.file.optional_number_attribute(&self.path, &correlation)?,
            rms_difference: self.number(&format!("{name}_rms_difference"))?,
            rms_observed: self.number(&format!("{name}_rms_observed"))?,
            rms_predicted_error: self.number(&format!("{name}_rms_predicted_error"))?,
            rms_observed_error: self.number(&format!("{name}_rms_observed_error"))?,
            rms_error: self.number(&format!("{name}_rms_error"))?,
        })
    }

    fn square(&self, name: &str) -> Result<Array2<f64>, ArchiveError> {
        self.matrix(name, self.n_neurons)
    }

    fn unsigned(&self, name: &str) -> Result<u64, StorageError> {
        self.reader.file.unsigned_attribute(&self.path, name)
    }

    fn number(&self, name: &str) -> Result<f64, StorageError> {
        self.reader.file.number_attribute(&self.path, name)
    }

    /// An attribute of 32 bits.
    fn small(&self, name: &str) -> Result<u32, ArchiveError> {
        self.narrowed(&format!("@{name}"), self.unsigned(name)?)
    }

    fn narrowed(&self, name: &str, value: u64) -> Result<u32, ArchiveError> {
        let object = format!("{}/{name}", self.path);
        u32::try_from(value)
            .map_err(|_| self.reader.bad_value(&object, "numbers below 2^32", &value.to_string()))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>, StorageError> {
        let object = format!("{}/{name}", self.path);
        self.reader.file.dataset(&object, "a list of the model")?.list()?.numbers()
    }

    fn numbers_of(&self, name: &str, count: usize) -> Result<Vec<f64>, StorageError> {
        self.reader.dataset(&format!("{}/{name}", self.path), &[count])?.numbers()
    }

    fn counts(&self, name: &str) -> Result<Vec<u64>, StorageError> {
        let object = format!("{}/{name}", self.path);
        self.reader.file.dataset(&object, "a list of the model")?.list()?.counts()
    }

    fn counts_of(&self, name: &str, count: usize) -> Result<Vec<u64>, StorageError> {
        self.reader.dataset(&format!("{}/{name}", self.path), &[count])?.counts()
    }
}
