//! A page of what was published before, as JSON.
//! Knows nothing of event streams, but that one goes on where the page ends.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidings_core::cursor::Timestamp;

use crate::engine::{Filter, History, Hub, Id, Start};

use super::problem::Problem;
use super::start;
use super::subscriber::tell_verdict;

#[derive(Serialize)]
struct Document<'a> {
    events: Vec<Item<'a>>,
    /// The cursor after which the next page begins, or a stream goes on without a gap.
    next: String,
}

#[derive(Serialize)]
struct Item<'a> {
    id: Id,
    topics: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u32>,
    #[serde(skip_serializing_if = "is_public")]
    private: bool,
    time: String,
    data: &'a str,
}

/// Reads a page of events from `start` on; without it, the last ones.
pub(crate) async fn page(
    hub: &Hub,
    filter: &Filter,
    start: Option<Start>,
    query: Option<&str>,
) -> Result<Response, Problem> {
    let limit = start::limit(query)?;
    let history = hub.history(filter, start.unwrap_or(Start::Live), limit).await?;
    let document = Document {
        events: (0..history.records.len()).map(|number| item(&history, number)).collect(),
        next: history.next.to_string(),
    };
    let mut text = serde_json::to_string(&document).expect("texts and numbers are JSON");
    text.push('\n');
    let json = HeaderValue::from_static("application/json");
    let no_store = HeaderValue::from_static("no-store");
    let headers = [(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, no_store)];
    let mut response = (headers, text).into_response();
    tell_verdict(response.headers_mut(), history.verdict);
    Ok(response)
}

fn item(history: &History, number: usize) -> Item<'_> {
    let record = &history.records[number];
    let event = &record.event;
    Item {
        id: history.id(number),
        topics: event.topics.iter().map(|topic| topic.as_str()).collect(),
        event: event.event_type.as_ref().map(|event_type| event_type.as_str()),
        retry: event.retry.map(|retry| retry.as_ms()),
        private: event.private,
        time: rfc3339(record.time),
        data: event.data.as_str(),
    }
}

fn is_public(private: &bool) -> bool {
    !private
}

/// A time as people and `since=` read it, to the millisecond.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let time = i64::try_from(time.0)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_700_000_000_120)), "2023-11-14T22:13:20.120Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "9999-12-30T22:00:00.999Z");
    }
}
