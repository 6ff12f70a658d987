//! `POST /events`: many events at once.
//! Knows nothing of one event's fields, and of NDJSON only when to choose it.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tidings_core::event::IdempotencyKey;
use tidings_core::limits::BATCH_EVENTS_MAX;

use crate::auth::{Access, Caller, Refusal};
use crate::engine::{Hub, Id, Publish};

use super::body::{self, Room};
use super::client;
use super::item::{self, ItemError};
use super::ndjson;
use super::problem::Problem;
use super::publish::{self, answer};
use super::subscriber::refuse_while_draining;

/// Why a batch is refused; nothing of it is published then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BatchError {
    /// A body without anything.
    #[error("the body is empty: send a JSON array of events, or events as NDJSON")]
    Empty,
    /// One of the events is wrong.
    #[error("event {index}: {error}")]
    Item {
        /// Which, counted from 0.
        index: usize,
        /// What is wrong.
        error: ItemError,
    },
    /// Whoever sends it may not publish one of the events.
    #[error("event {index}: {refusal}")]
    Refused {
        /// Which, counted from 0.
        index: usize,
        /// Why not.
        refusal: Refusal,
    },
    /// Not JSON.
    #[error("the body is not JSON: {reason}")]
    Syntax {
        /// What serde_json says.
        reason: String,
    },
    /// More than [`BATCH_EVENTS_MAX`].
    #[error(
        "a batch can have at most {BATCH_EVENTS_MAX} events (batch_events_max): send less at \
         once, or NDJSON with Content-Type: application/x-ndjson, which has no such limit"
    )]
    TooMany,
}

/// Publishes many events.
///
/// With a Content-Type of NDJSON they are stored as they stream in, and `{"published", "last_id"}`
/// is the answer. With any other it is a JSON array, or JSON objects one after the other (a
/// single one, say); all of them are checked before anything is stored, and they are stored in
/// one step: `{"ids"}`.
pub(crate) async fn publish(
    State(hub): State<Hub>,
    State(access): State<Access>,
    request: Request,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Answer {
        ids: Vec<Id>,
    }
    let (parts, body) = request.into_parts();
    refuse_while_draining(&hub)?;
    let caller = access.identify(&parts.method, &parts.uri, &parts.headers).await?;
    access.may_begin_to_publish(&caller)?;
    publish::no_parameters(&parts.uri)?;
    let key = publish::key(&parts.headers)?;
    let client = client::of(&caller, &parts.extensions);
    if is_ndjson(&parts.headers) {
        let summary = ndjson::publish(&hub, &access, &caller, body, key, client).await?;
        let repeated = summary.published > 0 && summary.repeated == summary.published;
        return Ok(answer(&summary, repeated));
    }
    let config = hub.config();
    let mut room = Room::new(&hub);
    let body = body::collect(body, "batch_bytes_max", config.batch_bytes_max, &mut room).await?;
    let body = Bytes::from(body);
    let batch = parse(&body, config.data_bytes_max, key.as_ref())?;
    may_publish(&access, &caller, &batch)?;
    drop(body);
    if let Some(client) = client {
        hub.allow_publish(&client, batch.len())?;
    }
    let kept = if batch.is_empty() { Vec::new() } else { hub.publish_many(batch).await? };
    let repeated = !kept.is_empty() && kept.iter().all(|kept| kept.repeated);
    let ids = kept.into_iter().map(|kept| kept.id).collect();
    Ok(answer(&Answer { ids }, repeated))
}

/// Whether all of a batch may be published.
fn may_publish(access: &Access, caller: &Caller, batch: &[Publish]) -> Result<(), BatchError> {
    batch.iter().enumerate().try_for_each(|(index, publish)| {
        let allowed = access.may_publish(caller, &publish.event.topics);
        allowed.map_err(|refusal| BatchError::Refused { index, refusal })
    })
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    const TYPES: [&str; 4] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/json-lines",
    ];
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    TYPES.iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// Checks a whole batch.
fn parse(
    body: &Bytes,
    data_bytes_max: usize,
    key: Option<&IdempotencyKey>,
) -> Result<Vec<Publish>, BatchError> {
    let items = items(body)?;
    let mut batch: Vec<Publish> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let before = batch.last().map(|publish| &publish.event.topics);
        let event = item::parse(&body.slice_ref(item.get().as_bytes()), data_bytes_max, before)
            .map_err(|error| BatchError::Item { index, error })?;
        batch.push(Publish { event, key: key.map(|key| key.nth(index)) });
    }
    Ok(batch)
}

/// The events of a batch, as their JSON.
fn items(body: &[u8]) -> Result<Vec<&RawValue>, BatchError> {
    let syntax = |error: serde_json::Error| BatchError::Syntax { reason: error.to_string() };
    let mut items = Items::default();
    match body.trim_ascii_start().first() {
        None => return Err(BatchError::Empty),
        Some(b'[') => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let read = deserializer.deserialize_seq(&mut items);
            if items.too_many {
                return Err(BatchError::TooMany);
            }
            read.and_then(|()| deserializer.end()).map_err(syntax)?;
        }
        Some(_) => {
            for item in serde_json::Deserializer::from_slice(body).into_iter() {
                items.push(item.map_err(syntax)?);
                if items.too_many {
                    return Err(BatchError::TooMany);
                }
            }
        }
    }
    Ok(items.items)
}

/// A list that stops growing: an array of zeros would take eight times its size in references.
#[derive(Default)]
struct Items<'a> {
    items: Vec<&'a RawValue>,
    too_many: bool,
}

impl<'a> Items<'a> {
    fn push(&mut self, item: &'a RawValue) {
        self.too_many = self.items.len() == BATCH_EVENTS_MAX;
        if !self.too_many {
            self.items.push(item);
        }
    }
}

impl<'a> Visitor<'a> for &mut Items<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element()? {
            self.push(item);
            if self.too_many {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&[&str], &str>) {
        let batch = read(body, 100, None);
        let found: Result<Vec<&str>, String> = match &batch {
            Ok(batch) => Ok(batch.iter().map(|publish| publish.event.data.as_str()).collect()),
            Err(error) => Err(error.to_string()),
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{body}: {found}"),
            (found, expected) => panic!("{body}: {found:?}, not {expected:?}"),
        }
    }

    fn read(
        body: &str,
        data_bytes_max: usize,
        key: Option<&IdempotencyKey>,
    ) -> Result<Vec<Publish>, BatchError> {
        parse(&Bytes::copy_from_slice(body.as_bytes()), data_bytes_max, key)
    }

    #[test]
    fn a_batch_is_an_array_or_objects_one_after_the_other() {
        check("[]", Ok(&[]));
        check(r#" [{"topic":"a","data":1}, {"topic":"a","data":"2"}] "#, Ok(&["1", "2"]));
        check(r#"{"topic":"a","data":1}"#, Ok(&["1"]));
        check("{\n  \"topic\": \"a\",\n  \"data\": [\n1\n]\n}\n", Ok(&["[\n1\n]"]));
        check("{\"topic\":\"a\",\"data\":1}\n\n{\"topic\":\"a\",\"data\":2}", Ok(&["1", "2"]));
        // What `curl -d @file` makes of NDJSON: it takes the line breaks out.
        check(r#"{"topic":"a","data":1}{"topic":"a","data":2}"#, Ok(&["1", "2"]));
    }

    #[test]
    fn a_mistake_anywhere_refuses_all_of_it() {
        check("", Err("the body is empty"));
        check(" \n", Err("the body is empty"));
        check("hello", Err("not JSON"));
        check("7", Err("event 0: not a JSON object"));
        check("[", Err("not JSON"));
        check(r#"[{"topic":"a","data":1},]"#, Err("not JSON"));
        check(r#"[{"topic":"a","data":1}] x"#, Err("trailing characters"));
        check(r#"[{"topic":"a","data":1},{"topic":"a"}]"#, Err("event 1: \"data\" is missing"));
        check(r#"[[{"topic":"a","data":1}]]"#, Err("event 0: not a JSON object"));
        check(r#"{"topic":"a","data":1}]"#, Err("not JSON"));
    }

    #[test]
    fn a_batch_has_a_bound() {
        let item = r#"{"topic":"a","data":0}"#;
        let most = vec![item; BATCH_EVENTS_MAX].join(",");
        assert_eq!(read(&format!("[{most}]"), 9, None).unwrap().len(), BATCH_EVENTS_MAX);
        let more = format!("[{most},{item}]");
        assert!(matches!(read(&more, 9, None), Err(BatchError::TooMany)));
        let more = item.repeat(BATCH_EVENTS_MAX + 1);
        assert!(matches!(read(&more, 9, None), Err(BatchError::TooMany)));
        let zeros = format!("[0{}]", ",0".repeat(1_000_000));
        assert!(matches!(read(&zeros, 9, None), Err(BatchError::TooMany)));
    }

    #[test]
    fn each_event_has_a_key_of_its_own() {
        let key = IdempotencyKey::parse("k").unwrap();
        let body = r#"[{"topic":"a","data":1},{"topic":"a","data":1}]"#;
        let batch = read(body, 9, Some(&key)).unwrap();
        let keys: Vec<&str> =
            batch.iter().map(|publish| publish.key.as_ref().unwrap().as_str()).collect();
        assert_eq!(keys, ["k#0", "k#1"]);
    }

    #[test]
    fn ndjson_has_several_names() {
        for (content_type, expected) in [
            ("application/x-ndjson", true),
            ("Application/X-NDJSON; charset=utf-8", true),
            ("application/jsonl", true),
            ("application/json-lines", true),
            ("application/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            assert_eq!(is_ndjson(&headers), expected, "{content_type}");
        }
    }
}
