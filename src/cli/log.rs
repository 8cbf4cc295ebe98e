//! The log on stderr: for people, or one JSON object a line for programs.

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::SystemTime;

use clap::ValueEnum;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::GlobalArgs;
use super::error::CliError;
use super::output;

/// Variable with the filter of the log, in the syntax of `RUST_LOG`, before which it goes.
const FILTER: &str = "GLAUBER_LOG";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// The format that was chosen; text before.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Whether everything on stderr is JSON.
pub(crate) fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Start to log: warnings, more with -v, `GLAUBER_LOG` or `RUST_LOG`; a server also says what it does.
///
/// # Errors
/// [`CliError::Config`] for a `GLAUBER_LOG` that is no filter.
pub(crate) fn start(global: GlobalArgs, is_server: bool) -> Result<(), CliError> {
    let _ = FORMAT.set(global.log_format);
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) if is_server => "warn,glauber=info",
        (false, 0) => "warn",
        (false, 1) => "info,glauber=debug",
        (false, _) => "debug,glauber=trace",
    };
    let filter = filter(FILTER).map_err(|problem| CliError::Config { problem })?;
    // Others' programs have their own idea of it: no reason not to start.
    let (filter, ignored) = match (filter, self::filter("RUST_LOG")) {
        (Some(filter), _) | (None, Ok(Some(filter))) => (filter, None),
        (None, Ok(None)) => (EnvFilter::new(level), None),
        (None, Err(problem)) => (EnvFilter::new(level), Some(problem)),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Should whoever reads the log go away, the daemon goes on without one: the report of that would be a panic.
        .log_internal_errors(false);
    // Fails only when a log is running already, which then goes on.
    let _ = match global.log_format {
        LogFormat::Text => log.with_ansi(output::stderr_has_color()).with_target(false).try_init(),
        LogFormat::Json => {
            log_panics();
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    if let Some(problem) = ignored {
        tracing::warn!("{problem}; it is ignored");
    }
    Ok(())
}

/// The filter of a variable, when it is set.
fn filter(variable: &str) -> Result<Option<EnvFilter>, String> {
    let Some(text) = std::env::var_os(variable).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    EnvFilter::try_new(&text).map(Some).map_err(|error| {
        format!("{variable} = {text} is not allowed: expected a filter such as info or warn,glauber=debug ({error})")
    })
}

/// A panic of a thread is told as everything else.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
        tracing::error!(thread = thread.name(), place, "internal error: {what}");
    }));
}

/// What is said past the log, whatever its filter, as a line of it.
pub(crate) fn line(level: &str, message: impl Display) -> String {
    let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    json!({ "timestamp": now, "level": level, "message": message.to_string(), "target": "glauber::cli" })
        .to_string()
}
