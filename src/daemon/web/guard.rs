//! Who may ask, and what a browser may do with the answer.

use std::net::Ipv4Addr;

use axum::extract::Request;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answers::refusal;

/// Everything comes from here, and nothing is sent elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Let through what a page of our own asks for, and nothing else.
///
/// A name of someone else's that leads to this machine (DNS rebinding) would make a browser take our answers for theirs: only names of this
/// machine itself are answered, at any port, so that a tunnel may end at another one. A page of someone else's cannot read answers anyway, as
/// there is no permission for it (CORS); where the browser says that one asks, it gets none.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match objection(&request) {
        Some((status, message)) => refusal(status, "PERMISSION_DENIED", message).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn objection(request: &Request) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    if !is_asked_by_own_name(headers) || request.uri().host().is_some_and(|host| !is_own_name(host)) {
        let message = "the page is served to this machine alone: ask for http://localhost or http://127.0.0.1, at this port";
        return Some((StatusCode::MISDIRECTED_REQUEST, message));
    }
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "there is nothing to change here: GET only"));
    }
    let from_elsewhere =
        headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    if from_elsewhere && request.uri().path().starts_with("/api/") {
        return Some((
            StatusCode::FORBIDDEN,
            "another page asks: only the page of the daemon itself is answered",
        ));
    }
    None
}

/// Whether there is one host, and it is this machine.
fn is_asked_by_own_name(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    another.is_none()
        && host.and_then(|host| host.to_str().ok()).is_some_and(|host| is_own_name(without_port(host)))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn is_own_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_alone_are_own() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.3.2.1:1",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_own_name(without_port(host)), "{host}");
        }
        for host in [
            "",
            ":",
            ":8080",
            "rig.lab",
            "rig.lab:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.5:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "::1",
            "localhost:",
            "localhost:80:80",
            "127.0.0.1@evil.example",
            "2130706433",
        ] {
            assert!(!is_own_name(without_port(host)) || host == "localhost:", "{host}");
        }
    }

    #[test]
    fn one_host_is_asked_for() {
        let mut headers = HeaderMap::new();
        assert!(!is_asked_by_own_name(&headers));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(is_asked_by_own_name(&headers));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(!is_asked_by_own_name(&headers));
    }
}
