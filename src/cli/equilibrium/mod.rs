//! `glauber equilibrium`: the pairwise model of the bins of a window, as fitted last.

pub(crate) mod compare;
pub(crate) mod models;

use clap::Args;
use glauber::model::{
    ActiveCount, Agreement, BoltzmannDiagnostics, CrossValidated, EquilibriumDiagnostics, EquilibriumMethod,
    ErasureStep, ModelCheck, UnknownEquilibriumMethod, Window,
};
use glauber::proto::v1;
use serde_json::{Value, json};
use tonic::Status;

use models::{ModelPair, check_json, check_text, found, pair_table};

use super::client::{self, ConnectArgs, Daemon};
use super::error::CliError;
use super::output::{self, outln};
use super::{Manner, pairs, score, text};

/// Show the equilibrium model of a session: who fires with whom in the same bin
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The model P(s) ~ exp(Σ h_i s_i + Σ J_ij s_i s_j) of the configurations of single bins is refitted from time to time beside the rig, checked against the bins it was fitted to, and scored on bins that came after: how much better than its rate each neuron is told by all others in the same bin. Its couplings are symmetric; its scores are not to be compared with those of kinetic estimators, which see earlier bins alone. With SE, z = J / SE.

Examples:
  glauber equilibrium
  glauber equilibrium --method best --top 10
  glauber equilibrium --session retina --method pseudo-likelihood --window 10min --json | jq .check")]
pub(crate) struct EquilibriumArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Id or name of the session, or a prefix that fits only one [default: the only or most recent one]
    #[arg(long, value_name = "SESSION", value_parser = super::values::parse_session)]
    session: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Number of pairs to show, strongest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: u32,
}

/// Which model of a session.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// One of the session's methods, such as erasure-machine, or 'best' for the one with the best score [default: the session's first]
    #[arg(long, value_name = "NAME", value_parser = parse_method)]
    pub(crate) method: Option<v1::EquilibriumMethod>,
    /// 'all' or a duration such as 10min [default: the session's first; with 'best', the one with the best score]
    #[arg(long, value_name = "WINDOW")]
    pub(crate) window: Option<Window>,
}

impl ModelArgs {
    pub(crate) fn wire_method(&self) -> i32 {
        self.method.map_or(0, i32::from)
    }

    pub(crate) fn wire_window(&self) -> String {
        self.window.map_or_else(String::new, |window| window.to_string())
    }
}

pub(crate) fn parse_method(text: &str) -> Result<v1::EquilibriumMethod, String> {
    if text == "best" {
        return Ok(v1::EquilibriumMethod::Best);
    }
    text.parse().map(wire_method).map_err(|error: UnknownEquilibriumMethod| format!("{error}, best"))
}

/// Refuse a method that is given twice.
pub(crate) fn check_methods(methods: &[EquilibriumMethod], argument: &'static str) -> Result<(), CliError> {
    for (place, method) in methods.iter().enumerate() {
        if methods[..place].contains(method) {
            return Err(CliError::Argument { argument, problem: format!("'{method}' is given twice") });
        }
    }
    Ok(())
}

/// The interface's name of a method.
pub(crate) fn wire_method(method: EquilibriumMethod) -> v1::EquilibriumMethod {
    match method {
        EquilibriumMethod::ErasureMachine => v1::EquilibriumMethod::ErasureMachine,
        EquilibriumMethod::Hopfield => v1::EquilibriumMethod::Hopfield,
        EquilibriumMethod::Nmf => v1::EquilibriumMethod::Nmf,
        EquilibriumMethod::Tap => v1::EquilibriumMethod::Tap,
        EquilibriumMethod::PseudoLikelihood => v1::EquilibriumMethod::PseudoLikelihood,
        EquilibriumMethod::MaximumLikelihood => v1::EquilibriumMethod::MaximumLikelihood,
        EquilibriumMethod::Boltzmann => v1::EquilibriumMethod::Boltzmann,
        EquilibriumMethod::ManyStates => v1::EquilibriumMethod::ManyStates,
        EquilibriumMethod::ManyStatesTap => v1::EquilibriumMethod::ManyStatesTap,
    }
}

/// The method that the interface means; `None` for the best one.
pub(crate) fn method_of(wire: v1::EquilibriumMethod) -> Option<EquilibriumMethod> {
    EquilibriumMethod::ALL.into_iter().find(|&method| wire_method(method) == wire)
}

/// The command line's name of a method of the interface.
pub(crate) fn method_name(wire: i32) -> &'static str {
    let wire = v1::EquilibriumMethod::try_from(wire).ok();
    wire.and_then(method_of).map_or("unknown", EquilibriumMethod::as_str)
}

pub(crate) async fn run(args: EquilibriumArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.connect).await?;
    let session = daemon.select(args.session.as_deref()).await?;
    let request = v1::GetEquilibriumModelRequest {
        session_id: session.session_id.clone(),
        method: args.model.wire_method(),
        window: args.model.wire_window(),
        top_pairs: args.top,
        ..Default::default()
    };
    let answer = fetch(&daemon, request).await?;
    if manner.json { output::json(&answer.to_json()) } else { answer.report(&session) }
}

async fn fetch(daemon: &Daemon, request: v1::GetEquilibriumModelRequest) -> Result<Answer, CliError> {
    fetch_with_rows(daemon, request).await?.map_err(daemon.failure(DOING))
}

const DOING: &str = "fetching the equilibrium model";

/// A model with what was asked for of it, or why the daemon refuses to give one.
pub(crate) async fn fetch_with_rows(
    daemon: &Daemon,
    request: v1::GetEquilibriumModelRequest,
) -> Result<Result<Answer, Status>, CliError> {
    use v1::get_equilibrium_model_response::Part;
    let doing = DOING;
    let mut stream = match daemon.inference().get_equilibrium_model(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    let (mut header, mut pairs, mut rows) = (None, Vec::new(), Vec::new());
    while let Some(response) = stream.message().await.map_err(daemon.failure(doing))? {
        match response.part {
            Some(Part::Header(found)) => header = Some(found),
            Some(Part::Pairs(found)) => pairs.extend(found.pairs),
            Some(Part::Rows(found)) => rows.push(found),
            None => {}
        }
    }
    let header = header.ok_or_else(|| daemon.protocol("an equilibrium model without a header"))?;
    Ok(Ok(Answer { identity: header.identity.clone().unwrap_or_default(), header, pairs, rows }))
}

/// A model as the daemon has it.
pub(crate) struct Answer {
    identity: v1::EquilibriumIdentity,
    pub(crate) header: v1::EquilibriumHeader,
    pairs: Vec<v1::CouplingPair>,
    pub(crate) rows: Vec<v1::CouplingRows>,
}

impl Answer {
    fn report(&self, session: &v1::Session) -> Result<(), CliError> {
        output::print_facts(&self.facts(session))?;
        outln!("")?;
        if !self.header.refusal.is_empty() {
            return outln!("no model: {}", self.header.refusal);
        }
        if self.pairs.is_empty() {
            return outln!("no pair can be estimated yet");
        }
        output::print_table(&pair_table(&self.pairs.iter().map(model_pair).collect::<Vec<_>>()))
    }

    fn facts(&self, session: &v1::Session) -> Vec<(&'static str, String)> {
        let (identity, header) = (&self.identity, &self.header);
        let statuses = pairs::status_counts(header.status.iter().map(|&status| client::status_name(status)));
        let mut facts = vec![
            (
                "session",
                match client::session_name(session) {
                    "" => identity.session_id.clone(),
                    name => format!("{} ({name})", identity.session_id),
                },
            ),
            ("method", method_name(identity.method).to_owned()),
            ("score", score::score_text(header.score.as_ref())),
            (
                "window",
                format!(
                    "{}: bins {} to {}, {} observed, {} distinct configurations",
                    identity.window,
                    text::count(identity.first_bin),
                    text::count(identity.end_bin.saturating_sub(1)),
                    text::counted(header.bins_observed, "bin"),
                    text::count(header.distinct_configurations),
                ),
            ),
            (
                "fitted",
                format!(
                    "{} ago, {} have come since (publication {}; {} skipped)",
                    text::seconds(header.age_ms as f64 / 1000.0),
                    text::counted(header.bins_since, "bin"),
                    text::count(identity.publication),
                    text::count(header.skipped),
                ),
            ),
        ];
        let told = self.diagnostics().map_or_else(String::new, |told| found(&told));
        if !told.is_empty() {
            facts.push(("found", told));
        }
        facts.push(("neurons", pairs::status_line(&statuses)));
        if let Some(check) = self.check() {
            facts.push(("predicts", check_text(&check)));
        }
        facts
    }

    fn to_json(&self) -> Value {
        let (identity, header) = (&self.identity, &self.header);
        let status = header.status.iter().map(|&status| client::status_name(status));
        let pairs = self.pairs.iter().map(|pair| model_pair(pair).to_json());
        json!({
            "session_id": identity.session_id,
            "method": method_name(identity.method),
            "window": identity.window,
            "first_bin": identity.first_bin,
            "end_bin": identity.end_bin,
            "publication": identity.publication,
            "refusal": (!header.refusal.is_empty()).then_some(&header.refusal),
            "bins_observed": header.bins_observed,
            "distinct_configurations": header.distinct_configurations,
            "iterations": header.iterations,
            "found": self.diagnostics().map(|diagnostics| found(&diagnostics)),
            "neuron_ids": header.neuron_ids,
            "status": status.collect::<Vec<_>>(),
            "fields": header.fields,
            "field_standard_errors": header.field_standard_errors,
            "error_blocks": header.error_blocks,
            "score": score::score_json(header.score.as_ref()),
            "check": self.check().as_ref().map(check_json),
            "age_ms": header.age_ms,
            "bins_since": header.bins_since,
            "skipped": header.skipped,
            "pairs": pairs.collect::<Vec<_>>(),
        })
    }

    fn diagnostics(&self) -> Option<EquilibriumDiagnostics> {
        use v1::equilibrium_header::Diagnostics;
        Some(match self.header.diagnostics.as_ref()? {
            Diagnostics::Erasure(told) => EquilibriumDiagnostics::Erasure {
                chosen: told.chosen as usize,
                path: told.path.iter().map(erasure_step).collect(),
            },
            Diagnostics::PseudoLikelihood(told) => EquilibriumDiagnostics::PseudoLikelihood {
                ridge: told.ridge,
                path: told.path.iter().map(cross_validated).collect(),
                gradient_norm: told.gradient_norm.clone().into(),
            },
            Diagnostics::MaximumLikelihood(told) => EquilibriumDiagnostics::MaximumLikelihood {
                gradient_norm: told.gradient_norm,
                log_likelihood_bits: told.log_likelihood_bits,
            },
            Diagnostics::Boltzmann(told) => EquilibriumDiagnostics::Boltzmann(BoltzmannDiagnostics {
                chains: told.chains,
                sweeps: told.sweeps,
                moment_residual: told.moment_residual,
                moment_residual_max: told.moment_residual_max,
                monte_carlo_error: told.monte_carlo_error,
                parameter_error: told.parameter_error,
                chain_disagreement: told.chain_disagreement,
                converged: told.converged,
            }),
            Diagnostics::ManyStates(told) => {
                EquilibriumDiagnostics::ManyStates { bins: told.bins.clone(), residual: told.residual }
            }
        })
    }

    /// What the model predicts next to what was observed.
    pub(crate) fn check(&self) -> Option<ModelCheck> {
        let told = self.header.check.as_ref()?;
        let agreement = |told: Option<&v1::Agreement>| {
            told.map_or_else(Agreement::default, |told| Agreement {
                values: told.values,
                correlation: told.correlation,
                rms_difference: told.rms_difference,
                rms_observed: told.rms_observed,
                rms_predicted_error: told.rms_predicted_error,
                rms_observed_error: told.rms_observed_error,
                rms_error: told.rms_error,
            })
        };
        let count = |told: &v1::ActiveCount| ActiveCount {
            active: told.active,
            observed: told.observed,
            predicted: told.predicted,
            predicted_error: told.predicted_error,
        };
        Some(ModelCheck {
            drawn: told.drawn,
            bins: told.bins,
            means: agreement(told.means.as_ref()),
            pair_correlations: agreement(told.pair_correlations.as_ref()),
            triplet_correlations: agreement(told.triplet_correlations.as_ref()),
            active_counts: told.active_counts.iter().map(count).collect(),
            // Not asked for.
            pairs: Vec::new(),
        })
    }
}

fn erasure_step(told: &v1::ErasureStep) -> ErasureStep {
    ErasureStep {
        epsilon: told.epsilon,
        mean_energy: told.mean_energy,
        effective_samples: told.effective_samples,
        residual: told.residual,
        iterations: told.iterations,
        converged: told.converged,
    }
}

fn cross_validated(told: &v1::CrossValidatedRidge) -> CrossValidated {
    CrossValidated { ridge: told.ridge, bits_per_bin: told.bits_per_bin }
}

fn model_pair(told: &v1::CouplingPair) -> ModelPair {
    ModelPair {
        neuron_ids: [told.receiver_id, told.sender_id],
        coupling: told.coupling,
        standard_error: (told.standard_error > 0.0).then_some(told.standard_error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_own_name_on_the_wire() {
        for method in EquilibriumMethod::ALL {
            assert_eq!(method_name(wire_method(method).into()), method.as_str());
            assert_eq!(parse_method(method.as_str()), Ok(wire_method(method)));
        }
        assert_eq!(parse_method("best"), Ok(v1::EquilibriumMethod::Best));
        assert!(parse_method("bets").unwrap_err().ends_with("many-states-tap, best"));
    }
}
