use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{Bytes, Service, StdError};
use tower_layer::Layer;

use super::tokens::Tokens;
use crate::daemon::connections::Peer;

/// Paths of the calls that need no token.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// One answer whatever is wrong, so that nobody learns how near a guess was.
const REFUSAL: &str = "this call needs a valid token in its metadata: 'authorization: Bearer TOKEN'";

/// Lets calls in that hold a token, and counts those of each connection.
#[derive(Clone)]
pub(in crate::daemon) struct GateLayer {
    /// The tokens; `None` when none is needed.
    pub(in crate::daemon) tokens: Option<Arc<ArcSwap<Tokens>>>,
}

/// A service behind the gate.
#[derive(Clone)]
pub(in crate::daemon) struct Gate<S> {
    inner: S,
    tokens: Option<Arc<ArcSwap<Tokens>>>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, tokens: self.tokens.clone() }
    }
}

impl<S> Gate<S> {
    fn admits(&self, request: &Request<Body>) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        request.uri().path().starts_with(HEALTH) || is_authorized(&tokens.load(), request.headers())
    }
}

/// Whether there is one `authorization`, and it holds one of the tokens.
fn is_authorized(tokens: &Tokens, headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (Some(only), None) => tokens.name_of(only).is_some(),
        _ => false,
    }
}

impl<S, B> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        if !self.admits(&request) {
            let address = peer.map(|peer| peer.address);
            tracing::info!(?address, path = request.uri().path(), "call refused: no valid token");
            return Box::pin(std::future::ready(Ok(Status::unauthenticated(REFUSAL).into_http())));
        }
        // What anyone may ask keeps nobody's connection, or strangers could hold every place.
        let is_use = self.tokens.is_none() || !request.uri().path().starts_with(HEALTH);
        let call = peer.filter(|_| is_use).map(|peer| Calls::begin(&peer.calls));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Body::new(Counted { body: Box::pin(body), _call: call })))
        })
    }
}

/// The calls that are open on a connection, and since when there is none.
#[derive(Debug)]
pub(in crate::daemon) struct Calls {
    open: AtomicUsize,
    accepted: Instant,
    /// When the last call ended, in milliseconds after the connection was accepted.
    ended_ms: AtomicU64,
}

impl Calls {
    /// Those of a connection accepted now.
    pub(in crate::daemon) fn new() -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), accepted: Instant::now(), ended_ms: AtomicU64::new(0) })
    }

    fn begin(calls: &Arc<Self>) -> Call {
        calls.open.fetch_add(1, Ordering::AcqRel);
        Call(Arc::clone(calls))
    }

    /// For how long no call has been open; `None` while one is.
    pub(in crate::daemon) fn idle_for(&self) -> Option<Duration> {
        if self.open.load(Ordering::Acquire) > 0 {
            return None;
        }
        let ended = Duration::from_millis(self.ended_ms.load(Ordering::Acquire));
        Some(self.accepted.elapsed().saturating_sub(ended))
    }
}

/// An open call; ends when dropped.
struct Call(Arc<Calls>);

impl Drop for Call {
    fn drop(&mut self) {
        let now_ms = self.0.accepted.elapsed().as_millis();
        self.0.ended_ms.fetch_max(u64::try_from(now_ms).unwrap_or(u64::MAX), Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer, with which its call ends.
struct Counted<B> {
    body: Pin<Box<B>>,
    _call: Option<Call>,
}

impl<B: http_body::Body<Data = Bytes>> http_body::Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_while_no_call_is_open() {
        let calls = Calls::new();
        assert!(calls.idle_for().is_some());
        let (first, second) = (Calls::begin(&calls), Calls::begin(&calls));
        drop(first);
        assert_eq!(calls.idle_for(), None);
        drop(second);
        assert!(calls.idle_for().is_some());
    }
}
