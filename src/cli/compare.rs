//! `glauber compare`: which estimator predicts the end of a recording best, fitted to its beginning?

use std::time::{Duration, Instant};

use clap::Args;
use glauber::daemon::DaemonConfig;
use glauber::ingest::BinnedRecording;
use glauber::model::{
    EquilibriumMethod, Estimator, EstimatorInput, Lags, Neuron, Ridges, SessionMetadata, Significance, Window,
};
use glauber::session::{Compared, Comparison, EquilibriumSpec, Recorded, SessionSpec};
use serde_json::{Value, json};

use super::error::CliError;
use super::output::{self, Align, outln};
use super::recordings::{self, RecordingArgs, Sizes};
use super::{Manner, equilibrium, fit, pairs, progress, text, values};

/// Find out which estimator predicts a recording best
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Fits every estimator to the first part of the recording and scores it on the rest, which it has not seen: bits per spike gained over independent rates, (spikes + 1/2) / (bins + 1) of the first part. Below 0 a model predicts worse than the rates alone. Models are frozen at the end of the first part, the online estimator too; with --prequential they also go on to learn.

The ridge is chosen inside the first part, as fit does it: estimates at checkpoints are scored on what follows them. What the best ridge would have scored is hindsight: it was chosen on what it is scored on.

With --equilibrium, models P(s) ~ exp(Σ h_i s_i + Σ J_ij s_i s_j) of the configurations of single bins are compared instead: by how each neuron follows from all others in the same bin, by the correlations of configurations drawn from the model, and by how hidden neurons are recovered.

Examples:
  glauber compare session.nwb --bin-width 20ms
  glauber compare session.nwb --bin-width 20ms --top 40 --estimator nmf,exact --ridge 0.1,0.3,1
  glauber compare session.nwb --bin-width 20ms --from 5min --duration 20min --train 0.8 --prequential
  glauber compare session.nwb --bin-width 20ms --top 60 --equilibrium --method erasure-machine,pseudo-likelihood")]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) recording: RecordingArgs,
    /// Share of the recording to fit to, between 0 and 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.7, allow_negative_numbers = true)]
    pub(crate) train: f64,
    /// Leave out the beginning of the recording, such as 5min
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    from: Option<Duration>,
    /// Only so much of the recording, such as 20min
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    duration: Option<Duration>,
    /// Estimators, several with commas or by repeating [default: all; trial-* if the recording has trials]
    #[arg(long = "estimator", alias = "estimators", value_name = "NAME", value_delimiter = ',')]
    estimators: Vec<Estimator>,
    /// Ridge λ, dimensionless: a number, numbers to choose from, such as 0,0.1,1, or auto [default: auto]
    #[arg(long, value_name = "LAMBDA", allow_negative_numbers = true)]
    ridge: Option<Ridges>,
    /// Score as well what goes on to learn in the held-out part: estimated anew at 16 steps of it, or following it
    #[arg(long)]
    prequential: bool,
    /// Compare equilibrium models of the configurations of bins instead: who fires with whom
    #[arg(long, conflicts_with_all = ["estimators", "ridge", "prequential"])]
    pub(crate) equilibrium: bool,
    /// Equilibrium methods: erasure-machine, hopfield, nmf, tap, pseudo-likelihood, maximum-likelihood (20 neurons at most),
    /// boltzmann, many-states, many-states-tap; several with commas or by repeating [default: all]
    #[arg(
        long = "method",
        alias = "methods",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "equilibrium"
    )]
    pub(crate) methods: Vec<EquilibriumMethod>,
    /// Seed of the equilibrium methods and checks that draw random numbers
    #[arg(long, default_value_t = 1, requires = "equilibrium")]
    pub(crate) seed: u64,
}

pub(crate) fn run(args: &CompareArgs, manner: Manner) -> Result<(), CliError> {
    recordings::check_estimators(&args.estimators)?;
    if !(args.train > 0.0 && args.train < 1.0) {
        let problem = format!("'{}' is not a share: expected a number between 0 and 1", args.train);
        return Err(CliError::Argument { argument: "--train", problem });
    }
    if args.equilibrium {
        return equilibrium::compare::run(args, manner);
    }
    let recording = recordings::load(&args.recording, manner)?;
    let recorded = recorded(args, &recording)?;
    let spec = spec(args, &recording, &recorded);
    spec.check()?;
    let comparison = Comparison::new(&spec, &recorded, args.train, fit::threads())?;
    let results = results(args, &spec, &comparison, manner);
    let outcome = Outcome { recording: &recording, spec: &spec, comparison: &comparison, results };
    if manner.json { output::json(&outcome.to_json(args)) } else { outcome.report() }
}

/// The part of the recording that is asked for.
pub(crate) fn recorded(args: &CompareArgs, recording: &BinnedRecording) -> Result<Recorded, CliError> {
    let bins = |span: Duration| recording.bin_width.bins_covering(span);
    let start = args.from.map_or(0, bins);
    if start >= recording.n_bins {
        let length = text::seconds(recording.seconds());
        let problem = format!("nothing is left: the recording ends after {length}");
        return Err(CliError::Argument { argument: "--from", problem });
    }
    let end = args.duration.map_or(recording.n_bins, |span| recording.n_bins.min(start + bins(span)));
    Ok(Recorded {
        window: Window::All,
        bins: start..end,
        runs: recording.runs(start..end),
        trials: fit::trials_in(recording, &(start..end)),
    })
}

fn spec(args: &CompareArgs, recording: &BinnedRecording, recorded: &Recorded) -> SessionSpec {
    let default =
        |estimator: &Estimator| estimator.input() != EstimatorInput::Trials || recorded.trials.len() > 1;
    let defaults = DaemonConfig::default().defaults;
    let bins = |span: Duration| recording.bin_width.bins_covering(span);
    SessionSpec {
        name: recordings::stem(&args.recording.file),
        neurons: recording.neurons.clone(),
        bin_width: recording.bin_width,
        origin_ns: recording.origin_ns,
        windows: vec![Window::All],
        lags: Lags::default(),
        estimators: if args.estimators.is_empty() {
            Estimator::ALL.into_iter().filter(default).collect()
        } else {
            args.estimators.clone()
        },
        ridges: args.ridge.clone().unwrap_or_else(fit::default_ridges),
        refresh_interval_bins: bins(Duration::from_millis(defaults.refresh_interval_ms)),
        refit_interval_bins: bins(Duration::from_millis(defaults.refit_interval_ms)),
        refit_bins_max: SessionSpec::REFIT_BINS_MAX,
        score_memory_bins: bins(Duration::from_secs(defaults.score_memory_s)),
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
    }
}

/// One estimator and the time it took.
struct Timed {
    compared: Compared,
    time: Duration,
}

fn results(
    args: &CompareArgs,
    spec: &SessionSpec,
    comparison: &Comparison<'_>,
    manner: Manner,
) -> Vec<Timed> {
    /// Positions of the bar for each estimator.
    const POSITIONS: u64 = 100;
    let bar = progress::steps(spec.estimators.len() as u64 * POSITIONS, manner);
    bar.set_prefix("compare");
    let mut results = Vec::new();
    for (place, &estimator) in spec.estimators.iter().enumerate() {
        let done = place as u64 * POSITIONS;
        bar.set_message(estimator.as_str());
        bar.set_position(done);
        let started = Instant::now();
        let mut on_progress = |share: f64| bar.set_position(done + (share * POSITIONS as f64) as u64);
        let Some(mut compared) = comparison.run(estimator, &mut on_progress) else { continue };
        if args.prequential {
            compared.prequential = comparison.prequential(estimator, compared.estimate.ridge);
        }
        results.push(Timed { compared, time: started.elapsed() });
    }
    bar.finish_and_clear();
    results
}

/// Bits per spike of an estimator that goes on to learn.
fn learning_on(compared: &Compared) -> Option<f64> {
    compared.prequential.as_ref().and_then(|prequential| prequential.score.bits_per_spike())
}

/// All there is to report.
struct Outcome<'a> {
    recording: &'a BinnedRecording,
    spec: &'a SessionSpec,
    comparison: &'a Comparison<'a>,
    results: Vec<Timed>,
}

impl Outcome<'_> {
    /// Place of the estimator that predicts best.
    fn best(&self) -> Option<usize> {
        let scored = self.results.iter().enumerate();
        let scored = scored.filter_map(|(k, timed)| Some((k, timed.compared.score.bits_per_spike()?)));
        scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(k, _)| k)
    }

    fn report(&self) -> Result<(), CliError> {
        output::print_facts(&self.facts())?;
        outln!("")?;
        output::print_table(&self.prediction_table())?;
        outln!("")?;
        self.explain()?;
        outln!("")?;
        output::print_table(&self.estimate_table())?;
        for Timed { compared, .. } in &self.results {
            let estimate = &compared.estimate;
            if estimate.n_ok() < estimate.n_neurons() {
                outln!("{} rows: {}", estimate.estimator, pairs::status_line(&fit::statuses(estimate)))?;
            }
        }
        Ok(())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let width = self.recording.bin_width.seconds();
        let part = |bins: std::ops::Range<u64>, transitions: u64| {
            let length = text::seconds((bins.end - bins.start) as f64 * width);
            let (first, last) = (text::count(bins.start), text::count(bins.end - 1));
            format!("{length}, bins {first} to {last}, {} transitions", text::count(transitions))
        };
        let mut facts = Sizes::of(self.recording).facts();
        let trained = self.comparison.counts().lags[0].transitions;
        facts.push(("fitted", part(self.comparison.train_bins(), trained)));
        let held_out = self.comparison.held_out_transitions();
        facts.push(("scored", part(self.comparison.held_out_bins(), held_out)));
        facts.push(("ridges", self.spec.ridges.to_string()));
        facts
    }

    fn prediction_table(&self) -> comfy_table::Table {
        let prequential = self.results.iter().any(|timed| timed.compared.prequential.is_some());
        let mut columns =
            vec![("estimator", Align::Left), ("ridge", Align::Right), ("bits/spike", Align::Right)];
        columns.extend(prequential.then_some(("learning on", Align::Right)));
        columns.extend([("in hindsight", Align::Right), ("ridge", Align::Right)]);
        let mut table = output::table(&columns);
        let best = self.best();
        for (place, Timed { compared, .. }) in self.results.iter().enumerate() {
            let hindsight = compared.best_in_hindsight();
            let mut cells = vec![
                compared.estimate.estimator.to_string(),
                compared.estimate.ridge.to_string(),
                fit::marked(best == Some(place), compared.score.bits_per_spike()),
            ];
            let learning = learning_on(compared);
            cells.extend(prequential.then(|| text::bits(learning)));
            cells.push(text::bits(hindsight.and_then(|point| point.held_out)));
            cells.push(hindsight.map_or_else(String::new, |point| point.ridge.to_string()));
            table.add_row(cells);
        }
        table
    }

    /// What the columns mean, and what is odd about them.
    fn explain(&self) -> Result<(), CliError> {
        if let Some(best) = self.best().map(|place| &self.results[place].compared) {
            let estimate = &best.estimate;
            outln!(
                "* best: {}, with the ridge {} chosen in the first part.",
                estimate.estimator,
                estimate.ridge
            )?;
        }
        outln!("bits/spike: gained on the held-out part over independent rates.")?;
        let rates = self.results.iter().filter_map(|timed| timed.compared.prequential.as_ref());
        if let Some(rates) = rates.map(|prequential| &prequential.rates).next() {
            outln!(
                "learning on: the same, estimated anew at {} steps; online follows. Rates",
                Comparison::STEPS
            )?;
            outln!("  alone that learn on gain {}.", text::bits(rates.bits_per_spike()))?;
        }
        outln!("in hindsight: the best of all ridges, chosen on what it is scored on.")?;
        let below = |timed: &&Timed| timed.compared.score.bits_per_spike().is_some_and(|bits| bits < 0.0);
        let below: Vec<_> = self.results.iter().filter(below).collect();
        if !below.is_empty() {
            outln!("Below 0: predicts worse than the rates alone; do not trust its couplings.")?;
        }
        Ok(())
    }

    fn estimate_table(&self) -> comfy_table::Table {
        let mut table = output::table(&[
            ("estimator", Align::Left),
            ("rms J", Align::Right),
            ("q < 0.05", Align::Right),
            ("of", Align::Right),
            ("rows OK", Align::Right),
            ("passes", Align::Right),
            ("time", Align::Right),
        ]);
        for Timed { compared, time } in &self.results {
            let estimate = &compared.estimate;
            let significance = Significance::of(estimate);
            table.add_row([
                estimate.estimator.to_string(),
                format!("{:.4}", pairs::rms_coupling(estimate)),
                text::count(significance.n_significant(fit::FALSE_DISCOVERY_RATE) as u64),
                text::count(fit::tested_pairs(estimate)),
                fit::rows_ok(estimate),
                fit::iterations(estimate).map_or_else(|| "-".to_owned(), |k| text::count(k.into())),
                text::short_seconds(time.as_secs_f64()),
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
            "train_transitions": self.comparison.counts().lags[0].transitions,
            "held_out_bins": [held_out.start, held_out.end],
            "held_out_transitions": self.comparison.held_out_transitions(),
            "ridges": self.spec.ridges.as_slice(),
            "best": self.best().map(|place| self.results[place].compared.estimate.estimator.as_str()),
            "estimators": self.results.iter().map(|timed| self.result_json(timed)).collect::<Vec<_>>(),
        })
    }

    fn result_json(&self, Timed { compared, time }: &Timed) -> Value {
        let estimate = &compared.estimate;
        let path = compared.path.iter().map(|point| {
            json!({
                "ridge": point.ridge,
                "chosen_by_bits_per_spike": point.chosen_by,
                "held_out_bits_per_spike": point.held_out,
            })
        });
        let hindsight = compared.best_in_hindsight();
        let rates = compared.prequential.as_ref().map(|prequential| &prequential.rates);
        json!({
            "estimator": estimate.estimator.as_str(),
            "ridge": estimate.ridge,
            "bits_per_spike": compared.score.bits_per_spike(),
            "hindsight": {
                "ridge": hindsight.map(|point| point.ridge),
                "bits_per_spike": hindsight.and_then(|point| point.held_out),
            },
            "prequential_bits_per_spike": learning_on(compared),
            "prequential_rates_bits_per_spike": rates.and_then(|rates| rates.bits_per_spike()),
            "path": path.collect::<Vec<_>>(),
            "neurons": self.neurons_json(compared),
            "rms_coupling": pairs::rms_coupling(estimate),
            "significant_pairs": Significance::of(estimate).n_significant(fit::FALSE_DISCOVERY_RATE),
            "tested_pairs": fit::tested_pairs(estimate),
            "rows_ok": estimate.n_ok(),
            "status_counts": fit::statuses(estimate),
            "iterations_max": fit::iterations(estimate),
            "seconds": time.as_secs_f64(),
        })
    }

    fn neurons_json(&self, compared: &Compared) -> Vec<Value> {
        let prequential =
            |i: usize| compared.prequential.as_ref().and_then(|p| p.score.neuron_bits_per_spike(i));
        let neurons = self.spec.neurons.iter().enumerate();
        let json = |(i, neuron): (usize, &Neuron)| {
            json!({
                "id": neuron.id,
                "status": compared.estimate.status[i].as_str(),
                "spikes": compared.score.spikes[i],
                "bits_per_spike": compared.score.neuron_bits_per_spike(i),
                "prequential_bits_per_spike": prequential(i),
            })
        };
        neurons.map(json).collect()
    }
}
