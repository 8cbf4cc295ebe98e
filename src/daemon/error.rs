//! Why a request cannot be answered. [`super::status`] says what the client sees.

use std::borrow::Cow;
use std::fmt;

use crate::equilibrium::ReconstructError;
use crate::ingest::{AdmitError, TimestampError};
use crate::journal::JournalError;
use crate::model::{
    BinWidthError, EquilibriumMethod, Estimator, LagsError, RidgesError, UnknownEquilibriumMethod,
    UnknownEstimator, WindowError,
};
use crate::session::{PushError, SpecError};

/// A request that cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// A field that has to be there is not.
    #[error("'{field}' is missing")]
    Missing {
        /// Path of the field in the request.
        field: &'static str,
    },
    /// No such session.
    #[error("there is no session '{session_id}'")]
    UnknownSession {
        /// The identifier asked for.
        session_id: String,
    },
    /// The session takes no more bins.
    #[error("session '{session_id}' is closed")]
    SessionClosed {
        /// Which session.
        session_id: String,
    },
    /// A session that cannot be made.
    #[error("{field}: {problem}")]
    Spec {
        /// Path of the field in the request.
        field: Cow<'static, str>,
        /// What is wrong with it.
        problem: SpecProblem,
    },
    /// A bound of the daemon is reached.
    #[error("{what}: {asked} asked for, {max} allowed (limits.{key})")]
    Limit {
        /// The key of the bound in the configuration.
        key: &'static str,
        /// What is bounded.
        what: &'static str,
        /// What the request would come to.
        asked: u64,
        /// The bound.
        max: u64,
    },
    /// A message larger than is read.
    #[error("a message is larger than {max} bytes (limits.message_bytes_max)")]
    MessageTooLarge {
        /// The bound.
        max: usize,
    },
    /// The first message of a stream did not open it.
    #[error("the first message of a stream must be 'open'")]
    NotOpened,
    /// A stream of which the first message did not come.
    #[error(
        "the stream was not opened within {waited_ms} ms (limits.open_timeout_ms): its first message must be 'open'"
    )]
    OpenTimeout {
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A later message of a stream opened it again.
    #[error("'open' must be the first message of a stream and come once")]
    OpenedTwice,
    /// A message that does not describe bins.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// Time-stamped spikes that cannot be taken, or cannot be taken like that.
    #[error(transparent)]
    Timestamps(#[from] TimestampError),
    /// Bins in a stream of time-stamped spikes, or the other way round.
    #[error("the stream was opened {}: expected '{expected}', got '{found}'", opened_how(expected))]
    OtherSpikes {
        /// The message that was expected.
        expected: &'static str,
        /// The message that came.
        found: &'static str,
    },
    /// Bins or trial edges that the session refuses.
    #[error(transparent)]
    Push(#[from] PushError),
    /// What cannot be made durable.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Durable acknowledgements of a daemon that keeps no journal.
    #[error("durable acknowledgements were asked for, but the daemon keeps no journal (journal.directory)")]
    NoJournal,
    /// A session of an earlier run that could not be taken up again.
    #[error(
        "session '{session_id}' could not be taken up again when the daemon started: {reason}; the journal keeps it"
    )]
    SetAside {
        /// Which session.
        session_id: String,
        /// Why.
        reason: String,
    },
    /// Bins before those of the message before.
    #[error("bins go backwards: a message begins at bin {first_bin}, the one before began at bin {previous}")]
    Backwards {
        /// First bin of the message.
        first_bin: u64,
        /// First bin of the message before.
        previous: u64,
    },
    /// Someone else is sending.
    #[error(
        "session '{session_id}' has a producer of epoch {connected}; epoch {asked} does not take over, a higher one would"
    )]
    ProducerConnected {
        /// Which session.
        session_id: String,
        /// Epoch of the producer that is connected.
        connected: u64,
        /// Epoch of the one that is not.
        asked: u64,
    },
    /// Someone else has taken over.
    #[error("fenced by epoch {epoch}: a producer of that epoch took session '{session_id}' over")]
    Fenced {
        /// Which session.
        session_id: String,
        /// Epoch of the new producer.
        epoch: u64,
    },
    /// A trial that stops before it starts.
    #[error("the trial stops at bin {stop_bin}, which is not after its start at bin {start_bin}")]
    TrialBounds {
        /// First bin.
        start_bin: u64,
        /// Bin after the last one.
        stop_bin: u64,
    },
    /// No estimate yet.
    #[error("session '{session_id}' has published nothing yet: {when}")]
    NothingPublished {
        /// Which session.
        session_id: String,
        /// When the first estimate comes.
        when: FirstPublication,
    },
    /// No estimate by that estimator yet.
    #[error("'{estimator}' has estimated nothing of session '{session_id}' yet: its first estimate {when}")]
    NotEstimated {
        /// Which session.
        session_id: String,
        /// The estimator.
        estimator: Estimator,
        /// When its first estimate comes.
        when: Awaited,
    },
    /// No score yet to choose the best estimator by.
    #[error("session '{session_id}' has no best estimator yet: the first score {when}")]
    NothingScored {
        /// Which session.
        session_id: String,
        /// When the first score comes.
        when: Awaited,
    },
    /// The session fits no equilibrium models.
    #[error("session '{session_id}' has no equilibrium models")]
    NoEquilibriumModels {
        /// Which session.
        session_id: String,
    },
    /// No equilibrium model by that method yet.
    #[error("'{method}' has given no model of session '{session_id}' yet: the first one {when}")]
    NotFitted {
        /// Which session.
        session_id: String,
        /// The method.
        method: EquilibriumMethod,
        /// When its first model comes.
        when: Awaited,
    },
    /// No score yet to choose the best equilibrium model by.
    #[error("session '{session_id}' has no best equilibrium model yet: the first score {when}")]
    NoModelScored {
        /// Which session.
        session_id: String,
        /// When the first score comes.
        when: Awaited,
    },
    /// An equilibrium method that gives no model of the bins at hand.
    #[error("'{method}' gives no model of session '{session_id}': {reason}")]
    ModelRefused {
        /// Which session.
        session_id: String,
        /// The method.
        method: EquilibriumMethod,
        /// Why.
        reason: String,
    },
    /// An observed neuron that does not exist.
    #[error("{field} neuron {neuron} does not exist, the session has {n_neurons} neurons (0 to {})", n_neurons - 1)]
    UnknownObserved {
        /// The list it is in.
        field: &'static str,
        /// The index given.
        neuron: u32,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// What was observed of a bin, which cannot be.
    #[error(transparent)]
    Reconstruct(#[from] ReconstructError),
    /// A level of q that is none.
    #[error("q_max = {found} is not allowed: expected a number above 0, at most 1")]
    QMax {
        /// The number given.
        found: f64,
    },
    /// Fields of the bins of a trial, of an estimator that has none.
    #[error(
        "'{estimator}' has one field per neuron: fields of the bins of a trial are of trial-nmf, trial-tap and trial-exact"
    )]
    NoTrialFields {
        /// The estimator.
        estimator: Estimator,
    },
    /// A name that stands for none of what the session has.
    #[error("{field} '{asked}' is not one of this session, which has {available}")]
    NotOfSession {
        /// Path of the field in the request.
        field: &'static str,
        /// What was asked for.
        asked: String,
        /// What there is.
        available: String,
    },
    /// A receiver that does not exist.
    #[error("receiver {receiver} does not exist, the session has {n_neurons} neurons (0 to {})", n_neurons - 1)]
    UnknownReceiver {
        /// The index asked for.
        receiver: u32,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// A neuron that does not exist.
    #[error("neuron {neuron} does not exist, the session has {n_neurons} neurons (0 to {})", n_neurons - 1)]
    UnknownNeuron {
        /// The index asked for.
        neuron: u32,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// More neurons than are predicted.
    #[error("{asked} neurons asked for, of a session with {n_neurons}")]
    TooManyNeurons {
        /// The number asked for.
        asked: usize,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// More pairs than are sorted out.
    #[error("{asked} pairs asked for, at most {max} are sorted out; ask for rows instead")]
    TooManyPairs {
        /// Path of the field in the request.
        field: &'static str,
        /// The number asked for.
        asked: u32,
        /// The largest number answered.
        max: u32,
    },
    /// Snapshots are not kept.
    #[error("this daemon keeps no snapshots: archive.directory is not set")]
    NoArchive,
    /// No such snapshot.
    #[error("session '{session_id}' has no snapshot '{file_name}'")]
    UnknownSnapshot {
        /// Which session.
        session_id: String,
        /// The file asked for.
        file_name: String,
    },
    /// A snapshot cannot be read.
    #[error("the archive cannot be read: {reason}")]
    ArchiveUnreadable {
        /// What the system said.
        reason: String,
    },
    /// The daemon is going down.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// A thread of the daemon ended when it should not have.
    #[error("the {what} stopped because of an internal error; the log has the details")]
    Stopped {
        /// Which part.
        what: &'static str,
    },
}

fn opened_how(expected: &str) -> &'static str {
    if expected == "times" { "with 'timestamps'" } else { "without 'timestamps'" }
}

/// Most characters of a text from a client that an error repeats.
const ECHOED_CHARS_MAX: usize = 100;

/// A text from a client as an error repeats it: cut, and without control characters.
pub(super) fn echoed(text: &str) -> String {
    cut(text, ECHOED_CHARS_MAX).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The text, cut to so many characters.
pub(super) fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// What is wrong with a session's specification.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecProblem {
    /// The number of neurons is given twice, differently.
    #[error("{neuron_count} does not agree with the {listed} neurons listed")]
    NeuronCounts {
        /// The number given.
        neuron_count: u32,
        /// The number listed.
        listed: usize,
    },
    /// A name or label that is too long.
    #[error("{found} characters, at most {max} are allowed")]
    TooLong {
        /// Number of characters given.
        found: usize,
        /// The largest number allowed.
        max: usize,
    },
    /// A name or label that could not be printed, stored or sent on as it is.
    #[error("character {place} is the control character {}, which is not allowed", found.escape_unicode())]
    ControlCharacter {
        /// Place of the character, from 0.
        place: usize,
        /// The character.
        found: char,
    },
    /// The bin width.
    #[error(transparent)]
    BinWidth(#[from] BinWidthError),
    /// A window.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A lag.
    #[error(transparent)]
    Lags(#[from] LagsError),
    /// An estimator's number.
    #[error("{number} stands for no estimator")]
    EstimatorNumber {
        /// The number given.
        number: i32,
    },
    /// A choice among estimators in the place of one.
    #[error("'best' chooses among the estimators of a session and is none to run")]
    EstimatorBest,
    /// An estimator's name.
    #[error(transparent)]
    Estimator(#[from] UnknownEstimator),
    /// A ridge.
    #[error(transparent)]
    Ridges(#[from] RidgesError),
    /// A ridge and a path to choose one from.
    #[error("either one ridge or a path of ridges can be given, not both")]
    RidgeTwice,
    /// The same estimator twice.
    #[error("an estimator is listed twice")]
    EstimatorTwice,
    /// An equilibrium method's number.
    #[error("{number} stands for no equilibrium method")]
    EquilibriumMethodNumber {
        /// The number given.
        number: i32,
    },
    /// A choice among equilibrium methods in the place of one.
    #[error("'best' chooses among the equilibrium methods of a session and is none to run")]
    EquilibriumMethodBest,
    /// An equilibrium method's name.
    #[error(transparent)]
    EquilibriumMethod(#[from] UnknownEquilibriumMethod),
    /// Equilibrium methods, and the word that there are none.
    #[error("'no_equilibrium' contradicts the equilibrium methods that are listed")]
    EquilibriumAndNone,
    /// Anything else.
    #[error(transparent)]
    Session(#[from] SpecError),
}

/// When the first estimate of a session comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstPublication {
    /// Once this bin has been reached.
    AtBin(u64),
    /// It is being computed.
    Soon,
}

impl fmt::Display for FirstPublication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtBin(bin) => write!(f, "the first estimate comes at bin {bin}"),
            Self::Soon => f.write_str("the first estimate is being computed"),
        }
    }
}

/// When something comes that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Once this bin has been reached.
    AtBin(u64),
    /// It is being computed, or waits for its turn.
    Soon,
    /// The session was closed before.
    Never,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtBin(bin) => write!(f, "comes at bin {bin}"),
            Self::Soon => f.write_str("is being computed"),
            Self::Never => f.write_str("will not come: the session is closed"),
        }
    }
}
