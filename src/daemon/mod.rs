//! The async shell: gRPC services, worker threads, configuration and shutdown around the deterministic core.
//!
//! ```text
//!  StreamSpikes ──bounded──▶ engine (one thread per session, owns it) ──bounded──▶ estimators ──▶ publication ──▶ queries
//!   (waits when full)          │ close: final estimates itself                     (a pool)         (Arc)      watchers
//!                              ├─ every so many bins ──▶ equilibrium models (one thread) ──▶ publication of their own ──▶ queries
//!                              ├─────────────────────────▶ archiver (one thread) ◀────┘
//!                              ├─ counted bins ──▶ journal (one thread, an fsync per few milliseconds) ──▶ durable acknowledgements
//!                              └─ counted bins ──overwrites──▶ predictions (a thread per reader)
//! ```
//!
//! Tokio serves the network and nothing else: counting, estimating and writing files have threads of their own. Every queue
//! has a bound, and who fills it waits; a refresh that comes while the one before is still computed is skipped and counted.

mod archiver;
mod background;
mod choice;
mod config;
mod connection;
mod connections;
mod convert;
mod couplings;
mod derived;
mod engine;
mod equilibrium;
mod error;
mod estimate_header;
mod estimators;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handle;
mod journaling;
mod metrics;
mod predictions;
mod producer;
mod publish;
mod recorder;
mod recording_config;
mod refits;
mod registry;
mod security;
mod services;
mod session_metadata;
mod session_spec;
mod start;
mod status;
mod times;

pub use archiver::{SnapshotOrigin, SnapshotWriter, WriteFailed};
pub use config::{
    ArchiveConfig, ConfigError, DaemonConfig, JournalConfig, Limits, MetricsConfig, ServerConfig,
    SessionDefaults,
};
pub use recording_config::RecordingConfig;
pub use security::{SecurityError, TlsConfig};
pub use start::{RunningDaemon, ShutdownReport, StartError, start, start_with_writer};
