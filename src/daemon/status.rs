//! What a client sees of an error: the one mapping to `google.rpc.Status` with details.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::error::RequestError;
use crate::ingest::{AdmitError, TimestampError};
use crate::journal::JournalError;
use crate::model::BlockError;
use crate::session::PushError;

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        let (code, details) = describe(&error);
        Status::with_error_details(code, error.to_string(), details)
    }
}

fn describe(error: &RequestError) -> (Code, ErrorDetails) {
    use RequestError as E;
    match error {
        E::Missing { field } | E::NotOfSession { field, .. } => bad_field(field, error),
        E::Spec { field, .. } => bad_field(field, error),
        E::NotOpened | E::OpenedTwice => bad_field("open", error),
        E::UnknownReceiver { .. } => bad_field("query.receivers", error),
        E::TooManyPairs { field, .. } => bad_field(field, error),
        E::UnknownObserved { field, .. } => bad_field(field, error),
        E::Reconstruct(_) => bad_field("silent", error),
        E::QMax { .. } => bad_field("query.q_max", error),
        E::NoTrialFields { .. } => bad_field("query.trial_fields", error),
        E::UnknownNeuron { .. } | E::TooManyNeurons { .. } => bad_field("neurons", error),
        E::TrialBounds { .. } => bad_field("stop_bin", error),
        E::Admit(admit) => bad_field(admitted_field(admit), error),
        E::Timestamps(stamps) => stamped(stamps, error),
        E::OtherSpikes { found, .. } => bad_field(found, error),
        E::Backwards { .. } => (Code::OutOfRange, violation("bins.first_bin", error)),
        E::Push(push) => pushed(push, error),
        E::UnknownSession { session_id } => (Code::NotFound, resource("session", session_id, error)),
        E::UnknownSnapshot { session_id, file_name } => {
            (Code::NotFound, resource("snapshot", &format!("{session_id}/{file_name}"), error))
        }
        E::SessionClosed { session_id } => precondition("SESSION_OPEN", session_id, error),
        E::NothingPublished { session_id, .. } | E::NotEstimated { session_id, .. } => {
            precondition("ESTIMATE_PUBLISHED", session_id, error)
        }
        E::NoEquilibriumModels { session_id } => precondition("EQUILIBRIUM_MODELS_ON", session_id, error),
        E::NotFitted { session_id, .. } | E::ModelRefused { session_id, .. } => {
            precondition("EQUILIBRIUM_MODEL_PUBLISHED", session_id, error)
        }
        E::NoModelScored { session_id, .. } => precondition("EQUILIBRIUM_MODEL_SCORED", session_id, error),
        E::NothingScored { session_id, .. } => precondition("ESTIMATE_SCORED", session_id, error),
        E::NoArchive => precondition("ARCHIVE_ON", "archive.directory", error),
        E::Journal(JournalError::Full { .. }) => (
            Code::ResourceExhausted,
            ErrorDetails::with_quota_failure_violation("journal", error.to_string()),
        ),
        E::Journal(_) => (Code::Internal, ErrorDetails::new()),
        E::NoJournal => precondition("JOURNAL_ON", "journal.directory", error),
        E::SetAside { session_id, .. } => precondition("SESSION_RECOVERED", session_id, error),
        E::Limit { key, .. } => limit(key, error),
        E::MessageTooLarge { .. } => limit("message_bytes_max", error),
        E::ProducerConnected { session_id, .. } => {
            (Code::AlreadyExists, resource("producer", session_id, error))
        }
        E::Fenced { session_id, .. } => (Code::Aborted, resource("producer", session_id, error)),
        E::ArchiveUnreadable { .. } => (Code::Internal, ErrorDetails::new()),
        E::Stopped { .. } => (Code::Internal, ErrorDetails::new()),
        E::OpenTimeout { .. } => (Code::DeadlineExceeded, ErrorDetails::new()),
        E::ShuttingDown => (Code::Unavailable, ErrorDetails::new()),
    }
}

fn admitted_field(error: &AdmitError) -> &'static str {
    match error {
        AdmitError::BinCount { .. } => "bins.spikes",
        AdmitError::BinTooLarge { .. } => "bins.first_bin",
        AdmitError::ActiveCounts { .. } => "bins.sparse.active_counts",
        AdmitError::PackedLength { .. } | AdmitError::LeftoverBit { .. } => "bins.packed.bits",
        AdmitError::Block(BlockError::NeuronOutOfRange { .. } | BlockError::TooManySpikes { .. }) => {
            "bins.sparse.neurons"
        }
        AdmitError::TrialEdgeBeforeRun { .. } | AdmitError::TrialEdgesUnordered { .. } => "bins.trial_edges",
        AdmitError::TrialBeforeRun { .. }
        | AdmitError::TrialBounds { .. }
        | AdmitError::TrialsUnordered { .. } => "bins.trials",
    }
}

fn stamped(stamps: &TimestampError, error: &RequestError) -> (Code, ErrorDetails) {
    use TimestampError as E;
    match stamps {
        E::Lateness { .. } => bad_field("open.timestamps.lateness_us", error),
        E::TooManySources { .. } | E::SourceName { .. } => bad_field("open.timestamps.sources", error),
        E::UnknownSource { .. } => bad_field("times.source", error),
        E::Lengths { .. } => bad_field("times.times_ns", error),
        E::NeuronOutOfRange { .. } => bad_field("times.neurons", error),
        E::EmptyStretch { .. } => bad_field("times.unobserved", error),
        E::Leap { what: "clock", .. } | E::ClockBackwards { .. } => {
            (Code::OutOfRange, violation("times.clock_ns", error))
        }
        E::Leap { .. } => (Code::OutOfRange, violation("times.times_ns", error)),
        E::StretchTooLate { .. } => (Code::OutOfRange, violation("times.unobserved", error)),
        E::TooManyStretches { .. } | E::TooManyWaiting { .. } => {
            (Code::ResourceExhausted, ErrorDetails::with_quota_failure_violation("times", error.to_string()))
        }
    }
}

fn pushed(push: &PushError, error: &RequestError) -> (Code, ErrorDetails) {
    match push {
        PushError::GapTooLarge { .. } | PushError::BinTooLarge { .. } => {
            (Code::OutOfRange, violation("first_bin", error))
        }
        PushError::TrialEdgeInPast { .. } | PushError::TrialEdgeTooFar { .. } => {
            (Code::OutOfRange, violation("trial_edges", error))
        }
        PushError::TrialBounds { .. } => bad_field("stop_bin", error),
        PushError::TrialOverlap { .. } => bad_field("trials", error),
        PushError::TooManyTrialEdges => (
            Code::ResourceExhausted,
            ErrorDetails::with_quota_failure_violation("trial_edges", error.to_string()),
        ),
    }
}

fn bad_field(field: &str, error: &RequestError) -> (Code, ErrorDetails) {
    (Code::InvalidArgument, violation(field, error))
}

fn violation(field: &str, error: &RequestError) -> ErrorDetails {
    ErrorDetails::with_bad_request_violation(field, error.to_string())
}

fn limit(key: &str, error: &RequestError) -> (Code, ErrorDetails) {
    let subject = format!("limits.{key}");
    (Code::ResourceExhausted, ErrorDetails::with_quota_failure_violation(subject, error.to_string()))
}

fn precondition(kind: &str, subject: &str, error: &RequestError) -> (Code, ErrorDetails) {
    let details = ErrorDetails::with_precondition_failure_violation(kind, subject, error.to_string());
    (Code::FailedPrecondition, details)
}

fn resource(kind: &str, name: &str, error: &RequestError) -> ErrorDetails {
    ErrorDetails::with_resource_info(kind, name, "", error.to_string())
}
