//! What pages of other origins may do: read, without credentials, and nothing else.
//! Knows nothing of what there is to read.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Problem;

/// The methods of the addresses that this layer stands in front of.
pub(crate) const METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// What pages of other origins may use.
const READING_METHODS: &str = "GET, HEAD";

/// `*` stands for all headers but `Authorization`; browsers older than it know the names.
const ALLOWED_HEADERS: &str =
    "Accept, Authorization, Cache-Control, Content-Type, Last-Event-ID, X-Requested-With, *";

/// The headers of answers that pages may read beside those that all may.
const EXPOSED_HEADERS: &str = "Idempotent-Replayed, Retry-After, Tidings-Cursor, Tidings-Resume";

/// How long a browser may remember the answer to a preflight, in seconds: two hours, more than
/// which Chromium does not keep.
const MAX_AGE_S: &str = "7200";

/// Answers preflights, refuses to publish for pages of other origins before their body is read,
/// and lets pages of any origin read the rest, problems included.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let has_origin = request.headers().contains_key(header::ORIGIN);
    let mut response = match *request.method() {
        Method::OPTIONS => return options(request.headers()),
        Method::POST if is_foreign(request.uri(), request.headers()) => {
            Problem::cross_origin().into_response()
        }
        _ => next.run(request).await,
    };
    if has_origin {
        let headers = response.headers_mut();
        set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
    response
}

/// The answer to `OPTIONS`, which mostly is a browser's preflight.
fn options(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    match headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes) {
        None => set(answer, header::ALLOW, METHODS),
        Some(b"GET" | b"HEAD") => {
            set(answer, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            set(answer, header::ACCESS_CONTROL_ALLOW_METHODS, READING_METHODS);
            set(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            set(answer, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        }
        // Not even an allowed origin: a browser may POST without finding it among the methods.
        Some(_) => return Problem::cross_origin().into_response(),
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Whether a page of another origin made the request. Clients that are no browsers send neither
/// header.
fn is_foreign(uri: &Uri, headers: &HeaderMap) -> bool {
    if headers.contains_key(header::ORIGIN) {
        return !headers.get_all(header::ORIGIN).iter().all(|origin| is_own(origin, uri, headers));
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    matches!(site, Some(b"cross-site" | b"same-site"))
}

/// Whether an origin is the one that the request went to. The scheme is not compared: behind a
/// proxy that speaks TLS we can't know it.
fn is_own(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|text| text.split_once("://"))
    else {
        return false;
    };
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    // Browsers leave a scheme's own port out of the origin; others may spell it out.
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let plain = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    host.is_some_and(|host| plain(host) == plain(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, site: Option<&str>, host: &str, foreign: bool) {
        let mut headers = HeaderMap::new();
        let fields = [("origin", origin), ("sec-fetch-site", site), ("host", Some(host))];
        for (name, value) in fields {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let uri = Uri::from_static("/topics/demo");
        assert_eq!(is_foreign(&uri, &headers), foreign, "{origin:?} {site:?} {host}");
    }

    #[test]
    fn only_pages_of_this_origin_are_own() {
        check(None, None, "localhost:3000", false);
        check(Some("http://localhost:3000"), None, "localhost:3000", false);
        check(Some("http://LOCALHOST:3000"), None, "localhost:3000", false);
        check(Some("https://hub.example"), None, "hub.example", false);
        check(Some("https://hub.example"), None, "hub.example:443", false);
        check(Some("http://[::1]:3000"), None, "[::1]:3000", false);
        check(Some("http://localhost:5173"), None, "localhost:3000", true);
        check(Some("https://hub.example"), None, "hub.example:80", true);
        check(Some("https://evil.example"), None, "hub.example", true);
        check(Some("https://hub.example.evil.example"), None, "hub.example", true);
        check(Some("null"), None, "null", true);
        check(Some(""), None, "", true);
    }

    #[test]
    fn without_an_origin_the_browsers_word_counts() {
        check(None, Some("cross-site"), "a", true);
        check(None, Some("same-site"), "a", true);
        check(None, Some("same-origin"), "a", false);
        check(None, Some("none"), "a", false);
        check(Some("http://a"), Some("same-site"), "a", false);
    }

    #[test]
    fn over_http2_the_authority_is_the_host() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        assert!(!is_foreign(&Uri::from_static("https://a.example/events"), &headers));
        assert!(is_foreign(&Uri::from_static("https://b.example/events"), &headers));
        assert!(is_foreign(&Uri::from_static("/events"), &headers));
    }
}
