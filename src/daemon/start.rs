//! Starting the daemon and taking it down in order.

mod vitals;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{RwLock, watch};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_layer::{Identity, Stack};

use super::archiver::{Archive, SnapshotWriter, hdf5_writer};
use super::background::Background;
use super::config::{ConfigError, DaemonConfig, JournalConfig, Limits};
use super::connections::{Bounds, Connections};
use super::estimators::Estimators;
use super::handle::REASON_CHARS_MAX;
use super::journaling::Durability;
use super::metrics;
use super::registry::Registry;
use super::security::{GateLayer, Security, SecurityError};
use super::services::{ArchiveRpc, InferenceRpc, IngestRpc, SessionRpc, Stopping};
use super::session_spec::NAME_CHARS_MAX;
use super::web;
use crate::journal::{Health, JournalError, JournalThread};
use crate::proto::DESCRIPTOR_SET;
use crate::proto::v1::archive_service_server::ArchiveServiceServer;
use crate::proto::v1::inference_service_server::InferenceServiceServer;
use crate::proto::v1::ingest_service_server::IngestServiceServer;
use crate::proto::v1::session_service_server::SessionServiceServer;

const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
const FRAME_BYTES: u32 = 1 << 20;
/// Most bytes of a session in a list: name and last error at up to 4 bytes per character, and a kilobyte of numbers.
const SESSION_BYTES_MAX: usize = 4 * (NAME_CHARS_MAX + REASON_CHARS_MAX + 1) + 1024;

/// Longest time a shutdown waits, at its end, for clients to read what they were sent.
const LAST_READ_WAIT: Duration = Duration::from_secs(1);

pub use vitals::StartProgress;

/// A daemon that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file for encryption or access cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Snapshots cannot be written where they should go.
    #[error("archive.directory = {directory} cannot be written to: {source}", directory = directory.display())]
    Archive {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a journal that cannot be opened, or none can be begun.
    #[error("journal.directory = {directory}: {source}", directory = directory.display())]
    Journal {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        source: JournalError,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The description of the interface that is built in cannot be read.
    #[error("the built-in description of the interface cannot be read: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A daemon that serves. Dropping it ends it without the order of [`RunningDaemon::shutdown`].
#[derive(Debug)]
pub struct RunningDaemon {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    web_address: Option<SocketAddr>,
    grace: Duration,
    shutdown: watch::Sender<bool>,
    streams: Arc<RwLock<()>>,
    health: HealthReporter,
    security: Security,
    server: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    workers: Workers,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Whether every session was closed, every snapshot written and every thread joined in time; that some client did not
    /// read to the end does not count.
    pub complete: bool,
}

struct Workers {
    registry: Arc<Registry>,
    estimators: Vec<JoinHandle<()>>,
    archiver: Option<JoinHandle<()>>,
    journal: Option<JournalThread>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("estimators", &self.estimators.len()).finish_non_exhaustive()
    }
}

/// Read the files of certificates and tokens that a configuration names, as a start does.
///
/// # Errors
/// [`StartError`] naming the key, the file and what is wrong with it.
pub fn check_files(config: &DaemonConfig) -> Result<(), StartError> {
    Security::load(&config.server)?;
    Ok(())
}

/// Start a daemon; it serves when this returns.
///
/// # Errors
/// [`StartError`] naming what is wrong; nothing runs then.
pub async fn start(config: DaemonConfig) -> Result<RunningDaemon, StartError> {
    start_with_writer(config, hdf5_writer()).await
}

/// Start a daemon, and tell meanwhile how far it is.
///
/// # Errors
/// [`StartError`] naming what is wrong; nothing runs then.
pub async fn start_reporting(
    config: DaemonConfig,
    progress: StartProgress,
) -> Result<RunningDaemon, StartError> {
    start_all(config, hdf5_writer(), progress).await
}

/// Start a daemon whose snapshots are written by `writer`.
///
/// # Errors
/// [`StartError`] naming what is wrong; nothing runs then.
pub async fn start_with_writer(
    config: DaemonConfig,
    writer: SnapshotWriter,
) -> Result<RunningDaemon, StartError> {
    start_all(config, writer, StartProgress::default()).await
}

async fn start_all(
    config: DaemonConfig,
    writer: SnapshotWriter,
    progress: StartProgress,
) -> Result<RunningDaemon, StartError> {
    config.check()?;
    check_archive(&config.archive.directory)?;
    let security = Security::load(&config.server)?;
    let (listener, address) = listen(config.server.listen).await?;
    let grace = Duration::from_secs(config.server.shutdown_grace_s);
    let failed = |source| StartError::Listen { address, source };
    let connections =
        Connections::new(listener, bounds(&config.limits), security.tls.clone()).map_err(failed)?;
    let metrics = match config.metrics.address()? {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let page = match config.web.address()? {
        Some(address) => Some(listen(address).await?),
        None => None,
    };

    let (durability, journal) = open_journal(&config.journal).await?;
    let (archive, archiver) =
        Archive::start(&config.archive, &config.recording, writer).map_err(StartError::Thread)?;
    let (estimators, pool) = Estimators::start(
        config.server.estimator_threads,
        config.server.refit_threads,
        config.limits.sessions_open_max,
        Background::new(config.server.estimator_nice),
    )
    .map_err(StartError::Thread)?;
    let metrics_bounds = Bounds {
        connections_max: metrics::CONNECTIONS_MAX,
        connections_per_peer_max: metrics::CONNECTIONS_MAX,
        idle: None,
        ..bounds(&config.limits)
    };
    let registry = Arc::new(Registry::new(config, estimators, archive, durability));
    // Before anyone is served: who connects finds every session that is not closed, in the state it had.
    registry.recover(&progress).await.map_err(|source| unusable_journal(&registry.config.journal, source))?;

    let (shutdown, mut signal) = watch::channel(false);
    let streams = Arc::new(RwLock::new(()));
    let stopping = Stopping { signal: signal.clone(), streams: Arc::clone(&streams) };
    let (health, router) = router(&registry, stopping, GateLayer { tokens: security.tokens.clone() }).await?;
    let mut metrics_signal = signal.clone();
    let mut page_signal = signal.clone();
    // The sender gone means the daemon was dropped: that stops it as well.
    let stopped = async move { drop(signal.wait_for(|&down| down).await) };
    let server = tokio::spawn(router.serve_with_incoming_shutdown(connections, stopped));
    tracing::info!(%address, "listening");
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    if let Some((listener, address)) = metrics {
        let stopped = async move { drop(metrics_signal.wait_for(|&down| down).await) };
        let connections = Connections::new(listener, metrics_bounds, None)
            .map_err(|source| StartError::Listen { address, source })?;
        tokio::spawn(metrics::serve(connections, Arc::clone(&registry), stopped));
        tracing::info!(%address, "serving metrics");
    }
    let web_address = page.as_ref().map(|(_, address)| *address);
    if let Some((listener, address)) = page {
        let stopped = async move { drop(page_signal.wait_for(|&down| down).await) };
        let connections = Connections::new(listener, web::bounds(&registry.config.limits), None)
            .map_err(|source| StartError::Listen { address, source })?;
        tokio::spawn(web::serve(connections, Arc::clone(&registry), stopped));
        tracing::info!(%address, "serving the page");
    }
    tokio::spawn(report_ingest(health.clone(), registry.durability.watch_health()));
    let workers = Workers { registry, estimators: pool, archiver, journal };
    Ok(RunningDaemon {
        address,
        metrics_address,
        web_address,
        grace,
        shutdown,
        streams,
        health,
        security,
        server,
        workers,
    })
}

fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        connections_max: limits.connections_max,
        connections_per_peer_max: limits.connections_per_peer_max,
        handshake: Duration::from_millis(limits.handshake_timeout_ms),
        idle: Some(Duration::from_secs(limits.idle_timeout_s)),
    }
}

fn unusable_journal(config: &JournalConfig, source: JournalError) -> StartError {
    StartError::Journal { directory: config.directory.clone(), source }
}

/// Open the journal, or begin one where there is none.
async fn open_journal(config: &JournalConfig) -> Result<(Durability, Option<JournalThread>), StartError> {
    let opened = {
        let config = config.clone();
        // What a crash left behind is repaired first: seconds for each gigabyte.
        tokio::task::spawn_blocking(move || {
            if config.file().is_some() {
                let made = std::fs::create_dir_all(&config.directory);
                made.map_err(|error| JournalError::Disk {
                    doing: "make the directory of",
                    reason: error.to_string(),
                })?;
            }
            Durability::start(&config)
        })
        .await
    };
    let opened = opened.unwrap_or_else(|error| Err(JournalError::Damaged { reason: error.to_string() }));
    opened.map_err(|source| unusable_journal(config, source))
}

/// Report the ingest service as not serving while nothing can be made durable.
async fn report_ingest(health: HealthReporter, mut journal: watch::Receiver<Health>) {
    const INGEST: &str = <IngestServiceServer<IngestRpc> as NamedService>::NAME;
    while journal.changed().await.is_ok() {
        let status = match *journal.borrow_and_update() {
            Health::Working => ServingStatus::Serving,
            Health::Full { .. } | Health::Failed { .. } => ServingStatus::NotServing,
        };
        health.set_service_status(INGEST, status).await;
    }
}

/// Listen on an address; gives it with the port that was free.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Make the directory and write into it, so that a wrong one shows at start and not hours later.
fn check_archive(directory: &Path) -> Result<(), StartError> {
    if directory.as_os_str().is_empty() {
        return Ok(());
    }
    let random = RandomState::new().hash_one(std::process::id());
    let probe = directory.join(format!(".glauber-{random:016x}.tmp"));
    std::fs::create_dir_all(directory)
        // Never through a link that someone has put there.
        .and_then(|()| std::fs::File::create_new(&probe).map(drop))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|source| StartError::Archive { directory: directory.to_path_buf(), source })
}

async fn router(
    registry: &Arc<Registry>,
    stopping: Stopping,
    gate: GateLayer,
) -> Result<(HealthReporter, Router<Stack<GateLayer, Identity>>), StartError> {
    let (server, limits) = (&registry.config.server, &registry.config.limits);
    let decode = limits.message_bytes_max;
    // A session is told of with its neurons, which came in one request.
    let encode = decode.max(4 << 20) + (1 << 20);
    // All of them are told of in one list.
    let listed = (limits.sessions_open_max + limits.sessions_closed_kept) * SESSION_BYTES_MAX;
    let registry = || Arc::clone(registry);

    let sessions = SessionServiceServer::new(SessionRpc { registry: registry() })
        .max_decoding_message_size(decode)
        .max_encoding_message_size(encode + listed);
    let ingest = IngestServiceServer::new(IngestRpc { registry: registry(), stopping })
        .max_decoding_message_size(decode)
        .max_encoding_message_size(encode);
    let inference = InferenceServiceServer::new(InferenceRpc { registry: registry() })
        .max_decoding_message_size(decode)
        .max_encoding_message_size(encode);
    let archive = ArchiveServiceServer::new(ArchiveRpc { registry: registry() })
        .max_decoding_message_size(decode)
        .max_encoding_message_size(encode);

    let (health, health_service) = tonic_health::server::health_reporter();
    // Anyone may ask: what they send is a name.
    let health_service = health_service.max_decoding_message_size(1024);
    set_health(&health, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTOR_SET)
    };
    let router = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(limits.streams_max)
        .http2_max_header_list_size(limits.metadata_bytes_max)
        .http2_max_pending_accept_reset_streams(Some(limits.resets_pending_max))
        .http2_keepalive_interval(Some(Duration::from_secs(server.keepalive_interval_s)))
        .http2_keepalive_timeout(Some(Duration::from_secs(server.keepalive_timeout_s)))
        .layer(gate)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        // Some clients still ask for the older reflection.
        .add_service(reflection().build_v1alpha()?)
        .add_service(sessions)
        .add_service(ingest)
        .add_service(inference)
        .add_service(archive);
    Ok((health, router))
}

/// Report the daemon as a whole, under the empty name, and each of its services.
async fn set_health(health: &HealthReporter, status: ServingStatus) {
    let services = [
        "",
        <SessionServiceServer<SessionRpc> as NamedService>::NAME,
        <IngestServiceServer<IngestRpc> as NamedService>::NAME,
        <InferenceServiceServer<InferenceRpc> as NamedService>::NAME,
        <ArchiveServiceServer<ArchiveRpc> as NamedService>::NAME,
    ];
    for service in services {
        health.set_service_status(service, status).await;
    }
}

impl RunningDaemon {
    /// The address it listens on, with the port that was free.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address it serves metrics on, if it does.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// The address it serves the page on, if it does.
    #[must_use]
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.web_address
    }

    /// Read the files of certificates and tokens again: new connections and calls are checked against them, those under way go on.
    ///
    /// # Errors
    /// [`SecurityError`] naming the file and what is wrong with it; the daemon goes on with what it has.
    pub fn reload_security(&self) -> Result<(), SecurityError> {
        self.security.reload()
    }

    /// Take it down in order: report not serving, stop accepting, end the producers' streams with a last
    /// acknowledgement of what is counted, end each session with its final estimates and snapshots, join the threads. With a journal the
    /// sessions go on when a daemon starts on it again. Refits are not waited for: the final
    /// estimates have those found last. Whatever of that is not done
    /// after the time of grace is given up. Clients get one more second to read what they were sent.
    pub async fn shutdown(self) -> ShutdownReport {
        tracing::info!("shutting down");
        set_health(&self.health, ServingStatus::NotServing).await;
        self.workers.registry.begin_shutdown();
        self.shutdown.send_replace(true);
        let Self { mut server, workers, grace, streams, .. } = self;
        let abort = server.abort_handle();
        let orderly = async {
            // Not the whole time of grace: a producer that has stopped reading must not cost the final estimates.
            drop(tokio::time::timeout(grace / 2, streams.write()).await);
            workers.registry.close_all().await;
            tokio::task::spawn_blocking(move || workers.join()).await.is_ok()
        };
        let complete = tokio::time::timeout(grace, orderly).await.unwrap_or(false);
        if !complete {
            tracing::warn!(grace_s = grace.as_secs(), "shutdown given up after the time of grace");
        }
        // Watchers end with their sessions, producers with the signal; what is left are answers that someone may never read.
        if tokio::time::timeout(LAST_READ_WAIT, &mut server).await.is_err() {
            tracing::info!("connections ended whose clients had not read everything");
            abort.abort();
        }
        ShutdownReport { complete }
    }
}

impl Workers {
    /// Wait for every thread, in the order in which they hand work on.
    fn join(self) {
        // A thread that panicked has said so in the log.
        let join = |thread: JoinHandle<()>| drop(thread.join());
        self.registry.take_engines().into_iter().for_each(join);
        self.registry.stop_estimators();
        self.estimators.into_iter().for_each(join);
        self.registry.archive.stop();
        self.archiver.into_iter().for_each(join);
        // Last: what all the others did is made durable.
        self.registry.durability.stop();
        self.journal.into_iter().for_each(join);
    }
}
