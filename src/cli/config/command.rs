//! `glauber config`: what `glauber serve` would run with, without running it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use glauber::daemon::{self, DaemonConfig};
use serde_json::json;

use super::show::{self, Show};
use super::{Effective, SettingArgs};
use crate::cli::Manner;
use crate::cli::error::CliError;
use crate::cli::output::{self, outln};

/// Check or show the configuration that the daemon would run with
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  glauber config check /etc/glauber/glauber.toml && systemctl restart glauber
  glauber config show --origin")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum ConfigCommand {
    Check(CheckArgs),
    Show(ShowArgs),
}

/// Check the configuration as `glauber serve` does, and the files it names
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
File, environment and arguments are put together as `glauber serve` does, every value is checked, and certificates, keys and tokens are read. Nothing is made or listened on: whether the port is free and the disk can be written to shows at the start.
Exit codes: 0 fine, 2 a key or value that is not allowed, 1 a file of certificates or tokens that cannot be used.

Examples:
  glauber config check glauber.toml
  glauber config check glauber.toml --set limits.streams_max=8
  glauber config check --json")]
struct CheckArgs {
    #[command(flatten)]
    source: SourceArgs,
}

/// Print the effective configuration as TOML, or JSON with --json
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is printed can be used as a file. Of certificates, keys and tokens the configuration holds the paths alone.

Examples:
  glauber config show
  glauber config show glauber.toml --origin
  glauber config show glauber.toml --origin --json | jq '.limits.streams_max.origin'
  GLAUBER_LIMITS__STREAMS_MAX=8 glauber config show --origin | grep -v '# default'")]
struct ShowArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Say of each key where it comes from: command line, environment, file, default
    #[arg(long)]
    origin: bool,
}

#[derive(Debug, Clone, Args)]
struct SourceArgs {
    /// Configuration file (TOML)
    #[arg(value_name = "FILE", env = "GLAUBER_CONFIG")]
    file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingArgs,
}

impl SourceArgs {
    fn read(&self) -> Result<Effective, CliError> {
        Effective::read(self.file.as_deref(), self.settings.given())
    }
}

pub(crate) fn run(args: &ConfigArgs, manner: Manner) -> Result<(), CliError> {
    match &args.command {
        ConfigCommand::Check(args) => check(args, manner),
        ConfigCommand::Show(args) => {
            let text = Show { effective: &args.source.read()?, with_origin: args.origin };
            if manner.json {
                output::json(&text.json()?)
            } else {
                output::print(format_args!("{}", text.toml()?))
            }
        }
    }
}

fn check(args: &CheckArgs, manner: Manner) -> Result<(), CliError> {
    let effective = args.source.read()?;
    daemon::check_files(&effective.config)?;
    let changed = show::changed(&effective)?;
    if manner.json {
        let changed: serde_json::Map<_, _> = changed
            .into_iter()
            .map(|set| (set.key, json!({ "value": set.json, "origin": set.origin })))
            .collect();
        return output::json(&json!({ "ok": true, "file": args.source.file, "set": changed }));
    }
    outln!("ok: {}", args.source.file.as_deref().map_or("no file".into(), Path::to_string_lossy))?;
    output::print_facts(&facts(&effective.config))?;
    for set in changed {
        outln!("{} = {}  # {}", set.key, set.toml, set.origin)?;
    }
    Ok(())
}

/// What a daemon with this configuration does.
fn facts(config: &DaemonConfig) -> Vec<(&'static str, String)> {
    let directory = |path: &Path| match path.as_os_str().is_empty() {
        true => "none".to_owned(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string(),
    };
    let server = &config.server;
    let scheme = if server.tls.is_on() { "https" } else { "http" };
    let mut asked = Vec::new();
    if !server.tls.client_ca.as_os_str().is_empty() {
        asked.push("certificate");
    }
    if !server.token_file.as_os_str().is_empty() {
        asked.push("token");
    }
    let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(" and ") };
    let served = |listen: &str, path: &str| match listen {
        "" => "none".to_owned(),
        address => format!("http://{address}{path}"),
    };
    let (metrics, page) = (served(&config.metrics.listen, "/metrics"), served(&config.web.listen, "/"));
    vec![
        ("listens on", format!("{scheme}://{}", server.listen)),
        ("asks clients for", asked),
        ("journal", directory(&config.journal.directory)),
        ("snapshots", directory(&config.archive.directory)),
        ("metrics", metrics),
        ("page", page),
    ]
}
