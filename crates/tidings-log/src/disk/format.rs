//! How records and segment headers are written as bytes, and read back.
//! Knows nothing of files: bytes in, bytes out.
//!
//! All numbers are little-endian. A segment is a header and then records, and after the last
//! record zeros:
//!
//! | header, 64 bytes | |
//! |---|---|
//! | 0 | magic |
//! | 8 | format version, u32 |
//! | 12 | incarnation, 8 characters |
//! | 20 | position of the first record, u64 |
//! | 28 | zeros |
//! | 60 | CRC-32C of all before it |
//!
//! | record, 40 bytes and its texts | |
//! |---|---|
//! | 0 | 0xff, a byte that no UTF-8 text contains |
//! | 1 | flags: 1 private, 2 the batch goes on with the next record, 4 has a retry |
//! | 2 | bytes of key, id, type: u8 each, 0 for none; number of topics: u8; two zeros |
//! | 8 | bytes of the whole record, u32 |
//! | 12 | CRC-32C of all else |
//! | 16 | position, u64 |
//! | 24 | time, u64 milliseconds |
//! | 32 | up to which byte this file was known to be synced when this was written, u32 |
//! | 36 | retry in milliseconds, u32 |
//! | 40 | key, id, type; each topic with its length as u16; data to the end |
//!
//! The first byte makes recovery safe from publishers: whatever they put into their texts, none
//! of it can look like the beginning of a record. The byte count at 32 tells a torn write from
//! damage: bytes that a later record knew to be synced can't have been torn by a crash.

use bytes::Bytes;
use tidings_core::cursor::{Incarnation, Position, Timestamp};
use tidings_core::event::{Data, Event, EventId, EventType, IdempotencyKey, Retry, Topic, Topics};
use tidings_core::limits::{
    EVENT_TYPE_BYTES_MAX, ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, TOPIC_BYTES_MAX,
    TOPICS_PER_EVENT_MAX,
};
use tidings_core::topic::{Selector, Selectors};

use super::sizes::BATCH_BYTES_MAX;
use crate::Record;

/// The only format so far.
pub(super) const VERSION: u32 = 1;

/// The first record of a segment stands here.
pub(super) const HEADER_BYTES: u32 = 64;

/// The fixed part of a record.
pub(super) const RECORD_HEAD_BYTES: usize = 40;

/// The first byte of a record.
pub(super) const RECORD_MARKER: u8 = 0xff;

const SEGMENT_MAGIC: &[u8; 8] = b"tidelog\n";
const FLAG_PRIVATE: u8 = 1;
const FLAG_MORE: u8 = 2;
const FLAG_RETRY: u8 = 4;

// Their lengths are written in so many bits.
const _: () = {
    assert!(ID_BYTES_MAX <= u8::MAX as usize);
    assert!(EVENT_TYPE_BYTES_MAX <= u8::MAX as usize);
    assert!(IDEMPOTENCY_KEY_BYTES_MAX <= u8::MAX as usize);
    assert!(TOPICS_PER_EVENT_MAX <= u8::MAX as usize);
    assert!(TOPIC_BYTES_MAX <= u16::MAX as usize);
    assert!(BATCH_BYTES_MAX <= u32::MAX as u64);
};

/// The first bytes of the segment that begins with this position.
pub(super) fn segment_header(incarnation: Incarnation, first: Position) -> [u8; 64] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(incarnation.as_str().as_bytes());
    header[20..28].copy_from_slice(&first.0.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Why a header is not the one that should be there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum HeaderError {
    /// Written by a version that this one does not know.
    Version(u32),
    /// Anything else, in words.
    Foreign(&'static str),
}

/// Whether these are the first bytes of the segment that begins with this position.
pub(super) fn check_segment_header(
    header: &[u8],
    incarnation: Incarnation,
    first: Position,
) -> Result<(), HeaderError> {
    if header.len() < HEADER_BYTES as usize || header[..8] != *SEGMENT_MAGIC {
        return Err(HeaderError::Foreign("it does not begin as a segment does"));
    }
    // Before the checksum: another version may sum up other bytes.
    match u32_at(header, 8) {
        VERSION => {}
        found => return Err(HeaderError::Version(found)),
    }
    if u32_at(header, 60) != crc32c::crc32c(&header[..60]) {
        return Err(HeaderError::Foreign("its header is damaged"));
    }
    if header[12..20] != *incarnation.as_str().as_bytes() {
        return Err(HeaderError::Foreign("it belongs to another log"));
    }
    if u64_at(header, 20) != first.0 {
        return Err(HeaderError::Foreign("its name is not the position that it begins with"));
    }
    Ok(())
}

/// How many bytes a record will take.
pub(super) fn record_bytes(event: &Event, key: Option<&IdempotencyKey>) -> usize {
    let topics: usize = event.topics.iter().map(|topic| 2 + topic.as_str().len()).sum();
    RECORD_HEAD_BYTES
        + key.map_or(0, |key| key.as_str().len())
        + event.id.as_ref().map_or(0, |id| id.as_str().len())
        + event.event_type.as_ref().map_or(0, |text| text.as_str().len())
        + topics
        + event.data.as_bytes().len()
}

/// What a record says beside its event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    /// Up to which byte of the segment all is known to be synced.
    pub(super) synced: u32,
    /// The next record belongs to the same batch: one without the other is a torn write.
    pub(super) more: bool,
}

/// Writes a record behind what is in the buffer.
pub(super) fn encode_record(
    buffer: &mut Vec<u8>,
    place: Place,
    event: &Event,
    key: Option<&IdempotencyKey>,
) {
    let start = buffer.len();
    let key = key.map_or("", |key| key.as_str());
    let id = event.id.as_ref().map_or("", |id| id.as_str());
    let event_type = event.event_type.as_ref().map_or("", |text| text.as_str());
    let mut flags = 0;
    flags |= if event.private { FLAG_PRIVATE } else { 0 };
    flags |= if place.more { FLAG_MORE } else { 0 };
    flags |= if event.retry.is_some() { FLAG_RETRY } else { 0 };
    // The lengths fit, see the assertions above.
    let topics = event.topics.iter().count() as u8;
    buffer.extend_from_slice(&[RECORD_MARKER, flags]);
    buffer.extend_from_slice(&[key.len() as u8, id.len() as u8, event_type.len() as u8, topics]);
    // Two zeros, then length and checksum, which come last.
    buffer.extend_from_slice(&[0; 10]);
    buffer.extend_from_slice(&place.position.0.to_le_bytes());
    buffer.extend_from_slice(&place.time.0.to_le_bytes());
    buffer.extend_from_slice(&place.synced.to_le_bytes());
    buffer.extend_from_slice(&event.retry.map_or(0, Retry::as_ms).to_le_bytes());
    for text in [key, id, event_type] {
        buffer.extend_from_slice(text.as_bytes());
    }
    for topic in &event.topics {
        let text = topic.as_str().as_bytes();
        buffer.extend_from_slice(&(text.len() as u16).to_le_bytes());
        buffer.extend_from_slice(text);
    }
    buffer.extend_from_slice(event.data.as_bytes());
    finish_record(&mut buffer[start..]);
}

/// Fills in what depends on all the rest.
fn finish_record(record: &mut [u8]) {
    let bytes = u32::try_from(record.len());
    let bytes = bytes.expect("the log refuses batches beyond BATCH_BYTES_MAX");
    record[8..12].copy_from_slice(&bytes.to_le_bytes());
    let checksum = record_checksum(record);
    record[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes a record of any bytes, if there are enough, for tests and the fuzzer.
pub(super) fn mend_record(record: &mut [u8]) {
    if record.len() >= RECORD_HEAD_BYTES {
        record[0] = RECORD_MARKER;
        finish_record(record);
    }
}

fn record_checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..12]), &record[16..])
}

/// What stands where a record could begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Beginning {
    /// A record of so many bytes, if the rest is in order.
    Record(usize),
    /// Nothing was ever written here.
    Zero,
    /// Neither.
    Damaged,
}

/// Reads the fixed part of a record. Fewer bytes than that are damage, or zero.
pub(super) fn beginning(head: &[u8]) -> Beginning {
    match head.first() {
        Some(0) => Beginning::Zero,
        Some(&RECORD_MARKER) if head.len() >= RECORD_HEAD_BYTES => {
            let bytes = u32_at(head, 8);
            if bytes as usize >= RECORD_HEAD_BYTES && u64::from(bytes) <= BATCH_BYTES_MAX {
                Beginning::Record(bytes as usize)
            } else {
                Beginning::Damaged
            }
        }
        _ => Beginning::Damaged,
    }
}

/// A record, still in the bytes that it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) place: Place,
    flags: u8,
    retry: u32,
    key: &'a [u8],
    id: &'a [u8],
    event_type: &'a [u8],
    /// Each with its length before it.
    topics: &'a [u8],
    data: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads exactly one record; `None` where it is damaged.
    pub(super) fn decode(record: &'a [u8]) -> Option<Self> {
        if beginning(record) != Beginning::Record(record.len())
            || u32_at(record, 12) != record_checksum(record)
        {
            return None;
        }
        let flags = record[1];
        let mut rest = &record[RECORD_HEAD_BYTES..];
        let key = take(&mut rest, usize::from(record[2]))?;
        let id = take(&mut rest, usize::from(record[3]))?;
        let event_type = take(&mut rest, usize::from(record[4]))?;
        let mut data = rest;
        for _ in 0..record[5] {
            next_topic(&mut data)?;
        }
        let topics = &rest[..rest.len() - data.len()];
        let place = Place {
            position: Position(u64_at(record, 16)),
            time: Timestamp(u64_at(record, 24)),
            synced: u32_at(record, 32),
            more: flags & FLAG_MORE != 0,
        };
        let retry = u32_at(record, 36);
        Some(Self { place, flags, retry, key, id, event_type, topics, data })
    }

    /// The publisher's id, as bytes.
    pub(super) fn id(&self) -> Option<&'a [u8]> {
        (!self.id.is_empty()).then_some(self.id)
    }

    /// The topics, as bytes.
    pub(super) fn topics(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.topics;
        std::iter::from_fn(move || next_topic(&mut rest))
    }

    /// Whether it was appended with an idempotency key.
    pub(super) fn keyed(&self) -> bool {
        !self.key.is_empty()
    }

    /// Its idempotency key.
    pub(super) fn key(&self) -> Option<IdempotencyKey> {
        IdempotencyKey::parse(std::str::from_utf8(self.key).ok()?).ok()
    }

    /// Whether one of its topics is selected. Costs no allocation, unlike [`View::record`].
    pub(super) fn selected(&self, selectors: &Selectors) -> bool {
        self.topics().any(|topic| {
            selectors.iter().any(|selector| match selector {
                Selector::Exact(exact) => exact.as_str().as_bytes() == topic,
                Selector::Pattern(pattern) => {
                    std::str::from_utf8(topic).is_ok_and(|topic| pattern.matches(topic))
                }
            })
        })
    }

    /// The whole of it, in memory of its own; `None` where what is written there is no event,
    /// which the checksum makes all but impossible.
    pub(super) fn record(&self) -> Option<Record> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let topics: Option<Vec<Topic>> =
            self.topics().map(|topic| Topic::parse(text(topic)?).ok()).collect();
        let event = Event {
            topics: Topics::parse(topics?).ok()?,
            event_type: match self.event_type {
                [] => None,
                bytes => Some(EventType::parse(text(bytes)?).ok()?),
            },
            id: match self.id {
                [] => None,
                bytes => Some(EventId::parse(text(bytes)?).ok()?),
            },
            retry: match self.flags & FLAG_RETRY {
                0 => None,
                _ => Some(Retry::from_ms(u64::from(self.retry)).ok()?),
            },
            private: self.flags & FLAG_PRIVATE != 0,
            data: Data::parse(Bytes::copy_from_slice(self.data)).ok()?,
        };
        Some(Record { position: self.place.position, print: None, time: self.place.time, event })
    }
}

fn next_topic<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes = take(rest, 2)?;
    take(rest, usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(bytes)?;
    *rest = left;
    Some(taken)
}

/// The number at this place, which has to be there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

/// The number at this place, which has to be there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> Event {
        let topic = |text| Topic::parse(text).unwrap();
        Event {
            topics: Topics::parse(vec![topic("orders/1"), topic("ü")]).unwrap(),
            event_type: Some(EventType::parse("changed").unwrap()),
            id: Some(EventId::parse("urn:1").unwrap()),
            retry: Some(Retry::from_ms(3000).unwrap()),
            private: true,
            data: Data::from("a\0b\n"),
        }
    }

    fn encoded(event: &Event, key: Option<&IdempotencyKey>) -> Vec<u8> {
        let place = Place { position: Position(7), time: Timestamp(8), synced: 9, more: true };
        let mut buffer = Vec::new();
        encode_record(&mut buffer, place, event, key);
        assert_eq!(buffer.len(), record_bytes(event, key));
        buffer
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let key = IdempotencyKey::parse("key").unwrap();
        let plain = Event::new(Topic::parse("t").unwrap(), Data::from(""));
        for (event, key) in [(event(), Some(&key)), (event(), None), (plain, None)] {
            let bytes = encoded(&event, key);
            let view = View::decode(&bytes).unwrap();
            assert_eq!(view.place.position, Position(7));
            assert_eq!(view.place.synced, 9);
            assert!(view.place.more);
            assert_eq!(view.key().as_ref(), key);
            let record = view.record().unwrap();
            assert_eq!(
                record,
                Record { position: Position(7), print: None, time: Timestamp(8), event }
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encoded(&event(), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(View::decode(&flipped).is_none(), "bit {bit}");
        }
        assert!(View::decode(&bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn a_header_fits_its_file_only() {
        let own: Incarnation = "k3f9x2ab".parse().unwrap();
        let other = "00000000".parse().unwrap();
        let header = segment_header(own, Position(5));
        let check = |header: &[u8], incarnation, first| {
            check_segment_header(header, incarnation, Position(first))
        };
        assert_eq!(check(&header, own, 5), Ok(()));
        assert!(matches!(check(&header, own, 6), Err(HeaderError::Foreign(_))));
        assert!(matches!(check(&header, other, 5), Err(HeaderError::Foreign(_))));
        assert!(matches!(check(&header[..63], own, 5), Err(HeaderError::Foreign(_))));
        let mut newer = header;
        newer[8] = 2;
        assert_eq!(check(&newer, own, 5), Err(HeaderError::Version(2)));
        let mut damaged = header;
        damaged[40] = 1;
        assert!(matches!(check(&damaged, own, 5), Err(HeaderError::Foreign(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = View::decode(&bytes);
            // And with all sums right.
            mend_record(&mut bytes);
            if let Some(view) = View::decode(&bytes) {
                let _ = (view.record(), view.key());
            }
        }
    }
}
