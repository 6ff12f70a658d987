//! How the socket of an HTTP/1 event stream gets from hyper to a shard.
//! Knows neither hyper nor shards: it is the meeting point of the two.
//!
//! The response's body gives the first bytes of the stream; when it is polled again, it leaves
//! the subscriber here and waits for ever. The task that drives the connection looks here after
//! each poll: if somebody is here and hyper has flushed all it had, the task stops driving, takes
//! the socket out of hyper and hands both to a shard. So the 11 to 19 KB that a connection costs
//! in hyper are freed, and a delivery costs what the kernel charges.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::terms::Subscribed;

/// The meeting point of one connection. In a request's extensions, it says that the connection
/// can be taken over. Cheap to clone.
#[derive(Clone, Default)]
pub struct Takeover {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    subscriber: Mutex<Option<Subscribed>>,
    /// All that was written to the socket's buffer has been flushed.
    flushed: AtomicBool,
}

impl Takeover {
    /// Something was written that may not have reached the socket yet.
    pub(crate) fn handle_write(&self) {
        self.shared.flushed.store(false, Ordering::Relaxed);
    }

    /// All that was written has reached the socket.
    pub(crate) fn handle_flush(&self) {
        self.shared.flushed.store(true, Ordering::Relaxed);
    }

    /// The subscriber that waits here, once nothing of the response is left in hyper.
    pub(crate) fn take(&self) -> Option<Subscribed> {
        if self.shared.flushed.load(Ordering::Relaxed) {
            self.shared.subscriber.lock().take()
        } else {
            None
        }
    }
}

/// The body of a response whose connection will be taken over.
pub(crate) struct StubBody {
    first: Option<Bytes>,
    subscriber: Option<Subscribed>,
    takeover: Takeover,
}

impl StubBody {
    pub(crate) fn new(first: Bytes, subscriber: Subscribed, takeover: Takeover) -> Self {
        Self { first: Some(first), subscriber: Some(subscriber), takeover }
    }
}

impl Body for StubBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(subscriber) = self.subscriber.take() {
            // hyper holds at least `first` now, and flushes after this poll.
            self.takeover.handle_write();
            *self.takeover.shared.subscriber.lock() = Some(subscriber);
        }
        Poll::Pending
    }
}
