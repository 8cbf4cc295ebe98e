//! The daemon's configuration from command line > environment > file > defaults, and whose fault a bad value is.

mod arguments;
mod command;
mod show;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{
    Error, Figment, Metadata, Profile, Provider,
    error::{Actual, Kind},
};
use glauber::daemon::DaemonConfig;

pub(crate) use arguments::SettingArgs;
pub(crate) use command::{ConfigArgs, run};

use super::error::CliError;

/// Prefix of the environment's keys; sections and keys are joined by two underscores.
const ENV_PREFIX: &str = "GLAUBER_";

/// Names with the prefix that are no keys.
const OTHER_VARIABLES: [&str; 16] = [
    "GLAUBER_ADVANCE_BASELINE",
    "GLAUBER_CA",
    "GLAUBER_CLIENT_CERTIFICATE",
    "GLAUBER_CLIENT_KEY",
    "GLAUBER_CONFIG",
    "GLAUBER_CONNECT",
    "GLAUBER_TOKEN_FILE",
    "GLAUBER_DATA",
    "GLAUBER_PYTHON",
    "GLAUBER_VENV",
    "GLAUBER_REGENERATE",
    "GLAUBER_READ_MEMORY",
    "GLAUBER_READ_SECONDS",
    "GLAUBER_MUTATIONS",
    "GLAUBER_LOG",
    "GLAUBER_LOG_FORMAT",
];

/// The variables that look like ours and mean nothing. One that names a section and key is checked with the values.
fn unknown_variables(names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    names.filter(|name| {
        name.starts_with(ENV_PREFIX) && !name.contains("__") && !OTHER_VARIABLES.contains(&name.as_str())
    })
}

/// The variables of the environment that bear on the configuration.
pub(crate) fn environment() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| configures(&name.to_string_lossy()))
}

fn configures(name: &str) -> bool {
    // Keys are found in either case.
    let name = name.to_ascii_uppercase();
    name == "GLAUBER_CONFIG" || (name.starts_with(ENV_PREFIX) && name.contains("__"))
}

/// A value given by an argument.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// The argument, such as `--listen`.
    pub(crate) argument: String,
    /// The key it sets, such as `server.listen`.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Value,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.argument.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        Ok(nested.into_dict().map_or_else(Map::new, |dict| Profile::Default.collect(dict)))
    }
}

/// Read the layers and check every value.
///
/// # Errors
/// [`CliError::Config`] naming key, value, source and what is allowed.
pub(crate) fn load(file: Option<&Path>, given: Vec<Given>) -> Result<DaemonConfig, CliError> {
    Effective::read(file, given).map(|effective| effective.config)
}

/// The configuration as it is carried out, and where each value of it comes from.
#[derive(Debug)]
pub(crate) struct Effective {
    /// Every value, checked.
    pub(crate) config: DaemonConfig,
    layers: Figment,
}

impl Effective {
    /// Read the layers and check every value.
    ///
    /// # Errors
    /// As [`load`].
    pub(crate) fn read(file: Option<&Path>, given: Vec<Given>) -> Result<Self, CliError> {
        let layers = layers(file, given)?;
        let config: DaemonConfig = layers.extract().map_err(|error| unreadable(&error, &layers))?;
        config.check().map_err(|error| {
            let source =
                layers.find_metadata(error.key).map_or_else(|| "the defaults".to_owned(), source_name);
            CliError::Config { problem: format!("{error} (from {source})") }
        })?;
        Ok(Self { config, layers })
    }

    /// Where the value of a key such as `server.listen` comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.layers.find_metadata(key).map_or(Origin::Default, |metadata| Origin::of(metadata, key))
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The argument that gives it.
    Argument(String),
    /// The variable of the environment that gives it.
    Environment(String),
    /// The file that gives it.
    File(String),
    /// Nobody gives it.
    Default,
}

impl Origin {
    fn of(metadata: &Metadata, key: &str) -> Self {
        match metadata.source.as_ref().and_then(figment::Source::file_path) {
            Some(path) => Self::File(path.display().to_string()),
            None if is_environment(metadata) => {
                Self::Environment(format!("{ENV_PREFIX}{}", key.replace('.', "__").to_uppercase()))
            }
            None if metadata.name.starts_with("--") => Self::Argument(metadata.name.to_string()),
            None => Self::Default,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Argument(argument) => write!(f, "command line: {argument}"),
            Self::Environment(variable) => write!(f, "environment: {variable}"),
            Self::File(path) => write!(f, "file: {path}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Defaults, file, environment and arguments, each above the one before.
fn layers(file: Option<&Path>, given: Vec<Given>) -> Result<Figment, CliError> {
    let mut figment = Figment::from(Serialized::defaults(DaemonConfig::default()));
    if let Some(path) = file {
        // A file that cannot be read is not the same as no file.
        std::fs::read(path).map_err(|error| CliError::Config {
            problem: format!("reading the configuration {}: {error}", path.display()),
        })?;
        figment = figment.merge(Toml::file_exact(path));
    }
    for name in unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!(
            "{name} in the environment is not known: a setting is written {ENV_PREFIX}SECTION__KEY"
        );
    }
    figment = figment.merge(Env::prefixed(ENV_PREFIX).filter(|key| key.as_str().contains("__")).split("__"));
    for value in given {
        figment = figment.merge(value);
    }
    Ok(figment)
}

/// A value of the wrong kind, or a key that does not exist.
fn unreadable(error: &Error, figment: &Figment) -> CliError {
    let source = error.metadata.as_ref().map_or_else(|| "the configuration".to_owned(), source_name);
    let key = error.path.join(".");
    let problem = match &error.kind {
        Kind::UnknownField(field, allowed) => {
            let section = if key.is_empty() || key == *field {
                "the top level".to_owned()
            } else {
                format!("[{}]", section(&key, field))
            };
            format!("unknown key '{field}' in {section} of {source}: expected one of {}", allowed.join(", "))
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            let (found, expected) = (found_value(found), plain(expected));
            format!("{key} = {found} is not allowed: expected {expected} (from {source})")
        }
        Kind::Message(message) if !key.is_empty() => {
            let value = figment.find_value(&key).ok().and_then(Value::into_string).unwrap_or_default();
            format!("{key} = {value} is not allowed: {message} (from {source})")
        }
        other => format!("{source}: {other}"),
    };
    CliError::Config { problem }
}

/// A value as it was written, as far as it is known.
fn found_value(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Char(value) => format!("\"{value}\""),
        Actual::Str(value) => format!("\"{value}\""),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a section".to_owned(),
        other => other.to_string(),
    }
}

/// What a key takes, in the words of one who writes a configuration.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number >= 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list in brackets",
        other if other.starts_with("struct ") => "a section with keys",
        other => other,
    }
}

/// The path of an unknown key may or may not end with the key itself.
fn section<'a>(key: &'a str, field: &str) -> &'a str {
    key.strip_suffix(field).map_or(key, |section| section.trim_end_matches('.'))
}

fn is_environment(metadata: &Metadata) -> bool {
    metadata.name.contains("environment")
}

/// What a user calls the place a value came from.
fn source_name(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(figment::Source::file_path) {
        Some(path) => path.display().to_string(),
        None if is_environment(metadata) => format!("the environment, {ENV_PREFIX}*"),
        None if metadata.name.starts_with("--") => metadata.name.to_string(),
        None => "the defaults".to_owned(),
    }
}

/// `key=value` of `--set`; the value as in the environment: a number, true, text, or a list in brackets.
pub(crate) fn parse_set(text: &str) -> Result<(String, Value), String> {
    let setting = text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    let named =
        |key: &str| matches!(key.split('.').count(), 2 | 3) && key.split('.').all(|part| !part.is_empty());
    let Some((key, value)) = setting.filter(|(key, _)| named(key)) else {
        return Err(format!(
            "'{text}' is not a setting: expected section.key=value, such as limits.streams_max=8"
        ));
    };
    let Ok(value) = value.parse::<Value>();
    Ok((key.to_owned(), value))
}

/// A path as a value.
pub(crate) fn path_value(path: &Path) -> Value {
    Value::from(PathBuf::from(path).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_configuration_are_told_from_others() {
        for name in ["GLAUBER_CONFIG", "GLAUBER_LIMITS__STREAMS_MAX", "glauber_server__listen"] {
            assert!(configures(name), "{name}");
        }
        for name in ["GLAUBER_TOKEN_FILE", "GLAUBER_CONNECT", "MY_GLAUBER_A__B", "PATH"] {
            assert!(!configures(name), "{name}");
        }
    }

    #[test]
    fn a_setting_names_section_and_key() {
        assert_eq!(parse_set("limits.streams_max = 8").unwrap().0, "limits.streams_max");
        assert_eq!(parse_set("server.tls.key=a.pem").unwrap().0, "server.tls.key");
        for text in ["=3", "limits", "limits=3", ".a=3", "limits.=3", "a.b.c.d=3", ""] {
            assert!(parse_set(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn variables_that_mean_nothing_are_found() {
        let names = ["GLAUBER_CONFIG", "GLAUBER_LISTEN", "GLAUBER_LIMITS__STREAMS_MAX", "PATH"];
        let unknown: Vec<_> = unknown_variables(names.map(str::to_owned).into_iter()).collect();
        assert_eq!(unknown, ["GLAUBER_LISTEN"]);
    }
}
