//! What a client is told when something goes wrong: the one file that knows HTTP's status codes.
//! Knows nothing of how the mistake was found; whoever found it says what to change.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidings_core::event::{
    DataError, IdError, KeyError, RetryError, TopicError, TopicsError, TypeError,
};
use tidings_core::limits;
use tidings_core::topic::{SelectorError, SelectorsError};
use tidings_log::{AppendError, ReadError};

use crate::auth::{Kind, Refusal};
use crate::engine::{PublishError, SubscribeError, TooFast};

use super::accept::NotAcceptable;
use super::body::BodyError;
use super::events::BatchError;
use super::item::ItemError;
use super::path::PathError;
use super::publish::FieldError;
use super::select::SelectError;
use super::start::StartError;

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

    fn limited(status: StatusCode, detail: impl AsRef<str>, name: &'static str, max: u64) -> Self {
        Self { limit: Some(LimitHit { name, max }), ..Self::new(status, detail) }
    }

    fn unavailable(detail: impl AsRef<str>) -> Self {
        let retry_after = Some(RETRY_AFTER);
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
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

// ---- The texts of an event and of a subscription ---------------------------------------------

/// A text that is too long for what it is. Not 413: that is for bodies, and tools treat it so.
fn too_long(error: &dyn std::error::Error, name: &'static str, max: usize) -> Problem {
    Problem::limited(StatusCode::BAD_REQUEST, error.to_string(), name, max as u64)
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Control { .. } | TopicError::Empty | TopicError::Wildcard => {
                Self::bad_request(error.to_string())
            }
            TopicError::TooLong { .. } => {
                too_long(&error, "topic_bytes_max", limits::TOPIC_BYTES_MAX)
            }
        }
    }
}

impl From<TopicsError> for Problem {
    fn from(error: TopicsError) -> Self {
        match error {
            TopicsError::None => Self::bad_request(error.to_string()),
            TopicsError::TooMany { .. } => {
                too_long(&error, "topics_per_event_max", limits::TOPICS_PER_EVENT_MAX)
            }
        }
    }
}

impl From<TypeError> for Problem {
    fn from(error: TypeError) -> Self {
        match error {
            TypeError::Control { .. } | TypeError::Empty | TypeError::Reserved => {
                Self::bad_request(error.to_string())
            }
            TypeError::TooLong { .. } => {
                too_long(&error, "event_type_bytes_max", limits::EVENT_TYPE_BYTES_MAX)
            }
        }
    }
}

impl From<IdError> for Problem {
    fn from(error: IdError) -> Self {
        match error {
            IdError::Control { .. } | IdError::Empty | IdError::Space => {
                Self::bad_request(error.to_string())
            }
            IdError::TooLong { .. } => too_long(&error, "id_bytes_max", limits::ID_BYTES_MAX),
        }
    }
}

impl From<RetryError> for Problem {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotDigits => Self::bad_request(error.to_string()),
            RetryError::TooLong => too_long(&error, "retry_ms_max", limits::RETRY_MS_MAX as usize),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NotVisible | KeyError::Empty => Self::bad_request(error.to_string()),
            KeyError::TooLong { .. } => {
                let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
                too_long(&error, "idempotency_key_bytes_max", max)
            }
        }
    }
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<SelectorError> for Problem {
    fn from(error: SelectorError) -> Self {
        match error {
            SelectorError::Braces { .. } | SelectorError::WildcardInside => {
                Self::bad_request(error.to_string())
            }
            SelectorError::TooLong { .. } => {
                too_long(&error, "selector_bytes_max", limits::SELECTOR_BYTES_MAX)
            }
            SelectorError::TooManySegments { .. } => {
                too_long(&error, "pattern_segments_max", limits::PATTERN_SEGMENTS_MAX)
            }
            SelectorError::Topic(error) => error.into(),
        }
    }
}

impl From<SelectorsError> for Problem {
    fn from(error: SelectorsError) -> Self {
        match error {
            SelectorsError::None => Self::bad_request(error.to_string()),
            SelectorsError::TooMany { max, .. } => {
                too_long(&error, "selectors_per_subscription_max", max)
            }
        }
    }
}

// ---- The request -----------------------------------------------------------------------------

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Empty | PathError::NotUtf8 => Self::bad_request(error.to_string()),
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        match error {
            FieldError::Differ { .. }
            | FieldError::NotUtf8 { .. }
            | FieldError::Private { .. }
            | FieldError::Unknown { .. } => Self::bad_request(error.to_string()),
            FieldError::Path(error) => error.into(),
            FieldError::Topic(error) => error.into(),
            FieldError::Type(error) => error.into(),
            FieldError::Id(error) => error.into(),
            FieldError::Retry(error) => error.into(),
            FieldError::Key(error) => error.into(),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken { .. } => Self::bad_request(error.to_string()),
            BodyError::NoRoom { bytes_max } => Self {
                retry_after: Some(RETRY_AFTER),
                ..Self::limited(
                    StatusCode::SERVICE_UNAVAILABLE,
                    error.to_string(),
                    "publish_bytes_in_flight_max",
                    bytes_max as u64,
                )
            },
            BodyError::Stalled => Self::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::TooLarge { name, max } => {
                Self::limited(StatusCode::PAYLOAD_TOO_LARGE, error.to_string(), name, max as u64)
            }
        }
    }
}

impl From<ItemError> for Problem {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::Missing { .. }
            | ItemError::Surrogate { .. }
            | ItemError::Syntax { .. }
            | ItemError::TopicAndTopics
            | ItemError::Twice { .. }
            | ItemError::Type { .. }
            | ItemError::Unknown { .. } => Self::bad_request(error.to_string()),
            ItemError::DataTooLarge { max, .. } | ItemError::LineTooLong { max } => Self::limited(
                StatusCode::PAYLOAD_TOO_LARGE,
                error.to_string(),
                "data_bytes_max",
                max as u64,
            ),
            ItemError::Topic(error) => error.into(),
            ItemError::Topics(error) => error.into(),
            ItemError::EventType(error) => error.into(),
            ItemError::Id(error) => error.into(),
            ItemError::Retry(error) => error.into(),
        }
    }
}

impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Empty | BatchError::Syntax { .. } => Self::bad_request(error.to_string()),
            BatchError::TooMany => Self::limited(
                StatusCode::PAYLOAD_TOO_LARGE,
                error.to_string(),
                "batch_events_max",
                limits::BATCH_EVENTS_MAX as u64,
            ),
            BatchError::Item { index, error } => Self::from(error).at_index(index as u64),
            BatchError::Refused { index, refusal } => Self::from(refusal).at_index(index as u64),
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Label
            | StartError::Last { .. }
            | StartError::Since { .. }
            | StartError::SinceAndLast => Self::bad_request(error.to_string()),
            StartError::LastTooMany | StartError::LimitTooMany => {
                too_long(&error, "history_events_max", limits::HISTORY_EVENTS_MAX)
            }
            StartError::Limit { .. } => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SelectError> for Problem {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::NotUtf8 | SelectError::None | SelectError::TopicParameter => {
                Self::bad_request(error.to_string())
            }
            SelectError::Path(error) => error.into(),
            SelectError::Selector(error) => error.into(),
            SelectError::Selectors(error) => error.into(),
        }
    }
}

impl From<NotAcceptable> for Problem {
    fn from(error: NotAcceptable) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind() {
            Kind::Request => StatusCode::BAD_REQUEST,
            Kind::Missing | Kind::Token => StatusCode::UNAUTHORIZED,
            Kind::Scope => StatusCode::FORBIDDEN,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let limit = refusal.limit();
        Self {
            limit: limit.map(|(name, max)| LimitHit { name, max: max as u64 }),
            retry_after: (refusal.kind() == Kind::Unavailable).then_some(RETRY_AFTER),
            denial: Some(Box::new(Denial { rule: refusal.rule(), challenge: refusal.challenge() })),
            ..Self::new(status, refusal.to_string())
        }
    }
}

// ---- The hub ---------------------------------------------------------------------------------

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Append(error) => error.into(),
            PublishError::OwnId { .. } => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::NotAdmitted(reason) => Self {
                retry_after: Some(RETRY_AFTER),
                ..Self::limited(
                    StatusCode::TOO_MANY_REQUESTS,
                    reason.to_string(),
                    reason.limit(),
                    reason.max(),
                )
            },
            SubscribeError::Read(error) => error.into(),
            SubscribeError::TooMany { streams_max } => Self {
                retry_after: Some(RETRY_AFTER),
                ..Self::limited(
                    StatusCode::TOO_MANY_REQUESTS,
                    error.to_string(),
                    "streams_per_token_max",
                    streams_max as u64,
                )
            },
        }
    }
}

impl From<TooFast> for Problem {
    fn from(error: TooFast) -> Self {
        let TooFast { limit, rate, wait } = error;
        // Whole seconds, and not too early.
        let retry_after = Some(Duration::from_secs(wait.as_secs() + 1));
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { retry_after, ..Self::limited(status, error.to_string(), limit, rate.into()) }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Closed | AppendError::Unavailable { .. } => {
                Self::unavailable(error.to_string())
            }
            AppendError::KeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            AppendError::TooLarge { bytes_max, .. } => Self::limited(
                StatusCode::PAYLOAD_TOO_LARGE,
                error.to_string(),
                "log_bytes_max",
                bytes_max,
            ),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed { .. } => Self::unavailable(error.to_string()),
            // Retention overtook the reading just now; the next try begins behind it.
            ReadError::Trimmed { .. } => Self::unavailable(error.to_string()),
        }
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

    #[test]
    fn a_limit_is_named_with_its_bound() {
        let problem = Problem::from(TopicError::TooLong { bytes: 2000 });
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        assert_eq!(problem.limit(), Some("topic_bytes_max"));
        let response = problem.into_response();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.extensions().get::<LimitHit>().map(|limit| limit.max), Some(1024));
    }

    #[test]
    fn who_can_come_back_is_told_when() {
        let problem = Problem::from(AppendError::Closed);
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem.into_response().headers()["retry-after"], "2");
    }
}
