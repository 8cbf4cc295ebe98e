//! The arguments that set keys of the configuration, the same for all that read it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use figment::value::Value;

use super::Given;

/// Keys set on the command line.
#[derive(Debug, Clone, Args)]
pub(crate) struct SettingArgs {
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
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::parse_set)]
    set: Vec<(String, Value)>,
}

impl SettingArgs {
    /// What they set.
    pub(crate) fn given(&self) -> Vec<Given> {
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
        given
            .extend(directory.map(|dir| named("--archive-dir", "archive.directory", super::path_value(dir))));
        let journal = self.journal_dir.as_deref();
        given.extend(journal.map(|dir| named("--journal-dir", "journal.directory", super::path_value(dir))));
        given
    }
}
