//! What the fuzz targets run: each takes any bytes and panics where a promise is broken.
//! Knows nothing of fuzzers, so that ordinary tests run the same over random bytes.

use std::time::Duration;

use bytes::Bytes;

use crate::cursor::{Cursor, Incarnation, Position};
use crate::event::{Data, Event, EventId, EventType, Retry, Topic, Topics};
use crate::limits::{SELECTORS_PER_SUBSCRIPTION_MAX, TOPICS_PER_EVENT_MAX};
use crate::sse::{Decoder, Frame, Message, TooLong};
use crate::topic::{Index, Selector, Selectors};

use super::{Chunks, Op, Settings, World};

/// Whatever is published comes back byte for byte, with nothing added, however it is cut.
///
/// The bytes are parted at each 0xff: type, id, retry, data.
///
/// # Panics
/// Where it does not.
pub fn encode_round_trip(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |&byte| byte == 0xff);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (event_type, id, retry, data) = (text(), text(), text(), text());
    let event = Event {
        topics: Topic::parse("a").expect("a topic").into(),
        event_type: EventType::parse(&event_type).ok(),
        id: EventId::parse(&id).ok(),
        retry: Retry::parse(&retry).ok(),
        private: false,
        data: Data::parse(Bytes::from(data.clone())).expect("a String is UTF-8"),
    };
    let cursor = Cursor::before(Incarnation::from_random(7), Position(bytes.len() as u64));
    let frame = Frame::event(cursor, &event);
    let expected = Message {
        event_type: event.event_type.map_or("message".into(), |t| t.as_str().to_owned()),
        id: event.id.map_or(cursor.to_string(), |id| id.as_str().to_owned()).into(),
        data: data.replace("\r\n", "\n").replace('\r', "\n"),
    };

    assert!(!frame.raw().contains(&b'\r'), "only LF ends a line");
    // Twice, with a heartbeat between: what one leaves behind may not show in the next.
    let stream =
        [frame.chunk(), Frame::heartbeat().chunk(), frame.chunk()].map(|b| &b[..]).concat();
    let (mut chunks, mut content) = (Chunks::default(), Vec::new());
    chunks.push(&stream, &mut content);
    let piece_bytes = 1 + bytes.first().map_or(0, |&byte| usize::from(byte) % 32);
    let (messages, decoder) = decoded(&content, piece_bytes, usize::MAX);
    assert_eq!(messages, Ok(vec![expected.clone(), expected]));
    assert_eq!(decoder.retry_ms(), event.retry.map(|retry| u64::from(retry.as_ms())));
}

/// A stream gives the same events whole and in pieces, and no more than there is in it.
///
/// The first byte says how large the pieces are, the second how long an event may be.
///
/// # Panics
/// Where it does not.
pub fn decode(bytes: &[u8]) {
    let Some((&[piece, bound], stream)) = bytes.split_first_chunk() else { return };
    let bytes_max = if bound < 128 { usize::MAX } else { usize::from(bound - 127) };
    let (whole, whole_decoder) = decoded(stream, usize::MAX, bytes_max);
    let (pieces, pieces_decoder) = decoded(stream, 1 + usize::from(piece) % 16, bytes_max);
    assert_eq!(whole, pieces, "a stream means the same however it is cut");
    assert_eq!(whole_decoder.last_event_id(), pieces_decoder.last_event_id());
    assert_eq!(whole_decoder.retry_ms(), pieces_decoder.retry_ms());
    let Ok(messages) = whole else { return };
    // A byte that is no UTF-8 becomes the three of U+FFFD.
    let bytes: usize = messages.iter().map(|message| message.data.len()).sum();
    assert!(bytes <= 3 * stream.len(), "nothing comes of nothing");
    assert!(messages.len() <= stream.len() / "data\n\n".len());
    for message in &messages {
        assert!(!message.event_type.is_empty() && !message.id.contains('\0'));
        assert!(!message.event_type.contains(['\r', '\n']) && !message.data.contains('\r'));
    }
}

/// No text makes the parsers panic, and the index finds whom a scan finds.
///
/// The bytes are parted at each LF: a part that begins with `-` takes one subscriber out, one
/// with `=` publishes to the topics in it (parted by commas), any other subscribes.
///
/// # Panics
/// Where it does not.
pub fn selectors(bytes: &[u8]) {
    let mut index = Index::default();
    let mut there: Vec<(usize, Selectors, Vec<_>)> = Vec::new();
    let text = String::from_utf8_lossy(bytes);
    for (key, line) in text.split('\n').enumerate() {
        if line.starts_with('-') {
            if !there.is_empty() {
                let (_, _, entries) = there.swap_remove(line.len() % there.len());
                entries.into_iter().for_each(|entry| index.remove(entry));
            }
        } else if let Some(topics) = line.strip_prefix('=') {
            let topics = topics.split(',').filter_map(|topic| Topic::parse(topic).ok());
            let Ok(topics) = Topics::parse(topics.take(TOPICS_PER_EVENT_MAX).collect()) else {
                continue;
            };
            let mut found = Vec::new();
            index.matches(&topics, |key| found.push(key));
            found.sort_unstable();
            found.dedup();
            let scan = there.iter().filter(|(_, selectors, _)| selectors.matches(&topics));
            let mut expected: Vec<usize> = scan.map(|(key, ..)| *key).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{topics:?}");
        } else {
            let parsed = line.split(',').filter_map(|text| Selector::parse(text).ok());
            let parsed: Vec<Selector> = parsed.take(SELECTORS_PER_SUBSCRIPTION_MAX).collect();
            for selector in &parsed {
                let again = Selector::parse(&selector.to_string());
                assert_eq!(again.as_ref(), Ok(selector), "a selector says what it is");
            }
            if let Ok(selectors) = Selectors::parse(parsed, SELECTORS_PER_SUBSCRIPTION_MAX) {
                let entries = selectors.iter().map(|s| index.insert(s, key)).collect();
                there.push((key, selectors, entries));
            }
        }
    }
    for entry in there.into_iter().flat_map(|(_, _, entries)| entries) {
        index.remove(entry);
    }
    assert!(index.is_bare(), "who leaves takes all with it");
}

/// Whatever happens in a world, nobody is wronged, everybody gets everything in the end, and
/// nothing is left of those who leave.
///
/// Three bytes say what the world is like, each eight then make an [`Op`].
///
/// # Panics
/// Where it is not so.
pub fn operations(bytes: &[u8]) {
    let Some((&[shards, events, positions], ops)) = bytes.split_first_chunk() else { return };
    let settings = Settings {
        shards: 1 + usize::from(shards) % 3,
        heartbeat: Duration::from_secs(10),
        page_events_max: 1 + usize::from(events) % 16,
        page_positions_max: 1 + usize::from(positions) % 64,
    };
    let (ops, _) = ops.as_chunks();
    run_operations(settings, ops.iter().map(|&bytes| Op::from_bytes(bytes)));
}

/// See [`operations`].
///
/// # Panics
/// Where somebody is wronged.
pub fn run_operations(settings: Settings, ops: impl IntoIterator<Item = Op>) {
    let mut world = World::new(settings);
    for op in ops {
        world.apply(&op);
        world.check();
    }
    world.settle();
    world.end();
}

/// Whatever a client says it has seen last is a cursor, in the one spelling that the hub writes, or
/// it is none.
///
/// # Panics
/// Where it is neither.
pub fn cursors(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text, "one cursor, one spelling");
        assert!(EventId::parse(&text).is_ok(), "it can stand where ids stand");
    }
}

/// The events of a stream that comes in pieces, up to the one that is too long.
fn decoded(
    stream: &[u8],
    piece_bytes: usize,
    bytes_max: usize,
) -> (Result<Vec<Message>, TooLong>, Decoder) {
    let mut decoder = Decoder::new(bytes_max);
    let mut messages = Vec::new();
    for piece in stream.chunks(piece_bytes) {
        let pushed = decoder.push(piece);
        messages.extend(decoder.by_ref());
        if let Err(error) = pushed {
            return (Err(error), decoder);
        }
    }
    (Ok(messages), decoder)
}
