//! Turns events into `text/event-stream` bytes, once for all who get them.
//! Knows nothing of sockets, topics or subscribers.
//!
//! The profile is the one that gave the same events in every client tried: `id:` first and on
//! every event, then `event:`, `retry:`, `data: ` lines, LF only, one blank line
//! (`protocol/sse.md`, "What follows for the hub's wire"). No input makes it panic and none adds a
//! field: the types of [`crate::event`] hold no line breaks, and `data` is split at each of its.

use std::fmt::Display;

use bytes::Bytes;
use memchr::{memchr_iter, memchr2};

use crate::cursor::Cursor;
use crate::event::Event;
use crate::vector::Vector;

/// A piece of an event stream, ready to be sent as it is or as one chunk of HTTP/1.1's chunked
/// coding (RFC 9112, section 7.1). Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    chunk: Bytes,
    /// Length of the chunk's head (`96\r\n`).
    head: u8,
}

/// What ends a chunk.
const CHUNK_END: &[u8] = b"\r\n";

/// What ends a chunked body: the last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Frame {
    /// Encodes the event that stands at `cursor`, under its publisher's id or else the cursor.
    #[must_use]
    pub fn event(cursor: Cursor, event: &Event) -> Self {
        match &event.id {
            Some(id) => Self::block(None, id.as_str().as_bytes(), event),
            None => Self::block(None, IdText::new(cursor).as_bytes(), event),
        }
    }

    /// The same, so that its bytes tell its place also where its publisher chose the id: by a
    /// comment before it. For streams that are made of several logs' frames.
    #[must_use]
    pub fn placed_event(cursor: Cursor, event: &Event) -> Self {
        match &event.id {
            Some(id) => {
                let place = IdText::new(cursor);
                Self::block(Some(place.as_bytes()), id.as_str().as_bytes(), event)
            }
            None => Self::event(cursor, event),
        }
    }

    /// `:` and a line feed: a comment that keeps the connection alive. No blank line follows it,
    /// because five real clients take that for an empty event (S6).
    #[must_use]
    pub fn heartbeat() -> Self {
        Self { chunk: Bytes::from_static(b"2\r\n:\n\r\n"), head: 3 }
    }

    /// What a stream begins with: a comment, so that proxies and `onopen` see a first byte (S5),
    /// and the `retry` for this client as a bare line, which the next event's block takes up: a
    /// block of its own would be a phantom event (S7).
    #[must_use]
    pub fn preamble(retry_ms: u32) -> Self {
        Self::text(&format!(":\nretry: {retry_ms}\n"))
    }

    /// The event `tidings.renew`: the stream will end in so many seconds, with what gave the right
    /// to it. The time is told as what is left, because clients' clocks are wrong.
    ///
    /// Its id is the place up to which the subscriber has everything: some clients forget where
    /// they were at an event without one (S8).
    #[must_use]
    pub fn renew(had: Cursor, seconds: u64) -> Self {
        Self::text(&format!(
            "id: {had}\nevent: tidings.renew\ndata: {{\"expires_in\":{seconds}}}\n\n"
        ))
    }

    /// The `retry` for a client whose stream is about to end, as a bare line: it counts although
    /// no event takes it up, and a blank line behind it would make it a phantom event (S7).
    #[must_use]
    pub fn retry(retry_ms: u32) -> Self {
        Self::text(&format!("retry: {retry_ms}\n"))
    }

    /// The event `tidings.reset`: events between `from` and `before` are gone for this subscriber.
    /// Its id is `before`, the place right before the oldest that comes: there a reconnect goes on.
    ///
    /// `from` is what the client said it had; `missed` how many positions lie between, where
    /// both belong to the same log.
    #[must_use]
    pub fn reset(from: &str, before: Cursor, missed: Option<u64>) -> Self {
        let oldest = Cursor { position: before.position.next(), print: None, ..before };
        Self::reset_at(from, &before, &oldest, missed)
    }

    /// The same for a stream of several logs: its places stand for the cursors.
    #[must_use]
    pub fn reset_several(from: &str, before: &Vector, missed: Option<u64>) -> Self {
        Self::reset_at(from, before, before, missed)
    }

    fn reset_at(
        from: &str,
        before: &impl Display,
        oldest: &impl Display,
        missed: Option<u64>,
    ) -> Self {
        let missed = missed.map_or_else(String::new, |missed| format!(",\"missed\":{missed}"));
        Self::text(&format!(
            "id: {before}\nevent: tidings.reset\n\
             data: {{\"from\":{},\"oldest\":\"{oldest}\"{missed}}}\n\n",
            JsonText(from),
        ))
    }

    /// With chunk framing, as HTTP/1.1 wants it.
    #[must_use]
    pub fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// Without chunk framing, as HTTP/1.0, HTTP/2 and other people's servers want it.
    #[must_use]
    pub fn raw(&self) -> Bytes {
        self.chunk.slice(self.head as usize..self.chunk.len() - CHUNK_END.len())
    }

    fn block(place: Option<&[u8]>, id: &[u8], event: &Event) -> Self {
        let data = event.data.as_bytes();
        // Most data is one line: looked for once, it tells the length and how to put it.
        let first_break = find_break(data);
        let event_type = event.event_type.as_ref().map(|event_type| event_type.as_str().as_bytes());
        let mut digits = [0; DIGITS_MAX];
        let retry = event.retry.map(|retry| write_digits(&mut digits, retry.as_ms().into()));
        let field = |name: &[u8], value: &[u8]| name.len() + value.len() + 1;
        let length = place.map_or(0, |place| field(COMMENT, place))
            + field(ID, id)
            + event_type.map_or(0, |value| field(EVENT, value))
            + retry.map_or(0, |value| field(RETRY, value))
            + data_length(data, first_break)
            + 1;
        Self::write(length, |out| {
            if let Some(place) = place {
                put_field(out, COMMENT, place);
            }
            put_field(out, ID, id);
            if let Some(value) = event_type {
                put_field(out, EVENT, value);
            }
            if let Some(value) = retry {
                put_field(out, RETRY, value);
            }
            put_data(out, data, first_break);
            out.push(b'\n');
        })
    }

    fn text(text: &str) -> Self {
        Self::write(text.len(), |out| out.extend_from_slice(text.as_bytes()))
    }

    /// One allocation of the exact size: head, `length` bytes by `put`, end.
    fn write(length: usize, put: impl FnOnce(&mut Vec<u8>)) -> Self {
        let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1) as usize;
        let head = digits + CHUNK_END.len();
        let mut out = Vec::with_capacity(head + length + CHUNK_END.len());
        for digit in (0..digits).rev() {
            out.push(b"0123456789abcdef"[(length >> (4 * digit)) & 15]);
        }
        out.extend_from_slice(CHUNK_END);
        put(&mut out);
        assert_eq!(out.len(), head + length, "a chunk is as long as its head says");
        out.extend_from_slice(CHUNK_END);
        let head = u8::try_from(head).expect("16 hexadecimal digits at most");
        Self { chunk: out.into(), head }
    }
}

const COMMENT: &[u8] = b":";
const ID: &[u8] = b"id: ";
const EVENT: &[u8] = b"event: ";
const RETRY: &[u8] = b"retry: ";
const DATA: &[u8] = b"data: ";

fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// How many bytes [`put_data`] puts. It counts breaks and does not split at them, which for text
/// of many short lines is several times as fast.
fn data_length(data: &[u8], first_break: Option<usize>) -> usize {
    let Some(first) = first_break else { return DATA.len() + data.len() + 1 };
    let rest = &data[first..];
    let line_feeds = memchr_iter(b'\n', rest).count();
    let (mut returns, mut pairs) = (0, 0);
    for at in memchr_iter(b'\r', rest) {
        returns += 1;
        pairs += usize::from(rest.get(at + 1) == Some(&b'\n'));
    }
    let lines = line_feeds + returns - pairs + 1;
    data.len() - line_feeds - returns + lines * (DATA.len() + 1)
}

/// Splits at CRLF, CR and LF, as a client's parser will. Text that ends in a break has an empty
/// last line, which brings the break back on the other side.
fn put_data(out: &mut Vec<u8>, mut data: &[u8], first_break: Option<usize>) {
    let mut next_break = first_break;
    while let Some(at) = next_break {
        put_field(out, DATA, &data[..at]);
        let end = if data[at..].starts_with(b"\r\n") { at + 2 } else { at + 1 };
        data = &data[end..];
        next_break = find_break(data);
    }
    put_field(out, DATA, data);
}

fn find_break(data: &[u8]) -> Option<usize> {
    memchr2(b'\r', b'\n', data)
}

/// A cursor's text, made without an allocation and without the machinery of `format!`, which
/// would cost as much as the rest of a short event.
struct IdText {
    text: [u8; ID_TEXT_BYTES],
    length: usize,
}

const ID_TEXT_BYTES: usize = 8 + 1 + DIGITS_MAX + 1 + 5;

impl IdText {
    fn new(cursor: Cursor) -> Self {
        let mut text = [0; ID_TEXT_BYTES];
        text[..8].copy_from_slice(cursor.incarnation.as_bytes());
        text[8] = b'-';
        let mut digits = [0; DIGITS_MAX];
        let digits = write_digits(&mut digits, cursor.position.0);
        text[9..][..digits.len()].copy_from_slice(digits);
        let mut length = 9 + digits.len();
        if let Some(print) = cursor.print {
            text[length] = b'.';
            text[length + 1..][..5].copy_from_slice(&print.letters());
            length += 6;
        }
        Self { text, length }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// The digits of 2⁶⁴ − 1.
const DIGITS_MAX: usize = 20;

fn write_digits(digits: &mut [u8; DIGITS_MAX], mut number: u64) -> &[u8] {
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// A text as a JSON string (RFC 8259, section 7).
struct JsonText<'a>(&'a str);

impl Display for JsonText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cursor::{Fingerprint, Position};
    use crate::event::{Data, EventId, EventType, Retry, Topic};
    use crate::sse::{Decoder, Message};

    fn cursor(position: u64) -> Cursor {
        let incarnation = "k3f9x2ab".parse().unwrap();
        Cursor { incarnation, position: Position(position), print: None }
    }

    fn event(data: impl Into<Bytes>) -> Event {
        Event::new(Topic::parse("a").unwrap(), Data::parse(data).unwrap())
    }

    fn check(data: &'static str, expected: &str) {
        let frame = Frame::event(cursor(7), &event(data));
        let raw = format!("id: k3f9x2ab-7\n{expected}\n");
        assert_eq!(frame.raw(), raw, "{data:?}");
        assert_eq!(frame.chunk(), &format!("{:x}\r\n{raw}\r\n", raw.len()));
    }

    #[test]
    fn s8_every_event_has_an_id_first_and_s11_data_is_split_at_every_break() {
        check("hi", "data: hi\n");
        check("", "data: \n");
        check("a\nb", "data: a\ndata: b\n");
        check("a\rb", "data: a\ndata: b\n");
        check("a\r\nb", "data: a\ndata: b\n");
        check("a\n\rb", "data: a\ndata: \ndata: b\n");
        check("a\n", "data: a\ndata: \n");
        check("\n", "data: \ndata: \n");
        check(" a", "data:  a\n");
        check("a\rid: 9\revent: x", "data: a\ndata: id: 9\ndata: event: x\n");
    }

    #[test]
    fn s7_retry_stands_inside_an_event() {
        let event = Event {
            event_type: Some(EventType::parse("alerte").unwrap()),
            id: Some(EventId::parse("urn:x").unwrap()),
            retry: Some(Retry::parse("3000").unwrap()),
            ..event("x")
        };
        assert_eq!(
            Frame::event(cursor(1), &event).raw(),
            "id: urn:x\nevent: alerte\nretry: 3000\ndata: x\n\n"
        );
    }

    #[test]
    fn s6_a_heartbeat_has_no_blank_line() {
        assert_eq!(Frame::heartbeat().raw(), ":\n");
        assert_eq!(Frame::heartbeat().chunk(), "2\r\n:\n\r\n");
        assert_eq!(Frame::preamble(2500).raw(), ":\nretry: 2500\n");
    }

    #[test]
    fn a_placed_event_tells_its_place_beside_an_id_of_its_publisher() {
        let chosen = Event { id: Some(EventId::parse("urn:x").unwrap()), ..event("x") };
        let frame = Frame::placed_event(cursor(7), &chosen);
        assert_eq!(frame.raw(), ":k3f9x2ab-7\nid: urn:x\ndata: x\n\n");
        assert_eq!(
            Frame::placed_event(cursor(7), &event("x")),
            Frame::event(cursor(7), &event("x"))
        );
    }

    #[test]
    fn s15_a_reset_says_from_where_to_where() {
        assert_eq!(
            Frame::reset("k3f9x2ab-3", cursor(9), Some(6)).raw(),
            "id: k3f9x2ab-9\nevent: tidings.reset\n\
             data: {\"from\":\"k3f9x2ab-3\",\"oldest\":\"k3f9x2ab-10\",\"missed\":6}\n\n"
        );
        let print = Some(Fingerprint::from_bits(1));
        assert_eq!(
            Frame::reset("k3f9x2ab-12.0000z", Cursor { print, ..cursor(9) }, None).raw(),
            "id: k3f9x2ab-9.00001\nevent: tidings.reset\n\
             data: {\"from\":\"k3f9x2ab-12.0000z\",\"oldest\":\"k3f9x2ab-10\"}\n\n"
        );
        let forged = Frame::reset("\"\n\\\u{1}", cursor(0), None);
        assert_eq!(
            forged.raw(),
            "id: k3f9x2ab-0\nevent: tidings.reset\n\
             data: {\"from\":\"\\\"\\u000a\\\\\\u0001\",\"oldest\":\"k3f9x2ab-1\"}\n\n"
        );
    }

    #[test]
    fn s8_word_of_the_end_has_an_id_and_s7_a_last_retry_is_no_event() {
        let renew = Frame::renew(cursor(9), 60);
        assert_eq!(
            renew.raw(),
            "id: k3f9x2ab-9\nevent: tidings.renew\ndata: {\"expires_in\":60}\n\n"
        );
        let mut decoder = Decoder::new(usize::MAX);
        decoder.push(&Frame::retry(1234).raw()).unwrap();
        assert_eq!((decoder.retry_ms(), decoder.next()), (Some(1234), None));
    }

    #[test]
    fn a_cursor_is_written_as_it_displays() {
        for position in [0, 9, 10, 4711, u64::MAX] {
            for print in [None, Some(Fingerprint::from_bits(position as u32))] {
                let cursor = Cursor { print, ..cursor(position) };
                assert_eq!(IdText::new(cursor).as_bytes(), cursor.to_string().as_bytes());
            }
        }
    }

    /// What the standard makes of line breaks: each of the three comes back as LF.
    fn normalised(data: &str) -> String {
        data.replace("\r\n", "\n").replace('\r', "\n")
    }

    proptest! {
        /// S11 and part 1d: whatever is published comes back byte for byte, with nothing added,
        /// however the bytes are cut.
        #[test]
        fn round_trip(
            data in prop_oneof![".{0,40}", "[\r\n:ab \0\u{feff}]{0,20}"],
            event_type in proptest::option::of("[^\\p{Cc}]{1,10}"),
            id in proptest::option::of("[^\\p{Cc} ]{1,10}"),
            retry in proptest::option::of(0u64..100_000),
            cut in 1usize..20,
        ) {
            let event = Event {
                event_type: event_type.as_deref().map(|text| EventType::parse(text).unwrap()),
                id: id.as_deref().map(|text| EventId::parse(text).unwrap()),
                retry: retry.map(|ms| Retry::from_ms(ms).unwrap()),
                ..event(data.clone())
            };
            let mut decoder = Decoder::new(usize::MAX);
            let stream = [Frame::preamble(1).raw(), Frame::event(cursor(3), &event).raw(),
                Frame::heartbeat().raw()].concat();
            for piece in stream.chunks(cut) {
                decoder.push(piece).unwrap();
            }
            let expected = Message {
                event_type: event_type.unwrap_or_else(|| "message".into()),
                id: id.as_deref().unwrap_or("k3f9x2ab-3").into(),
                data: normalised(&data),
            };
            prop_assert_eq!(decoder.retry_ms(), Some(retry.unwrap_or(1)));
            prop_assert_eq!(decoder.next(), Some(expected));
            prop_assert_eq!(decoder.next(), None);
        }
    }
}
