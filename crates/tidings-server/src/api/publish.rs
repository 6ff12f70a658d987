//! `POST /topics/{topic}`: one event, whose data is the body as it comes.
//! Knows nothing of publishes of many.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidings_core::event::{
    Data, Event, EventId, EventType, IdError, IdempotencyKey, KeyError, Retry, RetryError, Topic,
    TopicError, Topics, TypeError,
};

use crate::auth::Access;
use crate::engine::{Hub, Id, Publish};

use super::body::{self, Room};
use super::client;
use super::path::{self, PathError};
use super::problem::Problem;
use super::query::{self, hint, shown};
use super::subscriber::refuse_while_draining;

/// The query parameters of a publish; each is also a header, `Tidings-Event` and so on.
const PARAMETERS: [&str; 4] = ["event", "id", "private", "retry"];

/// The parameter that says who publishes, which [`Access`] has read.
const TICKET: &str = "ticket";

/// Says that the answer is the one of an earlier publish with the same `Idempotency-Key`.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Why what stands around the data is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum FieldError {
    /// The same field with two values.
    #[error("{name} is given twice, with different values: give it once")]
    Differ {
        /// The field.
        name: &'static str,
    },
    /// The id's own rules.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The key's own rules.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A value that is no text.
    #[error("{name} is not UTF-8")]
    NotUtf8 {
        /// The field.
        name: &'static str,
    },
    /// A path that names no topic.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Neither yes nor no.
    #[error("private is 1 or true (or there without a value), or 0 or false, not {text:?}")]
    Private {
        /// What it is.
        text: String,
    },
    /// The rules of `retry`.
    #[error(transparent)]
    Retry(#[from] RetryError),
    /// The topic's own rules.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The type's own rules.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A parameter that there is not.
    #[error("there is no parameter {name:?}: {hint}")]
    Unknown {
        /// Its name.
        name: String,
        /// What there is.
        hint: String,
    },
}

/// Publishes one event and answers `{"id"}` when it is kept.
pub(crate) async fn publish(
    State(hub): State<Hub>,
    State(access): State<Access>,
    request: Request,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Answer {
        id: Id,
    }
    let (parts, body) = request.into_parts();
    refuse_while_draining(&hub)?;
    let caller = access.identify(&parts.method, &parts.uri, &parts.headers).await?;
    // All that stands in the head is checked before a byte of the body is waited for.
    let head = Head::parse(&parts)?;
    access.may_publish(&caller, &head.topics)?;
    if let Some(client) = client::of(&caller, &parts.extensions) {
        hub.allow_publish(&client, 1)?;
    }
    let mut room = Room::new(&hub);
    let data_bytes_max = hub.config().data_bytes_max;
    let data = body::collect(body, "data_bytes_max", data_bytes_max, &mut room).await?;
    let publish = head.into_publish(Data::parse(data)?);
    let mut kept = hub.publish_many(vec![publish]).await?;
    let kept = kept.pop().expect("one event gives one answer");
    Ok(answer(&Answer { id: kept.id }, kept.repeated))
}

/// An answer to a publish, as one line of JSON.
pub(crate) fn answer(document: &impl Serialize, repeated: bool) -> Response {
    let mut text = serde_json::to_string(document).expect("texts and numbers are JSON");
    text.push('\n');
    let json = HeaderValue::from_static("application/json");
    let mut response = ([(header::CONTENT_TYPE, json)], text).into_response();
    if repeated {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The request's `Idempotency-Key`.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, FieldError> {
    const NAME: &str = "idempotency-key";
    let mut found: Option<&HeaderValue> = None;
    for value in headers.get_all(NAME) {
        if found.is_some_and(|found| found != value) {
            return Err(FieldError::Differ { name: "Idempotency-Key" });
        }
        found = Some(value);
    }
    // What is not visible ASCII is no key either, so the key's own error fits.
    let text = found.map(|value| value.to_str().map_err(|_| KeyError::NotVisible)).transpose()?;
    Ok(text.map(IdempotencyKey::parse).transpose()?)
}

/// Refuses parameters where there are none, so that nobody believes they did something.
pub(crate) fn no_parameters(uri: &Uri) -> Result<(), FieldError> {
    match query::pairs(uri.query()).find(|pair| pair.name != TICKET) {
        None => Ok(()),
        Some(pair) => Err(FieldError::Unknown {
            name: shown(&pair.name),
            hint: "each event of a batch has its fields in its JSON".to_owned(),
        }),
    }
}

/// An event but for its data.
#[derive(Debug)]
struct Head {
    topics: Topics,
    event_type: Option<EventType>,
    id: Option<EventId>,
    retry: Option<Retry>,
    private: bool,
    key: Option<IdempotencyKey>,
}

impl Head {
    fn parse(parts: &Parts) -> Result<Self, FieldError> {
        let topic = Topic::parse(&path::name(&parts.uri)?)?;
        if let Some(pair) = query::pairs(parts.uri.query())
            .filter(|pair| pair.name != TICKET)
            .find(|pair| !PARAMETERS.contains(&&*pair.name))
        {
            let hint = hint(&pair.name, &PARAMETERS);
            return Err(FieldError::Unknown { name: shown(&pair.name), hint });
        }
        let [event, id, private, retry] = PARAMETERS;
        Ok(Self {
            topics: topic.into(),
            event_type: field(parts, event)?.map(|text| EventType::parse(&text)).transpose()?,
            id: field(parts, id)?.map(|text| EventId::parse(&text)).transpose()?,
            retry: field(parts, retry)?.map(|text| Retry::parse(&text)).transpose()?,
            private: field(parts, private)?.map_or(Ok(false), switch)?,
            key: key(&parts.headers)?,
        })
    }

    fn into_publish(self, data: Data) -> Publish {
        let Self { topics, event_type, id, retry, private, key } = self;
        Publish { event: Event { topics, event_type, id, retry, private, data }, key }
    }
}

/// The value of a field, from the query or its header, wherever it stands.
fn field(parts: &Parts, name: &'static str) -> Result<Option<String>, FieldError> {
    let mut found: Option<String> = None;
    let mut take = |text: Option<&str>| {
        let text = text.ok_or(FieldError::NotUtf8 { name })?;
        match &found {
            Some(found) if found != text => Err(FieldError::Differ { name }),
            Some(_) => Ok(()),
            None => {
                found = Some(text.to_owned());
                Ok(())
            }
        }
    };
    for pair in query::pairs(parts.uri.query()).filter(|pair| pair.name == name) {
        take(pair.text())?;
    }
    for value in parts.headers.get_all(format!("tidings-{name}")) {
        take(std::str::from_utf8(value.as_bytes()).ok())?;
    }
    Ok(found)
}

fn switch(text: String) -> Result<bool, FieldError> {
    match &*text {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(FieldError::Private { text: shown(&text) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str, headers: &[(&'static str, &[u8])]) -> Parts {
        let mut request = axum::http::Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn head(path: &str, headers: &[(&'static str, &[u8])]) -> Result<Head, String> {
        Head::parse(&parts(path, headers)).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_come_from_the_query_or_from_headers() {
        for (path, headers) in [
            ("/topics/t?event=n%C3%BC&id=7&retry=010&private", &[][..]),
            (
                "/topics/t",
                &[
                    ("tidings-event", "nü".as_bytes()),
                    ("tidings-id", b"7"),
                    ("tidings-retry", b"010"),
                    ("tidings-private", b""),
                ],
            ),
            (
                "/topics/t?event=n%C3%BC&id=7&id=7",
                &[
                    ("tidings-event", "nü".as_bytes()),
                    ("tidings-retry", b"010"),
                    ("tidings-private", b"true"),
                ],
            ),
        ] {
            let head = head(path, headers).unwrap();
            assert_eq!(head.event_type.unwrap().as_str(), "nü");
            assert_eq!(head.id.unwrap().as_str(), "7");
            assert_eq!(head.retry.unwrap().as_ms(), 10);
            assert!(head.private);
        }
        let head = head("/topics/a%2Fb", &[]).unwrap();
        assert_eq!(head.topics.first().as_str(), "a/b");
        assert!(!head.private && head.id.is_none() && head.key.is_none());
    }

    #[test]
    fn private_is_yes_or_no() {
        for (text, expected) in [
            ("", Some(true)),
            ("=1", Some(true)),
            ("=true", Some(true)),
            ("=0", Some(false)),
            ("=false", Some(false)),
            ("=yes", None),
            ("=True", None),
            ("=%FF", None),
        ] {
            let head = head(&format!("/topics/t?private{text}"), &[]);
            assert_eq!(head.ok().map(|head| head.private), expected, "{text}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let check = |path: &str, headers: &[(&'static str, &[u8])], expected: &str| {
            let error = head(path, headers).unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        };
        check("/topics/t?event=a", &[("tidings-event", b"b")], "event is given twice");
        check("/topics/t?id=a&id=b", &[], "id is given twice");
        check("/topics/t?evnt=a", &[], "did you mean event?");
        check("/topics/t?topic=a", &[], "there are event, id, private, retry");
        check("/topics/t?event=a%0Ab", &[], "line breaks");
        check("/topics/t?event=a%FF", &[], "event is not UTF-8");
        check("/topics/t", &[("tidings-event", b"\xff")], "event is not UTF-8");
        check("/topics/t?event=", &[], "can't be empty");
        check("/topics/t?event=tidings.reset", &[], "the hub's own");
        check("/topics/t?id=a%00", &[], "NUL");
        check("/topics/t?id=+a", &[], "space");
        check("/topics/t?retry=%2B5", &[], "digits");
        check("/topics/t?retry=99999999999999999999", &[], "one day");
        check("/topics/*", &[], "selects all topics");
        check("/topics/a%00", &[], "control characters");
        check("/topics/t", &[("idempotency-key", b"a b")], "visible ASCII");
        check("/topics/t", &[("idempotency-key", b"\xff")], "visible ASCII");
        check("/topics/t", &[("idempotency-key", b"")], "can't be empty");
    }

    #[test]
    fn a_batch_takes_no_parameters() {
        assert!(no_parameters(&Uri::from_static("/events")).is_ok());
        assert!(no_parameters(&Uri::from_static("/events?")).is_ok());
        assert!(no_parameters(&Uri::from_static("/events?topic=a")).is_err());
    }
}
