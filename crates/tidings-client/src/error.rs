//! Why a stream broke or ended, why an event was not published, and in whose words.
//! Knows nothing of what is done about it.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use tidings_core::sse::TooLong;

use crate::limits::RETRY_AFTER_MAX;

/// Whatever somebody else's function failed with.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a stream broke or ended, or why nothing was published. No URL and no header stands in it,
/// as those may hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL can't be fetched.
    #[error("no URL to fetch ({reason}): give one that begins with http:// or https://")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// A header or an id has bytes that no header can carry.
    #[error("{name} can't stand in a header: leave out line breaks and control characters")]
    Header {
        /// Which one.
        name: &'static str,
    },
    /// The means to fetch can't be set up.
    #[error("can't set up HTTP: {}", root_cause(.0))]
    Setup(#[source] reqwest::Error),
    /// The function that gives the headers or the token failed.
    #[error("no headers for the request: {0}")]
    Headers(#[source] BoxError),
    /// The server can't be reached, or went away before it answered.
    #[error("no answer: {}", root_cause(.0))]
    Unanswered(#[source] reqwest::Error),
    /// The server answered, but not with a stream.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The server ended the stream.
    #[error("the stream ended")]
    Ended,
    /// The connection broke.
    #[error("the connection broke: {}", root_cause(.0))]
    Broke(#[source] reqwest::Error),
    /// Nothing came for so long.
    #[error("silent for {0:?}")]
    Silent(Duration),
    /// An event is longer than `buffer_limit`.
    #[error("{0}: raise buffer_limit")]
    TooLong(#[source] TooLong),
    /// The data that is to be published, or what the hub said to it, is no JSON that is understood.
    #[error("not the JSON that was expected: {0}")]
    Json(#[source] serde_json::Error),
}

impl Error {
    /// The answer's status, if the server answered.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// How long the server asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after(),
            _ => None,
        }
    }
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// Its status, which is 200 where it is of another type than a stream's.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body; nothing where the status says that all is well.
    pub body: String,
}

impl Refusal {
    /// A hub's own words for why.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        self.problem().detail
    }

    /// The limit that was hit, by its name, where a hub says so.
    #[must_use]
    pub fn limit(&self) -> Option<String> {
        self.problem().limit
    }

    /// How long the server asked to be left alone, as far as that is reasonable. Only the form in
    /// seconds: a date would need a clock that both agree on.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
    }

    /// What the body says it is, without parameters.
    #[must_use]
    pub fn content_type(&self) -> &str {
        essence(&self.headers)
    }

    fn problem(&self) -> Problem {
        match self.content_type() {
            "application/problem+json" => serde_json::from_str(&self.body).unwrap_or_default(),
            _ => Problem::default(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "the hub refused ({}): {detail}", self.status.as_u16()),
            None => write!(f, "the answer is {}, {:?}", self.status, self.content_type()),
        }
    }
}

#[derive(Default, Deserialize)]
struct Problem {
    detail: Option<String>,
    limit: Option<String>,
}

/// The type that the headers say, without parameters.
pub(crate) fn essence(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The innermost error, which says what happened; those around it say where.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() && error.source().is_none() {
        return "it takes too long".into();
    }
    cause.to_string()
}
