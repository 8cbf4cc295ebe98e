//! What the page asks for, answered by the very calls that answer gRPC clients.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Status};

use super::{Page, json, packed};
use crate::daemon::convert::estimator_to_proto;
use crate::daemon::equilibrium::method_to_proto;
use crate::model::{EquilibriumMethod, Estimator};
use crate::proto::v1;
use crate::proto::v1::get_correlations_response::Part as CorrelationsPart;
use crate::proto::v1::get_couplings_response::Part as CouplingsPart;
use crate::proto::v1::get_equilibrium_model_response::Part as ModelPart;
use crate::proto::v1::inference_service_server::InferenceService;
use crate::proto::v1::session_service_server::SessionService;

/// Longest wait for a place among the large answers.
const PLACE_WAIT: Duration = Duration::from_secs(5);
/// Most pairs told of.
const PAIRS_MAX: u32 = 1000;

/// An answer, or why there is none.
type Answer = Result<Response, Refusal>;

/// Why there is no answer: as JSON, in the words that gRPC clients get.
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

pub(super) fn refusal(status: StatusCode, code: &str, message: impl Into<String>) -> Refusal {
    Refusal { status, code: code.to_owned(), message: message.into() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, told(&json!({ "error": self.message, "code": self.code }))).into_response()
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let (http, code) = match status.code() {
            Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Code::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            Code::FailedPrecondition => (StatusCode::CONFLICT, "FAILED_PRECONDITION"),
            Code::ResourceExhausted => (StatusCode::SERVICE_UNAVAILABLE, "RESOURCE_EXHAUSTED"),
            Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        };
        refusal(http, code, status.message())
    }
}

fn told(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn numbers(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

/// An answer of the daemon that is not what was asked for: a defect.
fn unexpected() -> Refusal {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "internal error: the answer has another form")
}

/// What couplings or correlations are asked for; what is absent is left to the daemon.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    estimator: String,
    method: String,
    window: String,
    lag: u32,
    receiver: Option<u32>,
    top: u32,
    q: bool,
    bins: u32,
    from: u64,
}

impl Default for Asked {
    fn default() -> Self {
        let (estimator, method, window) = (String::new(), String::new(), String::new());
        Self { estimator, method, window, lag: 0, receiver: None, top: 30, q: false, bins: 0, from: 0 }
    }
}

fn bad_argument(message: impl ToString) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message.to_string())
}

impl Asked {
    fn couplings(&self, session_id: String) -> Result<v1::CouplingsQuery, Refusal> {
        let estimator = match self.estimator.as_str() {
            "" => v1::Estimator::Unspecified,
            "best" => v1::Estimator::Best,
            name => estimator_to_proto(name.parse::<Estimator>().map_err(bad_argument)?),
        };
        let (estimator, window) = (estimator.into(), self.window.clone());
        Ok(v1::CouplingsQuery { session_id, estimator, window, ..Default::default() })
    }

    fn model(&self, session_id: String) -> Result<v1::GetEquilibriumModelRequest, Refusal> {
        let method = match self.method.as_str() {
            "" => v1::EquilibriumMethod::Unspecified,
            "best" => v1::EquilibriumMethod::Best,
            name => method_to_proto(name.parse::<EquilibriumMethod>().map_err(bad_argument)?),
        };
        let (method, window) = (method.into(), self.window.clone());
        Ok(v1::GetEquilibriumModelRequest { session_id, method, window, ..Default::default() })
    }
}

type OfSession = (State<Arc<Page>>, Path<String>);

/// `GET /api/sessions`: every session, and the daemon.
pub(super) async fn sessions(State(page): State<Arc<Page>>) -> Answer {
    let listed = page.sessions.list_sessions(Request::new(v1::ListSessionsRequest {})).await?;
    Ok(told(&json::sessions(&listed.into_inner())))
}

/// `GET /api/sessions/ID`: one session, with its neurons.
pub(super) async fn session((State(page), Path(session_id)): OfSession) -> Answer {
    let found = page.sessions.get_session(Request::new(v1::GetSessionRequest { session_id })).await?;
    let session = found.into_inner().session.ok_or_else(unexpected)?;
    Ok(told(&json::session(&session)))
}

/// `GET …/couplings?estimator=&window=&q=`: the header, then the matrix, with `q` the values of q as well.
pub(super) async fn couplings(
    (State(page), Path(session_id)): OfSession,
    Query(asked): Query<Asked>,
) -> Answer {
    let query = v1::CouplingsQuery { q_values: asked.q, ..asked.couplings(session_id)? };
    let place = page.place().await?;
    let request = v1::GetCouplingsRequest { query: Some(query) };
    let mut parts = page.inference.get_couplings(Request::new(request)).await?.into_inner();
    let Some(CouplingsPart::Header(header)) =
        parts.next().await.transpose()?.and_then(|message| message.part)
    else {
        return Err(unexpected());
    };
    let (n, q) = (header.status.len(), asked.q);
    let rows = move |part: v1::GetCouplingsResponse| match part.part {
        Some(CouplingsPart::Rows(rows)) if q => packed::rows(n, &[&rows.couplings, &rows.q_values]),
        Some(CouplingsPart::Rows(rows)) => packed::rows(n, &[&rows.couplings]),
        _ => Bytes::new(),
    };
    Ok(streamed(place, &json::estimate_header(&header), parts.map(move |part| part.map(rows))))
}

/// `GET …/row?receiver=&estimator=&window=`: couplings to one receiver as they are, with standard errors and q.
pub(super) async fn row((State(page), Path(session_id)): OfSession, Query(asked): Query<Asked>) -> Answer {
    let receiver = asked.receiver.ok_or_else(|| bad_argument("'receiver' is missing"))?;
    let query = v1::CouplingsQuery {
        receivers: vec![receiver],
        standard_errors: true,
        q_values: true,
        ..asked.couplings(session_id)?
    };
    let (header, parts) = page.all_couplings(query).await?;
    let rows = parts.into_iter().find_map(|part| match part {
        CouplingsPart::Rows(rows) => Some(rows),
        _ => None,
    });
    Ok(told(&json::row(&header, receiver, &rows.ok_or_else(unexpected)?)))
}

/// `GET …/pairs?top=&estimator=&window=`: the strongest pairs.
pub(super) async fn pairs((State(page), Path(session_id)): OfSession, Query(asked): Query<Asked>) -> Answer {
    let top_pairs = asked.top.clamp(1, PAIRS_MAX);
    let query = v1::CouplingsQuery { top_pairs, ..asked.couplings(session_id)? };
    let (header, parts) = page.all_couplings(query).await?;
    let pairs = parts.into_iter().flat_map(|part| match part {
        CouplingsPart::Pairs(pairs) => pairs.pairs,
        _ => Vec::new(),
    });
    Ok(told(&json::pairs(&header, &pairs.collect::<Vec<_>>())))
}

/// `GET …/correlations?window=&lag=`: the header, then equal-time and delayed correlations.
pub(super) async fn correlations(
    (State(page), Path(session_id)): OfSession,
    Query(asked): Query<Asked>,
) -> Answer {
    let place = page.place().await?;
    let (header, parts) = page.correlations(session_id, &asked, false).await?;
    let n = header.spikes.len();
    let rows = move |part: v1::GetCorrelationsResponse| match part.part {
        Some(CorrelationsPart::Rows(rows)) => packed::rows(n, &[&rows.equal_time, &rows.delayed]),
        _ => Bytes::new(),
    };
    Ok(streamed(place, &json::correlations_header(&header), parts.map(move |part| part.map(rows))))
}

/// `GET …/rates?window=`: how often each neuron fired.
pub(super) async fn rates((State(page), Path(session_id)): OfSession, Query(asked): Query<Asked>) -> Answer {
    let (header, _) = page.correlations(session_id, &asked, true).await?;
    Ok(told(&json::correlations_header(&header)))
}

/// `GET …/spikes?bins=&from=`: the newest bins. After the header, for each bin of each run how many neurons fired, then which.
pub(super) async fn spikes((State(page), Path(session_id)): OfSession, Query(asked): Query<Asked>) -> Answer {
    let place = page.place().await?;
    let request = v1::GetRecentSpikesRequest { session_id, bins_max: asked.bins, from_bin: asked.from };
    let told = page.inference.get_recent_spikes(Request::new(request)).await?.into_inner();
    let mut out = packed::beginning(&json::recent_spikes(&told));
    packed::small(told.runs.iter().flat_map(|run| &run.active_counts).copied(), &mut out);
    packed::small(told.runs.iter().flat_map(|run| &run.neurons).copied(), &mut out);
    let whole = tokio_stream::once(Ok::<_, Status>(Bytes::from(out)));
    Ok(numbers(Body::from_stream(kept(place, whole))))
}

/// `GET …/scores`: how the scores have come about.
pub(super) async fn scores((State(page), Path(session_id)): OfSession) -> Answer {
    let request = Request::new(v1::GetScoreHistoryRequest { session_id });
    let history = page.inference.get_score_history(request).await?.into_inner();
    Ok(told(&json::score_history(&history)))
}

/// `GET …/equilibrium?method=&window=`: what an equilibrium model is worth, with observed and predicted correlations of pairs.
pub(super) async fn equilibrium(
    (State(page), Path(session_id)): OfSession,
    Query(asked): Query<Asked>,
) -> Answer {
    let request =
        v1::GetEquilibriumModelRequest { header_only: true, checked_pairs: true, ..asked.model(session_id)? };
    let mut parts = page.inference.get_equilibrium_model(Request::new(request)).await?.into_inner();
    match parts.next().await.transpose()?.and_then(|message| message.part) {
        Some(ModelPart::Header(header)) => Ok(told(&json::equilibrium_header(&header))),
        _ => Err(unexpected()),
    }
}

/// Everything else.
pub(super) async fn nothing_here() -> Refusal {
    refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing here")
}

impl Page {
    /// A place among the large answers of pages, kept until the answer is sent.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = Arc::clone(&self.bulk_answers).acquire_owned();
        let taken = tokio::time::timeout(PLACE_WAIT, place).await.ok().and_then(Result::ok);
        let busy = || {
            let message = "too many large answers are being sent to pages";
            refusal(StatusCode::SERVICE_UNAVAILABLE, "RESOURCE_EXHAUSTED", message)
        };
        taken.ok_or_else(busy)
    }

    /// An answer to a query that is not large.
    async fn all_couplings(
        &self,
        query: v1::CouplingsQuery,
    ) -> Result<(v1::EstimateHeader, Vec<CouplingsPart>), Refusal> {
        let request = v1::GetCouplingsRequest { query: Some(query) };
        let mut answer = self.inference.get_couplings(Request::new(request)).await?.into_inner();
        let (mut header, mut parts) = (None, Vec::new());
        while let Some(message) = answer.next().await.transpose()? {
            match message.part {
                Some(CouplingsPart::Header(found)) => header = Some(found),
                part => parts.extend(part),
            }
        }
        Ok((header.ok_or_else(unexpected)?, parts))
    }

    async fn correlations(
        &self,
        session_id: String,
        asked: &Asked,
        header_only: bool,
    ) -> Result<
        (
            v1::CorrelationsHeader,
            impl Stream<Item = Result<v1::GetCorrelationsResponse, Status>> + Send + use<>,
        ),
        Refusal,
    > {
        let (window, lag_bins) = (asked.window.clone(), asked.lag);
        let request = v1::GetCorrelationsRequest { session_id, window, lag_bins, header_only };
        let mut parts = self.inference.get_correlations(Request::new(request)).await?.into_inner();
        match parts.next().await.transpose()?.and_then(|message| message.part) {
            Some(CorrelationsPart::Header(header)) => Ok((header, parts)),
            _ => Err(unexpected()),
        }
    }
}

/// A header, then numbers as they are made: nobody holds more of a matrix than is being sent.
fn streamed(
    place: OwnedSemaphorePermit,
    header: &Value,
    rows: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Response {
    let beginning = tokio_stream::once(Ok(Bytes::from(packed::beginning(header))));
    numbers(Body::from_stream(kept(place, beginning.chain(rows))))
}

/// A stream with which a place is given back.
fn kept(
    place: OwnedSemaphorePermit,
    stream: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Status>> + Send + 'static {
    stream.map(move |part| {
        let _place = &place;
        part
    })
}
