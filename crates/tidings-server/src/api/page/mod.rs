//! The page of a topic for people, and the files that it and the demo's page are made of.
//! Knows nothing of the hub: the page asks it like any other client.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const TOPIC_HTML: &str = include_str!("topic.html");

/// The files beside the page: where they are, what they are, and their text.
const FILES: [(&str, &str, &str); 5] = [
    ("/_tidings/command.js", "text/javascript; charset=utf-8", include_str!("command.js")),
    ("/_tidings/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/_tidings/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("/_tidings/topic.css", "text/css; charset=utf-8", include_str!("topic.css")),
    ("/_tidings/topic.js", "text/javascript; charset=utf-8", include_str!("topic.js")),
];

/// Only what comes from here runs, and nobody frames it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The page of a topic. It is the same for all: its script reads the topic from the address.
pub(crate) fn topic() -> Response {
    let mut response = file("text/html; charset=utf-8", TOPIC_HTML);
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    let referrer = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(HeaderName::from_static("referrer-policy"), referrer);
    response
}

/// The routes of the files.
pub(crate) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, text)| {
        router.route(path, get(move || async move { file(media_type, text) }))
    })
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let media_type = HeaderValue::from_static(media_type);
    // They are small, and after an update an old script must not meet a new page.
    let no_cache = HeaderValue::from_static("no-cache");
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, no_cache)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_page_names_is_served() {
        for part in TOPIC_HTML.split('"').filter(|part| part.starts_with("/_tidings/")) {
            assert!(FILES.iter().any(|(path, ..)| *path == part), "{part}");
        }
    }
}
