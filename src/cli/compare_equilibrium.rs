//! `glauber compare --equilibrium`: which equilibrium model describes the end of a recording best, fitted to its beginning?

use std::time::{Duration, Instant};

use glauber::equilibrium::{FitOptions, ReconstructionScore};
use glauber::ingest::BinnedRecording;
use glauber::model::{
    Agreement, EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, ModelCheck, RowStatus,
};
use glauber::session::{ComparedEquilibrium, EquilibriumComparison, UnfitMethod};
use serde_json::{Value, json};

use super::compare::{self, CompareArgs};
use super::error::CliError;
use super::output::{self, Align, outln};
use super::recordings::{self, Sizes};
use super::{Manner, fit, pairs, progress, text};

pub(crate) fn run(args: &CompareArgs, manner: Manner) -> Result<(), CliError> {
    let methods = methods(args)?;
    let recording = recordings::load(&args.recording, manner)?;
    let recorded = compare::recorded(args, &recording)?;
    let options = FitOptions { threads: fit::threads(), seed: args.seed, ..FitOptions::default() };
    let comparison = EquilibriumComparison::new(&recorded, args.train, options)?;
    let bar = progress::steps(methods.len() as u64, manner);
    bar.set_prefix("compare");
    let mut results = Vec::new();
    for &method in &methods {
        bar.set_message(method.as_str());
        let started = Instant::now();
        let result = comparison.run(method);
        results.push(Timed { method, result, time: started.elapsed() });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let outcome = Outcome { recording: &recording, comparison: &comparison, results };
    if manner.json { output::json(&outcome.to_json(args)) } else { outcome.report() }
}

fn methods(args: &CompareArgs) -> Result<Vec<EquilibriumMethod>, CliError> {
    for (place, method) in args.methods.iter().enumerate() {
        if args.methods[..place].contains(method) {
            let problem = format!("'{method}' is given twice");
            return Err(CliError::Argument { argument: "--method", problem });
        }
    }
    Ok(if args.methods.is_empty() { EquilibriumMethod::ALL.to_vec() } else { args.methods.clone() })
}

/// One method and the time it took.
struct Timed {
    method: EquilibriumMethod,
    result: Result<ComparedEquilibrium, UnfitMethod>,
    time: Duration,
}

/// All there is to report.
struct Outcome<'a> {
    recording: &'a BinnedRecording,
    comparison: &'a EquilibriumComparison,
    results: Vec<Timed>,
}

impl Outcome<'_> {
    fn fitted(&self) -> impl Iterator<Item = (&ComparedEquilibrium, Duration)> {
        self.results.iter().filter_map(|timed| Some((timed.result.as_ref().ok()?, timed.time)))
    }

    /// The method that predicts best.
    fn best(&self) -> Option<EquilibriumMethod> {
        let scored = self.fitted().filter_map(|(c, _)| Some((c.model.method, c.score.bits_per_spike()?)));
        scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(method, _)| method)
    }

    fn report(&self) -> Result<(), CliError> {
        output::print_facts(&self.facts())?;
        outln!("")?;
        output::print_table(&self.description_table())?;
        outln!("")?;
        self.explain()?;
        outln!("")?;
        output::print_table(&self.model_table())?;
        for (compared, _) in self.fitted() {
            let model = &compared.model;
            if model.status.iter().any(|&status| status != RowStatus::Ok) {
                outln!("{} neurons: {}", model.method, pairs::status_line(&statuses(model)))?;
            }
        }
        for timed in &self.results {
            if let Err(error) = &timed.result {
                outln!("{}: not fitted: {error}", timed.method)?;
            }
        }
        Ok(())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let width = self.recording.bin_width.seconds();
        let part = |bins: std::ops::Range<u64>, samples: &glauber::equilibrium::Samples| {
            format!(
                "{}, bins {} to {}, {} distinct configurations",
                text::seconds((bins.end - bins.start) as f64 * width),
                text::count(bins.start),
                text::count(bins.end - 1),
                text::count(samples.configurations.len() as u64)
            )
        };
        let mut facts = Sizes::of(self.recording).facts();
        facts.push(("fitted", part(self.comparison.train_bins(), self.comparison.train())));
        facts.push(("judged", part(self.comparison.held_out_bins(), self.comparison.held_out())));
        facts
    }

    fn description_table(&self) -> comfy_table::Table {
        let mut table = output::table(&[
            ("method", Align::Left),
            ("bits/spike", Align::Right),
            ("pairs r", Align::Right),
            ("off", Align::Right),
            ("triplets r", Align::Right),
            ("P(K) off", Align::Right),
            ("spikes found", Align::Right),
            ("bits/hidden spike", Align::Right),
        ]);
        let best = self.best();
        for (ComparedEquilibrium { model, score, check, reconstruction }, _) in self.fitted() {
            table.add_row([
                model.method.to_string(),
                fit::marked(best == Some(model.method), score.bits_per_spike()),
                correlation(&check.pair_correlations),
                off(&check.pair_correlations),
                correlation(&check.triplet_correlations),
                format!("{:.1} %", 100.0 * total_variation(check)),
                share(reconstruction.active_recovered, reconstruction.active),
                hidden_bits(reconstruction),
            ]);
        }
        table
    }

    /// What the columns mean.
    fn explain(&self) -> Result<(), CliError> {
        if let Some(best) = self.best() {
            outln!("* best: {best}.")?;
        }
        outln!(
            "bits/spike: of each neuron given all others in the same bin, gained on the judged part over"
        )?;
        outln!(
            "  independent rates; not to be compared with scores of kinetic estimators, which see earlier bins."
        )?;
        outln!(
            "pairs r, off: correlations of pairs drawn from the model against observed ones; off: rms difference over"
        )?;
        outln!(
            "  its error, 1 when only chance is left. triplets r, P(K) off: what no model was fitted to: third-order"
        )?;
        outln!("  correlations, and the probability mass of K active neurons that is misplaced.")?;
        outln!(
            "spikes found: with {:.0} % of the neurons hidden in each bin, the share of their spikes that the others tell;",
            100.0 * EquilibriumComparison::HIDDEN_SHARE
        )?;
        outln!(
            "  bits/hidden spike: gained over rates in guessing spikes and silences of the hidden, ± its standard error."
        )?;
        Ok(())
    }

    fn model_table(&self) -> comfy_table::Table {
        let mut table = output::table(&[
            ("method", Align::Left),
            ("rms J", Align::Right),
            ("rms SE", Align::Right),
            ("neurons OK", Align::Right),
            ("passes", Align::Right),
            ("time", Align::Right),
            ("found", Align::Left),
        ]);
        for (ComparedEquilibrium { model, .. }, time) in self.fitted() {
            let ok = model.status.iter().filter(|&&status| status == RowStatus::Ok).count() as u64;
            table.add_row([
                model.method.to_string(),
                format!("{:.4}", root_mean_square(&model.couplings)),
                model
                    .errors
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |e| format!("{:.4}", root_mean_square(&e.couplings))),
                format!("{}/{}", text::count(ok), text::count(model.n_neurons() as u64)),
                text::count(model.iterations.into()),
                text::short_seconds(time.as_secs_f64()),
                found(model),
            ]);
        }
        table
    }

    fn to_json(&self, args: &CompareArgs) -> Value {
        let (train, held_out) = (self.comparison.train_bins(), self.comparison.held_out_bins());
        json!({
            "recording": Sizes::of(self.recording).to_json(),
            "train": args.train,
            "train_bins": [train.start, train.end],
            "held_out_bins": [held_out.start, held_out.end],
            "train_distinct": self.comparison.train().configurations.len(),
            "held_out_distinct": self.comparison.held_out().configurations.len(),
            "best": self.best().map(EquilibriumMethod::as_str),
            "methods": self.results.iter().map(result_json).collect::<Vec<_>>(),
        })
    }
}

fn result_json(timed: &Timed) -> Value {
    let seconds = timed.time.as_secs_f64();
    match &timed.result {
        Err(error) => {
            json!({ "method": timed.method.as_str(), "error": error.to_string(), "seconds": seconds })
        }
        Ok(ComparedEquilibrium { model, score, check, reconstruction }) => json!({
            "method": model.method.as_str(),
            "bits_per_spike": score.bits_per_spike(),
            "check": check_json(check),
            "reconstruction": reconstruction_json(reconstruction),
            "rms_coupling": root_mean_square(&model.couplings),
            "rms_standard_error": model.errors.as_ref().map(|errors| root_mean_square(&errors.couplings)),
            "status_counts": statuses(model),
            "iterations": model.iterations,
            "found": found(model),
            "seconds": seconds,
        }),
    }
}

/// A check as JSON.
pub(crate) fn check_json(check: &ModelCheck) -> Value {
    let agreement = |a: &Agreement| {
        json!({
            "values": a.values,
            "correlation": a.correlation,
            "rms_difference": a.rms_difference,
            "rms_observed": a.rms_observed,
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
pub(crate) fn statuses(model: &EquilibriumModel) -> std::collections::BTreeMap<&'static str, u64> {
    pairs::status_counts(model.status.iter().map(|status| status.as_str()))
}

/// What the method found besides couplings.
pub(crate) fn found(model: &EquilibriumModel) -> String {
    match &model.diagnostics {
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
        EquilibriumDiagnostics::Boltzmann(b) => {
            format!("moments off by {:.1e}, Monte Carlo error {:.1e}", b.moment_residual, b.monte_carlo_error)
        }
        EquilibriumDiagnostics::ManyStates { bins, .. } => {
            let bins: Vec<String> = bins.iter().map(|&bins| text::count(bins)).collect();
            format!("states of {} bins", bins.join(", "))
        }
    }
}

/// Root mean square off the diagonal.
pub(crate) fn root_mean_square(couplings: &ndarray::Array2<f64>) -> f64 {
    let n = couplings.nrows();
    let pairs = (n * n.saturating_sub(1)).max(1);
    (couplings.iter().map(|j| j * j).sum::<f64>() / pairs as f64).sqrt()
}

/// The probability mass of the number of active neurons that is misplaced.
fn total_variation(check: &ModelCheck) -> f64 {
    0.5 * check.active_counts.iter().map(|count| (count.observed - count.predicted).abs()).sum::<f64>()
}

fn correlation(agreement: &Agreement) -> String {
    agreement.correlation.map_or_else(|| "-".to_owned(), |r| format!("{r:.3}"))
}

fn off(agreement: &Agreement) -> String {
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
