//! Counts whole events in a stream: a block with `data` that a blank line ends.
//! Knows only what a measurement needs: neither ids nor data of several lines.

use memchr::memchr;

use crate::event::Stamp;

/// One event as a measurement sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// One that was published with a stamp.
    Stamped(Stamp),
    /// Any other: a reset, or what a server says of itself.
    Foreign,
}

/// Finds events in a stream that comes in pieces of any size.
#[derive(Debug, Default)]
pub struct Events {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The event whose blank line has not come yet.
    begun: Option<Seen>,
}

impl Events {
    /// Takes the next piece, and calls `seen` for each event that it makes whole.
    pub fn push(&mut self, mut piece: &[u8], mut seen: impl FnMut(Seen)) {
        while let Some(at) = memchr(b'\n', piece) {
            let (line, rest) = (&piece[..at], &piece[at + 1..]);
            piece = rest;
            let whole = if self.line.is_empty() {
                Self::take(&mut self.begun, line)
            } else {
                self.line.extend_from_slice(line);
                let whole = Self::take(&mut self.begun, &self.line);
                // Not kept: most lines come whole, and there are very many streams.
                self.line = Vec::new();
                whole
            };
            if let Some(event) = whole {
                seen(event);
            }
        }
        self.line.extend_from_slice(piece);
    }

    /// Takes a line; it may make an event whole.
    fn take(begun: &mut Option<Seen>, line: &[u8]) -> Option<Seen> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return begun.take();
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            *begun = Some(Stamp::parse(data).map_or(Seen::Foreign, Seen::Stamped));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_events_are_seen_however_they_are_cut() {
        let stream =
            b":\nretry: 2000\nid: a-1\ndata: 0 17 xx\n\n:\n\nid: a-2\r\ndata:1 18 \r\n\r\n\
                       event: tidings.reset\ndata: {}\n\ndata: 2 19 cut\n";
        let stamped = |number, time_ns| Seen::Stamped(Stamp { number, time_ns });
        let expected = [stamped(0, 17), stamped(1, 18), Seen::Foreign];
        for size in [1, 2, 7, stream.len()] {
            let mut events = Events::default();
            let mut found = Vec::new();
            stream.chunks(size).for_each(|piece| events.push(piece, |seen| found.push(seen)));
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }
}
