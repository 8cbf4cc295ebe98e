//! What the daemon can be told, with defaults and allowed ranges.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::recording_config::RecordingConfig;
use super::security::TlsConfig;
use crate::journal::JournalLimits;
use crate::model::{
    BinWidth, EquilibriumMethod, Estimator, Lags, MetadataProblem, NEURONS_MAX, Ridges, Window,
};
use crate::session::SessionSpec;

/// Configuration of the daemon; `config/glauber.toml` holds every key with its unit, default and range.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonConfig {
    /// Network and threads.
    pub server: ServerConfig,
    /// What a session gets that does not say otherwise.
    pub defaults: SessionDefaults,
    /// Bounds on what clients can make the daemon hold.
    pub limits: Limits,
    /// Snapshots on disk.
    pub archive: ArchiveConfig,
    /// What survives a crash.
    pub journal: JournalConfig,
    /// Recordings of sessions on disk.
    pub recording: RecordingConfig,
    /// Numbers for monitoring.
    pub metrics: MetricsConfig,
    /// The page for a browser.
    pub web: WebConfig,
}

/// Network and threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Least time between two acknowledgements of what is counted; one of what has become durable comes at once.
    pub ack_interval_ms: u64,
    /// Longest time a shutdown waits for streams, engines and the last snapshots.
    pub shutdown_grace_s: u64,
    /// Threads that compute estimates at refreshes, shared by all sessions.
    pub estimator_threads: usize,
    /// Threads that the counting of one session's bins spreads over where there is much to count; 0 for all cores.
    pub counting_threads: usize,
    /// Threads that one refit uses; one refit runs at a time.
    pub refit_threads: usize,
    /// How much nicer to others than the daemon the threads of estimates, refits and equilibrium models are.
    pub estimator_nice: u8,
    /// Share of the time that the refits of a session may take.
    pub refit_duty: f64,
    /// Time between two HTTP/2 pings on a connection.
    pub keepalive_interval_s: u64,
    /// Time after which an unanswered ping ends the connection.
    pub keepalive_timeout_s: u64,
    /// File with the tokens of which a call needs one, `name:token` on each line; empty: none is needed.
    pub token_file: PathBuf,
    /// Encryption, and certificates of clients.
    pub tls: TlsConfig,
}

/// What a session gets that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionDefaults {
    /// Windows over which counts are kept: `all` or durations.
    pub windows: Vec<String>,
    /// Lags of the delayed correlations; lag 1 is always kept.
    pub lags_bins: Vec<u32>,
    /// Estimators run at each refresh; the first answers queries that name none.
    pub estimators: Vec<String>,
    /// Ridge of the estimators: `auto`, a number, or numbers separated by commas to choose from.
    #[serde(deserialize_with = "text_or_number")]
    pub ridge: String,
    /// Recording time between two refreshes of the estimates.
    pub refresh_interval_ms: u64,
    /// How much later than others a time-stamped spike may come, milliseconds.
    pub lateness_ms: u64,
    /// Least recording time between two refits of the estimators that read bins.
    pub refit_interval_ms: u64,
    /// Most bins a refit reads.
    pub refit_bins_max: u64,
    /// Recording time after which a score counts for 1/e of what it did.
    pub score_memory_s: u64,
    /// Methods of equilibrium models; none for none.
    pub equilibrium_methods: Vec<String>,
    /// Recording time between two fits of the equilibrium models.
    pub equilibrium_interval_ms: u64,
    /// Most bins such a fit reads.
    pub equilibrium_bins_max: u64,
}

/// A number is as good as its text.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        Integer(i64),
        Number(f64),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Text(text) => text,
        Given::Integer(number) => number.to_string(),
        Given::Number(number) => number.to_string(),
    })
}

/// Bounds on what clients can make the daemon hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions open at once.
    pub sessions_open_max: usize,
    /// Closed sessions that still answer queries; the oldest is forgotten first.
    pub sessions_closed_kept: usize,
    /// Neurons of a session.
    pub neurons_max: usize,
    /// Size of one request message.
    pub message_bytes_max: usize,
    /// Bins in one request message.
    pub message_bins_max: u32,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub connections_per_peer_max: usize,
    /// Calls at once on one connection.
    pub streams_max: u32,
    /// Size of the metadata of one call.
    pub metadata_bytes_max: u32,
    /// Calls of one connection that its client has given up before they were begun; one more ends the connection.
    pub resets_pending_max: usize,
    /// Longest time until a connection is set up: TLS and the first bytes of HTTP/2.
    pub handshake_timeout_ms: u64,
    /// Longest time until the first message of a stream of spikes.
    pub open_timeout_ms: u64,
    /// Time without a call after which a connection is closed.
    pub idle_timeout_s: u64,
    /// Messages waiting for one session's engine.
    pub engine_queue_messages: usize,
    /// Bytes waiting for one session's engine.
    pub engine_queue_bytes: u32,
    /// Answers of matrices or files that are being sent at once.
    pub bulk_answers_max: usize,
    /// Watchers at once.
    pub watchers_max: usize,
    /// Streams of predictions at once, each with a thread of its own.
    pub prediction_streams_max: usize,
    /// Bins that one session may hold, for its windows or, up to `refit_bins_max`, for its refits.
    pub ring_bytes_max: u64,
    /// Counts and estimates of all open sessions together.
    pub memory_bytes_max: u64,
    /// Estimates of the closed sessions that are kept; the oldest is forgotten first, the newest never.
    pub closed_bytes_max: u64,
}

/// Snapshots on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// Directory of the snapshots; empty turns archiving off.
    pub directory: PathBuf,
    /// Recording time between two snapshots of a session.
    pub snapshot_interval_s: u64,
    /// Whether closing a session writes a snapshot.
    pub on_close: bool,
}

/// What survives a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Directory of the journal; empty keeps none: a crash loses every open session.
    pub directory: PathBuf,
    /// Longest time that bins wait for others to be made durable with.
    pub commit_interval_ms: u64,
    /// Bytes of bins, as they are held in memory, that are made durable at once without waiting any longer.
    pub commit_bytes: usize,
    /// Most bytes kept; when there are more, bins are refused.
    pub bytes_max: u64,
    /// Free bytes of the volume below which bins are refused.
    pub free_bytes_min: u64,
    /// How long a closed session is kept.
    pub closed_kept_h: u64,
}

impl JournalConfig {
    /// File of the journal, when there is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        (!self.directory.as_os_str().is_empty()).then(|| self.directory.join("journal.redb"))
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> JournalLimits {
        JournalLimits {
            commit_interval: Duration::from_millis(self.commit_interval_ms),
            commit_bytes: self.commit_bytes,
            bytes_max: self.bytes_max,
            free_bytes_min: self.free_bytes_min,
            closed_kept: Duration::from_secs(self.closed_kept_h * 3600),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        in_range("journal.commit_interval_ms", self.commit_interval_ms, 0, 1000)?;
        in_range("journal.commit_bytes", self.commit_bytes, 4 << 10, 256 << 20)?;
        in_range("journal.bytes_max", self.bytes_max, 1 << 20, 1 << 44)?;
        in_range("journal.free_bytes_min", self.free_bytes_min, 0, 1 << 44)?;
        in_range("journal.closed_kept_h", self.closed_kept_h, 0, 87_600)
    }
}

/// Numbers for monitoring, in the text format of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address and port to serve them on, over HTTP at `/metrics`; empty turns them off, port 0 takes a free one.
    pub listen: String,
}

impl MetricsConfig {
    /// The address to serve on, when there is one.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no loopback address.
    pub fn address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let address = self.listen.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
        address.map(Some).ok_or_else(|| {
            let allowed = "'' or a loopback address such as 127.0.0.1:9464: connections are not encrypted";
            ConfigError::new("metrics.listen", format_args!("'{}'", self.listen), allowed)
        })
    }
}

/// The page for a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Address and port to serve it on, over HTTP; empty turns it off, port 0 takes a free one.
    pub listen: String,
}

impl WebConfig {
    /// The address to serve on, when there is one.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no loopback address.
    pub fn address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let address = self.listen.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
        address.map(Some).ok_or_else(|| {
            let allowed = "'' or a loopback address such as 127.0.0.1:8080: connections are not encrypted, and no one is asked for a token";
            ConfigError::new("web.listen", format_args!("'{}'", self.listen), allowed)
        })
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            ack_interval_ms: 20,
            shutdown_grace_s: 30,
            estimator_threads: 1,
            counting_threads: 0,
            refit_threads: 1,
            estimator_nice: 10,
            refit_duty: 0.25,
            keepalive_interval_s: 20,
            keepalive_timeout_s: 20,
            token_file: PathBuf::new(),
            tls: TlsConfig::default(),
        }
    }
}

impl Default for SessionDefaults {
    fn default() -> Self {
        Self {
            windows: ["1min", "10min", "all"].map(String::from).to_vec(),
            lags_bins: vec![1],
            estimators: ["nmf", "tap", "exact-mean-field", "exact"].map(String::from).to_vec(),
            ridge: "auto".to_owned(),
            refresh_interval_ms: 1000,
            lateness_ms: 20,
            refit_interval_ms: 30_000,
            refit_bins_max: 1 << 18,
            score_memory_s: 600,
            equilibrium_methods: ["pseudo-likelihood", "erasure-machine"].map(String::from).to_vec(),
            equilibrium_interval_ms: 60_000,
            equilibrium_bins_max: 1 << 15,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_open_max: 64,
            sessions_closed_kept: 64,
            neurons_max: NEURONS_MAX,
            message_bytes_max: 4 << 20,
            message_bins_max: 65_536,
            connections_max: 256,
            connections_per_peer_max: 128,
            streams_max: 256,
            metadata_bytes_max: 16 << 10,
            resets_pending_max: 20,
            handshake_timeout_ms: 10_000,
            open_timeout_ms: 30_000,
            idle_timeout_s: 600,
            engine_queue_messages: 64,
            engine_queue_bytes: 64 << 20,
            bulk_answers_max: 8,
            watchers_max: 64,
            prediction_streams_max: 16,
            ring_bytes_max: 1 << 30,
            memory_bytes_max: 8 << 30,
            closed_bytes_max: 1 << 30,
        }
    }
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self { directory: PathBuf::from("glauber-snapshots"), snapshot_interval_s: 600, on_close: true }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("glauber-journal"),
            commit_interval_ms: 5,
            commit_bytes: 1 << 20,
            bytes_max: 64 << 30,
            free_bytes_min: 256 << 20,
            closed_kept_h: 24,
        }
    }
}

/// A value that is not allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} = {value} is not allowed: expected {allowed}")]
pub struct ConfigError {
    /// The key, with its section.
    pub key: &'static str,
    /// The value found.
    pub value: String,
    /// What is allowed there.
    pub allowed: String,
}

impl ConfigError {
    pub(super) fn new(key: &'static str, value: impl ToString, allowed: impl ToString) -> Self {
        Self { key, value: value.to_string(), allowed: allowed.to_string() }
    }

    /// A text or list that cannot be recorded.
    pub(super) fn text(key: &'static str, problem: &MetadataProblem) -> Self {
        match problem {
            MetadataProblem::Form { found, expected } => Self::new(key, format_args!("'{found}'"), expected),
            MetadataProblem::TooLong { found, max } => {
                Self::new(key, format_args!("a text of {found} characters"), format_args!("at most {max}"))
            }
            MetadataProblem::ControlCharacter { found, .. } => {
                let value = format_args!("a text with {}", found.escape_unicode()).to_string();
                Self::new(key, value, "no control characters")
            }
            MetadataProblem::TooMany { found, max } => {
                Self::new(key, format_args!("a list of {found}"), format_args!("at most {max}"))
            }
            MetadataProblem::EmptyEntry { .. } => {
                Self::new(key, "a list with an empty text", "none to be empty")
            }
        }
    }
}

pub(super) fn in_range<T: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<(), ConfigError> {
    if value >= min && value <= max {
        return Ok(());
    }
    Err(ConfigError::new(key, value, format_args!("{min} to {max}")))
}

impl DaemonConfig {
    /// Check every value.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.server.check()?;
        self.defaults.check()?;
        self.limits.check()?;
        self.metrics.address()?;
        self.web.address()?;
        self.journal.check()?;
        self.recording.check()?;
        in_range("archive.snapshot_interval_s", self.archive.snapshot_interval_s, 1, 604_800)
    }
}

impl ServerConfig {
    /// Threads that counting may spread over, all cores unless said otherwise.
    pub(super) fn counting_threads(&self) -> usize {
        match self.counting_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_access()?;
        in_range("server.ack_interval_ms", self.ack_interval_ms, 1, 60_000)?;
        in_range("server.shutdown_grace_s", self.shutdown_grace_s, 1, 3600)?;
        in_range("server.estimator_threads", self.estimator_threads, 1, 256)?;
        in_range("server.counting_threads", self.counting_threads, 0, 256)?;
        in_range("server.refit_threads", self.refit_threads, 1, 256)?;
        in_range("server.estimator_nice", self.estimator_nice, 0, 19)?;
        in_range("server.refit_duty", self.refit_duty, 0.001, 1.0)?;
        in_range("server.keepalive_interval_s", self.keepalive_interval_s, 1, 3600)?;
        in_range("server.keepalive_timeout_s", self.keepalive_timeout_s, 1, 3600)
    }
}

impl SessionDefaults {
    fn check(&self) -> Result<(), ConfigError> {
        let mut windows = std::collections::BTreeSet::new();
        for text in &self.windows {
            let window: Window = text.parse().map_err(|_| {
                let allowed = "'all' or a duration such as 30s, 10min or 2h";
                ConfigError::new("defaults.windows", format_args!("'{text}'"), allowed)
            })?;
            // At the narrowest bins a window is refused only when it is at every width.
            if BinWidth::from_us(100).is_ok_and(|narrowest| window.bins(narrowest).is_err()) {
                let allowed = "'all' or a duration of at least 64 bins and at most 7 days";
                return Err(ConfigError::new("defaults.windows", format_args!("'{text}'"), allowed));
            }
            windows.insert(window);
        }
        if windows.is_empty()
            || windows.len() != self.windows.len()
            || windows.len() > SessionSpec::WINDOWS_MAX
        {
            let allowed = format_args!("1 to {} distinct windows", SessionSpec::WINDOWS_MAX).to_string();
            return Err(ConfigError::new("defaults.windows", format_args!("{:?}", self.windows), allowed));
        }
        if let Err(error) = Lags::new(&self.lags_bins) {
            return Err(ConfigError::new("defaults.lags_bins", format_args!("{:?}", self.lags_bins), error));
        }
        let mut estimators = std::collections::HashSet::new();
        for text in &self.estimators {
            let unknown = |_| {
                let names = Estimator::ALL.map(Estimator::as_str).join(", ");
                let allowed = format_args!("one of {names}").to_string();
                ConfigError::new("defaults.estimators", format_args!("'{text}'"), allowed)
            };
            estimators.insert(text.parse::<Estimator>().map_err(unknown)?);
        }
        if estimators.is_empty() || estimators.len() != self.estimators.len() {
            let value = format_args!("{:?}", self.estimators).to_string();
            return Err(ConfigError::new("defaults.estimators", value, "at least one, each once"));
        }
        if self.ridge.parse::<Ridges>().is_err() {
            let allowed = "'auto', a number from 0 to 1000000, or up to 16 of them separated by commas";
            return Err(ConfigError::new("defaults.ridge", format_args!("'{}'", self.ridge), allowed));
        }
        in_range("defaults.lateness_ms", self.lateness_ms, 0, 60_000)?;
        in_range("defaults.refresh_interval_ms", self.refresh_interval_ms, 1, 86_400_000)?;
        in_range("defaults.refit_interval_ms", self.refit_interval_ms, 1, 86_400_000)?;
        let (least, most) = (Window::BINS_MIN, SessionSpec::REFIT_BINS_MAX);
        in_range("defaults.refit_bins_max", self.refit_bins_max, least, most)?;
        in_range("defaults.score_memory_s", self.score_memory_s, 1, 604_800)?;
        self.check_equilibrium()
    }

    fn check_equilibrium(&self) -> Result<(), ConfigError> {
        let key = "defaults.equilibrium_methods";
        let mut methods = std::collections::HashSet::new();
        for text in &self.equilibrium_methods {
            let unknown = |_| {
                let names = EquilibriumMethod::ALL.map(EquilibriumMethod::as_str).join(", ");
                ConfigError::new(key, format_args!("'{text}'"), format_args!("one of {names}"))
            };
            methods.insert(text.parse::<EquilibriumMethod>().map_err(unknown)?);
        }
        if methods.len() != self.equilibrium_methods.len() {
            let value = format_args!("{:?}", self.equilibrium_methods).to_string();
            return Err(ConfigError::new(key, value, "each method once, or none"));
        }
        in_range("defaults.equilibrium_interval_ms", self.equilibrium_interval_ms, 1, 86_400_000)?;
        let (least, most) = (Window::BINS_MIN, SessionSpec::REFIT_BINS_MAX);
        in_range("defaults.equilibrium_bins_max", self.equilibrium_bins_max, least, most)
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        in_range("limits.sessions_open_max", self.sessions_open_max, 1, 4096)?;
        in_range("limits.sessions_closed_kept", self.sessions_closed_kept, 0, 4096)?;
        in_range("limits.neurons_max", self.neurons_max, 1, NEURONS_MAX)?;
        in_range("limits.message_bytes_max", self.message_bytes_max, 64 << 10, 256 << 20)?;
        in_range("limits.message_bins_max", self.message_bins_max, 1, 1 << 20)?;
        in_range("limits.connections_max", self.connections_max, 1, 65_536)?;
        in_range("limits.connections_per_peer_max", self.connections_per_peer_max, 1, 65_536)?;
        in_range("limits.streams_max", self.streams_max, 1, 65_536)?;
        in_range("limits.metadata_bytes_max", self.metadata_bytes_max, 1 << 10, 1 << 20)?;
        in_range("limits.resets_pending_max", self.resets_pending_max, 1, 65_536)?;
        in_range("limits.handshake_timeout_ms", self.handshake_timeout_ms, 100, 600_000)?;
        in_range("limits.open_timeout_ms", self.open_timeout_ms, 100, 3_600_000)?;
        in_range("limits.idle_timeout_s", self.idle_timeout_s, 1, 604_800)?;
        in_range("limits.engine_queue_messages", self.engine_queue_messages, 1, 65_536)?;
        in_range("limits.engine_queue_bytes", self.engine_queue_bytes, 64 << 10, u32::MAX)?;
        in_range("limits.bulk_answers_max", self.bulk_answers_max, 1, 4096)?;
        in_range("limits.watchers_max", self.watchers_max, 1, 65_536)?;
        in_range("limits.prediction_streams_max", self.prediction_streams_max, 1, 256)?;
        in_range("limits.ring_bytes_max", self.ring_bytes_max, 1 << 20, 1 << 44)?;
        in_range("limits.memory_bytes_max", self.memory_bytes_max, 1 << 20, 1 << 44)?;
        in_range("limits.closed_bytes_max", self.closed_bytes_max, 0, 1 << 44)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut DaemonConfig)) -> String {
        let mut config = DaemonConfig::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(DaemonConfig::default().check(), Ok(()));
    }

    #[test]
    fn absurd_values_are_refused_with_key_value_and_range() {
        assert_eq!(
            refused(|c| c.defaults.ridge = "NaN".into()),
            "defaults.ridge = 'NaN' is not allowed: expected 'auto', a number from 0 to 1000000, or up to 16 of them separated by commas"
        );
        assert!(refused(|c| c.defaults.ridge = "inf".into()).contains("inf"));
        assert!(refused(|c| c.defaults.ridge = "-1e-9".into()).contains("defaults.ridge"));
        assert_eq!(
            refused(|c| c.limits.neurons_max = 20_000),
            "limits.neurons_max = 20000 is not allowed: expected 1 to 16384"
        );
        assert_eq!(
            refused(|c| c.server.counting_threads = 257),
            "server.counting_threads = 257 is not allowed: expected 0 to 256"
        );
        assert_eq!(
            refused(|c| c.server.estimator_nice = 20),
            "server.estimator_nice = 20 is not allowed: expected 0 to 19"
        );
        assert!(refused(|c| c.server.listen = ([0, 0, 0, 0], 1).into()).contains("0.0.0.0:1"));
        assert!(
            refused(|c| c.metrics.listen = "0.0.0.0:9464".into()).contains("metrics.listen = '0.0.0.0:9464'")
        );
        assert!(refused(|c| c.metrics.listen = "localhost".into()).contains("127.0.0.1:9464"));
        for address in ["0.0.0.0:8080", "10.0.0.5:8080", "[::]:8080", "rig.lab:8080", "8080"] {
            let found = refused(|c| c.web.listen = address.into());
            assert!(found.contains(&format!("web.listen = '{address}'")) && found.contains("127.0.0.1:8080"));
        }
        assert!(refused(|c| c.defaults.windows = vec!["soon".into()]).contains("'soon'"));
        assert!(refused(|c| c.defaults.windows = vec!["169h".into()]).contains("'169h'"));
        assert!(refused(|c| c.defaults.windows = vec!["6ms".into()]).contains("7 days"));
        assert!(refused(|c| c.defaults.windows = vec!["60s".into(), "1min".into()]).contains("distinct"));
        assert!(refused(|c| c.defaults.windows.clear()).contains("defaults.windows"));
        assert!(refused(|c| c.defaults.lags_bins = vec![0]).contains("lag 0"));
        assert!(refused(|c| c.defaults.estimators = vec!["nmf".into(), "nmf".into()]).contains("each once"));
        assert!(refused(|c| c.defaults.estimators = vec!["magic".into()]).contains("'magic'"));
        let twice = vec!["nmf".into(), "nmf".into()];
        assert!(refused(|c| c.defaults.equilibrium_methods = twice).contains("each method once"));
        assert!(refused(|c| c.defaults.equilibrium_methods = vec!["exact".into()]).contains("boltzmann"));
    }

    #[test]
    fn others_than_this_machine_are_let_in_only_encrypted_and_known() {
        let listening = |certificate: &str, key: &str, client_ca: &str, token_file: &str| {
            let mut config = DaemonConfig::default();
            config.server.listen = ([0, 0, 0, 0], 50051).into();
            config.server.tls =
                TlsConfig { certificate: certificate.into(), key: key.into(), client_ca: client_ca.into() };
            config.server.token_file = token_file.into();
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(
            listening("", "", "", "").unwrap_err(),
            "server.listen = 0.0.0.0:50051 is not allowed: expected a loopback address such as 127.0.0.1:50051, or \
             server.tls.certificate and server.tls.key together with server.tls.client_ca or server.token_file"
        );
        assert!(listening("", "", "", "tokens").unwrap_err().starts_with("server.listen"), "not encrypted");
        assert!(listening("c", "k", "", "").unwrap_err().starts_with("server.listen"), "not known");
        assert!(listening("c", "", "ca", "").unwrap_err().starts_with("server.tls.key = ''"));
        assert!(listening("", "k", "ca", "").unwrap_err().starts_with("server.tls.certificate = ''"));
        assert!(listening("", "", "ca", "").unwrap_err().contains("because server.tls.client_ca is set"));
        assert_eq!(listening("c", "k", "ca", ""), Ok(()));
        assert_eq!(listening("c", "k", "", "tokens"), Ok(()));
        assert_eq!(listening("c", "k", "ca", "tokens"), Ok(()));
    }

    #[test]
    fn zeros_are_refused_where_nothing_would_work() {
        type Change = fn(&mut DaemonConfig);
        let zero: [(&str, Change); 34] = [
            ("journal.commit_bytes", |c| c.journal.commit_bytes = 0),
            ("journal.bytes_max", |c| c.journal.bytes_max = 0),
            ("defaults.equilibrium_interval_ms", |c| c.defaults.equilibrium_interval_ms = 0),
            ("defaults.equilibrium_bins_max", |c| c.defaults.equilibrium_bins_max = 0),
            ("limits.prediction_streams_max", |c| c.limits.prediction_streams_max = 0),
            ("server.refit_threads", |c| c.server.refit_threads = 0),
            ("server.refit_duty", |c| c.server.refit_duty = 0.0),
            ("defaults.refit_interval_ms", |c| c.defaults.refit_interval_ms = 0),
            ("defaults.refit_bins_max", |c| c.defaults.refit_bins_max = 0),
            ("defaults.score_memory_s", |c| c.defaults.score_memory_s = 0),
            ("server.ack_interval_ms", |c| c.server.ack_interval_ms = 0),
            ("server.shutdown_grace_s", |c| c.server.shutdown_grace_s = 0),
            ("server.estimator_threads", |c| c.server.estimator_threads = 0),
            ("server.keepalive_interval_s", |c| c.server.keepalive_interval_s = 0),
            ("server.keepalive_timeout_s", |c| c.server.keepalive_timeout_s = 0),
            ("defaults.refresh_interval_ms", |c| c.defaults.refresh_interval_ms = 0),
            ("limits.sessions_open_max", |c| c.limits.sessions_open_max = 0),
            ("limits.message_bytes_max", |c| c.limits.message_bytes_max = 0),
            ("limits.message_bins_max", |c| c.limits.message_bins_max = 0),
            ("limits.connections_max", |c| c.limits.connections_max = 0),
            ("limits.connections_per_peer_max", |c| c.limits.connections_per_peer_max = 0),
            ("limits.streams_max", |c| c.limits.streams_max = 0),
            ("limits.metadata_bytes_max", |c| c.limits.metadata_bytes_max = 0),
            ("limits.resets_pending_max", |c| c.limits.resets_pending_max = 0),
            ("limits.handshake_timeout_ms", |c| c.limits.handshake_timeout_ms = 0),
            ("limits.open_timeout_ms", |c| c.limits.open_timeout_ms = 0),
            ("limits.idle_timeout_s", |c| c.limits.idle_timeout_s = 0),
            ("limits.engine_queue_messages", |c| c.limits.engine_queue_messages = 0),
            ("limits.engine_queue_bytes", |c| c.limits.engine_queue_bytes = 0),
            ("limits.bulk_answers_max", |c| c.limits.bulk_answers_max = 0),
            ("limits.watchers_max", |c| c.limits.watchers_max = 0),
            ("limits.ring_bytes_max", |c| c.limits.ring_bytes_max = 0),
            ("limits.memory_bytes_max", |c| c.limits.memory_bytes_max = 0),
            ("archive.snapshot_interval_s", |c| c.archive.snapshot_interval_s = 0),
        ];
        for (key, change) in zero {
            assert!(refused(change).starts_with(&format!("{key} = 0 is not allowed")), "{key}");
        }
    }
}
