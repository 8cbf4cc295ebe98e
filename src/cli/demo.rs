//! `glauber demo`: a simulated rig, streamed through a real daemon, its couplings recovered while one watches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use glauber::daemon::{self, DaemonConfig};
use glauber::ingest::{self, BinnedRecording};
use glauber::model::{BinWidth, Estimator};
use glauber::proto::v1;
use glauber::recording::{self, Truth};
use glauber::simulate::KineticIsing;
use ndarray::{Array1, Array2};
use serde_json::json;
use tonic::Streaming;

use super::client::{self, Daemon, Publication};
use super::close::close;
use super::error::CliError;
use super::output::{self, outln};
use super::recovery::{Recovery, compare};
use super::replay::session_of;
use super::simulate::simulate;
use super::stream::{self, Plan};
use super::{Manner, progress, text};

const BIN_WIDTH_US: u64 = 10_000;
const COUPLING_STD: f64 = 0.5;
const RATE_HZ: f64 = 20.0;
const SEED: u64 = 20;
/// The stages whose results are shown, each twice as long as the one before.
const STAGES: u32 = 6;
/// Room in the epochs for the reconnections of one step, so that those of the next are higher.
const EPOCH_BITS: u32 = 16;
/// Longest wait for couplings after the last bin of a stage.
const PUBLICATION_WAIT: Duration = Duration::from_secs(30);
const ESTIMATORS: [Estimator; 3] =
    [Estimator::Nmf, Estimator::Tap(glauber::model::TapForm::Preprint), Estimator::ExactMeanField];

/// See it work: a simulated rig with known couplings, recovered live
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Starts a daemon on a free port, streams a simulated network into it and compares the couplings it publishes with the true ones. Leaves a recording and snapshots in the directory, which may be there from an earlier run.

Examples:
  glauber demo
  glauber demo --neurons 100 --seconds 2000 --dir /tmp/demo")]
pub(crate) struct DemoArgs {
    /// Directory for the recording and the snapshots
    #[arg(long, value_name = "DIR", default_value = "glauber-demo")]
    dir: PathBuf,
    /// Number of simulated neurons
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=500))]
    neurons: u32,
    /// Length of the simulated recording, in seconds
    #[arg(long, value_name = "S", default_value_t = 960, value_parser = clap::value_parser!(u32).range(60..=36_000))]
    seconds: u32,
}

pub(crate) async fn run(args: DemoArgs, manner: Manner) -> Result<(), CliError> {
    let started = Instant::now();
    std::fs::create_dir_all(&args.dir).map_err(|source| CliError::Io {
        doing: "making the directory",
        path: args.dir.clone(),
        source,
    })?;
    let rig = Rig::prepare(&args, manner)?;
    if !manner.json {
        introduce(&args, &rig)?;
    }
    let config = config(&args.dir);
    let running = daemon::start(config).await?;
    let address = format!("http://{}", running.address());
    let shown = tokio::select! {
        shown = recover(&address, &rig, manner) => shown,
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted(String::new())),
    };
    running.shutdown().await;
    let snapshots = shown?;
    if !manner.json {
        farewell(&rig, &snapshots, started.elapsed())?;
    }
    Ok(())
}

/// The simulated recording and the truth about it.
struct Rig {
    file: PathBuf,
    recording: Arc<BinnedRecording>,
    truth: Truth,
    mean_gain: Array1<f64>,
    step_bins: u64,
}

impl Rig {
    /// Simulate, write the recording, and read it back: the daemon gets what a replay of the file would give it.
    fn prepare(args: &DemoArgs, manner: Manner) -> Result<Self, CliError> {
        let width = BinWidth::from_us(BIN_WIDTH_US)
            .map_err(|error| CliError::Argument { argument: "bin width", problem: error.to_string() })?;
        let network = KineticIsing::asymmetric_sk(args.neurons as usize, COUPLING_STD, 0.0, SEED)?
            .with_spike_probability(RATE_HZ * width.seconds())?;
        let step_bins = width.bins_covering(Duration::from_secs(args.seconds.into())) >> (STAGES - 1);
        let simulated = simulate(&network, None, step_bins << (STAGES - 1), width, SEED, manner)?;
        let file = args.dir.join("demo.nwb");
        simulated.write(&file, width, true)?;
        let session = recording::open(&file)?.session;
        let recording = ingest::bin_recording(&session, width, None)
            .map_err(|source| CliError::Binning { path: file.clone(), source })?;
        Ok(Self {
            file,
            recording: Arc::new(recording),
            truth: simulated.truth,
            mean_gain: simulated.mean_gain,
            step_bins,
        })
    }
}

fn config(dir: &Path) -> DaemonConfig {
    let mut config = DaemonConfig::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.archive.directory = dir.join("snapshots");
    config.journal.directory = dir.join("journal");
    config
}

fn introduce(args: &DemoArgs, rig: &Rig) -> Result<(), CliError> {
    let recording = &rig.recording;
    outln!(
        "A simulated rig: {} neurons, {RATE_HZ} Hz each, bins of {}, {} of recording.",
        args.neurons,
        recording.bin_width,
        text::seconds(recording.n_bins as f64 * recording.bin_width.seconds())
    )?;
    outln!(
        "Its true couplings are known: J ~ Normal(0, ({COUPLING_STD}/√{})²), in {}.",
        args.neurons,
        rig.file.display()
    )?;
    outln!("A daemon takes its spikes over gRPC and publishes couplings as they come in.\n")?;
    outln!("r         correlation of the couplings found with the true ones")?;
    outln!("rms       root mean square of their difference")?;
    outln!("×bound    mean square difference over the least any unbiased method can reach\n")?;
    outln!("{}", heading())
}

fn heading() -> String {
    let names: String = ESTIMATORS.iter().map(|e| format!("  {:^20}", e.as_str())).collect();
    let columns = "      r    rms ×bound".repeat(ESTIMATORS.len());
    format!("{:15}{names}\n{:>8} {:>6}{columns}\n{}", "", "bins", "time", "─".repeat(78))
}

/// Stream the recording and show at each stage how well the couplings are known. Gives the snapshot files.
async fn recover(address: &str, rig: &Rig, manner: Manner) -> Result<Vec<String>, CliError> {
    let daemon = Daemon::connect(&client::ConnectArgs::local(address)).await?;
    let spec = v1::SessionSpec {
        windows: vec!["all".to_owned()],
        estimators: ESTIMATORS.iter().map(|&e| client::wire_estimator(e) as i32).collect(),
        refresh_interval_bins: Some(rig.step_bins),
        ..session_of(&rig.recording, "demo".to_owned())
    };
    let request = v1::CreateSessionRequest { spec: Some(spec) };
    let created =
        daemon.sessions().create_session(request).await.map_err(daemon.failure("opening a session"))?;
    let id = created.into_inner().session.ok_or_else(|| daemon.protocol("no session"))?.session_id;
    let query = |estimator: Estimator, header_only: bool| v1::CouplingsQuery {
        session_id: id.clone(),
        estimator: client::wire_estimator(estimator) as i32,
        window: "all".to_owned(),
        header_only,
        ..Default::default()
    };
    let mut published = daemon.watch(query(ESTIMATORS[0], true)).await?;

    let bar = progress::bins(rig.recording.n_bins, manner);
    bar.set_prefix("demo");
    for stage in 0..STAGES {
        let (from, to) = (stage_start(stage), 1 << stage);
        for step in from..to {
            let end_bin = (step + 1) * rig.step_bins;
            let plan =
                Plan { end_bin, first_epoch: step << EPOCH_BITS, ..Plan::all(Arc::clone(&rig.recording)) };
            stream::send(&daemon, &id, &plan, &mut |marks| bar.set_position(marks.applied_through)).await?;
            wait_for(&mut published, end_bin, &daemon).await?;
        }
        let mut found = Vec::new();
        for estimator in ESTIMATORS {
            let publication = daemon.couplings(query(estimator, false)).await?;
            found.push(recovery(&publication, rig, &daemon)?);
        }
        bar.suspend(|| show_stage(&found, rig, manner))?;
    }
    bar.finish_and_clear();
    Ok(close(&daemon, &id).await?.snapshot_paths)
}

/// Steps sent before a stage: the stages end after 1, 2, 4, … steps.
fn stage_start(stage: u32) -> u64 {
    if stage == 0 { 0 } else { 1 << (stage - 1) }
}

/// Wait until couplings that include every bin before `end_bin` are published.
async fn wait_for(
    published: &mut Streaming<v1::WatchCouplingsResponse>,
    end_bin: u64,
    daemon: &Daemon,
) -> Result<(), CliError> {
    let arrives = async {
        while let Some(response) = published.message().await.map_err(daemon.failure("watching couplings"))? {
            if let Some(v1::watch_couplings_response::Part::Header(header)) = response.part
                && header.end_bin >= end_bin
            {
                return Ok(());
            }
        }
        Err(daemon.protocol("no more couplings although the session is open"))
    };
    let late = |_| {
        daemon
            .protocol(&format!("no couplings for bin {end_bin} within {}", text::duration(PUBLICATION_WAIT)))
    };
    tokio::time::timeout(PUBLICATION_WAIT, arrives).await.map_err(late)?
}

/// One estimate against the truth.
fn recovery(publication: &Publication, rig: &Rig, daemon: &Daemon) -> Result<Recovery, CliError> {
    let n = rig.recording.neurons.len();
    let mut found = Array2::from_elem((n, n), f64::NAN);
    for rows in &publication.rows {
        for (&receiver, row) in rows.receivers.iter().zip(rows.couplings.chunks_exact(n)) {
            for (sender, &coupling) in row.iter().enumerate() {
                if let Some(entry) = found.get_mut([receiver as usize, sender]) {
                    *entry = coupling;
                }
            }
        }
    }
    if found.iter().any(|coupling| coupling.is_nan()) || publication.header.variance_sender.len() != n {
        return Err(daemon.protocol("an incomplete coupling matrix"));
    }
    let header = &publication.header;
    Ok(compare(&found, &rig.truth.couplings, header, &rig.mean_gain))
}

fn show_stage(found: &[Recovery], rig: &Rig, manner: Manner) -> Result<(), CliError> {
    let bins = found.first().map_or(0, |recovery| recovery.bins);
    let recorded_s = bins as f64 * rig.recording.bin_width.seconds();
    if manner.json {
        let estimators: Vec<_> = ESTIMATORS
            .iter()
            .zip(found)
            .map(|(estimator, recovery)| {
                json!({
                    "estimator": estimator.as_str(),
                    "correlation": recovery.correlation,
                    "rms_error": recovery.rms_error,
                    "times_bound": recovery.times_bound,
                })
            })
            .collect();
        return output::json_line(
            &json!({ "bins": bins, "recorded_s": recorded_s, "estimators": estimators }),
        );
    }
    let columns: String = found
        .iter()
        .map(|r| format!("  {:.3} {:.4} {:>6}", r.correlation, r.rms_error, format!("{:.2}", r.times_bound)))
        .collect();
    outln!("{:>8} {:>6}{columns}", text::count(bins), format!("{recorded_s:.0} s"))
}

fn farewell(rig: &Rig, snapshots: &[String], elapsed: Duration) -> Result<(), CliError> {
    let recorded_s = rig.recording.n_bins as f64 * rig.recording.bin_width.seconds();
    outln!(
        "\n{} of recording in {}. What to try next:\n",
        text::seconds(recorded_s),
        text::duration(elapsed)
    )?;
    let (program, file) = (program(), rig.file.display());
    if let Some(snapshot) = snapshots.first() {
        outln!("  {program} inspect {snapshot}")?;
    }
    outln!("  {program} fit {file} --bin-width 10ms --out {}", rig.file.with_file_name("fit.h5").display())?;
    outln!("  {program} serve --archive-dir {}", rig.file.with_file_name("snapshots").display())?;
    outln!("  {program} replay {file} --bin-width 10ms  (in another terminal)")?;
    outln!("  {program} couplings --top 10")
}

/// How to call this program from here, whether or not the shell knows its name.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else { return "glauber".to_owned() };
    let below =
        std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    match below {
        // A name without a slash would be looked up on the search path.
        Some(below) if below.components().count() == 1 => format!("./{}", below.display()),
        Some(below) => below.display().to_string(),
        None => path.display().to_string(),
    }
}
