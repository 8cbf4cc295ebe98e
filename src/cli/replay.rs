//! `glauber replay`: a recording through a running daemon, as a rig would send it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use glauber::ingest::BinnedRecording;
use glauber::model::{Ridges, SessionMetadata, Window};
use glauber::proto::v1;
use serde_json::json;

use super::client::{self, ConnectArgs, Daemon};
use super::close::close_patiently;
use super::error::CliError;
use super::metadata::MetadataArgs;
use super::recordings::{self, EstimationArgs, RecordingArgs, Sizes};
use super::stream::{self, Plan};
use super::values::Speed;
use super::{Manner, output, progress, text};

/// Send a recording to a daemon, bin by bin, as a rig would
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  glauber replay session.nwb --bin-width 20ms
  glauber replay session.nwb --bin-width 5ms --top 50 --speed 1x --keep-open
  glauber replay session.nwb --bin-width 20ms --windows 1min,all --estimator tap --ridge 0.01")]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    recording: RecordingArgs,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Name of the session [default: the name of the file]
    #[arg(long)]
    name: Option<String>,
    /// How fast: 'max', or a factor of real time such as 1x, 10x, 0.5x
    #[arg(long, value_name = "FACTOR", default_value = "max")]
    speed: Speed,
    /// Windows over which couplings are kept: 'all' or durations, with commas [default: the daemon's]
    #[arg(long = "windows", alias = "window", value_name = "WINDOWS", value_delimiter = ',')]
    windows: Vec<Window>,
    #[command(flatten)]
    estimation: EstimationArgs,
    /// Bins per message [default: by size and speed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch_bins: Option<u64>,
    /// How long to go on trying when the daemon is gone, such as 30s or 5min
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    reconnect_for: Duration,
    /// Leave the session open afterwards
    #[arg(long)]
    keep_open: bool,
    #[command(flatten)]
    said: MetadataArgs,
}

pub(crate) async fn run(args: ReplayArgs, manner: Manner) -> Result<(), CliError> {
    args.estimation.check()?;
    args.said.check()?;
    // First, so that nobody waits for a long file to be read only to learn that there is no daemon.
    let daemon = Daemon::connect(&args.connect).await?;
    let (recording, in_file) = recordings::load_with_metadata(&args.recording, manner)?;
    let recording = Arc::new(recording);
    let mut spec = wire_spec(&args, &recording);
    spec.metadata = Some(said(&args, in_file, manner).into());
    let request = v1::CreateSessionRequest { spec: Some(spec) };
    let created =
        daemon.sessions().create_session(request).await.map_err(daemon.failure("opening a session"))?;
    let session = created.into_inner().session.ok_or_else(|| daemon.protocol("no session"))?;
    let id = session.session_id;

    let plan = Plan {
        speed: args.speed,
        batch_bins: args.batch_bins,
        patience: args.reconnect_for,
        ..Plan::all(Arc::clone(&recording))
    };
    let started = Instant::now();
    let sent = tokio::select! {
        sent = send(&daemon, &id, &plan, manner) => sent,
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted(String::new())),
    };
    let elapsed = started.elapsed();
    if matches!(sent, Err(CliError::Interrupted(_))) && !args.keep_open && !manner.quiet {
        output::note(format_args!("closing session {id}; Ctrl-C again leaves at once"));
    }
    let closed = if args.keep_open {
        None
    } else {
        tokio::select! {
            closed = close_patiently(&daemon, &id, args.reconnect_for) => Some(closed),
            _ = tokio::signal::ctrl_c() => {
                return Err(CliError::Interrupted(format!(": session {id} is being closed by the daemon")));
            }
        }
    };
    if let Err(error) = sent {
        return Err(match error {
            CliError::Interrupted(_) => interrupted(&id, args.keep_open),
            other => other,
        });
    }
    let closed = closed.transpose()?;
    report(&args, &id, Sizes::of(&recording), closed.as_ref(), elapsed, manner)
}

/// What is said about the session; what the file says in a way that could not be recorded is told of and left out.
fn said(args: &ReplayArgs, in_file: SessionMetadata, manner: Manner) -> SessionMetadata {
    let (in_file, left_out) = in_file.sound();
    if !manner.quiet {
        for error in left_out {
            output::note(format_args!("note: {}: {error}; not passed on", args.recording.file.display()));
        }
    }
    // The two together may be unsound where neither is, as a worm of no sex.
    args.said.over(in_file).sound().0
}

fn interrupted(id: &str, keep_open: bool) -> CliError {
    let state = if keep_open { "is still open" } else { "was closed" };
    CliError::Interrupted(format!(": session {id} {state} with the bins sent so far"))
}

async fn send(daemon: &Daemon, id: &str, plan: &Plan, manner: Manner) -> Result<(), CliError> {
    let bar = progress::bins(plan.end_bin, manner);
    bar.set_prefix("replay");
    let width_s = plan.recording.bin_width.seconds();
    let started = Instant::now();
    let mut on_ack = |watermarks: v1::Watermarks| {
        bar.set_position(watermarks.applied_through);
        let recorded_s = watermarks.applied_through as f64 * width_s;
        bar.set_message(text::ratio(recorded_s / started.elapsed().as_secs_f64()));
    };
    let sent = stream::send(daemon, id, plan, &mut on_ack).await;
    bar.finish_and_clear();
    sent.map(|_| ())
}

fn wire_spec(args: &ReplayArgs, recording: &BinnedRecording) -> v1::SessionSpec {
    let name = args.name.clone().unwrap_or_else(|| text::name(&recordings::stem(&args.recording.file)));
    let estimation = &args.estimation;
    v1::SessionSpec {
        windows: args.windows.iter().map(Window::to_string).collect(),
        lags_bins: estimation.lags.clone(),
        estimators: estimation.estimators.iter().map(|&e| client::wire_estimator(e) as i32).collect(),
        ridge: estimation.ridge.as_ref().and_then(Ridges::fixed),
        ridge_path: client::ridge_path(estimation.ridge.as_ref()),
        ..session_of(recording, name)
    }
}

/// A session for a recording, everything else left to the daemon's defaults.
pub(crate) fn session_of(recording: &BinnedRecording, name: String) -> v1::SessionSpec {
    let neuron =
        |neuron: &glauber::model::Neuron| v1::Neuron { id: neuron.id, label: text::name(&neuron.label) };
    v1::SessionSpec {
        name,
        neurons: recording.neurons.iter().map(neuron).collect(),
        bin_width_us: recording.bin_width.us(),
        origin_ns: recording.origin_ns,
        ..Default::default()
    }
}

fn report(
    args: &ReplayArgs,
    id: &str,
    sizes: Sizes,
    closed: Option<&v1::CloseSessionResponse>,
    elapsed: Duration,
    manner: Manner,
) -> Result<(), CliError> {
    let snapshots = closed.map_or(&[][..], |closed| closed.snapshot_paths.as_slice());
    let recordings = closed.map_or(&[][..], |closed| closed.recording_paths.as_slice());
    let session = closed.and_then(|closed| closed.session.as_ref());
    let times_real = sizes.seconds() / elapsed.as_secs_f64();
    if manner.json {
        return output::json(&json!({
            "session_id": id,
            "recording": sizes.to_json(),
            "closed": closed.is_some(),
            "elapsed_s": elapsed.as_secs_f64(),
            "times_real_time": times_real,
            "snapshots": snapshots,
            "recordings": recordings,
        }));
    }
    let mut facts =
        vec![("session", format!("{id}, {}", if closed.is_some() { "closed" } else { "still open" }))];
    facts.extend(sizes.facts());
    facts.push(("time", format!("{}, {} real time", text::duration(elapsed), text::ratio(times_real))));
    facts.extend(snapshots.iter().map(|path| ("snapshot", path.clone())));
    facts.extend(recordings.iter().map(|path| ("recording", path.clone())));
    if let Some(session) = session.filter(|session| session.snapshot_failures > 0) {
        facts.push(("failed", format!("not written: {}", session.last_snapshot_error)));
    }
    let connect = args.connect.again();
    facts.push(("next", format!("glauber couplings --session {id}{connect}")));
    if closed.is_none() {
        facts.push(("", format!("glauber close {id}{connect}")));
    }
    facts.extend(snapshots.last().map(|path| ("", format!("glauber inspect {path}"))));
    output::print_facts(&facts)
}
