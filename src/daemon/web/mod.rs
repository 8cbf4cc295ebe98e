//! The live page: what the daemon knows, in a browser on the same machine.
//!
//! ```text
//!  browser ──GET──▶ guard (own host names, headers) ──▶ assets, built in
//!                                                  └──▶ answers ──▶ the very functions behind the gRPC services ──▶ JSON, or numbers as they are
//! ```
//!
//! Nothing can be changed through it. Answers are those of the gRPC services, made by the same calls under the same bounds, so that what the page
//! shows equals what a client reads. Matrices are sent as 32-bit numbers, for colours; whoever points at a pair is told the row as it is, with
//! its standard errors.
//!
//! The page asks again and again; nobody waits for it. A connection that does not read what it asked for is closed.

mod answers;
mod assets;
mod guard;
mod json;
mod packed;
mod patience;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;

use super::config::Limits;
use super::connections::{Bounds, Connections};
use super::registry::Registry;
use super::services::{InferenceRpc, SessionRpc};
use patience::Patient;

/// Most connections at once: a browser opens six for a page.
const CONNECTIONS_MAX: usize = 32;
/// Matrices and spikes sent to pages at once, so that they leave places for other clients.
const BULK_ANSWERS_MAX: usize = 3;

/// What answers are made from.
struct Page {
    sessions: SessionRpc,
    inference: InferenceRpc,
    bulk_answers: Arc<Semaphore>,
}

/// What connections of pages are allowed.
pub(super) fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        connections_max: CONNECTIONS_MAX,
        connections_per_peer_max: CONNECTIONS_MAX,
        handshake: Duration::from_millis(limits.handshake_timeout_ms),
        idle: None,
    }
}

/// Serve the page until the daemon stops.
pub(super) async fn serve(
    connections: Connections,
    registry: Arc<Registry>,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    if !registry.config.server.token_file.as_os_str().is_empty() || registry.config.server.tls.is_on() {
        tracing::warn!(
            "the page (web.listen) is readable by every process of this machine, without a token or certificate"
        );
    }
    let page = Arc::new(Page {
        sessions: SessionRpc { registry: Arc::clone(&registry) },
        inference: InferenceRpc { registry },
        bulk_answers: Arc::new(Semaphore::new(BULK_ANSWERS_MAX)),
    });
    if let Err(error) = axum::serve(Patient(connections), router(page)).with_graceful_shutdown(stopped).await
    {
        tracing::warn!(%error, "the page is no longer served");
    }
}

fn router(page: Arc<Page>) -> Router {
    let of_session = Router::new()
        .route("/", get(answers::session))
        .route("/couplings", get(answers::couplings))
        .route("/row", get(answers::row))
        .route("/pairs", get(answers::pairs))
        .route("/correlations", get(answers::correlations))
        .route("/rates", get(answers::rates))
        .route("/spikes", get(answers::spikes))
        .route("/scores", get(answers::scores))
        .route("/equilibrium", get(answers::equilibrium));
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .route("/api/sessions", get(answers::sessions))
        .nest("/api/sessions/{session_id}", of_session)
        .fallback(answers::nothing_here)
        .layer(axum::middleware::from_fn(guard::guard))
        .with_state(page)
}
