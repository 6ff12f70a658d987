//! What a message of the stream holds: a part of a run of events, and how the log stood before it.
//! Knows nothing of NATS: bytes in, bytes out.
//!
//! A run is what one node appends at once, in one message or several that follow on each other.
//! It counts as soon as its last part is there, which is sent when all others are: a run whose
//! last part never comes was never appended. All numbers are little-endian:
//!
//! | part, 120 bytes, its slice of the events and its keys | |
//! |---|---|
//! | 0 | version: u8; 3 bytes of nothing |
//! | 4 | number of this part from 0 on, number of parts: u32 each |
//! | 12 | events of the run, those that begin before this part, bytes of the slice: u32 each |
//! | 24 | which stream it was written for: u64; incarnation: 8 letters |
//! | 40 | the run's name: node and number, u64 each; mark of the run before: u64 |
//! | 64 | the run's first position, the oldest position that is kept: u64 each |
//! | 80 | bytes of all before the oldest, bytes of all before the run, bytes of the run: u64 each |
//! | 104 | no event is earlier, no event is later: u64 milliseconds each |
//! | 120 | the slice; then the keys, each: position, time, fingerprint: u64 each; length: u8; text |

use bytes::Bytes;
use tidings_core::cursor::{Fingerprint, Incarnation, Position, Timestamp};
use tidings_core::event::IdempotencyKey;
use tidings_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;

use crate::keys::Fnv;
use crate::remote::{BATCH_BYTES_MAX, Entry};

/// The only format so far.
const VERSION: u8 = 1;

pub(super) const HEAD_BYTES: usize = 120;

/// Bytes of a key's use, without its text.
const USE_BYTES: usize = 25;

// Its length is written in so many bits.
const _: () = assert!(IDEMPOTENCY_KEY_BYTES_MAX <= u8::MAX as usize);

/// A run's name; no two runs have the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct RunId {
    pub(super) node: u64,
    pub(super) number: u64,
}

/// What every part says of its run, and of the log before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) part: u32,
    pub(super) parts: u32,
    /// Events of the run.
    pub(super) count: u32,
    /// Those of them that begin before this part.
    pub(super) begun: u32,
    /// Made by chance with the stream: one of the same name that was made anew has another.
    pub(super) origin: u64,
    pub(super) incarnation: Incarnation,
    pub(super) run: RunId,
    /// The mark of the run before, as its writer knows it.
    pub(super) after: u64,
    pub(super) first: Position,
    pub(super) oldest: Position,
    /// Bytes of all that comes before `oldest`, since the log's beginning.
    pub(super) freed: u64,
    /// Bytes of all that comes before the run, since the log's beginning.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

impl Head {
    /// The position after the run.
    pub(super) fn end(&self) -> Position {
        Position(self.first.0.saturating_add(self.count.into()))
    }

    /// The fingerprint of all events of the run: they came into the log together, and are lost
    /// together.
    pub(super) fn print(&self) -> Fingerprint {
        let numbers = [self.run.node, self.run.number, self.after, self.first.0];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Fingerprint::from_bits(Fnv::of(&bytes) as u32)
    }

    pub(super) fn is_last(&self) -> bool {
        self.part + 1 == self.parts
    }

    /// Writes a part behind its own slice of the events.
    pub(super) fn encode(&self, slice: &[u8], keys: &[u8]) -> Bytes {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + slice.len() + keys.len());
        bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
        // A part is no larger than a message, which the server bounds far below 4 GiB.
        for number in [self.part, self.parts, self.count, self.begun, slice.len() as u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.origin.to_le_bytes());
        bytes.extend_from_slice(self.incarnation.as_str().as_bytes());
        let numbers = [
            self.run.node,
            self.run.number,
            self.after,
            self.first.0,
            self.oldest.0,
            self.freed,
            self.offset,
            self.bytes,
            self.earliest.0,
            self.latest.0,
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        assert_eq!(bytes.len(), HEAD_BYTES);
        bytes.extend_from_slice(slice);
        bytes.extend_from_slice(keys);
        bytes.into()
    }

    fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<(Self, usize)> {
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or([0; 4]));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or([0; 8]));
        let head = Self {
            part: short(4),
            parts: short(8),
            count: short(12),
            begun: short(16),
            origin: long(24),
            incarnation: std::str::from_utf8(&bytes[32..40]).ok()?.parse().ok()?,
            run: RunId { node: long(40), number: long(48) },
            after: long(56),
            first: Position(long(64)),
            oldest: Position(long(72)),
            freed: long(80),
            offset: long(88),
            bytes: long(96),
            earliest: Timestamp(long(104)),
            latest: Timestamp(long(112)),
        };
        let sound = bytes[0] == VERSION && head.part < head.parts && head.begun <= head.count;
        sound.then_some((head, short(20) as usize))
    }
}

/// A message of the stream.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) head: Head,
    /// Of the run's events.
    pub(super) slice: Bytes,
    keys: Bytes,
    /// Tells this message from all others.
    mark: u64,
}

impl Part {
    /// `None` where these are not the bytes that this program writes.
    pub(super) fn parse(payload: Bytes) -> Option<Self> {
        let (head, slice_bytes) = Head::parse(payload.first_chunk()?)?;
        let keys_at = HEAD_BYTES.checked_add(slice_bytes).filter(|at| *at <= payload.len())?;
        let crc = crc32c::crc32c(&payload);
        let mark = Fnv::of(&payload[..HEAD_BYTES]) ^ u64::from(crc);
        let (slice, keys) = (payload.slice(HEAD_BYTES..keys_at), payload.slice(keys_at..));
        Some(Self { head, slice, keys, mark })
    }

    pub(super) fn mark(&self) -> u64 {
        self.mark
    }

    /// The idempotency keys that it says were used.
    pub(super) fn keys(&self) -> Vec<KeyUse> {
        let (mut uses, mut rest) = (Vec::new(), &self.keys[..]);
        while let Some((key_use, more)) = KeyUse::parse(rest) {
            uses.push(key_use);
            rest = more;
        }
        uses
    }

    pub(super) fn bytes(&self) -> usize {
        HEAD_BYTES + self.slice.len() + self.keys.len()
    }
}

/// A use of an idempotency key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct KeyUse {
    pub(super) key: IdempotencyKey,
    pub(super) position: Position,
    pub(super) time: Timestamp,
    pub(super) fingerprint: u64,
}

impl KeyUse {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        for number in [self.position.0, self.time.0, self.fingerprint] {
            buffer.extend_from_slice(&number.to_le_bytes());
        }
        let text = self.key.as_str().as_bytes();
        buffer.push(text.len() as u8);
        buffer.extend_from_slice(text);
    }

    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let head: [u8; USE_BYTES] = *bytes.first_chunk()?;
        let number = |at: usize| Some(u64::from_le_bytes(*head[at..].first_chunk()?));
        let length = usize::from(head[USE_BYTES - 1]);
        let text = std::str::from_utf8(bytes.get(USE_BYTES..USE_BYTES + length)?).ok()?;
        let key = IdempotencyKey::parse(text).ok()?;
        let position = Position(number(0)?);
        let (time, fingerprint) = (Timestamp(number(8)?), number(16)?);
        Some((Self { key, position, time, fingerprint }, &bytes[USE_BYTES + length..]))
    }
}

/// A run of which all parts are there.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Of its last part.
    pub(super) head: Head,
    /// Of its last part's message.
    pub(super) seq: u64,
    /// Of its last part.
    pub(super) mark: u64,
    body: Bytes,
    keys: Vec<KeyUse>,
}

impl Run {
    /// Of its first part's message.
    pub(super) fn first_seq(&self) -> u64 {
        self.seq.saturating_sub(self.head.part.into())
    }

    /// Its events.
    pub(super) fn entry(&self) -> Entry {
        Entry {
            first: self.head.first,
            count: self.head.count.into(),
            print: Some(self.head.print()),
            // Runs are known to follow on each other by their marks.
            before: None,
            earliest: self.head.earliest,
            latest: self.head.latest,
            body: self.body.clone(),
        }
    }

    /// The idempotency keys that were used in it.
    pub(super) fn keys(&self) -> &[KeyUse] {
        &self.keys
    }
}

/// Puts parts together to runs, as they follow on each other in the stream.
#[derive(Debug, Default)]
pub(super) struct Joining {
    parts: Vec<Part>,
    last_seq: u64,
    bytes: usize,
}

impl Joining {
    /// A run of which the first parts are there, and the last ones not yet.
    pub(super) fn open(&self) -> Option<RunId> {
        self.parts.first().map(|part| part.head.run)
    }

    /// Takes the next message; gives the run that it completes.
    pub(super) fn push(&mut self, seq: u64, part: Part) -> Option<Run> {
        let goes_on = self.parts.last().is_some_and(|last| {
            last.head.run == part.head.run
                && last.head.part + 1 == part.head.part
                && self.last_seq + 1 == seq
                && self.bytes as u64 <= 2 * BATCH_BYTES_MAX
        });
        if !goes_on {
            self.clear();
            if part.head.part != 0 {
                // Of a run that somebody else got in between, or whose beginning is gone.
                return None;
            }
        }
        self.last_seq = seq;
        self.bytes += part.bytes();
        let done = part.head.is_last();
        self.parts.push(part);
        done.then(|| self.join(seq))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn join(&mut self, seq: u64) -> Run {
        let parts = std::mem::take(self).parts;
        let last = parts.last().expect("it was pushed");
        let (head, mark) = (last.head, last.mark);
        let body = match &parts[..] {
            [part] => part.slice.clone(),
            parts => {
                let slices: Vec<&[u8]> = parts.iter().map(|part| &part.slice[..]).collect();
                slices.concat().into()
            }
        };
        let keys = parts.iter().flat_map(Part::keys).collect();
        Run { head, seq, mark, body, keys }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(part: u32, parts: u32) -> Head {
        Head {
            part,
            parts,
            count: 3,
            begun: 1,
            origin: 11,
            incarnation: Incarnation::from_random(7),
            run: RunId { node: 21, number: 22 },
            after: 31,
            first: Position(41),
            oldest: Position(5),
            freed: 50,
            offset: 51,
            bytes: 52,
            earliest: Timestamp(61),
            latest: Timestamp(62),
        }
    }

    fn part(number: u32, parts: u32, slice: &str) -> Part {
        Part::parse(head(number, parts).encode(slice.as_bytes(), b"")).unwrap()
    }

    fn key_use(name: &str, position: u64) -> KeyUse {
        let key = IdempotencyKey::parse(name).unwrap();
        KeyUse { key, position: Position(position), time: Timestamp(9), fingerprint: 8 }
    }

    #[test]
    fn what_is_written_is_read() {
        let uses = [key_use("a", 41), key_use(&"k".repeat(255), 43)];
        let mut keys = Vec::new();
        uses.iter().for_each(|key_use| key_use.encode(&mut keys));
        let part = Part::parse(head(0, 1).encode(b"events", &keys)).unwrap();
        assert_eq!(part.head, head(0, 1));
        let run = Joining::default().push(9, part).unwrap();
        assert_eq!(run.keys(), uses);
        assert_eq!(run.entry().body, "events");
        assert_eq!((run.seq, run.first_seq(), run.head.end()), (9, 9, Position(44)));
    }

    #[test]
    fn a_run_is_there_with_its_last_part_and_not_before() {
        let mut joining = Joining::default();
        assert!(joining.push(1, part(0, 3, "a")).is_none());
        assert_eq!(joining.open(), Some(RunId { node: 21, number: 22 }));
        assert!(joining.push(2, part(1, 3, "b")).is_none());
        let run = joining.push(3, part(2, 3, "c")).unwrap();
        assert_eq!(run.entry().body, "abc");
        assert_eq!(run.first_seq(), 1);
        assert_eq!(joining.open(), None);
    }

    #[test]
    fn a_run_that_is_broken_off_or_into_was_never_appended() {
        let mut joining = Joining::default();
        assert!(joining.push(1, part(1, 2, "end of one whose beginning is gone")).is_none());
        assert!(joining.push(2, part(0, 2, "a")).is_none());
        assert!(joining.push(3, part(0, 1, "another")).is_some());
        assert!(joining.push(4, part(1, 2, "b")).is_none(), "too late");
        assert!(joining.push(5, part(0, 2, "a")).is_none());
        assert!(joining.push(7, part(1, 2, "b")).is_none(), "what was between them is gone");
    }

    #[test]
    fn marks_tell_messages_apart() {
        let mark = |head: Head, slice: &[u8]| Part::parse(head.encode(slice, b"")).unwrap().mark;
        let one = mark(head(0, 1), b"x");
        assert_eq!(one, mark(head(0, 1), b"x"));
        assert_ne!(one, mark(head(0, 1), b"y"));
        assert_ne!(one, mark(Head { after: 32, ..head(0, 1) }, b"x"));
    }

    #[test]
    fn fingerprints_tell_runs_and_their_places_apart() {
        let print = |head: Head| head.print();
        assert_eq!(print(head(0, 2)), print(head(1, 2)));
        let other = Head { run: RunId { node: 21, number: 23 }, ..head(0, 1) };
        assert_ne!(print(head(0, 1)), print(other));
        assert_ne!(print(head(0, 1)), print(Head { after: 32, ..head(0, 1) }));
    }

    #[test]
    fn what_is_cut_is_refused() {
        let whole = head(0, 1).encode(b"events", b"");
        for length in 0..whole.len() {
            assert!(Part::parse(whole.slice(..length)).is_none(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(part) = Part::parse(bytes.into())
                && let Some(run) = Joining::default().push(u64::MAX, part)
            {
                let _ = (run.keys(), run.first_seq(), run.entry().records());
            }
        }

        #[test]
        fn no_change_of_a_byte_makes_it_panic(at in 0_usize..HEAD_BYTES, byte in any::<u8>()) {
            let mut keys = Vec::new();
            key_use("k", 1).encode(&mut keys);
            let mut bytes = head(0, 1).encode(b"events", &keys).to_vec();
            bytes[at] = byte;
            if let Some(part) = Part::parse(bytes.into())
                && let Some(run) = Joining::default().push(1, part)
            {
                let _ = (run.keys(), run.first_seq(), run.entry().records());
            }
        }
    }
}
