//! What an equilibrium model is of and what it is worth, in the words of the interface.

use std::sync::atomic::Ordering;

use super::choice::{Found, method_to_proto};
use crate::daemon::convert::{milliseconds, score_to_proto, status_to_proto};
use crate::daemon::handle::SessionHandle;
use crate::model::{
    ActiveCount, Agreement, BoltzmannDiagnostics, CheckedPair, CrossValidated, EquilibriumDiagnostics,
    EquilibriumModel, ErasureStep, ModelCheck,
};
use crate::proto::v1;
use crate::proto::v1::equilibrium_header::Diagnostics;

/// Which model it is.
pub(super) fn identity(session: &SessionHandle, found: &Found) -> v1::EquilibriumIdentity {
    let fitted = &found.scored.fitted;
    v1::EquilibriumIdentity {
        session_id: session.id.clone(),
        method: method_to_proto(fitted.method).into(),
        window: session.spec.windows[found.window].to_string(),
        first_bin: fitted.first_bin,
        end_bin: fitted.end_bin,
        publication: found.publication.sequence,
    }
}

/// The header of a model of a publication; with single pairs of the check when asked for.
pub(super) fn header(session: &SessionHandle, found: &Found, checked_pairs: bool) -> v1::EquilibriumHeader {
    let fitted = &found.scored.fitted;
    let header = v1::EquilibriumHeader {
        identity: Some(identity(session, found)),
        neuron_ids: session.spec.neurons.iter().map(|neuron| neuron.id).collect(),
        score: Some(score_to_proto(&found.scored.score)),
        check: fitted.check.as_ref().map(|check| check_to_proto(check, checked_pairs)),
        age_ms: milliseconds(found.publication.published_at.elapsed()),
        bins_since: session.applied_through().saturating_sub(fitted.end_bin),
        skipped: session.equilibrium.counters.skipped.load(Ordering::Relaxed),
        ..Default::default()
    };
    match &fitted.model {
        Ok(model) => with_model(header, model),
        Err(refusal) => v1::EquilibriumHeader { refusal: refusal.0.clone(), ..header },
    }
}

fn with_model(header: v1::EquilibriumHeader, model: &EquilibriumModel) -> v1::EquilibriumHeader {
    let errors = model.errors.as_ref();
    v1::EquilibriumHeader {
        bins_observed: model.samples,
        distinct_configurations: model.distinct,
        status: model.status.iter().map(|&status| status_to_proto(status).into()).collect(),
        fields: model.fields.to_vec(),
        field_standard_errors: errors.map_or_else(Vec::new, |errors| errors.fields.to_vec()),
        error_blocks: errors.map_or(0, |errors| errors.blocks),
        iterations: model.iterations,
        diagnostics: diagnostics_to_proto(&model.diagnostics),
        ..header
    }
}

fn diagnostics_to_proto(diagnostics: &EquilibriumDiagnostics) -> Option<Diagnostics> {
    Some(match diagnostics {
        EquilibriumDiagnostics::ClosedForm => return None,
        EquilibriumDiagnostics::Erasure { chosen, path } => Diagnostics::Erasure(v1::ErasureDiagnostics {
            chosen: *chosen as u32,
            path: path.iter().map(erasure_step).collect(),
        }),
        EquilibriumDiagnostics::PseudoLikelihood { ridge, path, gradient_norm } => {
            let ridge_of = |&CrossValidated { ridge, bits_per_bin }: &CrossValidated| {
                v1::CrossValidatedRidge { ridge, bits_per_bin }
            };
            Diagnostics::PseudoLikelihood(v1::PseudoLikelihoodDiagnostics {
                ridge: *ridge,
                path: path.iter().map(ridge_of).collect(),
                gradient_norm: gradient_norm.to_vec(),
            })
        }
        EquilibriumDiagnostics::MaximumLikelihood { gradient_norm, log_likelihood_bits } => {
            let (gradient_norm, log_likelihood_bits) = (*gradient_norm, *log_likelihood_bits);
            Diagnostics::MaximumLikelihood(v1::MaximumLikelihoodDiagnostics {
                gradient_norm,
                log_likelihood_bits,
            })
        }
        EquilibriumDiagnostics::Boltzmann(told) => Diagnostics::Boltzmann(boltzmann(told)),
        EquilibriumDiagnostics::ManyStates { bins, residual } => {
            Diagnostics::ManyStates(v1::ManyStatesDiagnostics { bins: bins.clone(), residual: *residual })
        }
    })
}

fn erasure_step(step: &ErasureStep) -> v1::ErasureStep {
    let &ErasureStep { epsilon, mean_energy, effective_samples, residual, iterations, converged } = step;
    v1::ErasureStep { epsilon, mean_energy, effective_samples, residual, iterations, converged }
}

fn boltzmann(told: &BoltzmannDiagnostics) -> v1::BoltzmannDiagnostics {
    v1::BoltzmannDiagnostics {
        chains: told.chains,
        sweeps: told.sweeps,
        moment_residual: told.moment_residual,
        moment_residual_max: told.moment_residual_max,
        monte_carlo_error: told.monte_carlo_error,
        parameter_error: told.parameter_error,
        chain_disagreement: told.chain_disagreement,
        converged: told.converged,
    }
}

fn check_to_proto(check: &ModelCheck, with_pairs: bool) -> v1::ModelCheck {
    let count = |&ActiveCount { active, observed, predicted, predicted_error }: &ActiveCount| {
        v1::ActiveCount { active, observed, predicted, predicted_error }
    };
    v1::ModelCheck {
        drawn: check.drawn,
        bins: check.bins,
        means: Some(agreement(&check.means)),
        pair_correlations: Some(agreement(&check.pair_correlations)),
        triplet_correlations: Some(agreement(&check.triplet_correlations)),
        active_counts: check.active_counts.iter().map(count).collect(),
        pairs: with_pairs.then(|| checked_pairs(&check.pairs)),
    }
}

fn checked_pairs(pairs: &[CheckedPair]) -> v1::CheckedPairs {
    let each = |of: fn(&CheckedPair) -> f64| pairs.iter().map(of).collect();
    v1::CheckedPairs {
        first: pairs.iter().map(|pair| pair.neurons[0]).collect(),
        second: pairs.iter().map(|pair| pair.neurons[1]).collect(),
        observed: each(|pair| pair.observed),
        observed_error: each(|pair| pair.observed_error),
        predicted: each(|pair| pair.predicted),
        predicted_error: each(|pair| pair.predicted_error),
    }
}

fn agreement(found: &Agreement) -> v1::Agreement {
    v1::Agreement {
        values: found.values,
        correlation: found.correlation,
        rms_difference: found.rms_difference,
        rms_observed: found.rms_observed,
        rms_predicted_error: found.rms_predicted_error,
        rms_observed_error: found.rms_observed_error,
        rms_error: found.rms_error,
    }
}
