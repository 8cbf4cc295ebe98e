//! The gRPC services: each checks a request, asks the session, and words the answer.

mod archive;
mod inference;
mod ingest;
mod session;

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::Status;

pub(super) use archive::ArchiveRpc;
pub(super) use inference::InferenceRpc;
pub(super) use ingest::{IngestRpc, Stopping};
pub(super) use session::SessionRpc;

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answer messages that may wait for the network.
const ANSWERS_QUEUED: usize = 4;
