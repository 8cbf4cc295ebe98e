//! `glauber reconstruct`: what did the neurons do that were not observed?

use std::collections::HashMap;

use clap::Args;
use glauber::equilibrium::{
    FitOptions, Observation, Rates, ReconstructOptions, ReconstructionScore, ReconstructionScoreOptions,
    Samples, fit, reconstruct, reconstruction_score,
};
use glauber::ingest::BinnedRecording;
use glauber::model::{EquilibriumMethod, EquilibriumModel, Neuron, Runs};
use serde_json::{Value, json};

use super::error::CliError;
use super::output::{self, Align, outln};
use super::recordings::{self, RecordingArgs, Sizes};
use super::{Manner, compare_equilibrium, fit as fit_command, text};

/// Fill in the neurons of a bin that were not observed, by an equilibrium model
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With FILE alone: fits a model to the first part of the recording, hides neurons in bins of the rest, and tells how well the model finds them from the others of the bin, next to the best guess from rates.

With FILE and an observation: fits the model to the whole recording and tells what the neurons did that the observation leaves open. Neurons are named by their identifiers. What is in none of the lists is missing; with --missing, what is in none is silent.

Examples:
  glauber reconstruct session.nwb --bin-width 20ms --top 60
  glauber reconstruct session.nwb --bin-width 20ms --method erasure-machine --hide 0.5
  glauber reconstruct session.nwb --bin-width 20ms --active 4,17 --silent 2,3
  glauber reconstruct session.nwb --bin-width 20ms --active 4,17 --missing 9,12")]
pub(crate) struct ReconstructArgs {
    #[command(flatten)]
    recording: RecordingArgs,
    /// Equilibrium method: erasure-machine, hopfield, nmf, tap, pseudo-likelihood, maximum-likelihood, boltzmann, many-states,
    /// many-states-tap
    #[arg(long, value_name = "NAME", default_value = "pseudo-likelihood")]
    method: EquilibriumMethod,
    #[command(flatten)]
    observation: ObservationArgs,
    /// Share of the recording to fit to when scoring, between 0 and 1 [default: 0.7]
    #[arg(long, value_name = "SHARE", conflicts_with = "observation", allow_negative_numbers = true)]
    train: Option<f64>,
    /// Share of the neurons to hide in each bin when scoring, above 0, at most 1 [default: 0.2]
    #[arg(long, value_name = "SHARE", conflicts_with = "observation", allow_negative_numbers = true)]
    hide: Option<f64>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What was seen of a bin.
#[derive(Debug, Clone, Args)]
#[group(id = "observation", multiple = true)]
struct ObservationArgs {
    /// Neurons seen to fire in the bin, by identifier
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    active: Vec<i64>,
    /// Neurons seen not to fire in the bin
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    silent: Vec<i64>,
    /// Neurons that were not seen; all others that are not named are silent then
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    missing: Vec<i64>,
}

const TRAIN_SHARE: f64 = 0.7;
const HIDDEN_SHARE: f64 = 0.2;

pub(crate) fn run(args: &ReconstructArgs, manner: Manner) -> Result<(), CliError> {
    let train = args.train.unwrap_or(TRAIN_SHARE);
    if !(train > 0.0 && train < 1.0) {
        let problem = format!("'{train}' is not a share: expected a number between 0 and 1");
        return Err(CliError::Argument { argument: "--train", problem });
    }
    let hidden = args.hide.unwrap_or(HIDDEN_SHARE);
    if !(hidden > 0.0 && hidden <= 1.0) {
        let problem = format!("'{hidden}' is not a share: expected a number above 0 and at most 1");
        return Err(CliError::Argument { argument: "--hide", problem });
    }
    let recording = recordings::load(&args.recording, manner)?;
    let job = Job { args, recording: &recording, manner };
    if args.observation.is_empty() { job.score(train, hidden) } else { job.fill_in() }
}

struct Job<'a> {
    args: &'a ReconstructArgs,
    recording: &'a BinnedRecording,
    manner: Manner,
}

impl Job<'_> {
    fn model(&self, runs: &Runs) -> Result<EquilibriumModel, CliError> {
        let spinner = super::progress::spinner("fitting the model", self.manner);
        let options =
            FitOptions { threads: fit_command::threads(), seed: self.args.seed, ..FitOptions::default() };
        let model = fit(&Samples::of(runs), self.args.method, &options);
        spinner.finish_and_clear();
        Ok(model?)
    }

    /// Hide neurons of bins the model has not seen, and find them again.
    fn score(&self, train: f64, hidden: f64) -> Result<(), CliError> {
        let split = (self.recording.n_bins as f64 * train) as u64;
        let (first, rest) =
            (self.recording.runs(0..split), self.recording.runs(split..self.recording.n_bins));
        let model = self.model(&first)?;
        let options = ReconstructionScoreOptions {
            hidden,
            seed: self.args.seed,
            threads: fit_command::threads(),
            ..ReconstructionScoreOptions::default()
        };
        let score = reconstruction_score(&model, &rest, &Rates::of(&first), &options)?;
        if self.manner.json {
            return output::json(&json!({
                "recording": Sizes::of(self.recording).to_json(),
                "model": self.model_json(&model),
                "train_bins": [0, split],
                "held_out_bins": [split, self.recording.n_bins],
                "hidden_share": hidden,
                "score": compare_equilibrium::reconstruction_json(&score),
            }));
        }
        let mut facts = Sizes::of(self.recording).facts();
        facts.push(("model", self.model_text(&model)));
        facts.push((
            "fitted",
            format!("the first {} of {} bins", text::count(split), text::count(self.recording.n_bins)),
        ));
        let exactness = if score.exact { "exactly" } else { "by search and Monte Carlo" };
        facts.push((
            "scored",
            format!(
                "{} of the other {}, {:.0} % of the neurons hidden in each, found {exactness}",
                text::counted(score.bins, "bin"),
                text::count(rest.n_bins()),
                100.0 * hidden,
            ),
        ));
        facts.push((
            "gained",
            format!(
                "{} bits per hidden spike over independent rates",
                compare_equilibrium::hidden_bits(&score)
            ),
        ));
        output::print_facts(&facts)?;
        outln!("")?;
        output::print_table(&score_table(&score))
    }

    /// Fill in one bin.
    fn fill_in(&self) -> Result<(), CliError> {
        let observation = self.args.observation.observation(&self.recording.neurons)?;
        let runs = self.recording.runs(0..self.recording.n_bins);
        let model = self.model(&runs)?;
        let options = ReconstructOptions { seed: self.args.seed, ..ReconstructOptions::default() };
        let found = reconstruct(&model, observation.values(), &options)?;
        let rates = Rates::of(&runs);
        let rows = found.missing.iter().map(|missing| Row {
            id: self.recording.neurons[missing.neuron].id,
            active: missing.guess.map(|guess| guess.active),
            probability: missing.guess.map(|guess| guess.probability),
            monte_carlo_error: missing.guess.map_or(0.0, |guess| guess.monte_carlo_error),
            rate: rates.log_probability(missing.neuron, true).exp(),
            status: model.status[missing.neuron].as_str(),
        });
        let rows: Vec<Row> = rows.collect();
        if self.manner.json {
            return output::json(&json!({
                "recording": Sizes::of(self.recording).to_json(),
                "model": self.model_json(&model),
                "exact": found.exact,
                "missing": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            }));
        }
        let mut facts = Sizes::of(self.recording).facts();
        facts.push(("model", self.model_text(&model)));
        facts.push((
            "found",
            if found.exact { "exactly".to_owned() } else { "by search and Monte Carlo".to_owned() },
        ));
        output::print_facts(&facts)?;
        outln!("")?;
        if rows.is_empty() {
            return outln!("every neuron was observed: nothing is missing");
        }
        output::print_table(&missing_table(&rows))
    }

    fn model_text(&self, model: &EquilibriumModel) -> String {
        let found = compare_equilibrium::found(model);
        let statuses = super::pairs::status_line(&compare_equilibrium::statuses(model));
        let found = if found.is_empty() { String::new() } else { format!(", {found}") };
        format!("{}{found}; neurons: {statuses}", model.method)
    }

    fn model_json(&self, model: &EquilibriumModel) -> Value {
        json!({
            "method": model.method.as_str(),
            "found": compare_equilibrium::found(model),
            "status_counts": compare_equilibrium::statuses(model),
        })
    }
}

impl ObservationArgs {
    fn is_empty(&self) -> bool {
        self.active.is_empty() && self.silent.is_empty() && self.missing.is_empty()
    }

    fn observation(&self, neurons: &[Neuron]) -> Result<Observation, CliError> {
        let places: HashMap<i64, u32> =
            neurons.iter().zip(0..).map(|(neuron, place)| (neuron.id, place)).collect();
        let find = |argument: &'static str, ids: &[i64]| -> Result<Vec<u32>, CliError> {
            let place = |id: &i64| {
                places.get(id).copied().ok_or_else(|| CliError::Argument {
                    argument,
                    problem: format!("no neuron has the identifier {id}: there are {}", known(neurons)),
                })
            };
            ids.iter().map(place).collect()
        };
        let (active, mut silent) = (find("--active", &self.active)?, find("--silent", &self.silent)?);
        let missing = find("--missing", &self.missing)?;
        let named_twice = missing.iter().find(|place| active.contains(place) || silent.contains(place));
        if let Some(&place) = named_twice {
            let problem = format!("neuron {} is named as observed as well", neurons[place as usize].id);
            return Err(CliError::Argument { argument: "--missing", problem });
        }
        if let Some(&place) = active.iter().find(|place| silent.contains(place)) {
            let problem = format!("neuron {} is named under --active as well", neurons[place as usize].id);
            return Err(CliError::Argument { argument: "--silent", problem });
        }
        if !missing.is_empty() {
            let all = 0..neurons.len() as u32;
            silent.extend(all.filter(|place| !missing.contains(place) && !active.contains(place)));
        }
        Ok(Observation::new(neurons.len(), &active, &silent)?)
    }
}

/// The identifiers there are, in short.
fn known(neurons: &[Neuron]) -> String {
    const SHOWN: usize = 12;
    let ids: Vec<String> = neurons.iter().take(SHOWN).map(|neuron| neuron.id.to_string()).collect();
    let more = if neurons.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", ids.join(", "))
}

/// One missing neuron.
struct Row {
    id: i64,
    active: Option<bool>,
    probability: Option<f64>,
    monte_carlo_error: f64,
    rate: f64,
    status: &'static str,
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "neuron_id": self.id,
            "active": self.active,
            "probability": self.probability,
            "monte_carlo_error": self.monte_carlo_error,
            "rate": self.rate,
            "status": self.status,
        })
    }
}

fn missing_table(rows: &[Row]) -> comfy_table::Table {
    let mut table = output::table(&[
        ("neuron", Align::Right),
        ("most likely", Align::Left),
        ("P(spike)", Align::Right),
        ("±", Align::Right),
        ("by rate", Align::Right),
        ("status", Align::Left),
    ]);
    for row in rows {
        table.add_row([
            row.id.to_string(),
            match row.active {
                Some(true) => "active".to_owned(),
                Some(false) => "silent".to_owned(),
                None => "not known".to_owned(),
            },
            row.probability.map_or_else(|| "-".to_owned(), text::probability),
            if row.monte_carlo_error > 0.0 {
                text::probability(row.monte_carlo_error)
            } else {
                String::new()
            },
            text::probability(row.rate),
            row.status.to_owned(),
        ]);
    }
    table
}

fn score_table(score: &ReconstructionScore) -> comfy_table::Table {
    let mut table = output::table(&[
        ("hidden", Align::Left),
        ("values", Align::Right),
        ("found", Align::Right),
        ("by rates", Align::Right),
    ]);
    let row = |name: &str, values: u64, found: u64, by_rates: u64| {
        [
            name.to_owned(),
            text::count(values),
            compare_equilibrium::share(found, values),
            compare_equilibrium::share(by_rates, values),
        ]
    };
    let silent = score.values - score.active;
    let (found, by_rates) = (
        score.recovered - score.active_recovered,
        score.recovered_by_rates - score.active_recovered_by_rates,
    );
    table.add_row(row("spikes", score.active, score.active_recovered, score.active_recovered_by_rates));
    table.add_row(row("silences", silent, found, by_rates));
    table.add_row(row("all", score.values, score.recovered, score.recovered_by_rates));
    table
}
