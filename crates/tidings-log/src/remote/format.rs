//! How events are written as bytes for a server, and read back.
//! Knows nothing of the server: bytes in, bytes out.
//!
//! An entry holds a run of events. All numbers are little-endian:
//!
//! | event, 20 bytes and its texts | |
//! |---|---|
//! | 0 | bytes of the whole, u32 |
//! | 4 | flags: 1 private, 2 has a retry |
//! | 5 | bytes of id and type: u8 each, 0 for none; number of topics: u8 |
//! | 8 | time, u64 milliseconds |
//! | 16 | retry in milliseconds, u32 |
//! | 20 | id, type; each topic with its length as u16; data to the end |

use std::sync::Arc;

use bytes::Bytes;
use tidings_core::cursor::{Fingerprint, Position, Timestamp};
use tidings_core::event::{Data, Event, EventId, EventType, Retry, Topic, Topics};
use tidings_core::limits::{
    EVENT_TYPE_BYTES_MAX, ID_BYTES_MAX, TOPIC_BYTES_MAX, TOPICS_PER_EVENT_MAX,
};

use crate::Record;

const HEAD_BYTES: usize = 20;
const FLAG_PRIVATE: u8 = 1;
const FLAG_RETRY: u8 = 2;

// Their lengths are written in so many bits.
const _: () = {
    assert!(ID_BYTES_MAX <= u8::MAX as usize);
    assert!(EVENT_TYPE_BYTES_MAX <= u8::MAX as usize);
    assert!(TOPICS_PER_EVENT_MAX <= u8::MAX as usize);
    assert!(TOPIC_BYTES_MAX <= u16::MAX as usize);
};

/// How many bytes an event will take.
pub(crate) fn event_bytes(event: &Event) -> usize {
    let topics: usize = event.topics.iter().map(|topic| 2 + topic.as_str().len()).sum();
    HEAD_BYTES
        + event.id.as_ref().map_or(0, |id| id.as_str().len())
        + event.event_type.as_ref().map_or(0, |text| text.as_str().len())
        + topics
        + event.data.as_bytes().len()
}

/// Writes an event behind what is in the buffer. It takes less than 4 GiB: the log refuses more.
pub(crate) fn encode(buffer: &mut Vec<u8>, event: &Event, time: Timestamp) {
    let id = event.id.as_ref().map_or("", |id| id.as_str());
    let event_type = event.event_type.as_ref().map_or("", |text| text.as_str());
    let mut flags = 0;
    flags |= if event.private { FLAG_PRIVATE } else { 0 };
    flags |= if event.retry.is_some() { FLAG_RETRY } else { 0 };
    buffer.extend_from_slice(&(event_bytes(event) as u32).to_le_bytes());
    // The lengths fit, see the assertions above.
    let topics = event.topics.iter().count() as u8;
    buffer.extend_from_slice(&[flags, id.len() as u8, event_type.len() as u8, topics]);
    buffer.extend_from_slice(&time.0.to_le_bytes());
    buffer.extend_from_slice(&event.retry.map_or(0, Retry::as_ms).to_le_bytes());
    buffer.extend_from_slice(id.as_bytes());
    buffer.extend_from_slice(event_type.as_bytes());
    for topic in &event.topics {
        let text = topic.as_str().as_bytes();
        buffer.extend_from_slice(&(text.len() as u16).to_le_bytes());
        buffer.extend_from_slice(text);
    }
    buffer.extend_from_slice(event.data.as_bytes());
}

/// A run of events as the server keeps it, not yet taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The position of its first event.
    pub(crate) first: Position,
    /// How many events it holds.
    pub(crate) count: u64,
    /// The fingerprint of all its events: they came into the log together, and are lost together.
    pub(crate) print: Option<Fingerprint>,
    /// The fingerprint of the event right before its first.
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "only Redis needs it"))]
    pub(crate) before: Option<Fingerprint>,
    /// No event of it is earlier.
    pub(crate) earliest: Timestamp,
    /// No event of it is later.
    pub(crate) latest: Timestamp,
    /// The events.
    pub(crate) body: Bytes,
}

impl Entry {
    /// The position after its last event.
    pub(crate) fn end(&self) -> Position {
        Position(self.first.0.saturating_add(self.count))
    }

    /// Its events; `None` where these are not the bytes that this program writes.
    pub(crate) fn records(&self) -> Option<Vec<Arc<Record>>> {
        // An event takes its head at least, so a lie about the number costs nothing.
        let fits = usize::try_from(self.count).is_ok_and(|c| c <= self.body.len() / HEAD_BYTES);
        if !fits {
            return None;
        }
        let mut records = Vec::with_capacity(self.count as usize);
        let mut rest = self.body.clone();
        let mut time = self.earliest;
        for position in self.first.0..self.end().0 {
            let bytes = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))? as usize;
            if bytes < HEAD_BYTES || bytes > rest.len() {
                return None;
            }
            let (event, own) = decode(rest.split_to(bytes))?;
            time = time.max(own).min(self.latest);
            records.push(Arc::new(Record {
                position: Position(position),
                print: self.print,
                time,
                event,
            }));
        }
        rest.is_empty().then_some(records)
    }
}

fn decode(bytes: Bytes) -> Option<(Event, Timestamp)> {
    let head: [u8; HEAD_BYTES] = *bytes.first_chunk()?;
    let [_, _, _, _, flags, id_bytes, type_bytes, topics, ..] = head;
    let time = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let retry = u32::from_le_bytes(head[16..20].try_into().ok()?);
    let mut at = HEAD_BYTES;
    let mut text = |length: usize| {
        let text = std::str::from_utf8(bytes.get(at..at + length)?).ok()?;
        at += length;
        Some(text)
    };
    let id = match text(id_bytes.into())? {
        "" => None,
        id => Some(EventId::parse(id).ok()?),
    };
    let event_type = match text(type_bytes.into())? {
        "" => None,
        name => Some(EventType::parse(name).ok()?),
    };
    let mut names = Vec::with_capacity(topics.into());
    for _ in 0..topics {
        let length = u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        at += 2;
        let name = std::str::from_utf8(bytes.get(at..at + usize::from(length))?).ok()?;
        at += usize::from(length);
        names.push(Topic::parse(name).ok()?);
    }
    let event = Event {
        topics: Topics::parse(names).ok()?,
        event_type,
        id,
        retry: if flags & FLAG_RETRY == 0 {
            None
        } else {
            Some(Retry::from_ms(retry.into()).ok()?)
        },
        private: flags & FLAG_PRIVATE != 0,
        data: Data::parse(bytes.slice(at..)).ok()?,
    };
    Some((event, Timestamp(time)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(data: &str) -> Event {
        Event::new(Topic::parse("orders/42").unwrap(), Data::from(data.to_owned()))
    }

    fn entry(events: &[(&Event, u64)], earliest: u64, latest: u64) -> Entry {
        let mut body = Vec::new();
        for (event, time) in events {
            encode(&mut body, event, Timestamp(*time));
        }
        Entry {
            first: Position(7),
            count: events.len() as u64,
            print: Some(Fingerprint::from_bits(9)),
            before: None,
            earliest: Timestamp(earliest),
            latest: Timestamp(latest),
            body: body.into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut full = event("line 1\nline 2");
        full.topics = Topics::parse(vec![
            Topic::parse("a").unwrap(),
            Topic::parse("https://example.com/ü?x#y").unwrap(),
        ])
        .unwrap();
        full.id = Some(EventId::parse("urn:uuid:1").unwrap());
        full.event_type = Some(EventType::parse("changed").unwrap());
        full.retry = Some(Retry::from_ms(0).unwrap());
        full.private = true;
        let plain = event("");
        let records = entry(&[(&full, 5), (&plain, 6)], 0, 9).records().unwrap();
        assert_eq!(records[0].event, full);
        assert_eq!(records[1].event, plain);
        assert_eq!((records[0].position, records[1].position), (Position(7), Position(8)));
        assert_eq!((records[0].time, records[1].time), (Timestamp(5), Timestamp(6)));
    }

    #[test]
    fn times_stay_within_the_entry_s_and_never_go_back() {
        let event = event("x");
        let entry = entry(&[(&event, 1), (&event, 20), (&event, 12), (&event, 99)], 10, 30);
        let times: Vec<u64> = entry.records().unwrap().iter().map(|r| r.time.0).collect();
        assert_eq!(times, [10, 20, 20, 30]);
    }

    #[test]
    fn what_is_cut_or_goes_on_is_refused() {
        let event = event("x");
        let whole = entry(&[(&event, 1)], 0, 9);
        for length in 0..whole.body.len() {
            let body = whole.body.slice(..length);
            assert!(Entry { body, ..whole.clone() }.records().is_none(), "{length}");
        }
        assert!(Entry { count: 2, ..whole.clone() }.records().is_none());
        assert!(Entry { count: u64::MAX, ..whole.clone() }.records().is_none());
        let mut longer = whole.body.to_vec();
        longer.push(0);
        assert!(Entry { body: longer.into(), ..whole }.records().is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            body in prop::collection::vec(any::<u8>(), 0..200),
            count in 0_u64..9,
        ) {
            let limits = (Timestamp(0), Timestamp(9));
            let _ = Entry {
                first: Position(1),
                count,
                print: None,
                before: None,
                earliest: limits.0,
                latest: limits.1,
                body: body.into(),
            }
            .records();
        }

        #[test]
        fn no_change_of_a_byte_makes_it_panic(at in 0_usize..60, byte in any::<u8>()) {
            let event = event("some data that is long enough");
            let whole = entry(&[(&event, 1), (&event, 2)], 0, 9);
            let mut body = whole.body.to_vec();
            body[at] = byte;
            let _ = Entry { body: body.into(), ..whole }.records();
        }
    }
}
