//! Everything that can go wrong on the command line, in one line each, and the exit code it gives.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use glauber::archive::ArchiveError;
use glauber::daemon::StartError;
use glauber::equilibrium::{EquilibriumError, ReconstructError};
use glauber::ingest::BinningError;
use glauber::model::{BlockError, LagsError};
use glauber::recording::RecordingError;
use glauber::session::{ComparisonError, PushError, SpecError};
use glauber::simulate::SimulationError;
use tonic::{Code, Status};

use super::reading::ReadingError;
use super::trust;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The reader of our output went away; not reported.
    #[error("the reader of the output went away")]
    StdoutClosed,
    /// Output could not be written.
    #[error("writing the output: {source}")]
    Stdout { source: io::Error },
    /// Arguments that make no sense.
    #[error("{problem} (see `glauber --help`)")]
    Usage { problem: String },
    /// An argument that clap cannot judge alone.
    #[error("{argument}: {problem}")]
    Argument { argument: &'static str, problem: String },
    /// The user pressed Ctrl-C.
    #[error("interrupted{}", .0)]
    Interrupted(String),
    /// A file that is there already.
    #[error("{} exists already: choose another --out, or replace it with --force", path.display())]
    OutputExists { path: PathBuf },
    /// A file or directory that cannot be used.
    #[error("{doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Something of the system's, without a file.
    #[error("{doing}: {source}")]
    System { doing: &'static str, source: io::Error },
    /// A recording that cannot be read or written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A file that cannot be read, in the words of the process that read it.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// A snapshot that cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A network that cannot be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// A configuration that cannot be carried out.
    #[error("{problem}")]
    Config { problem: String },
    /// A daemon that does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A shutdown that was given up.
    #[error("not everything was written within {grace_s} s (server.shutdown_grace_s)")]
    ShutdownIncomplete { grace_s: u64 },
    /// The daemon cannot go on.
    #[error("{what}: the daemon has to be started again")]
    Lost {
        /// What it has lost.
        what: String,
    },
    /// A recording that cannot be binned.
    #[error("{}: {source}", path.display())]
    Binning { path: PathBuf, source: BinningError },
    /// A session that cannot be carried out.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A recording that cannot be split.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    /// No method gave a model.
    #[error("no equilibrium method gave a model of this recording")]
    NothingFitted,
    /// An equilibrium model that cannot be fitted.
    #[error(transparent)]
    Equilibrium(#[from] EquilibriumError),
    /// Neurons that cannot be reconstructed.
    #[error(transparent)]
    Reconstruct(#[from] ReconstructError),
    /// Lags that cannot be kept.
    #[error("--lags: {0}")]
    Lags(#[from] LagsError),
    /// A block the session does not take.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Bins that do not fit their neurons.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Nobody answers.
    #[error("no daemon at {address} ({reason}): start one with `glauber serve`")]
    NoDaemon { address: String, reason: String },
    /// The daemon or we are not trusted, or one of us does not encrypt.
    #[error("cannot talk to the daemon at {address}: {problem}")]
    NotTrusted { address: String, problem: String },
    /// The daemon refused or failed.
    #[error("{doing} at {address}: {problem}")]
    Daemon { doing: &'static str, address: String, problem: String },
    /// The daemon goes down while bins are sent.
    #[error(
        "the daemon at {address} is shutting down: session {session_id} is closed, every bin before bin {applied_through} was counted"
    )]
    DaemonStops { address: String, session_id: String, applied_through: u64 },
    /// The daemon answered what the interface does not allow.
    #[error("the daemon at {address} sent {what}; is it of another version than this program?")]
    Protocol { address: String, what: String },
    /// No session to ask about.
    #[error(
        "the daemon at {address} has no session yet: start one with `glauber replay FILE --bin-width 20ms`"
    )]
    NoSessions { address: String },
    /// No session of that name.
    #[error("no session '{wanted}' at {address}; there are: {known}")]
    UnknownSession { wanted: String, address: String, known: String },
    /// The daemon under load went away or answered wrongly, or a daemon of our own did not start.
    #[error("{0}")]
    Load(String),
    /// Something that has been told already.
    #[error("failed")]
    Told,
    /// More than one session fits.
    #[error("'{wanted}' fits several sessions: {matches}; give the whole id")]
    AmbiguousSession { wanted: String, matches: String },
}

impl CliError {
    /// The exit code: 0 when only the reader went away, 2 for wrong arguments, 130 after Ctrl-C, 1 otherwise.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// As before, as a number.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::StdoutClosed => 0,
            Self::Usage { .. }
            | Self::Argument { .. }
            | Self::Config { .. }
            | Self::Lags(_)
            | Self::Simulation(_)
            | Self::Start(StartError::Config(_)) => 2,
            Self::Interrupted(_) => 130,
            Self::Reading(error) => error.code(),
            _ => 1,
        }
    }

    /// Whether there is anything to tell the user.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::StdoutClosed | Self::Told)
    }

    /// A refusal or failure of the daemon, in words.
    pub(crate) fn from_status(doing: &'static str, address: &str, status: &Status) -> Self {
        let owned = || address.to_owned();
        let cause = std::error::Error::source(status);
        if let Some(problem) = cause.and_then(trust::refusal) {
            return Self::NotTrusted { address: owned(), problem };
        }
        // An answer of a daemon has no cause in here. Cancelled is what the transport says of a call that was still waiting to be sent
        // when the connection went away.
        if let (Some(cause), Code::Unavailable | Code::Unknown | Code::Cancelled) = (cause, status.code()) {
            return Self::NoDaemon { address: owned(), reason: root_cause(cause) };
        }
        let message = status.message();
        let problem = match status.code() {
            Code::Unauthenticated => format!("access refused: {message} (--token-file FILE)"),
            Code::PermissionDenied => format!("access refused: {message}"),
            Code::Unimplemented => format!("the daemon does not offer this call ({message})"),
            Code::DeadlineExceeded => format!("no answer in time: {message}"),
            code if message.is_empty() => format!("refused with {code:?} and no reason"),
            _ => message.to_owned(),
        };
        Self::Daemon { doing, address: address.to_owned(), problem }
    }
}

/// The innermost cause of an error, which names what the system said.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
