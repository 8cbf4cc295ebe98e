//! `glauber serve`: the daemon, until it is told to stop.

use std::path::{Path, PathBuf};

use clap::Args;
use glauber::daemon::{self, RunningDaemon, StartProgress};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Manner;
use super::config::{self, SettingArgs};
use super::error::CliError;
use super::output::{self, outln};
use super::service::Service;

/// Run the daemon: takes spikes, answers with couplings
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Every setting is a key of the configuration file (config/glauber.toml lists them with units and ranges). An argument goes before the environment, that before the file, that before the default. In the environment, limits.streams_max is GLAUBER_LIMITS__STREAMS_MAX, and a list is written [\"1min\", \"all\"]. SIGHUP makes the daemon read its certificates and tokens again.

Examples:
  glauber serve --archive-dir snapshots
  glauber serve --config glauber.toml --listen 127.0.0.1:0
  glauber serve --web
  glauber serve --set defaults.refresh_interval_ms=250 --set 'defaults.windows=[\"30s\", \"all\"]'
  GLAUBER_LIMITS__SESSIONS_OPEN_MAX=8 glauber serve")]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "GLAUBER_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingArgs,
    /// Stop, as on SIGTERM, when the process that started this one, the one given, ends
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "PID", hide = true)]
    stop_with_parent: Option<i32>,
}

pub(crate) async fn run(args: ServeArgs, manner: Manner) -> Result<(), CliError> {
    let config = config::load(args.config.as_deref(), args.settings.given())?;
    let (archive, journal) = (config.archive.directory.clone(), config.journal.directory.clone());
    let grace_s = config.server.shutdown_grace_s;
    let encrypted = config.server.tls.is_on();
    let mut stop = StopSignals::listen()?;
    let mut reload = listen_for(SignalKind::hangup())?;
    #[cfg(target_os = "linux")]
    if let Some(parent) = args.stop_with_parent {
        stop_with(parent)?;
    }
    let service = Service::from_environment();
    let progress = StartProgress::default();
    let start = daemon::start_reporting(config, progress.clone());
    let daemon = service.while_starting(&progress, start).await?;
    announce(&daemon, &archive, &journal, encrypted, manner)?;
    service.ready(&daemon);
    let end = stopped(&daemon, service, &mut stop, &mut reload).await;
    if !manner.quiet {
        output::note(format_args!(
            "{end}: {} and writing snapshots (at most {grace_s} s; Ctrl-C again stops at once)",
            if journal.as_os_str().is_empty() { "closing sessions" } else { "suspending sessions" }
        ));
    }
    let report = tokio::select! {
        report = service.while_stopping(grace_s, daemon.shutdown()) => report,
        _ = stop.next() => {
            return Err(CliError::Interrupted(" again: snapshots may be missing".to_owned()));
        }
    };
    if let End::Lost(what) = end {
        return Err(CliError::Lost { what });
    }
    if !report.complete {
        return Err(CliError::ShutdownIncomplete { grace_s });
    }
    if !manner.quiet {
        output::note(format_args!("stopped"));
    }
    Ok(())
}

/// Have SIGTERM sent to us when our parent, which is `parent`, ends.
#[cfg(target_os = "linux")]
fn stop_with(parent: i32) -> Result<(), CliError> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| CliError::System { doing: "asking for the parent's end", source: error.into() })?;
    // Had it ended before, no signal would come: someone else is our parent then.
    if getppid().is_none_or(|now| now.as_raw_nonzero().get() != parent) {
        return Err(CliError::Interrupted(": the process that started this one has ended".to_owned()));
    }
    Ok(())
}

fn announce(
    daemon: &RunningDaemon,
    archive: &Path,
    journal: &Path,
    encrypted: bool,
    manner: Manner,
) -> Result<(), CliError> {
    let scheme = if encrypted { "https" } else { "http" };
    let address = format!("{scheme}://{}", daemon.address());
    let (has_archive, has_journal) = (!archive.as_os_str().is_empty(), !journal.as_os_str().is_empty());
    let page = daemon.web_address().map(|address| format!("http://{address}"));
    if manner.json {
        let directory = has_archive.then(|| archive.display().to_string());
        let journal = has_journal.then(|| journal.display().to_string());
        return output::json_line(
            &json!({ "address": address, "archive": directory, "journal": journal, "web": page }),
        );
    }
    let archive = if has_archive {
        format!("snapshots in {}", archive.display())
    } else {
        "no snapshots (--archive-dir DIR)".to_owned()
    };
    let journal = if has_journal {
        format!("journal in {}", journal.display())
    } else {
        "no journal: a crash loses open sessions (--journal-dir DIR)".to_owned()
    };
    let page = page.map_or_else(String::new, |page| format!(", live page at {page}"));
    outln!(
        "glauber {} listening on {address}{page}, {archive}, {journal}; Ctrl-C stops",
        env!("CARGO_PKG_VERSION")
    )
}

/// Why the daemon ends.
enum End {
    /// It was asked to; what the signal did.
    Signal(&'static str),
    /// It has lost what it cannot go on without, or what a new start brings back when someone will see to that.
    Lost(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signal(signal) => signal,
            Self::Lost(what) => what,
        })
    }
}

/// Wait for a reason to end; until then give signs of life, and read certificates and tokens again when asked.
async fn stopped(
    daemon: &RunningDaemon,
    service: Service,
    stop: &mut StopSignals,
    reload: &mut Signal,
) -> End {
    let mut beats = service.beats();
    loop {
        tokio::select! {
            signal = stop.next() => return End::Signal(signal),
            lost = service.beat(&mut beats, daemon) => {
                if let Some(what) = lost.filter(|_| service.restarts() || !daemon.serves()) {
                    return End::Lost(what);
                }
            }
            _ = reload.recv() => match daemon.reload_security() {
                Ok(()) => tracing::info!("certificates and tokens read again"),
                Err(error) => tracing::error!("certificates and tokens stay as they are: {error}"),
            },
        }
    }
}

fn listen_for(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|source| CliError::System { doing: "listening for signals", source })
}

/// The signals that ask for an end.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Begin to listen, before the daemon does: a signal in between would kill it unclean.
    fn listen() -> Result<Self, CliError> {
        Ok(Self {
            interrupt: listen_for(SignalKind::interrupt())?,
            terminate: listen_for(SignalKind::terminate())?,
        })
    }

    /// Wait for the next one; gives what it did.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "terminated",
        }
    }
}
