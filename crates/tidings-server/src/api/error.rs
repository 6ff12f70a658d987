//! What a client is told when something goes wrong: which status code each error gets.
//! Knows nothing of how the mistake was found; whoever found it says what to change.

use std::time::Duration;

use axum::http::StatusCode;
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
use super::problem::Problem;
use super::publish::FieldError;
use super::select::SelectError;
use super::start::StartError;

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
            BodyError::NoRoom { bytes_max } => Self::limited(
                StatusCode::SERVICE_UNAVAILABLE,
                error.to_string(),
                "publish_bytes_in_flight_max",
                bytes_max as u64,
            )
            .for_now(),
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
        let detail = refusal.to_string();
        let problem = match refusal.limit() {
            Some((name, max)) => Self::limited(status, detail, name, max as u64),
            None => Self::new(status, detail),
        };
        let problem = problem.denied_by(refusal.rule(), refusal.challenge());
        if refusal.kind() == Kind::Unavailable { problem.for_now() } else { problem }
    }
}

// ---- The hub ---------------------------------------------------------------------------------

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Append(error) => error.into(),
            PublishError::OwnId { .. } | PublishError::SeveralPartitions => {
                Self::bad_request(error.to_string())
            }
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::NotAdmitted(reason) => Self::limited(
                StatusCode::TOO_MANY_REQUESTS,
                reason.to_string(),
                reason.limit(),
                reason.max(),
            )
            .for_now(),
            SubscribeError::Read(error) => error.into(),
            SubscribeError::TooMany { streams_max } => Self::limited(
                StatusCode::TOO_MANY_REQUESTS,
                error.to_string(),
                "streams_per_token_max",
                streams_max as u64,
            )
            .for_now(),
        }
    }
}

impl From<TooFast> for Problem {
    fn from(error: TooFast) -> Self {
        let TooFast { limit, rate, wait } = error;
        // Whole seconds, and not too early.
        let wait = Duration::from_secs(wait.as_secs() + 1);
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::limited(status, error.to_string(), limit, rate.into()).until(wait)
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Closed | AppendError::Unavailable { .. } => {
                Self::unavailable(error.to_string())
            }
            AppendError::Late { .. } => {
                let (name, max) = ("append_time_max", limits::APPEND_TIME_MAX.as_millis() as u64);
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::limited(status, error.to_string(), name, max).for_now()
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
    use axum::response::IntoResponse as _;

    use super::super::problem::LimitHit;
    use super::*;

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
