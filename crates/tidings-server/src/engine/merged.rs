//! One stream out of those of several partitions: their frames one after the other, each under an
//! id that tells the place in all of them. Knows nothing of logs and shards, but how a frame looks.
//!
//! Each part is a body that a shard feeds. A frame that has begun is passed on to its end before
//! another part has its turn, so nothing is held back but the first lines of a frame.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame};
use tidings_core::cursor::Cursor;
use tidings_core::vector::{Mark, Trace, Vector};

use super::body::EventBody;
use crate::metrics::Metrics;

/// The body. Dropping it ends the subscription.
pub(crate) struct MergedBody {
    first: Option<Bytes>,
    parts: Vec<Part>,
    /// Where the subscriber is; a place for each part, in their order.
    had: Vector,
    /// The part whose turn it is, or whose frame has begun.
    turn: usize,
    /// The frame of that part has begun.
    begun: bool,
    _counted: CountedOnce,
}

struct Part {
    body: EventBody,
    /// What came and is not passed on: the beginning of a frame.
    held: BytesMut,
    /// The place of the frame that begins, where it stands before a chosen id.
    place: Option<Cursor>,
    /// The last byte that was passed on is a line feed.
    line_ended: bool,
    ended: bool,
}

impl MergedBody {
    /// `first` is what the stream begins with, `had` has a place for each of the bodies.
    pub(crate) fn new(
        first: Bytes,
        had: Vector,
        bodies: Vec<EventBody>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        assert_eq!(had.places.len(), bodies.len(), "a place for each part");
        let counted = CountedOnce::new(metrics, bodies.len());
        let part = |body| Part {
            body,
            held: BytesMut::new(),
            place: None,
            line_ended: false,
            ended: false,
        };
        let parts = bodies.into_iter().map(part).collect();
        Self { first: Some(first), parts, had, turn: 0, begun: false, _counted: counted }
    }

    /// Passes on what the part whose turn it is has, as far as it goes.
    fn pass_on(&mut self, out: &mut BytesMut) {
        let part = &mut self.parts[self.turn];
        while !part.held.is_empty() {
            if self.begun {
                let end = part.frame_end();
                self.begun = end.is_none();
                let bytes = part.held.split_to(end.unwrap_or(part.held.len()));
                part.line_ended = bytes.last() == Some(&b'\n');
                out.extend_from_slice(&bytes);
                continue;
            }
            let Some(end) = part.held.iter().position(|byte| *byte == b'\n') else { return };
            let line = part.held.split_to(end + 1);
            let line = &line[..end];
            if let Some(comment) = line.strip_prefix(b":") {
                match parse(comment) {
                    Some(cursor) => part.place = Some(cursor),
                    // A heartbeat: one part's are enough.
                    None if self.turn == 0 => out.extend_from_slice(b":\n"),
                    None => {}
                }
            } else if let Some(id) = line.strip_prefix(b"id: ") {
                if let Some(cursor) = part.place.take().or_else(|| parse(id)) {
                    let trace = cursor.print.map(Trace::from);
                    self.had.places[self.turn].1 = Mark { position: cursor.position, trace };
                }
                // Cannot fail: it is memory.
                let _ = writeln!(out, "id: {}", self.had);
                self.begun = true;
                part.line_ended = true;
            } else {
                // The last word on when to come back, which is no part of an event.
                out.extend_from_slice(line);
                out.extend_from_slice(b"\n");
            }
        }
    }
}

impl Part {
    /// Where the frame that has begun ends, if that is here.
    fn frame_end(&self) -> Option<usize> {
        if self.line_ended && self.held.first() == Some(&b'\n') {
            return Some(1);
        }
        self.held.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if self.ended {
            return false;
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(mut bytes) = frame.into_data() {
                    self.held.extend_from_slice(&bytes.copy_to_bytes(bytes.remaining()));
                }
                true
            }
            Poll::Ready(None) => {
                self.ended = true;
                false
            }
            Poll::Pending => false,
        }
    }
}

fn parse(text: &[u8]) -> Option<Cursor> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Body for MergedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let mut out = BytesMut::new();
        let mut idle = 0;
        while out.is_empty() && idle < this.parts.len() {
            let turn = this.turn;
            let came = this.parts[turn].poll(context);
            this.pass_on(&mut out);
            if came {
                idle = 0;
            } else if this.begun && !this.parts[turn].ended {
                // Nobody else may say anything before the frame is whole.
                break;
            } else if this.begun {
                return Poll::Ready(None);
            } else {
                idle += 1;
            }
            if !this.begun {
                this.turn = (turn + 1) % this.parts.len();
            }
        }
        if !out.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(out.freeze()))));
        }
        // Where one part ends all do: its client comes back and begins all of them anew.
        if !this.begun && this.parts.iter().any(|part| part.ended) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// The shards count each part as a subscriber, and it is one.
struct CountedOnce {
    metrics: Arc<Metrics>,
    surplus: i64,
}

impl CountedOnce {
    fn new(metrics: &Arc<Metrics>, parts: usize) -> Self {
        let surplus = parts as i64 - 1;
        metrics.subscribers.dec_by(surplus);
        Self { metrics: Arc::clone(metrics), surplus }
    }
}

impl Drop for CountedOnce {
    fn drop(&mut self) {
        self.metrics.subscribers.inc_by(self.surplus);
    }
}
