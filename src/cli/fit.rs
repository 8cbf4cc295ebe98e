//! `glauber fit`: couplings of a recording without a daemon, by the same core.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use glauber::archive::{self, Provenance};
use glauber::daemon::DaemonConfig;
use glauber::ingest::BinnedRecording;
use glauber::model::{
    EquilibriumMethod, Estimate, Estimator, Lags, Ridges, RowStatus, SessionMetadata, Significance, Trial,
    TrialMark, Window,
};
use glauber::recording::Overwrite;
use glauber::session::{
    EquilibriumSpec, Marks, Offline, Recorded, ScoredEquilibrium, ScoredEstimate, Session, SessionSpec,
    Snapshot, offline_equilibrium,
};
use serde_json::{Value, json};

use super::equilibrium::models;
use super::error::CliError;
use super::output::{self, Align, outln};
use super::recordings::{self, EstimationArgs, RecordingArgs, Sizes};
use super::{Manner, equilibrium, pairs, progress, stream, text};

/// Bins between two movements of the progress bar.
const BATCH_BINS: u64 = 2048;

/// Estimate the couplings of a recording, without a daemon
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With a fixed ridge, gives exactly what a daemon with the same settings has after a replay of the recording, bit for bit. Scores, ridges chosen by them and the online estimator depend on when estimates are made: here at 1/2, 5/8, 3/4 and 7/8 of the recording, and in 256 steps.

Examples:
  glauber fit session.nwb --bin-width 20ms --out fit.h5
  glauber fit session.nwb --bin-width 5ms --top 50 --estimator tap --ridge 0.01 --out fit.h5 --force
  glauber fit session.nwb --bin-width 20ms --window 10min --lags 1,2,5 --out last10min.h5")]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) recording: RecordingArgs,
    /// Over 'all' of the recording or its end, such as 10min
    #[arg(long, value_name = "WINDOW", default_value = "all")]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) estimation: EstimationArgs,
    /// Equilibrium models of single bins to fit as well: erasure-machine, hopfield, nmf, tap, pseudo-likelihood, maximum-likelihood,
    /// boltzmann, many-states, many-states-tap; several with commas
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    pub(crate) equilibrium: Vec<EquilibriumMethod>,
    /// Most bins an equilibrium model is fitted to, the newest ones; 64 or more [default: 32768, that of the daemon]
    #[arg(long, value_name = "BINS", requires = "equilibrium", value_parser = clap::value_parser!(u64).range(64..=SessionSpec::REFIT_BINS_MAX))]
    pub(crate) equilibrium_bins: Option<u64>,
    /// Seed of the equilibrium methods and checks that draw random numbers
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Snapshot file to write (HDF5)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

pub(crate) fn run(args: &FitArgs, manner: Manner) -> Result<(), CliError> {
    args.estimation.check()?;
    equilibrium::check_methods(&args.equilibrium, "--equilibrium")?;
    check_output(&args.out, args.force)?;
    let recording = recordings::load(&args.recording, manner)?;
    let Fitted { snapshot, session, times } = fitted(args, &recording, manner)?;

    let (gap_count, gap_bins) = session.gaps();
    let provenance = Provenance {
        session_id: "fit".to_owned(),
        source: args.recording.file.display().to_string(),
        created: SystemTime::now(),
        gap_count,
        gap_bins,
    };
    archive::write_snapshot(&args.out, &snapshot, &provenance, overwrite(args.force))?;
    if manner.json {
        return output::json(&to_json(args, &snapshot, Sizes::of(&recording), times));
    }
    report(args, &snapshot, Sizes::of(&recording), times)
}

/// What was fitted to a recording.
pub(crate) struct Fitted {
    pub(crate) snapshot: Snapshot,
    session: Session,
    times: Times,
}

/// Count a recording, estimate what is asked for, and write nothing.
pub(crate) fn fitted(
    args: &FitArgs,
    recording: &BinnedRecording,
    manner: Manner,
) -> Result<Fitted, CliError> {
    let mut session = Session::new(spec(args, recording)?)?;
    session.set_threads(threads());

    let started = Instant::now();
    count(&mut session, recording, manner)?;
    let counting = started.elapsed();

    let started = Instant::now();
    let recorded = recorded(args, recording, &mut session);
    let (mut snapshot, scoring) = estimate(&session, &recorded, manner);
    let estimating = started.elapsed() - scoring;

    let started = Instant::now();
    snapshot.equilibrium = equilibrium_models(&session, &recorded, manner);
    let equilibrium = started.elapsed();
    Ok(Fitted { snapshot, session, times: Times { counting, scoring, estimating, equilibrium } })
}

/// Refuse an output that cannot be written before minutes of work are spent on it.
pub(crate) fn check_output(path: &Path, force: bool) -> Result<(), CliError> {
    if !force && path.exists() {
        return Err(CliError::OutputExists { path: path.to_owned() });
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => {
            let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            Err(CliError::Io { doing: "writing to", path: directory.to_owned(), source })
        }
        Err(source) => Err(CliError::Io { doing: "writing to", path: directory.to_owned(), source }),
    }
}

pub(crate) fn overwrite(force: bool) -> Overwrite {
    if force { Overwrite::Replace } else { Overwrite::Refuse }
}

fn spec(args: &FitArgs, recording: &BinnedRecording) -> Result<SessionSpec, CliError> {
    let estimators = if args.estimation.estimators.is_empty() {
        default_estimators()
    } else {
        args.estimation.estimators.clone()
    };
    let defaults = DaemonConfig::default().defaults;
    Ok(SessionSpec {
        name: recordings::stem(&args.recording.file),
        neurons: recording.neurons.clone(),
        bin_width: recording.bin_width,
        origin_ns: recording.origin_ns,
        windows: vec![args.window],
        lags: Lags::new(&args.estimation.lags)?,
        estimators,
        ridges: match &args.estimation.ridge {
            Some(ridges) => ridges.clone(),
            None => default_ridges(),
        },
        // Nobody looks before the end, but the specification is what a daemon's would be.
        refresh_interval_bins: recording
            .bin_width
            .bins_covering(Duration::from_millis(defaults.refresh_interval_ms)),
        refit_interval_bins: recording
            .bin_width
            .bins_covering(Duration::from_millis(defaults.refit_interval_ms)),
        // The recording is in memory anyway.
        refit_bins_max: SessionSpec::REFIT_BINS_MAX,
        score_memory_bins: recording.bin_width.bins_covering(Duration::from_secs(defaults.score_memory_s)),
        equilibrium: EquilibriumSpec {
            methods: args.equilibrium.clone(),
            interval_bins: recording
                .bin_width
                .bins_covering(Duration::from_millis(defaults.equilibrium_interval_ms)),
            bins_max: args.equilibrium_bins.unwrap_or(defaults.equilibrium_bins_max),
            seed: args.seed,
        },
        metadata: SessionMetadata::default(),
    })
}

/// Estimate, and tell how long the estimates took that were made only to be scored.
fn estimate(session: &Session, recorded: &Recorded, manner: Manner) -> (Snapshot, Duration) {
    let bar = progress::bins(recorded.bins.end - recorded.bins.start, manner);
    bar.set_prefix("estimate");
    let started = Instant::now();
    let mut scoring = Duration::ZERO;
    let snapshot = Offline::new(session.spec(), recorded, threads()).run(&mut |bin| {
        scoring = started.elapsed();
        bar.set_position(bin - recorded.bins.start);
    });
    bar.finish_and_clear();
    (snapshot, scoring)
}

/// The equilibrium models that are asked for.
fn equilibrium_models(session: &Session, recorded: &Recorded, manner: Manner) -> Vec<Arc<ScoredEquilibrium>> {
    let methods = session.spec().equilibrium.methods.len() as u64;
    let bar = progress::steps(2 * methods, manner);
    bar.set_prefix("equilibrium");
    let models = offline_equilibrium(session.spec(), recorded, threads(), &mut || bar.inc(1));
    bar.finish_and_clear();
    models
}

/// The ridges a daemon chooses from when nobody says otherwise.
pub(crate) fn default_ridges() -> Ridges {
    DaemonConfig::default().defaults.ridge.parse().unwrap_or_else(|_| Ridges::auto())
}

/// Threads for refits: all there are.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The window of the recording that is estimated.
fn recorded(args: &FitArgs, recording: &BinnedRecording, session: &mut Session) -> Recorded {
    let window = session.window_counts(0);
    let bins = window.first_bin..window.end_bin;
    Recorded {
        window: args.window,
        runs: recording.runs(bins.clone()),
        trials: trials_in(recording, &bins),
        bins,
    }
}

/// The trials wholly inside `bins`.
pub(crate) fn trials_in(recording: &BinnedRecording, bins: &std::ops::Range<u64>) -> Vec<Trial> {
    let inside = |trial: &&Trial| trial.start_bin >= bins.start && trial.stop_bin <= bins.end;
    recording.trials.iter().filter(inside).copied().collect()
}

/// The estimators a daemon runs when nobody says otherwise.
fn default_estimators() -> Vec<Estimator> {
    let names = DaemonConfig::default().defaults.estimators;
    Estimator::ALL
        .into_iter()
        .filter(|estimator| names.iter().any(|name| name == estimator.as_str()))
        .collect()
}

fn count(session: &mut Session, recording: &BinnedRecording, manner: Manner) -> Result<(), CliError> {
    let bar = progress::bins(recording.n_bins, manner);
    bar.set_prefix("fit");
    for batch in stream::batches(recording, 0, recording.n_bins, BATCH_BINS) {
        let trials: Vec<TrialMark> = batch.trials.iter().copied().map(TrialMark::from).collect();
        let marks = Marks { trial_edges: &batch.trial_edges, trials: &trials };
        session.push_with_marks(&batch.block, marks, &mut |_| ())?;
        bar.set_position(batch.block.end_bin());
    }
    bar.finish_and_clear();
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Times {
    counting: Duration,
    /// Of estimates that were made only to be scored on what follows them.
    scoring: Duration,
    /// Of those that are kept.
    estimating: Duration,
    /// Of equilibrium models, to be scored and to be kept.
    equilibrium: Duration,
}

fn report(args: &FitArgs, snapshot: &Snapshot, sizes: Sizes, times: Times) -> Result<(), CliError> {
    let mut facts = sizes.facts();
    facts.extend(snapshot_facts(snapshot));
    facts.push((
        "time",
        format!(
            "{} counting, {} scoring and choosing ridges, {} estimating{}",
            text::duration(times.counting),
            text::duration(times.scoring),
            text::duration(times.estimating),
            match snapshot.equilibrium.len() {
                0 => String::new(),
                _ => format!(", {} equilibrium models", text::duration(times.equilibrium)),
            }
        ),
    ));
    output::print_facts(&facts)?;
    outln!("")?;
    print_estimates(snapshot)?;
    outln!("")?;
    output::print_table(&strongest_table(snapshot))?;
    outln!("")?;
    let out = args.out.display();
    output::print_facts(&[
        ("written", out.to_string()),
        ("next", format!("glauber inspect {}", text::quoted(&args.out))),
    ])
}

/// Window and rows of a snapshot, for people.
pub(crate) fn snapshot_facts(snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let window = &snapshot.window;
    let transitions = window.counts.lag(1).map_or(0, |lag| lag.transitions);
    let mut facts = vec![(
        "window",
        format!(
            "{}: bins {} to {}, {} observed, {} transitions",
            window.window,
            text::count(window.first_bin),
            text::count(window.end_bin.saturating_sub(1)),
            text::count(window.counts.bins),
            text::count(transitions)
        ),
    )];
    facts.push(("ridge", snapshot.spec.ridges.to_string()));
    facts
}

/// The false discovery rate below which a coupling counts as significant.
pub(crate) const FALSE_DISCOVERY_RATE: f64 = 0.05;

/// One line per estimator: what it is worth.
fn estimate_table(snapshot: &Snapshot) -> comfy_table::Table {
    let mut table = output::table(&[
        ("estimator", Align::Left),
        ("ridge", Align::Right),
        ("bits/spike", Align::Right),
        ("rms J", Align::Right),
        ("q < 0.05", Align::Right),
        ("rows OK", Align::Right),
        ("passes", Align::Right),
    ]);
    let best = snapshot.best().map(|scored| scored.estimate.estimator);
    for scored in &snapshot.estimates {
        let estimate = &scored.estimate;
        let significance = Significance::of(estimate);
        table.add_row([
            estimate.estimator.to_string(),
            estimate.ridge.to_string(),
            marked(best == Some(estimate.estimator), scored.score.recent.bits_per_spike()),
            format!("{:.4}", pairs::rms_coupling(estimate)),
            text::count(significance.n_significant(FALSE_DISCOVERY_RATE) as u64),
            rows_ok(estimate),
            iterations(estimate).map_or_else(|| "-".to_owned(), |most| text::count(most.into())),
        ]);
    }
    table
}

/// One line per estimator: its most certain coupling.
fn strongest_table(snapshot: &Snapshot) -> comfy_table::Table {
    let mut table =
        output::table(&[("estimator", Align::Left), ("strongest pair", Align::Left), ("z", Align::Right)]);
    for ScoredEstimate { estimate, .. } in &snapshot.estimates {
        let significance = Significance::of(estimate);
        let strongest = pairs::strongest(estimate, &significance, &snapshot.spec.neurons, 1);
        let (pair, z) = strongest.first().map_or_else(
            || ("none".to_owned(), String::new()),
            |pair| {
                let arrow =
                    format!("{} → {}: {}", pair.sender_id, pair.receiver_id, text::signed(pair.coupling));
                (arrow, format!("{:+.1}", pair.z))
            },
        );
        table.add_row([estimate.estimator.to_string(), pair, z]);
    }
    table
}

/// A score, with an asterisk when it is the best.
pub(crate) fn marked(is_best: bool, score: Option<f64>) -> String {
    format!("{}{}", if is_best { "* " } else { "" }, text::bits(score))
}

/// How many rows are OK, of how many.
pub(crate) fn rows_ok(estimate: &Estimate) -> String {
    format!("{}/{}", text::count(estimate.n_ok() as u64), text::count(estimate.n_neurons() as u64))
}

/// The most passes over the bins that a row took; `None` for closed forms.
pub(crate) fn iterations(estimate: &Estimate) -> Option<u32> {
    estimate.convergence.as_ref().map(|convergence| convergence.iterations.iter().max().copied().unwrap_or(0))
}

/// Couplings between different neurons that have a q.
pub(crate) fn tested_pairs(estimate: &Estimate) -> u64 {
    let receivers = estimate.status.iter().filter(|&&status| status == RowStatus::Ok).count() as u64;
    let senders = estimate.status.iter().filter(|status| status.has_estimate()).count() as u64;
    // Every row that is OK has itself among the senders.
    receivers * senders.saturating_sub(1)
}

/// Print the table of estimates and, below it, why rows are not OK.
pub(crate) fn print_estimates(snapshot: &Snapshot) -> Result<(), CliError> {
    output::print_table(&estimate_table(snapshot))?;
    print_legend(snapshot)?;
    models::print_models(snapshot)?;
    for scored in &snapshot.estimates {
        let estimate = &scored.estimate;
        if estimate.n_ok() < estimate.n_neurons() {
            outln!("{} rows: {}", estimate.estimator, pairs::status_line(&statuses(estimate)))?;
        }
    }
    Ok(())
}

/// What the scores mean, if there are any.
fn print_legend(snapshot: &Snapshot) -> Result<(), CliError> {
    let scores = snapshot.estimates.iter().filter_map(|scored| scored.score.recent.bits_per_spike());
    let Some(worst) = scores.min_by(f64::total_cmp) else { return Ok(()) };
    outln!("\n* best. bits/spike: gained over independent rates on bins not fitted to.")?;
    if worst < 0.0 {
        outln!("Below 0: predicts worse than the rates alone; do not trust its couplings.")?;
    }
    Ok(())
}

/// Number of rows by status.
pub(crate) fn statuses(estimate: &Estimate) -> std::collections::BTreeMap<&'static str, u64> {
    pairs::status_counts(estimate.status.iter().map(|status| status.as_str()))
}

/// One estimator of a snapshot as JSON.
pub(crate) fn estimate_json(scored: &ScoredEstimate, snapshot: &Snapshot, top: usize) -> Value {
    let estimate = &*scored.estimate;
    let significance = Significance::of(estimate);
    let strongest = pairs::strongest(estimate, &significance, &snapshot.spec.neurons, top);
    let path = scored.path.iter();
    let path = path.map(|point| json!({ "ridge": point.ridge, "bits_per_spike": point.bits_per_spike }));
    json!({
        "estimator": estimate.estimator.as_str(),
        "ridge": estimate.ridge,
        "first_bin": scored.first_bin,
        "end_bin": scored.end_bin,
        "bits_per_spike": scored.score.total.bits_per_spike(),
        "recent_bits_per_spike": scored.score.recent.bits_per_spike(),
        "ridge_path": path.collect::<Vec<_>>(),
        "rms_coupling": pairs::rms_coupling(estimate),
        "rows_ok": estimate.n_ok(),
        "significant_pairs": significance.n_significant(FALSE_DISCOVERY_RATE),
        "tested_pairs": tested_pairs(estimate),
        "iterations_max": iterations(estimate),
        "trial_bins": estimate.trial_fields.as_ref().map(|fields| fields.repeats.len()),
        "status_counts": statuses(estimate),
        "strongest": strongest.iter().map(pairs::Pair::to_json).collect::<Vec<_>>(),
    })
}

fn to_json(args: &FitArgs, snapshot: &Snapshot, sizes: Sizes, times: Times) -> Value {
    json!({
        "recording": sizes.to_json(),
        "window": snapshot.window.window.to_string(),
        "first_bin": snapshot.window.first_bin,
        "end_bin": snapshot.window.end_bin,
        "bins_observed": snapshot.window.counts.bins,
        "transitions": snapshot.window.counts.lag(1).map_or(0, |lag| lag.transitions),
        "estimates": snapshot.estimates.iter().map(|scored| estimate_json(scored, snapshot, 5)).collect::<Vec<_>>(),
        "equilibrium": snapshot.equilibrium.iter()
            .map(|scored| models::model_json(scored, &snapshot.spec.neurons, 5)).collect::<Vec<_>>(),
        "counting_s": times.counting.as_secs_f64(),
        "scoring_s": times.scoring.as_secs_f64(),
        "estimating_s": times.estimating.as_secs_f64(),
        "equilibrium_s": times.equilibrium.as_secs_f64(),
        "snapshot": args.out.display().to_string(),
    })
}
