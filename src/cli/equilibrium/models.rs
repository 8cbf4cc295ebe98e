//! Equilibrium models in words, tables and JSON.

use std::collections::BTreeMap;

use glauber::equilibrium::ReconstructionScore;
use glauber::model::{
    ActiveCount, Agreement, EquilibriumDiagnostics, EquilibriumModel, ModelCheck, Neuron, RowStatus,
};
use glauber::session::{ScoredEquilibrium, Snapshot};
use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::output::{self, Align, outln};
use crate::cli::{fit, pairs, text};

/// A check as JSON.
pub(crate) fn check_json(check: &ModelCheck) -> Value {
    let agreement = |a: &Agreement| {
        json!({
            "values": a.values,
            "correlation": a.correlation,
            "rms_difference": a.rms_difference,
            "rms_observed": a.rms_observed,
            "rms_predicted_error": a.rms_predicted_error,
            "rms_observed_error": a.rms_observed_error,
            "rms_error": a.rms_error,
        })
    };
    let counts = check.active_counts.iter().map(|count| {
        json!({
            "active": count.active,
            "observed": count.observed,
            "predicted": count.predicted,
            "predicted_error": count.predicted_error,
        })
    });
    json!({
        "drawn": check.drawn,
        "bins": check.bins,
        "means": agreement(&check.means),
        "pair_correlations": agreement(&check.pair_correlations),
        "triplet_correlations": agreement(&check.triplet_correlations),
        "active_counts": counts.collect::<Vec<_>>(),
    })
}

/// Number of neurons by status.
pub(crate) fn statuses(model: &EquilibriumModel) -> BTreeMap<&'static str, u64> {
    pairs::status_counts(model.status.iter().map(|status| status.as_str()))
}

/// What the method found besides couplings.
pub(crate) fn found(diagnostics: &EquilibriumDiagnostics) -> String {
    match diagnostics {
        EquilibriumDiagnostics::ClosedForm => String::new(),
        EquilibriumDiagnostics::Erasure { chosen, path } => {
            path.get(*chosen).map_or_else(String::new, |step| {
                let at_the_end = *chosen + 1 == path.len() && path.len() > 1;
                let end = if at_the_end { ", the least tried" } else { "" };
                format!(
                    "ε {}{end}; {} effective configurations",
                    step.epsilon,
                    text::count(step.effective_samples as u64)
                )
            })
        }
        EquilibriumDiagnostics::PseudoLikelihood { ridge, .. } => format!("ridge {ridge}"),
        EquilibriumDiagnostics::MaximumLikelihood { log_likelihood_bits, .. } => {
            format!("log-likelihood {log_likelihood_bits:.3} bits/bin")
        }
        EquilibriumDiagnostics::Boltzmann(told) => format!(
            "moments off by {:.1e} (Monte Carlo error {:.1e}), chains differ {:.1} times as much as expected",
            told.moment_residual, told.monte_carlo_error, told.chain_disagreement
        ),
        EquilibriumDiagnostics::ManyStates { bins, .. } => {
            let bins: Vec<String> = bins.iter().map(|&bins| text::count(bins)).collect();
            format!("states of {} bins", bins.join(", "))
        }
    }
}

/// Whether every neuron that takes part has an estimate to rely on.
pub(crate) fn is_ok(model: &EquilibriumModel) -> bool {
    let left_out = [RowStatus::Silent, RowStatus::Saturated, RowStatus::Duplicate];
    model.status.iter().all(|status| *status == RowStatus::Ok || left_out.contains(status))
}

/// The method, marked where its model is not to be relied on.
pub(crate) fn named(model: &EquilibriumModel) -> String {
    format!("{}{}", model.method, if is_ok(model) { "" } else { " !" })
}

/// Root mean square off the diagonal.
pub(crate) fn root_mean_square(couplings: &ndarray::Array2<f64>) -> f64 {
    let n = couplings.nrows();
    let pairs = (n * n.saturating_sub(1)).max(1);
    (couplings.iter().map(|j| j * j).sum::<f64>() / pairs as f64).sqrt()
}

/// What a check on the bins that the model was fitted to says, in one line.
pub(crate) fn check_text(check: &ModelCheck) -> String {
    let kind = |name: &str, agreement: &Agreement| {
        format!("{name} r {}, off by {} errors", correlation(agreement), off(agreement))
    };
    format!(
        "{}; {} (below 1 when only chance is left, of the bins fitted to); P(K active) off by {}",
        kind("pairs", &check.pair_correlations),
        kind("triplets", &check.triplet_correlations),
        misplaced(check)
    )
}

/// The probability of the number of active neurons that is misplaced, in percent; `-` where nothing is compared.
pub(crate) fn misplaced(check: &ModelCheck) -> String {
    let difference = |count: &ActiveCount| (count.observed - count.predicted).abs();
    let sum: f64 = check.active_counts.iter().map(difference).sum();
    if check.active_counts.is_empty() { "-".to_owned() } else { format!("{:.1} %", 50.0 * sum) }
}

/// A correlation, when there is one.
pub(crate) fn correlation(agreement: &Agreement) -> String {
    agreement.correlation.map_or_else(|| "-".to_owned(), |r| format!("{r:.3}"))
}

/// How far predictions are off, in errors of sampling and Monte Carlo. When only chance is left that is 1 or somewhat above on newer bins, since the
/// model's parameters have errors too, and below 1 on the bins it was fitted to, which it follows.
pub(crate) fn off(agreement: &Agreement) -> String {
    if agreement.rms_error > 0.0 {
        format!("{:.1}", agreement.rms_difference / agreement.rms_error)
    } else {
        "-".to_owned()
    }
}

/// Reconstruction of hidden neurons as JSON.
pub(crate) fn reconstruction_json(score: &ReconstructionScore) -> Value {
    json!({
        "bins": score.bins,
        "values": score.values,
        "recovered": score.recovered,
        "recovered_by_rates": score.recovered_by_rates,
        "active": score.active,
        "active_recovered": score.active_recovered,
        "active_recovered_by_rates": score.active_recovered_by_rates,
        "gain_bits": score.gain_bits,
        "gain_error_bits": score.gain_error_bits,
        "exact": score.exact,
    })
}

/// Bits gained per hidden spike, with their standard error.
pub(crate) fn hidden_bits(score: &ReconstructionScore) -> String {
    if score.active == 0 {
        return "-".to_owned();
    }
    let spikes = score.active as f64;
    format!("{:+.3} ± {:.3}", score.gain_bits / spikes, score.gain_error_bits / spikes)
}

/// A part of a whole in percent.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}

/// A pair of neurons with its coupling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ModelPair {
    pub(crate) neuron_ids: [i64; 2],
    pub(crate) coupling: f64,
    /// `None` where the method gives none.
    pub(crate) standard_error: Option<f64>,
}

impl ModelPair {
    fn z(&self) -> Option<f64> {
        self.standard_error.map(|error| self.coupling / error)
    }

    /// The pair as JSON.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "neuron_ids": self.neuron_ids,
            "coupling": self.coupling,
            "standard_error": self.standard_error,
            "z": self.z(),
        })
    }
}

/// The strongest pairs of neurons that are OK, by |z|, or by |J| where there are no standard errors.
pub(crate) fn strongest(model: &EquilibriumModel, neurons: &[Neuron], top: usize) -> Vec<ModelPair> {
    let ok: Vec<usize> = (0..model.n_neurons()).filter(|&i| model.status[i] == RowStatus::Ok).collect();
    let mut found: Vec<ModelPair> = Vec::new();
    for (k, &i) in ok.iter().enumerate() {
        for &j in &ok[k + 1..] {
            let error =
                model.errors.as_ref().map(|errors| errors.couplings[[i, j]]).filter(|&error| error > 0.0);
            found.push(ModelPair {
                neuron_ids: [neurons[i].id, neurons[j].id],
                coupling: model.couplings[[i, j]],
                standard_error: error,
            });
        }
    }
    let strength = |pair: &ModelPair| pair.z().unwrap_or(pair.coupling).abs();
    found.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
    found.truncate(top);
    found
}

/// The equilibrium models of a snapshot, if it has any: one line each, and why neurons are not OK.
pub(crate) fn print_models(snapshot: &Snapshot) -> Result<(), CliError> {
    if snapshot.equilibrium.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&[
        ("equilibrium", Align::Left),
        ("bits/spike", Align::Right),
        ("pairs r", Align::Right),
        ("off", Align::Right),
        ("triplets r", Align::Right),
        ("P(K) off", Align::Right),
        ("rms J", Align::Right),
        ("rms SE", Align::Right),
        ("found", Align::Left),
    ]);
    let best = glauber::session::best_equilibrium(snapshot.equilibrium.iter().map(|scored| &**scored));
    let best = best.map(|scored| scored.fitted.method);
    for scored in &snapshot.equilibrium {
        let Ok(model) = &scored.fitted.model else { continue };
        let check = scored.fitted.check.as_ref();
        let of_check = |tell: &dyn Fn(&ModelCheck) -> String| check.map_or_else(|| "-".to_owned(), tell);
        table.add_row([
            named(model),
            fit::marked(best == Some(model.method), scored.score.recent.bits_per_spike()),
            of_check(&|check| correlation(&check.pair_correlations)),
            of_check(&|check| off(&check.pair_correlations)),
            of_check(&|check| correlation(&check.triplet_correlations)),
            of_check(&misplaced),
            format!("{:.4}", root_mean_square(&model.couplings)),
            rms_error(model),
            found(&model.diagnostics),
        ]);
    }
    outln!("")?;
    output::print_table(&table)?;
    let best = if best.is_some() { "* best. " } else { "" };
    outln!(
        "\n{best}bits/spike: of each neuron given all others in the same bin, gained over rates on bins not fitted"
    )?;
    outln!(
        "to. off: difference of predicted and observed pair correlations over its error, below 1 on the bins fitted to."
    )?;
    let scores = snapshot.equilibrium.iter().filter_map(|scored| scored.score.recent.bits_per_spike());
    if scores.fold(0.0, f64::min) < 0.0 {
        outln!("Below 0 bits/spike: describes bins worse than the rates alone; do not trust its couplings.")?;
    }
    let mut models = snapshot.equilibrium.iter().filter_map(|scored| scored.fitted.model.as_ref().ok());
    if models.any(|model| !is_ok(model)) {
        outln!("! of some or all neurons there is no estimate, or not a reliable one.")?;
    }
    for scored in &snapshot.equilibrium {
        let method = scored.fitted.method;
        match &scored.fitted.model {
            Ok(model) if model.status.iter().any(|&status| status != RowStatus::Ok) => {
                outln!("{method} neurons: {}", pairs::status_line(&statuses(model)))?;
            }
            Ok(_) => {}
            Err(refusal) => outln!("{method}: not fitted: {}", refusal.0)?,
        }
    }
    Ok(())
}

/// The strongest pairs of each model of a snapshot.
pub(crate) fn print_pairs(snapshot: &Snapshot, top: usize) -> Result<(), CliError> {
    for scored in &snapshot.equilibrium {
        if let Ok(model) = &scored.fitted.model {
            outln!("\n{}: strongest pairs in the same bin", model.method)?;
            let pairs = strongest(model, &snapshot.spec.neurons, top);
            if pairs.is_empty() {
                outln!("none: fewer than two neurons are OK")?;
            } else {
                output::print_table(&pair_table(&pairs))?;
            }
        }
    }
    Ok(())
}

/// Pairs as a table.
pub(crate) fn pair_table(pairs: &[ModelPair]) -> comfy_table::Table {
    let mut table = output::table(&[
        ("neuron", Align::Right),
        ("neuron", Align::Right),
        ("J", Align::Right),
        ("SE", Align::Right),
        ("z", Align::Right),
    ]);
    for pair in pairs {
        table.add_row([
            pair.neuron_ids[0].to_string(),
            pair.neuron_ids[1].to_string(),
            text::signed(pair.coupling),
            pair.standard_error.map_or_else(|| "-".to_owned(), |error| format!("{error:.4}")),
            pair.z().map_or_else(|| "-".to_owned(), |z| format!("{z:+.1}")),
        ]);
    }
    table
}

/// Root mean square standard error, `-` where the method gives none.
pub(crate) fn rms_error(model: &EquilibriumModel) -> String {
    let errors = model.errors.as_ref();
    errors.map_or_else(|| "-".to_owned(), |errors| format!("{:.4}", root_mean_square(&errors.couplings)))
}

/// One model of a snapshot as JSON.
pub(crate) fn model_json(scored: &ScoredEquilibrium, neurons: &[Neuron], top: usize) -> Value {
    let fitted = &scored.fitted;
    let model = match &fitted.model {
        Ok(model) => model,
        Err(refusal) => return json!({ "method": fitted.method.as_str(), "refusal": refusal.0 }),
    };
    json!({
        "method": model.method.as_str(),
        "first_bin": fitted.first_bin,
        "end_bin": fitted.end_bin,
        "samples": model.samples,
        "distinct_configurations": model.distinct,
        "bits_per_spike": scored.score.total.bits_per_spike(),
        "recent_bits_per_spike": scored.score.recent.bits_per_spike(),
        "check": fitted.check.as_ref().map(check_json),
        "rms_coupling": root_mean_square(&model.couplings),
        "rms_standard_error": model.errors.as_ref().map(|errors| root_mean_square(&errors.couplings)),
        "status_counts": statuses(model),
        "iterations": model.iterations,
        "found": found(&model.diagnostics),
        "strongest_pairs": strongest(model, neurons, top).into_iter().map(ModelPair::to_json).collect::<Vec<_>>(),
    })
}
