//! `glauber serve`: the daemon, until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use figment::value::Value;
use glauber::daemon::{self, RunningDaemon};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Manner;
use super::config::{self, Given};
use super::error::CliError;
use super::output::{self, outln};

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
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Directory of the snapshots; '' keeps none [default: glauber-snapshots]
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    archive_dir: Option<PathBuf>,
    /// Directory of the journal, which survives a crash; '' keeps none [default: glauber-journal]
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    journal_dir: Option<PathBuf>,
    /// Serve the live page for a browser on this loopback address and port [default: off; without ADDR 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    web: Option<SocketAddr>,
    /// Set any key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = config::parse_set)]
    set: Vec<(String, Value)>,
    /// Stop, as on SIGTERM, when the process that started this one, the one given, ends
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "PID", hide = true)]
    stop_with_parent: Option<i32>,
}

impl ServeArgs {
    fn given(&self) -> Vec<Given> {
        let named = |argument: &str, key: &str, value: Value| Given {
            argument: argument.to_owned(),
            key: key.to_owned(),
            value,
        };
        let mut given: Vec<Given> =
            self.set.iter().map(|(key, value)| named(&format!("--set {key}"), key, value.clone())).collect();
        given.extend(
            self.listen.map(|listen| named("--listen", "server.listen", Value::from(listen.to_string()))),
        );
        given.extend(self.web.map(|listen| named("--web", "web.listen", Value::from(listen.to_string()))));
        let directory = self.archive_dir.as_deref();
        given.extend(
            directory.map(|dir| named("--archive-dir", "archive.directory", config::path_value(dir))),
        );
        let journal = self.journal_dir.as_deref();
        given.extend(journal.map(|dir| named("--journal-dir", "journal.directory", config::path_value(dir))));
        given
    }
}

pub(crate) async fn run(args: ServeArgs, manner: Manner) -> Result<(), CliError> {
    let config = config::load(args.config.as_deref(), args.given())?;
    let (archive, journal) = (config.archive.directory.clone(), config.journal.directory.clone());
    let grace_s = config.server.shutdown_grace_s;
    let encrypted = config.server.tls.is_on();
    let mut stop = StopSignals::listen()?;
    let mut reload = listen_for(SignalKind::hangup())?;
    #[cfg(target_os = "linux")]
    if let Some(parent) = args.stop_with_parent {
        stop_with(parent)?;
    }
    let daemon = daemon::start(config).await?;
    announce(&daemon, &archive, &journal, encrypted, manner)?;
    let signal = stopped(&daemon, &mut stop, &mut reload).await;
    if !manner.quiet {
        output::note(format_args!(
            "{signal}: {} and writing snapshots (at most {grace_s} s; Ctrl-C again stops at once)",
            if journal.as_os_str().is_empty() { "closing sessions" } else { "suspending sessions" }
        ));
    }
    let report = tokio::select! {
        report = daemon.shutdown() => report,
        _ = stop.next() => {
            return Err(CliError::Interrupted(" again: snapshots may be missing".to_owned()));
        }
    };
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

/// Wait for a signal that asks for an end, and say which; until then read certificates and tokens again when asked.
async fn stopped(daemon: &RunningDaemon, stop: &mut StopSignals, reload: &mut Signal) -> &'static str {
    loop {
        tokio::select! {
            signal = stop.next() => return signal,
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
