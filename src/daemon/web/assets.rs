//! What the page is made of, built into the program.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answers::refusal;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(Asset { name: $name, kind: $kind, text: include_str!(concat!("assets/", $name)) }),*]
    };
}

static ASSETS: [Asset; 18] = assets![
    "page.css": CSS,
    "api.js": JS,
    "colours.js": JS,
    "couplings.js": JS,
    "facts.js": JS,
    "format.js": JS,
    "heatmap.js": JS,
    "main.js": JS,
    "order.js": JS,
    "panels.js": JS,
    "raster.js": JS,
    "scatter.js": JS,
    "scores.js": JS,
    "state.js": JS,
    "icon.svg": SVG,
    "uPlot.iife.min.js": JS,
    "uPlot.min.css": CSS,
    "uPlot.LICENSE": TEXT,
];

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    answer(&headers, HTML, include_str!("assets/index.html"))
}

/// What the page asks for.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => answer(&headers, asset.kind, asset.text),
        None => refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such file").into_response(),
    }
}

/// A browser keeps it, and asks each time whether it is still current: another version of the daemon may have other ones.
fn answer(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let tag = format!("\"{:08x}-{}\"", crc32fast::hash(text.as_bytes()), text.len());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    let cache = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    let tag = HeaderValue::from_str(&tag).map(|tag| [(header::ETAG, tag)]);
    match (known, tag) {
        (true, Ok(tag)) => (StatusCode::NOT_MODIFIED, cache, tag).into_response(),
        (_, Ok(tag)) => (cache, tag, [(header::CONTENT_TYPE, kind)], text).into_response(),
        (_, Err(_)) => (cache, [(header::CONTENT_TYPE, kind)], text).into_response(),
    }
}
