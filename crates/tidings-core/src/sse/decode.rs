//! Reads `text/event-stream` as the standard has it (WHATWG HTML, section 9.2.6): rows P1 to P25
//! of `protocol/sse.md`. Knows nothing of connections and reconnecting.

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::{memchr, memchr2};

/// One event as a client sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// `message` where the stream did not say.
    pub event_type: String,
    /// The last event id at that moment, which may be an earlier event's (P17). Shared: one long
    /// id before many short events would else take the square of the stream's length.
    pub id: Arc<str>,
    /// Its lines, joined by LF.
    pub data: String,
}

/// A line or an event is longer than the bound that was given; the decoder is of no more use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an event of the stream is longer than {bytes_max} bytes")]
pub struct TooLong {
    /// The bound.
    pub bytes_max: usize,
}

/// Takes a stream in pieces of any size and gives its events. Linear in the stream's length
/// (P25), and holds no more than one event and what has not been taken by [`Decoder::next`].
#[derive(Debug)]
pub struct Decoder {
    bytes_max: usize,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The last byte was a CR that ended a line: an LF right after it belongs to it (P6, P7).
    after_cr: bool,
    /// A byte order mark may stand before the first line only (P2, P3, P4).
    first_line: bool,
    data: String,
    event_type: String,
    /// The id of this block and the blocks before; counts once the block ends (P20).
    id: Arc<str>,
    last_event_id: Arc<str>,
    retry_ms: Option<u64>,
    messages: VecDeque<Message>,
}

impl Decoder {
    /// A decoder for a new connection that gives up on lines or events over `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self::resuming(bytes_max, "")
    }

    /// A decoder for a connection that goes on after `last_event_id` (P17).
    #[must_use]
    pub fn resuming(bytes_max: usize, last_event_id: impl Into<Arc<str>>) -> Self {
        let last_event_id = last_event_id.into();
        Self {
            bytes_max,
            line: Vec::new(),
            after_cr: false,
            first_line: true,
            data: String::new(),
            event_type: String::new(),
            id: Arc::clone(&last_event_id),
            last_event_id,
            retry_ms: None,
            messages: VecDeque::new(),
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`TooLong`] where a line or an event outgrows the bound.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(at) = memchr2(b'\r', b'\n', bytes) {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..at]);
            self.take_line(&line)?;
            line.clear();
            self.line = line;
            let cr = bytes[at] == b'\r';
            bytes = &bytes[at + 1..];
            if cr {
                self.after_cr = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.line.extend_from_slice(bytes);
        self.check(self.line.len())
    }

    /// The last event id that counts: what a reconnect has to send as `Last-Event-ID`.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time that the stream last asked for, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn check(&self, more: usize) -> Result<(), TooLong> {
        if self.data.len().saturating_add(more) > self.bytes_max {
            return Err(TooLong { bytes_max: self.bytes_max });
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), TooLong> {
        // With its byte order mark, so that a line is as long as it was while its end was missing.
        self.check(line.len())?;
        let mut line = line;
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        let (name, value) = match memchr(b':', line) {
            _ if line.is_empty() => {
                self.dispatch();
                return Ok(());
            }
            Some(0) => return Ok(()),
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        // Breaks are ASCII, so decoding line by line replaces what decoding the whole would (P1).
        match name {
            b"data" => {
                self.data.push_str(&String::from_utf8_lossy(value));
                self.data.push('\n');
            }
            b"event" => self.event_type = String::from_utf8_lossy(value).into_owned(),
            b"id" if memchr(0, value).is_none() => {
                self.id = String::from_utf8_lossy(value).into();
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).expect("ASCII digits");
                self.retry_ms = Some(digits.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        self.last_event_id = Arc::clone(&self.id);
        let event_type = std::mem::take(&mut self.event_type);
        if self.data.is_empty() {
            return;
        }
        let mut data = std::mem::take(&mut self.data);
        data.pop();
        let event_type = if event_type.is_empty() { "message".into() } else { event_type };
        let id = Arc::clone(&self.last_event_id);
        self.messages.push_back(Message { event_type, id, data });
    }
}

impl Iterator for Decoder {
    type Item = Message;

    /// The next whole event of what was pushed; `None` means "not yet".
    fn next(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each vector is read whole and byte by byte: `(type, id, data)` of each event.
    fn check(stream: &[u8], expected: &[(&str, &str, &str)]) -> Decoder {
        let mut by_byte = Decoder::new(1 << 20);
        let mut whole = Decoder::new(1 << 20);
        whole.push(stream).unwrap();
        for byte in stream {
            by_byte.push(&[*byte]).unwrap();
        }
        let expected: Vec<Message> = expected
            .iter()
            .map(|&(event_type, id, data)| Message {
                event_type: event_type.into(),
                id: id.into(),
                data: data.into(),
            })
            .collect();
        let text = String::from_utf8_lossy(stream).into_owned();
        assert_eq!(whole.by_ref().collect::<Vec<_>>(), expected, "{text:?}");
        assert_eq!(by_byte.by_ref().collect::<Vec<_>>(), expected, "{text:?} byte by byte");
        assert_eq!(whole.last_event_id, by_byte.last_event_id);
        whole
    }

    #[test]
    fn p1_to_p4_utf8_and_byte_order_marks() {
        check(b"data: a\xffb\n\n", &[("message", "", "a\u{fffd}b")]);
        check(b"\xef\xbb\xbfdata: a\n\n", &[("message", "", "a")]);
        check(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", &[("message", "", "b")]);
        check(
            "data: a\n\n\u{feff}data: b\n\ndata: \u{feff}c\n\n".as_bytes(),
            &[("message", "", "a"), ("message", "", "\u{feff}c")],
        );
    }

    #[test]
    fn p5_to_p7_line_ends() {
        check(
            b"data: a\r\rdata: b\r\n\r\ndata: c\n\rdata: d\r\n\n",
            &[
                ("message", "", "a"),
                ("message", "", "b"),
                ("message", "", "c"),
                ("message", "", "d"),
            ],
        );
    }

    #[test]
    fn p8_to_p15_fields() {
        check(b":x\n\n:\n\nretry: 1\n\nid: 1\n\nevent: x\n\n", &[]);
        check(
            b"data\n\ndata\ndata\n\ndata:\n\n",
            &[("message", "", ""), ("message", "", "\n"), ("message", "", "")],
        );
        check(b"data:  a\n\ndata:\tb\n\n", &[("message", "", " a"), ("message", "", "\tb")]);
        check(b"Data: a\ndata : b\n data: c\nda-ta: d\ndata\0: e\ncomment: f\n\n", &[]);
        check(b"data: a\ndata:\ndata: b\0\n\n", &[("message", "", "a\n\nb\0")]);
        check(
            b"event: x\ndata: a\n\ndata: b\n\nevent: y\nevent:\ndata: c\n\nevent: z\n\ndata: d\n\n",
            &[("x", "", "a"), ("message", "", "b"), ("message", "", "c"), ("message", "", "d")],
        );
    }

    #[test]
    fn p16_to_p21_ids() {
        check(
            b"id: 1\nid: 2\0\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            &[("message", "1", "a"), ("message", "1", "b"), ("message", "", "c")],
        );
        let decoder = check(b"id: 1\n\nid: 2\ndata: cut", &[]);
        assert_eq!(decoder.last_event_id(), "1");
        let mut decoder = Decoder::resuming(1 << 20, "9");
        decoder.push(b"data: a\n\n").unwrap();
        assert_eq!(&*decoder.next().unwrap().id, "9");
    }

    #[test]
    fn p25_an_id_is_kept_once_however_many_events_have_it() {
        let mut decoder = Decoder::new(1 << 20);
        decoder.push(b"id: 1\ndata: a\n\n\ndata: b\n\n").unwrap();
        let ids: Vec<_> = decoder.by_ref().map(|message| message.id).collect();
        assert!(Arc::ptr_eq(&ids[0], &ids[1]) && Arc::ptr_eq(&ids[1], &decoder.last_event_id));
    }

    #[test]
    fn p22_retry_counts_at_its_line_and_only_as_digits() {
        let retry = |stream: &[u8]| check(stream, &[]).retry_ms();
        assert_eq!(retry(b"retry: 03000\n"), Some(3000));
        for bad in [&b"retry: +5\n"[..], b"retry: 20x\n", b"retry: 4e1\n", b"retry:\n"] {
            assert_eq!(retry(bad), None);
        }
    }

    #[test]
    fn p23_to_p25_characters_names_and_bounds() {
        check("event: __proto__\ndata: üöß→\n\n".as_bytes(), &[("__proto__", "", "üöß→")]);
        let mut decoder = Decoder::new(10);
        assert_eq!(decoder.push(b"data: 45678"), Err(TooLong { bytes_max: 10 }));
        let mut decoder = Decoder::new(10);
        assert!(decoder.push("\u{feff}data: 78\n".as_bytes()).is_err(), "whole as in pieces");
        let mut decoder = Decoder::new(10);
        decoder.push(b"data: 123\n").unwrap();
        assert_eq!(decoder.push(b"data: 456\n"), Err(TooLong { bytes_max: 10 }));
    }
}
