//! `glauber reconstruct`: what did the neurons do that were not observed?

mod observation;
mod tables;

use std::path::PathBuf;

use clap::Args;
use glauber::equilibrium::{
    FitOptions, Observation, Rates, ReconstructOptions, ReconstructionScoreOptions, Samples, fit,
    reconstruct, reconstruction_score,
};
use glauber::ingest::BinnedRecording;
use glauber::model::{BinWidth, EquilibriumMethod, EquilibriumModel, Neuron, Runs, Window};
use glauber::proto::v1;
use glauber::session::ComparisonError;
use observation::ObservationArgs;
use serde_json::{Value, json};
use tables::{Row, missing_table, score_table};

use crate::cli::client::{self, ConnectArgs, Daemon};
use crate::cli::equilibrium::{self, models};
use crate::cli::error::CliError;
use crate::cli::output::{self, outln};
use crate::cli::reading::ReadingArgs;
use crate::cli::recordings::{self, RecordingArgs, Sizes};
use crate::cli::{Manner, fit as fit_command, text};

/// Fill in the neurons of a bin that were not observed, by an equilibrium model
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Without FILE: asks a session of the daemon what the neurons did that the observation leaves open, by the equilibrium model fitted last.

With FILE alone: fits a model to the first part of the recording, hides neurons in bins of the rest, and tells how well the model finds them from the others of the bin, next to the best guess from rates.

With FILE and an observation: fits the model to the whole recording and tells what the neurons did that the observation leaves open. Neurons are named by their identifiers. What is in none of the lists is missing; with --missing, what is in none is silent.

Examples:
  glauber reconstruct --active 4,17 --silent 2,3
  glauber reconstruct session.nwb --bin-width 20ms --top 60
  glauber reconstruct session.nwb --bin-width 20ms --method erasure-machine --hide 0.5
  glauber reconstruct session.nwb --bin-width 20ms --active 4,17 --silent 2,3
  glauber reconstruct session.nwb --bin-width 20ms --active 4,17 --missing 9,12")]
pub(crate) struct ReconstructArgs {
    /// Recording: NWB or another HDF5 layout, recognised from its content
    #[arg(value_name = "FILE", requires = "bin_width", conflicts_with_all = ["session", "window"])]
    file: Option<PathBuf>,
    /// Width of a bin, 0.1ms to 1s
    #[arg(long, value_name = "WIDTH", requires = "file")]
    bin_width: Option<BinWidth>,
    /// Keep only the N most active units
    #[arg(long, value_name = "N", value_parser = recordings::parse_top, requires = "file")]
    top: Option<usize>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Id or name of the session, or a prefix that fits only one [default: the only or most recent one]
    #[arg(long, value_name = "SESSION", value_parser = crate::cli::values::parse_session)]
    session: Option<String>,
    /// Equilibrium method, such as erasure-machine; of a session one of its own, or 'best' for the one with the best score [default:
    /// pseudo-likelihood; the session's first]
    #[arg(long, value_name = "NAME", value_parser = equilibrium::parse_method)]
    method: Option<v1::EquilibriumMethod>,
    /// Window of the session: 'all' or a duration such as 10min [default: the session's first; with 'best', the one with the best score]
    #[arg(long, value_name = "WINDOW")]
    window: Option<Window>,
    #[command(flatten)]
    observation: ObservationArgs,
    /// Share of the recording to fit to when scoring, between 0 and 1 [default: 0.7]
    #[arg(
        long,
        value_name = "SHARE",
        conflicts_with = "observation",
        requires = "file",
        allow_negative_numbers = true
    )]
    train: Option<f64>,
    /// Share of the neurons to hide in each bin when scoring, above 0, at most 1 [default: 0.2]
    #[arg(
        long,
        value_name = "SHARE",
        conflicts_with = "observation",
        requires = "file",
        allow_negative_numbers = true
    )]
    hide: Option<f64>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    reading: ReadingArgs,
}

const TRAIN_SHARE: f64 = 0.7;
const HIDDEN_SHARE: f64 = 0.2;

pub(crate) fn run(args: &ReconstructArgs, manner: Manner) -> Result<(), CliError> {
    match (&args.file, args.bin_width) {
        (Some(file), Some(bin_width)) => {
            let recording =
                RecordingArgs { file: file.clone(), bin_width, top: args.top, reading: args.reading.clone() };
            offline(args, &recording, manner)
        }
        _ => crate::cli::block_on(ask(args, manner)),
    }
}

/// Ask a daemon.
async fn ask(args: &ReconstructArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.connect).await?;
    let session_id = daemon.select(args.session.as_deref()).await?.session_id;
    let session = daemon.session(&session_id).await?;
    let wire = session.spec.as_ref().map_or(&[][..], |spec| &spec.neurons);
    let neurons: Vec<Neuron> = wire.iter().map(|n| Neuron { id: n.id, label: n.label.clone() }).collect();
    let (active, silent) = args.observation.places(&neurons)?;
    let request = v1::ReconstructRequest {
        session_id,
        method: args.method.map_or(0, i32::from),
        window: args.window.map_or_else(String::new, |window| window.to_string()),
        active,
        silent,
        seed: Some(args.seed),
    };
    let response = daemon.inference().reconstruct(request).await;
    let told = response.map_err(daemon.failure("reconstructing"))?.into_inner();
    let identity = told.identity.clone().unwrap_or_default();
    let rows: Vec<Row> = told.neurons.iter().map(row_told).collect();
    if manner.json {
        return output::json(&json!({
            "session_id": identity.session_id,
            "method": equilibrium::method_name(identity.method),
            "window": identity.window,
            "first_bin": identity.first_bin,
            "end_bin": identity.end_bin,
            "publication": identity.publication,
            "exact": told.exact,
            "missing": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        }));
    }
    output::print_facts(&[
        ("session", identity.session_id.clone()),
        (
            "model",
            format!(
                "{}, window {}, fitted to bins {} to {}",
                equilibrium::method_name(identity.method),
                identity.window,
                text::count(identity.first_bin),
                text::count(identity.end_bin.saturating_sub(1)),
            ),
        ),
        ("found", exactness(told.exact).to_owned()),
    ])?;
    report_missing(&rows)
}

/// What the daemon says of a missing neuron.
fn row_told(told: &v1::ReconstructedNeuron) -> Row {
    Row {
        id: told.neuron_id,
        active: told.active,
        probability: told.probability,
        monte_carlo_error: told.probability_error.unwrap_or(0.0),
        rate: None,
        status: client::status_name(told.status),
    }
}

fn exactness(exact: bool) -> &'static str {
    if exact { "exactly" } else { "by search and Monte Carlo" }
}

fn report_missing(rows: &[Row]) -> Result<(), CliError> {
    outln!("")?;
    if rows.is_empty() {
        return outln!("every neuron was observed: nothing is missing");
    }
    output::print_table(&missing_table(rows))
}

fn offline(args: &ReconstructArgs, recording: &RecordingArgs, manner: Manner) -> Result<(), CliError> {
    let method = match args.method {
        None => EquilibriumMethod::PseudoLikelihood,
        Some(v1::EquilibriumMethod::Best) => {
            let problem = "'best' is of a session's scores: name a method for a recording, see `glauber compare --equilibrium`";
            return Err(CliError::Argument { argument: "--method", problem: problem.to_owned() });
        }
        Some(wire) => equilibrium::method_of(wire).unwrap_or(EquilibriumMethod::PseudoLikelihood),
    };
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
    let recording = recordings::load(recording, manner)?;
    let job = Job { args, method, recording: &recording, manner };
    if args.observation.is_empty() { job.score(train, hidden) } else { job.fill_in() }
}

struct Job<'a> {
    args: &'a ReconstructArgs,
    method: EquilibriumMethod,
    recording: &'a BinnedRecording,
    manner: Manner,
}

impl Job<'_> {
    fn model(&self, runs: &Runs) -> Result<EquilibriumModel, CliError> {
        let spinner = crate::cli::progress::spinner("fitting the model", self.manner);
        let options = FitOptions { threads: fit_command::threads(), seed: self.args.seed };
        let model = fit(&Samples::of(runs), self.method, &options);
        spinner.finish_and_clear();
        Ok(model?)
    }

    /// Hide neurons of bins the model has not seen, and find them again.
    fn score(&self, train: f64, hidden: f64) -> Result<(), CliError> {
        let split = (self.recording.n_bins as f64 * train) as u64;
        let (first, rest) =
            (self.recording.runs(0..split), self.recording.runs(split..self.recording.n_bins));
        if first.n_bins() == 0 || rest.n_bins() == 0 {
            let (train, held_out) = (first.n_bins(), rest.n_bins());
            return Err(ComparisonError::NoBins { train, held_out }.into());
        }
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
                "score": models::reconstruction_json(&score),
            }));
        }
        let mut facts = Sizes::of(self.recording).facts();
        facts.push(("model", self.model_text(&model)));
        facts.push((
            "fitted",
            format!("the first {} of {} bins", text::count(split), text::count(self.recording.n_bins)),
        ));
        facts.push((
            "scored",
            format!(
                "{} of the other {}, {:.0} % of the neurons hidden in each, found {}",
                text::counted(score.bins, "bin"),
                text::count(rest.n_bins()),
                100.0 * hidden,
                exactness(score.exact),
            ),
        ));
        facts.push((
            "gained",
            format!("{} bits per hidden spike over independent rates", models::hidden_bits(&score)),
        ));
        output::print_facts(&facts)?;
        outln!("")?;
        output::print_table(&score_table(&score))
    }

    /// Fill in one bin.
    fn fill_in(&self) -> Result<(), CliError> {
        let neurons = &self.recording.neurons;
        let (active, silent) = self.args.observation.places(neurons)?;
        let observation = Observation::new(neurons.len(), &active, &silent)?;
        let runs = self.recording.runs(0..self.recording.n_bins);
        let model = self.model(&runs)?;
        let options = ReconstructOptions { seed: self.args.seed, ..ReconstructOptions::default() };
        let found = reconstruct(&model, observation.values(), &options)?;
        let rates = Rates::of(&runs);
        let rows = found.missing.iter().map(|missing| Row {
            id: neurons[missing.neuron].id,
            active: missing.guess.map(|guess| guess.active),
            probability: missing.guess.map(|guess| guess.probability),
            monte_carlo_error: missing.guess.map_or(0.0, |guess| guess.monte_carlo_error),
            rate: Some(rates.log_probability(missing.neuron, true).exp()),
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
        facts.push(("found", exactness(found.exact).to_owned()));
        output::print_facts(&facts)?;
        report_missing(&rows)
    }

    fn model_text(&self, model: &EquilibriumModel) -> String {
        let found = models::found(&model.diagnostics);
        let statuses = crate::cli::pairs::status_line(&models::statuses(model));
        let found = if found.is_empty() { String::new() } else { format!(", {found}") };
        format!("{}{found}; neurons: {statuses}", model.method)
    }

    fn model_json(&self, model: &EquilibriumModel) -> Value {
        json!({
            "method": model.method.as_str(),
            "found": models::found(&model.diagnostics),
            "status_counts": models::statuses(model),
        })
    }
}
