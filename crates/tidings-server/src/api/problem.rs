//! An answer that says what is wrong, as `application/problem+json`.
//! Knows nothing of what can be: that is in `error`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer of `application/problem+json` (RFC 9457): its `detail` is a sentence that says what
/// to change.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    status: StatusCode,
    detail: String,
    limit: Option<LimitHit>,
    place: Option<Place>,
    retry_after: Option<Duration>,
    /// Boxed, as most problems have none.
    denial: Option<Box<Denial>>,
}

/// What tells a client that somebody else might.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Denial {
    rule: &'static str,
    /// The value of `WWW-Authenticate`.
    challenge: Option<String>,
}

/// The rule that refused somebody; it also rides on the response, where the metrics find it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused(pub(crate) &'static str);

/// A limit that was hit; it also rides on the response, where the metrics find it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LimitHit {
    /// Its name, as `tidings_core::limits` has it, in lower case.
    pub(crate) name: &'static str,
    /// Its bound.
    pub(crate) max: u64,
}

/// Where in a publish of many the mistake is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// In an array, where nothing was published; counted from 0, as the ids of the answer.
    Index(u64),
    /// In NDJSON, where the lines before it are published; counted from 1.
    Line {
        /// The line with the mistake.
        line: u64,
        /// Events of the lines before it.
        published: u64,
    },
}

/// How soon to try again when the log can't keep events or the server shuts down.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Problem {
    /// A problem with a sentence that says what to change.
    pub fn new(status: StatusCode, detail: impl AsRef<str>) -> Self {
        let detail = sentence(detail.as_ref());
        Self { status, detail, limit: None, place: None, retry_after: None, denial: None }
    }

    /// The status code of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence that says what to change.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The name of the limit that was hit, if it was one.
    #[must_use]
    pub fn limit(&self) -> Option<&'static str> {
        self.limit.map(|limit| limit.name)
    }

    pub(crate) fn bad_request(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The event with this number in an array is wrong, counted from 0.
    pub(crate) fn at_index(mut self, index: u64) -> Self {
        let nothing = "Nothing of the batch was published.";
        self.detail = format!("Event {} of the batch: {} {nothing}", index + 1, self.detail);
        self.place = Some(Place::Index(index));
        self
    }

    /// This line of a stream is wrong, counted from 1; what came before it is published.
    pub(crate) fn at_line(mut self, line: u64, published: u64) -> Self {
        let kept = match published {
            0 => "Nothing was published before it.".to_owned(),
            1 => "The event before it is published: go on from this line.".to_owned(),
            _ => format!("The {published} events before it are published: go on from this line."),
        };
        self.detail = format!("Line {line}: {} {kept}", self.detail);
        self.place = Some(Place::Line { line, published });
        self
    }

    pub(crate) fn cross_origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "pages of other origins can read here, but neither publish nor get tickets: do so from a \
             page of this origin, of one that is listed (cors-origins), or from your server (behind \
             a proxy, have it pass the Host header on)",
        )
    }

    /// The hub shuts down.
    pub(crate) fn draining() -> Self {
        Self::unavailable("the server is shutting down: come again in a moment")
    }

    pub(crate) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn method_not_allowed(detail: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// A limit was hit.
    pub(super) fn limited(
        status: StatusCode,
        detail: impl AsRef<str>,
        name: &'static str,
        max: u64,
    ) -> Self {
        Self { limit: Some(LimitHit { name, max }), ..Self::new(status, detail) }
    }

    /// The server can't do it now, and may soon.
    pub(super) fn unavailable(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).for_now()
    }

    /// It may be otherwise in a moment.
    pub(super) fn for_now(self) -> Self {
        self.until(RETRY_AFTER)
    }

    /// It will be otherwise after this time.
    pub(super) fn until(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// A rule has refused it; `challenge` is the value of `WWW-Authenticate`.
    pub(super) fn denied_by(self, rule: &'static str, challenge: Option<String>) -> Self {
        Self { denial: Some(Box::new(Denial { rule, challenge })), ..self }
    }
}

/// Errors begin in lower case and have no full stop, as they are parts of longer ones; what
/// people read is a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    first.into_iter().chain(chars).chain(end.chars()).collect()
}

#[derive(Serialize)]
struct Document<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (index, line, published) = match self.place {
            None => (None, None, None),
            Some(Place::Index(index)) => (Some(index), None, None),
            Some(Place::Line { line, published }) => (None, Some(line), Some(published)),
        };
        let document = Document {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            limit: self.limit.map(|limit| limit.name),
            max: self.limit.map(|limit| limit.max),
            index,
            line,
            published,
        };
        let mut text = serde_json::to_string(&document).expect("texts and numbers are JSON");
        text.push('\n');
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.as_secs().into());
        }
        let denial = self.denial.map(|denial| *denial);
        let rule = denial.as_ref().map(|denial| Refused(denial.rule));
        // Made of printable ASCII; what is not would be left out rather than sent.
        let challenge = denial.and_then(|denial| denial.challenge);
        if let Some(challenge) = challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(limit) = self.limit {
            response.extensions_mut().insert(limit);
        }
        if let Some(rule) = rule {
            response.extensions_mut().insert(rule);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_sentences() {
        assert_eq!(sentence("a topic can't be empty"), "A topic can't be empty.");
        assert_eq!(sentence("Why?"), "Why?");
        assert_eq!(sentence(""), ".");
    }
}
