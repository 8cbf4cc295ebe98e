//! `glauber compare --equilibrium`: which equilibrium model describes the end of a recording best, fitted to its beginning?

use std::time::{Duration, Instant};

use glauber::equilibrium::{FitOptions, Samples};
use glauber::ingest::BinnedRecording;
use glauber::model::{EquilibriumMethod, RowStatus};
use glauber::session::{ComparedEquilibrium, EquilibriumComparison, UnfitMethod};
use serde_json::{Value, json};

use super::models::{
    check_json, correlation, found, hidden_bits, is_ok, misplaced, named, off, reconstruction_json,
    root_mean_square, share, statuses,
};
use crate::cli::compare::{self, CompareArgs};
use crate::cli::error::CliError;
use crate::cli::output::{self, Align, outln};
use crate::cli::recordings::{self, Sizes};
use crate::cli::{Manner, fit, pairs, progress, text};

pub(crate) fn run(args: &CompareArgs, manner: Manner) -> Result<(), CliError> {
    let methods = methods(args)?;
    let recording = recordings::load(&args.recording, manner)?;
    let recorded = compare::recorded(args, &recording)?;
    let options = FitOptions { threads: fit::threads(), seed: args.seed };
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
    if manner.json {
        output::json(&outcome.to_json(args))?;
    } else {
        outcome.report()?;
    }
    match outcome.fitted().next() {
        Some(_) => Ok(()),
        None => Err(CliError::NothingFitted),
    }
}

fn methods(args: &CompareArgs) -> Result<Vec<EquilibriumMethod>, CliError> {
    super::check_methods(&args.methods, "--method")?;
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
        if self.fitted().next().is_some() {
            output::print_table(&self.description_table())?;
            outln!("")?;
            self.explain()?;
            outln!("")?;
            output::print_table(&self.model_table())?;
        }
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
        let part = |bins: std::ops::Range<u64>, samples: &Samples| {
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
            ("pairs off", Align::Right),
            ("triplets r", Align::Right),
            ("P(K) off", Align::Right),
            ("hidden found", Align::Right),
            ("bits/hidden spike", Align::Right),
        ]);
        let best = self.best();
        for (ComparedEquilibrium { model, score, check, reconstruction }, _) in self.fitted() {
            table.add_row([
                named(model),
                fit::marked(best == Some(model.method), score.bits_per_spike()),
                correlation(&check.pair_correlations),
                off(&check.pair_correlations),
                correlation(&check.triplet_correlations),
                misplaced(check),
                share(reconstruction.recovered, reconstruction.values),
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
        if self.fitted().any(|(compared, _)| !is_ok(&compared.model)) {
            outln!("! of some or all neurons there is no estimate, or not a reliable one: see below.")?;
        }
        outln!(
            "bits/spike: of each neuron given all others in the same bin, gained on the judged part over"
        )?;
        outln!(
            "  independent rates; not to be compared with scores of kinetic estimators, which see earlier bins."
        )?;
        outln!(
            "pairs r, pairs off: correlations of pairs drawn from the model against observed ones, and their rms"
        )?;
        outln!(
            "  difference over the error of sampling and drawing, 1 to {:.1} when only chance is left: a model's",
            self.off_by_chance()
        )?;
        outln!(
            "  parameters have errors too. triplets r, P(K) off: what no model was fitted to: third-order"
        )?;
        outln!("  correlations, and the probability of K active neurons that is misplaced.")?;
        if let Some((ComparedEquilibrium { reconstruction, .. }, _)) = self.fitted().next() {
            outln!(
                "hidden found: of {:.0} % of the neurons, hidden in each bin, the share whose state the others tell; by",
                100.0 * EquilibriumComparison::HIDDEN_SHARE
            )?;
            let by_rates = share(reconstruction.recovered_by_rates, reconstruction.values);
            outln!(
                "  rates alone {by_rates}. bits/hidden spike: gained over rates in that, ± its standard error."
            )?;
        }
        Ok(())
    }

    /// How far the right model is off at most, where drawing has no error to speak of: its parameters are as uncertain as the bins they were
    /// fitted to.
    fn off_by_chance(&self) -> f64 {
        let bins = |samples: &Samples| samples.n_bins() as f64;
        (1.0 + bins(self.comparison.held_out()) / bins(self.comparison.train()).max(1.0)).sqrt()
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
                found(&model.diagnostics),
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
            "found": found(&model.diagnostics),
            "seconds": seconds,
        }),
    }
}
