//! Where a subscription or a page of history is to begin, from the request's head.
//! Knows nothing of what the log still holds.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use tidings_core::cursor::Timestamp;
use tidings_core::limits::{HISTORY_EVENTS, HISTORY_EVENTS_MAX, ID_BYTES_MAX, LABEL_BYTES_MAX};

use crate::engine::Start;

use super::query::{self, Pair};

/// The header in which clients send the id of the last event they got.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The query parameters in which clients that can set no header send it
/// (`protocol/sse.md`, S10).
const CURSOR_PARAMETERS: [&str; 5] =
    ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "evs_last_event_id"];

/// Why the wish is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum StartError {
    /// The label is no label.
    #[error("label has to be 1 to {LABEL_BYTES_MAX} visible ASCII characters")]
    Label,
    /// No number.
    #[error("last is a number of events, such as last=10, not {text:?}")]
    Last {
        /// What it is.
        text: String,
    },
    /// More than [`HISTORY_EVENTS_MAX`].
    #[error("last can be at most {HISTORY_EVENTS_MAX} (history_events_max)")]
    LastTooMany,
    /// No number, or 0.
    #[error("limit is a number of events from 1 on, such as limit=10, not {text:?}")]
    Limit {
        /// What it is.
        text: String,
    },
    /// More than [`HISTORY_EVENTS_MAX`].
    #[error(
        "limit can be at most {HISTORY_EVENTS_MAX} (history_events_max): get the rest page by \
         page, with last_event_id set to what \"next\" says"
    )]
    LimitTooMany,
    /// Neither a word, a time span nor a time.
    #[error(
        "since is earliest, a time span such as 10m or 2h30m, or a time such as \
         2026-01-31T08:00:00Z, not {text:?}"
    )]
    Since {
        /// What it is.
        text: String,
    },
    /// Two wishes at once.
    #[error("since and last exclude each other: give one of them")]
    SinceAndLast,
}

/// What a request says about its beginning.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wish {
    /// Where to begin; `None` where it does not say.
    pub(crate) start: Option<Start>,
    /// The name that the client gives its connection.
    pub(crate) label: Option<String>,
}

/// Reads the wish. A cursor wins over `since` and `last`, since a client that reconnects sends it
/// with the address it has; and the header wins over the query, for the same reason. Unknown
/// parameters are passed over: some clients add `_=…` and the like to get round caches.
pub(crate) fn parse(
    headers: &HeaderMap,
    query: Option<&str>,
    now: Timestamp,
) -> Result<Wish, StartError> {
    // Polyfills append theirs to the address that the page gave them: the last counts.
    let mut cursor: Option<Cow<'_, [u8]>> = None;
    let (mut since, mut last, mut label) = (None, None, None);
    for Pair { name, value } in query::pairs(query) {
        match &*name {
            "since" => since = Some(self::since(&value, now)?),
            "last" => last = Some(self::last(&value)?),
            "label" => label = Some(self::label(&value)?),
            name if CURSOR_PARAMETERS.contains(&name) && !value.is_empty() => cursor = Some(value),
            _ => {}
        }
    }
    if since.is_some() && last.is_some() {
        return Err(StartError::SinceAndLast);
    }
    let header = headers
        .get_all(LAST_EVENT_ID)
        .iter()
        .map(|value| value.as_bytes())
        .find(|value| !value.is_empty());
    let cursor = header.or(cursor.as_deref());
    let start = cursor.map(|cursor| Start::After(id(cursor))).or(since).or(last);
    Ok(Wish { start, label })
}

/// How many events a page of history is to have.
pub(crate) fn limit(query: Option<&str>) -> Result<usize, StartError> {
    let Some(pair) = query::pairs(query).find(|pair| pair.name == "limit") else {
        return Ok(HISTORY_EVENTS);
    };
    match number(&pair.value) {
        None | Some(0) => Err(StartError::Limit { text: shown(&pair.value) }),
        Some(limit) if limit > HISTORY_EVENTS_MAX => Err(StartError::LimitTooMany),
        Some(limit) => Ok(limit),
    }
}

/// An id as a client sent it. What can be no id is kept as a text that is no event's: whoever
/// comes with one is to be told that it is unknown, not to be refused for ever.
fn id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= ID_BYTES_MAX {
        return text.into_owned();
    }
    // One byte more than an id can have, so that the rest of it can't be an id again.
    let mut end = ID_BYTES_MAX + 1;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text[..end].to_owned()
}

fn since(value: &[u8], now: Timestamp) -> Result<Start, StartError> {
    let error = || StartError::Since { text: shown(value) };
    let text = std::str::from_utf8(value).map_err(|_| error())?;
    if text == "earliest" {
        return Ok(Start::Earliest);
    }
    if let Some(time) = time(text) {
        return Ok(Start::Since(time));
    }
    let span: Duration = humantime::parse_duration(text).map_err(|_| error())?;
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Ok(Start::Since(Timestamp(now.0.saturating_sub(ms))))
}

/// A time of RFC 3339; times before 1970 count as 1970, when there was no event yet.
fn time(text: &str) -> Option<Timestamp> {
    // The + of an offset is a space in a query, if nobody has encoded it.
    let text = text.trim().replace(' ', "+");
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(u64::try_from(time.as_millisecond()).unwrap_or(0)))
}

fn last(value: &[u8]) -> Result<Start, StartError> {
    match number(value) {
        None => Err(StartError::Last { text: shown(value) }),
        Some(events) if events > HISTORY_EVENTS_MAX => Err(StartError::LastTooMany),
        Some(events) => Ok(Start::Last(events)),
    }
}

fn label(value: &[u8]) -> Result<String, StartError> {
    match std::str::from_utf8(value) {
        Ok(text)
            if (1..=LABEL_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(StartError::Label),
    }
}

/// Digits only; what does not fit counts as the largest number.
fn number(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

fn shown(value: &[u8]) -> String {
    query::shown(&String::from_utf8_lossy(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn wish(header: Option<&[u8]>, query: &str) -> Result<Wish, StartError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(LAST_EVENT_ID, HeaderValue::from_bytes(value).unwrap());
        }
        parse(&headers, Some(query), NOW)
    }

    fn check(header: Option<&str>, query: &str, expected: Option<Start>) {
        let start = wish(header.map(str::as_bytes), query).map(|wish| wish.start);
        assert_eq!(start, Ok(expected), "{header:?} {query:?}");
    }

    fn after(id: &str) -> Option<Start> {
        Some(Start::After(id.to_owned()))
    }

    #[test]
    fn s10_a_cursor_comes_in_the_header_or_in_the_query() {
        check(None, "", None);
        check(Some("k-1"), "", after("k-1"));
        check(Some("…ü"), "", after("…ü"));
        check(Some("%41"), "", after("%41"));
        for name in CURSOR_PARAMETERS {
            check(None, &format!("{name}=k-1"), after("k-1"));
            check(None, &format!("{name}=%E2%80%A6"), after("…"));
        }
        check(None, "last_event_id=a&lastEventId=a", after("a"));
        check(None, "lastEventId=a&topic=x&lastEventId=b", after("b"));
    }

    #[test]
    fn an_empty_cursor_is_none() {
        check(Some(""), "", None);
        check(Some(""), "last_event_id=", None);
        check(Some(""), "last_event_id=a", after("a"));
        check(None, "last_event_id=&lastEventId=a", after("a"));
        check(None, "last_event_id&last=3", Some(Start::Last(3)));
    }

    #[test]
    fn the_header_wins_over_the_query_and_a_cursor_over_the_rest() {
        check(Some("h"), "last_event_id=q", after("h"));
        check(Some("h"), "since=earliest", after("h"));
        check(None, "last=5&last_event_id=q", after("q"));
        check(None, "since=earliest&_=123&r=0.5", Some(Start::Earliest));
    }

    #[test]
    fn what_can_be_no_id_is_an_unknown_one() {
        check(None, "last_event_id=a%00b", after("a\0b"));
        check(None, "last_event_id=%FF", after("\u{fffd}"));
        let wish = wish(None, &format!("last_event_id={}", "%C3%BC".repeat(1000))).unwrap();
        let Some(Start::After(id)) = wish.start else { panic!("no cursor") };
        assert!(id.len() > ID_BYTES_MAX && id.len() <= ID_BYTES_MAX + 4);
    }

    #[test]
    fn since_is_a_word_a_span_or_a_time() {
        let at = |ms| Some(Start::Since(Timestamp(ms)));
        check(None, "since=earliest", Some(Start::Earliest));
        check(None, "since=10m", at(NOW.0 - 600_000));
        check(None, "since=2h30m", at(NOW.0 - 9_000_000));
        check(None, "since=0s", at(NOW.0));
        check(None, "since=1000000000y", at(0));
        check(None, "since=1970-01-01T00:00:01.5Z", at(1500));
        check(None, "since=1970-01-01T01:00:01%2B01:00", at(1000));
        check(None, "since=1970-01-01T01:00:01+01:00", at(1000));
        check(None, "since=1969-01-01T00:00:00Z", at(0));
        check(None, "since=9000-01-01T00:00:00Z", at(221_845_392_000_000));
        for text in ["", "yesterday", "-10m", "10", "2026-01-31", "2026-13-01T00:00:00Z", "%FF"] {
            let error = wish(None, &format!("since={text}")).unwrap_err();
            assert!(matches!(error, StartError::Since { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn last_and_limit_have_bounds() {
        check(None, "last=0", Some(Start::Last(0)));
        check(None, "last=1000", Some(Start::Last(1000)));
        assert_eq!(wish(None, "last=1001"), Err(StartError::LastTooMany));
        assert_eq!(wish(None, &format!("last={}", "9".repeat(40))), Err(StartError::LastTooMany));
        for text in ["", "-1", "+1", "1.5", "x", "%FF"] {
            let error = wish(None, &format!("last={text}")).unwrap_err();
            assert!(matches!(error, StartError::Last { .. }), "{text}: {error}");
        }
        assert_eq!(limit(None), Ok(HISTORY_EVENTS));
        assert_eq!(limit(Some("limit=1000")), Ok(1000));
        assert_eq!(limit(Some("limit=1001")), Err(StartError::LimitTooMany));
        assert!(limit(Some("limit=0")).is_err());
        assert!(limit(Some("limit=")).is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(wish(None, "since=10m&last=3"), Err(StartError::SinceAndLast));
        assert_eq!(wish(Some(b"h"), "since=10m&last=3"), Err(StartError::SinceAndLast));
    }

    #[test]
    fn of_several_cursors_in_the_query_the_last_counts() {
        let wish = wish(None, "last_event_id=a&lastEventId=b&Last-Event-ID=").unwrap();
        assert_eq!(wish.start, Some(Start::After("b".into())));
    }

    #[test]
    fn a_label_is_short_and_visible() {
        assert_eq!(wish(None, "label=ci-42").unwrap().label.as_deref(), Some("ci-42"));
        assert_eq!(wish(None, "").unwrap().label, None);
        for text in ["", "a+b", "%C3%BC", "a%00", &"x".repeat(129)] {
            assert_eq!(wish(None, &format!("label={text}")), Err(StartError::Label), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_request_makes_it_panic(header in prop::collection::vec(0x20_u8..0x7f, 0..300),
                                     query in "[a-zA-Z_%0-9=&+.:-]{0,80}", value in ".{0,20}") {
            let _ = wish(Some(&header), &query);
            for name in ["since", "last", "label", "last_event_id", "limit"] {
                let query = format!("{name}={value}");
                let _ = wish(None, &query);
                let _ = limit(Some(&query));
            }
        }
    }
}
