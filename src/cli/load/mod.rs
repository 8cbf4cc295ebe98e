//! `glauber load`: will this machine hold my rigs? So many rigs at a rate, and what that costs and takes.

mod aims;
mod codec;
mod interrupts;
mod latency;
mod measure;
mod measured;
mod poller;
mod print;
mod process;
mod readers;
mod report;
mod rig;
mod ring;
mod server;
mod standing;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use glauber::daemon::DaemonConfig;
use glauber::model::{BinWidth, Ridges, Window};
use glauber::proto::v1;

use self::aims::AimArgs;
use self::interrupts::Interrupts;
use self::measure::{Measurement, Target};
use self::ring::{Encoding, Shape};
use self::server::{Server, Wanted};
use super::client::{self, CredentialArgs, Daemon};
use super::close::close;
use super::error::CliError;
use super::recordings::EstimationArgs;
use super::values::{Speed, parse_address, parse_duration};
use super::{Manner, config, output, text};

/// How long a daemon of our own whose connections have ended may take to end.
const END_WAIT: Duration = Duration::from_secs(5);
/// The same where something else has gone wrong, which the end of the daemon may have caused.
const END_WAIT_UNSURE: Duration = Duration::from_millis(500);
/// What a daemon whose configuration we do not know may take at most, bytes: the end of the range of limits.message_bytes_max.
const MESSAGE_BYTES_LARGEST: usize = 256 << 20;
/// What Ctrl-C means before the measured interval.
const NOTHING_MEASURED: &str = ": nothing was measured yet";

/// Will this machine hold my rigs? Send bins as rigs do, and measure
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Starts a daemon of its own in a temporary directory, lets so many rigs send into it, and tells how much was counted, how long it took until bins were acknowledged and visible, and what the daemon used. Whatever is lost, counted twice, more than a second behind or past an --expect- bound is an error. Spikes are independent and come again after some thousand bins.

Its own daemon has the default configuration and what --config and --set say. GLAUBER_CONFIG is left out, and so are settings in the environment (GLAUBER_SECTION__KEY) unless --config is given.

With --connect a running daemon is measured, beside what it does otherwise; there the load's sessions are closed at the end, which leaves their snapshots and recordings in its archive. This program takes its share of the machine, too: it is told apart.

Examples:
  glauber load --rigs 4 --neurons 384 --bin-width 1ms --seconds 60
  glauber load --rigs 8 --neurons 1000 --windows 1min --estimator nmf --ridge 0.1 --no-equilibrium --expect-visible-p99-ms 5
  glauber load --speed max --rigs 1 --encoding packed --active 0.1 --batch-bins 100
  glauber load --connect http://127.0.0.1:50051 --daemon-pid $(pgrep -f 'glauber serve') --watchers 4 --json")]
pub(crate) struct LoadArgs {
    /// Number of rigs, each a session and a connection
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    rigs: u32,
    /// Neurons of each rig
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    neurons: u32,
    /// Width of a bin, 0.1ms to 1s
    #[arg(long, value_name = "WIDTH", default_value = "1ms")]
    bin_width: BinWidth,
    /// Share of the neurons that are active in a bin, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = parse_share)]
    active: f64,
    /// Bins per message
    #[arg(long, alias = "batch", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch_bins: u64,
    /// How spikes are written
    #[arg(long, value_enum, default_value_t = Encoding::Sparse)]
    encoding: Encoding,
    /// How fast: a factor of real time such as 1x, 10x, 0.5x, or 'max', as fast as the daemon takes it
    #[arg(long, value_name = "FACTOR", default_value = "1x")]
    speed: Speed,
    /// Seconds to measure
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    seconds: u32,
    /// Seconds to send before
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    warmup_seconds: u32,
    /// Seed of the spikes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Readers that watch couplings, spread over the sessions, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    watchers: u32,
    /// Queries for couplings per second, in all
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    queries_per_second: u32,
    /// Watchers and queries want the K strongest pairs instead of whole matrices
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Messages per second, in all, whose visibility is looked at
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    samples_per_second: u32,
    #[command(flatten)]
    sessions: SessionArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    aims: AimArgs,
}

/// What the sessions are like; what is left out is the daemon's default.
#[derive(Debug, Clone, Args)]
struct SessionArgs {
    /// Windows over which couplings are kept: 'all' or durations, with commas [default: the daemon's]
    #[arg(long = "windows", alias = "window", value_name = "WINDOWS", value_delimiter = ',')]
    windows: Vec<Window>,
    #[command(flatten)]
    estimation: EstimationArgs,
    /// Recording time between two refreshes, such as 1s [default: the daemon's]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    refresh_interval: Option<Duration>,
    /// No equilibrium models, whatever the daemon's configuration says
    #[arg(long)]
    no_equilibrium: bool,
}

/// Which daemon is measured.
#[derive(Debug, Clone, Args)]
struct PlaceArgs {
    /// Measure the daemon at this address instead of one of our own
    #[arg(long, visible_alias = "server", value_name = "URL", value_parser = parse_address)]
    connect: Option<String>,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Process of that daemon, on this machine, to tell its CPU and memory
    #[arg(long, value_name = "PID", requires = "connect")]
    daemon_pid: Option<u32>,
    /// Our own daemon keeps no journal
    #[arg(long, conflicts_with = "connect")]
    no_journal: bool,
    /// Where our own daemon's temporary directory is made [default: the system's place for such]
    #[arg(long, value_name = "DIR", conflicts_with = "connect")]
    dir: Option<PathBuf>,
    /// Configuration file of our own daemon (TOML)
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    config: Option<PathBuf>,
    /// Set any key of the configuration of our own daemon; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting, conflicts_with = "connect")]
    set: Vec<String>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a share: expected a number from 0 to 1")),
    }
}

/// `KEY=VALUE` as it is, if it is one.
fn parse_setting(text: &str) -> Result<String, String> {
    config::parse_set(text).map(|_| text.to_owned())
}

impl PlaceArgs {
    /// What the daemon takes in a message, bytes, as far as that is known before it is there.
    fn message_bytes_max(&self) -> usize {
        if self.connect.is_some() || self.config.is_some() {
            return MESSAGE_BYTES_LARGEST;
        }
        let set = self.set.iter().rev().filter_map(|setting| config::parse_set(setting).ok());
        let set =
            set.filter(|(key, _)| key == "limits.message_bytes_max").find_map(|(_, value)| value.to_u128());
        // What is out of range is refused by the daemon.
        let set = set.map(|bytes| bytes.min(MESSAGE_BYTES_LARGEST as u128) as usize);
        set.unwrap_or(DaemonConfig::default().limits.message_bytes_max)
    }
}

impl LoadArgs {
    fn check(&self) -> Result<(), CliError> {
        self.sessions.estimation.check()?;
        let wrong = |argument, problem: String| Err(CliError::Argument { argument, problem });
        if let Some(pid) = self.place.daemon_pid
            && process::is_known()
            && !process::exists(pid)
        {
            return wrong("--daemon-pid", format!("there is no process {pid} on this machine"));
        }
        if self.interval().is_some_and(|interval| interval < Duration::from_micros(20)) {
            let problem =
                "one rig would send more than 50,000 messages per second: use 'max' or a larger --batch-bins";
            return wrong("--speed", problem.to_owned());
        }
        let (bytes, bytes_max) = (self.shape().message_bytes(), self.place.message_bytes_max());
        if bytes > bytes_max as u64 {
            let problem = format!(
                "{} bins make messages of about {bytes} bytes: expected at most {bytes_max} (limits.message_bytes_max)",
                self.batch_bins
            );
            return wrong("--batch-bins", problem);
        }
        Ok(())
    }

    fn shape(&self) -> Shape {
        Shape {
            n_neurons: self.neurons,
            active: self.active,
            batch_bins: self.batch_bins,
            encoding: self.encoding,
            seed: self.seed,
        }
    }

    /// Time between two messages of a rig, by the clock.
    fn interval(&self) -> Option<Duration> {
        let recorded_s = self.batch_bins as f64 * self.bin_width.seconds();
        match self.speed {
            Speed::Max => None,
            Speed::Times(factor) => Some(Duration::from_secs_f64(recorded_s / factor)),
        }
    }

    /// The session of a rig.
    fn spec(&self, rig: usize) -> v1::SessionSpec {
        let SessionArgs { windows, estimation, refresh_interval, no_equilibrium } = &self.sessions;
        v1::SessionSpec {
            name: format!("load-{rig}"),
            neuron_count: self.neurons,
            bin_width_us: self.bin_width.us(),
            windows: windows.iter().map(Window::to_string).collect(),
            lags_bins: estimation.lags.clone(),
            estimators: estimation.estimators.iter().map(|&e| client::wire_estimator(e) as i32).collect(),
            ridge: estimation.ridge.as_ref().and_then(Ridges::fixed),
            ridge_path: client::ridge_path(estimation.ridge.as_ref()),
            refresh_interval_bins: refresh_interval.map(|interval| self.bin_width.bins_covering(interval)),
            no_equilibrium: *no_equilibrium,
            ..Default::default()
        }
    }
}

pub(crate) async fn run(args: LoadArgs, manner: Manner) -> Result<(), CliError> {
    args.check()?;
    let mut interrupts = Interrupts::listen()?;
    let own = match args.place.connect {
        Some(_) => None,
        None => {
            let wanted = Wanted {
                within: args.place.dir.as_deref(),
                journal: !args.place.no_journal,
                config: args.place.config.as_deref(),
                settings: &args.place.set,
            };
            Some(interrupts.during(Server::start(&wanted), NOTHING_MEASURED).await?)
        }
    };
    if let Some(server) = own.as_ref().filter(|_| !manner.quiet) {
        let directory = text::quoted(server.directory());
        output::note(format_args!("a daemon of our own: process {}, in {directory}", server.pid()));
    }
    let target = target(&args, own.as_ref());
    let daemon = interrupts.during(Daemon::connect(&target.connect), NOTHING_MEASURED).await?;
    let outcome = load(&args, &target, &daemon, &mut interrupts, manner).await;
    let (error, mut server) = match (outcome, own) {
        (Err(error), Some(server)) if !matches!(error, CliError::Interrupted(_) | CliError::Told) => {
            (error, server)
        }
        (outcome, _) => return outcome.map_err(went_away),
    };
    // Its connections end before it does, and of several things that go wrong when it does any can be the first that is noticed.
    let patience = if matches!(error, CliError::NoDaemon { .. }) { END_WAIT } else { END_WAIT_UNSURE };
    Err(match server.end(patience).await {
        Some(end) => CliError::Load(format!("the daemon {end}; what it had not acknowledged is lost")),
        None => went_away(error),
    })
}

/// A daemon that was there when the load began, and then was not.
fn went_away(error: CliError) -> CliError {
    match error {
        CliError::NoDaemon { address, reason } => CliError::Load(format!(
            "the daemon at {address} went away while it was measured ({reason}): what it had not acknowledged may be lost"
        )),
        other => other,
    }
}

fn target(args: &LoadArgs, own: Option<&Server>) -> Target {
    let address = own.map(Server::address).or(args.place.connect.as_deref()).unwrap_or_default();
    Target {
        connect: args.place.credentials.clone().at(address),
        own: own.is_some(),
        pid: own.map(Server::pid).or(args.place.daemon_pid),
        in_memory: own.is_some_and(|server| server::is_in_memory(server.directory())),
    }
}

/// Measure, report, and leave nothing behind.
async fn load(
    args: &LoadArgs,
    target: &Target,
    daemon: &Daemon,
    interrupts: &mut Interrupts,
    manner: Manner,
) -> Result<(), CliError> {
    let mut session_ids = Vec::new();
    let measured = measure::run(args, target, daemon, &mut session_ids, interrupts, manner).await;
    let told = measured.and_then(|measurement| tell(args, measurement, manner));
    if !target.own && !matches!(told, Err(CliError::NoDaemon { .. })) {
        let closed = tokio::select! {
            closed = close_all(daemon, session_ids, manner) => closed,
            () = interrupts.next() => {
                Err(CliError::Interrupted(": the daemon is still closing the sessions of the load".to_owned()))
            }
        };
        // What went wrong first is what is told.
        return told.and(closed);
    }
    told
}

/// Print the report and say what is wrong.
fn tell(args: &LoadArgs, measurement: Measurement, manner: Manner) -> Result<(), CliError> {
    let Measurement { mut report } = measurement;
    let missed = args.aims.missed(&report);
    report.problems.extend(missed);
    report.print(manner)?;
    for problem in &report.problems {
        output::error(&CliError::Load(problem.clone()));
    }
    match (report.problems.is_empty(), report.interrupted) {
        (false, _) => Err(CliError::Told),
        (true, true) => {
            let (measured, asked) = (report.measured_s, f64::from(args.seconds));
            let (measured, asked) = (text::seconds(measured), text::seconds(asked));
            Err(CliError::Interrupted(format!(": {measured} of {asked} were measured")))
        }
        (true, false) => Ok(()),
    }
}

/// Close the sessions of the load, all at once: the last fits of one take a while.
async fn close_all(daemon: &Daemon, session_ids: Vec<String>, manner: Manner) -> Result<(), CliError> {
    if !manner.quiet && !session_ids.is_empty() {
        let sessions = text::counted(session_ids.len() as u64, "session");
        output::note(format_args!("closing {sessions} of the load; Ctrl-C leaves that to the daemon"));
    }
    let mut closing = tokio::task::JoinSet::new();
    for id in session_ids {
        let daemon = daemon.clone();
        closing.spawn(async move { close(&daemon, &id).await.map(drop) });
    }
    let closed = closing.join_all().await;
    closed.into_iter().collect()
}
