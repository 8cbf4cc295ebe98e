//! `config/glauber.toml` is the documentation of the configuration: every key, at its default.
#![cfg(feature = "daemon")]

use std::path::Path;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use glauber::daemon::DaemonConfig;

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/glauber.toml")
}

/// Every key with its sections, such as `server.tls.key`.
fn keys(dict: &Dict) -> Vec<String> {
    let named = |(name, value): (&String, &Value)| match value {
        Value::Dict(_, inner) => keys(inner).into_iter().map(|key| format!("{name}.{key}")).collect(),
        _ => vec![name.clone()],
    };
    dict.iter().flat_map(named).collect()
}

#[test]
fn the_file_is_the_default() {
    let config: DaemonConfig = Figment::from(Toml::file_exact(file())).extract().unwrap();
    assert_eq!(config, DaemonConfig::default());
}

#[test]
fn the_file_has_every_key() {
    let in_file: Dict = Figment::from(Toml::file_exact(file())).extract().unwrap();
    let all: Dict = Figment::from(Serialized::defaults(DaemonConfig::default())).extract().unwrap();
    assert_eq!(keys(&in_file), keys(&all));
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    let figment = Figment::from(Toml::string("[limits]\nneurons_maximum = 5\n"));
    let error = figment.extract::<DaemonConfig>().unwrap_err().to_string();
    assert!(error.contains("neurons_maximum"), "{error}");
}
