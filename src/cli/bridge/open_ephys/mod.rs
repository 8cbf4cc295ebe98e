//! `glauber bridge open-ephys`: the spikes of the Open Ephys GUI, from its ZMQ Interface plugin.

mod facts;
mod kept;
mod message;
mod rate;
mod relay;
mod report;
mod roster;
mod run;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod tracker;
mod units;
mod uplink;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use glauber::model::{BinWidth, Ridges, Window};
use glauber::proto::v1;

use self::rate::Rate;
use self::relay::{Neurons, OnRestart, Settings};
use self::roster::{Policy, Roster};
pub(super) use self::run::run;
use crate::cli::client::{self, ConnectArgs};
use crate::cli::error::CliError;
use crate::cli::metadata::MetadataArgs;
use crate::cli::recordings::EstimationArgs;
use crate::cli::text;
use crate::cli::values::parse_duration;

/// A list of neurons is a text of this size at most, bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Bring the spikes of Open Ephys to a daemon as they come
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
In Open Ephys: put the ZMQ Interface plugin behind the Spike Detector (or Spike Sorter), choose the stream, and select one channel: its data tell the sample rate and how far the stream is, spikes come of all electrodes. Start acquisition before or after the bridge.

Neurons are fixed when the session is opened. Without --neurons they are those that fire within --discover of the stream; the spikes of that time are part of the session. What fires later and is no neuron of the session is counted and told.

What was lost on the way, and the pause between two acquisitions, is left out of the session as a gap. Spikes are kept until the daemon has them on its disk; while it is away they wait.

Examples:
  glauber bridge open-ephys --bin-width 20ms
  glauber bridge open-ephys --source tcp://rig-2:5556 --bin-width 5ms --discover 1min --save-neurons today.txt
  glauber bridge open-ephys --bin-width 5ms --neurons today.txt --duration 1h --close")]
pub(super) struct OpenEphysArgs {
    /// Where the ZMQ Interface publishes: its data port
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:5556", value_parser = parse_source)]
    source: String,
    /// Where it listens for heartbeats, or 'none' [default: the port after that of --source]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_heartbeat)]
    heartbeat: Option<Heartbeat>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Width of a bin, 0.1ms to 1s
    #[arg(long, value_name = "WIDTH")]
    bin_width: BinWidth,
    /// Stream to take, if several come [default: the only one]
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Samples per second, for a plugin that sends no continuous data
    #[arg(long, value_name = "HZ", value_parser = parse_rate)]
    sample_rate: Option<Rate>,
    /// What a neuron is
    #[arg(long, value_enum, default_value_t = Policy::Auto, conflicts_with = "neurons")]
    units: Policy,
    /// How long to look for neurons before the session is opened, at most 10min
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_discover, conflicts_with = "neurons")]
    discover: Duration,
    /// File with the neurons: one per line, the name of an electrode, or of one and after a comma the sorted id; names with commas and the like in double quotes
    #[arg(long, value_name = "FILE")]
    neurons: Option<PathBuf>,
    /// Write the neurons that were found into a new file, for --neurons
    #[arg(long, value_name = "FILE", conflicts_with = "neurons")]
    save_neurons: Option<PathBuf>,
    /// What comes after an acquisition that begins anew
    #[arg(long, value_enum, default_value_t = OnRestart::Continue)]
    on_restart: OnRestart,
    /// End after so much time of the stream [default: with Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Close the session at the end
    #[arg(long)]
    close: bool,
    /// Name of the session [default: the name of the stream]
    #[arg(long, value_name = "NAME")]
    session_name: Option<String>,
    /// Windows over which couplings are kept: 'all' or durations, with commas [default: the daemon's]
    #[arg(long = "windows", alias = "window", value_name = "WINDOWS", value_delimiter = ',')]
    windows: Vec<Window>,
    #[command(flatten)]
    estimation: EstimationArgs,
    /// No equilibrium models, whatever the daemon's configuration says
    #[arg(long)]
    no_equilibrium: bool,
    /// How often to tell how things go
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    report_every: Duration,
    /// How long to go on trying at the end when the daemon is gone; before, there is no limit
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    reconnect_for: Duration,
    #[command(flatten)]
    said: MetadataArgs,
}

/// Where heartbeats go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heartbeat {
    To(String),
    None,
}

/// `host:port` of `tcp://host:port`.
fn parse_source(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "'{text}' is not an address of ZeroMQ: expected tcp://host:port, such as tcp://127.0.0.1:5556"
        )
    };
    let address = text.strip_prefix("tcp://").ok_or_else(wrong)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let has_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    let is_host = !host.is_empty() && !host.contains(['/', '*', ' ']);
    if has_port && is_host { Ok(address.to_owned()) } else { Err(wrong()) }
}

fn parse_heartbeat(text: &str) -> Result<Heartbeat, String> {
    if text == "none" { Ok(Heartbeat::None) } else { parse_source(text).map(Heartbeat::To) }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    let rate = text.parse().ok().and_then(Rate::new);
    rate.ok_or_else(|| format!("'{text}' is not a sample rate: expected {}", Rate::RANGE))
}

fn parse_discover(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time > Duration::from_secs(600) {
        return Err(format!("'{text}' is too long: expected at most 10min"));
    }
    Ok(time)
}

impl OpenEphysArgs {
    /// Refuse what no session could be made of, before anyone is talked to.
    fn check(&self) -> Result<(), CliError> {
        self.estimation.check()?;
        self.said.check()?;
        if let Some(path) = &self.save_neurons
            && path.exists()
        {
            let problem = format!("{} exists already", path.display());
            return Err(CliError::Argument { argument: "--save-neurons", problem });
        }
        Ok(())
    }

    /// How to relay.
    fn settings(&self) -> Result<Settings, CliError> {
        let neurons = match &self.neurons {
            Some(path) => Neurons::Listed(listed(path)?),
            None => {
                let during_ns = i64::try_from(self.discover.as_nanos()).unwrap_or(i64::MAX);
                Neurons::Discovered { during_ns, policy: self.units }
            }
        };
        Ok(Settings {
            bin_width: self.bin_width,
            stream: self.stream.clone(),
            rate: self.sample_rate,
            neurons,
            on_restart: self.on_restart,
            duration: self.duration,
        })
    }

    /// Where heartbeats go, if anywhere.
    fn heartbeat_address(&self) -> Option<String> {
        match &self.heartbeat {
            Some(Heartbeat::To(address)) => Some(address.clone()),
            Some(Heartbeat::None) => None,
            None => {
                let (host, port) = self.source.rsplit_once(':')?;
                Some(format!("{host}:{}", port.parse::<u16>().ok()?.checked_add(1)?))
            }
        }
    }

    /// The session of these neurons.
    fn spec(
        &self,
        roster: &Roster,
        stream: &str,
        origin_ns: i64,
        start_unix_ns: Option<i64>,
    ) -> v1::SessionSpec {
        let estimation = &self.estimation;
        let mut metadata = v1::SessionMetadata::from(self.said.over(Default::default()));
        metadata.start_unix_ns = start_unix_ns;
        v1::SessionSpec {
            name: self.session_name.clone().unwrap_or_else(|| text::name(stream)),
            neurons: roster.neurons(),
            bin_width_us: self.bin_width.us(),
            origin_ns,
            windows: self.windows.iter().map(Window::to_string).collect(),
            lags_bins: estimation.lags.clone(),
            estimators: estimation.estimators.iter().map(|&e| client::wire_estimator(e) as i32).collect(),
            ridge: estimation.ridge.as_ref().and_then(Ridges::fixed),
            ridge_path: client::ridge_path(estimation.ridge.as_ref()),
            no_equilibrium: self.no_equilibrium,
            metadata: Some(metadata),
            ..Default::default()
        }
    }
}

/// The neurons of a file.
fn listed(path: &std::path::Path) -> Result<Roster, CliError> {
    use std::io::Read;
    let failed = |source| CliError::Io { doing: "reading", path: path.to_owned(), source };
    let mut list = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LIST_BYTES_MAX + 1).read_to_string(&mut list).map_err(failed)?;
    let wrong = |problem| CliError::Argument {
        argument: "--neurons",
        problem: format!("{}: {problem}", path.display()),
    };
    if list.len() as u64 > LIST_BYTES_MAX {
        return Err(wrong(format!("more than {LIST_BYTES_MAX} bytes")));
    }
    Roster::from_list(&list).map_err(|error| wrong(error.to_string()))
}
