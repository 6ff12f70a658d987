//! A subscriber whose bytes somebody else writes: an HTTP/2 stream, or a body in another server.
//! To its shard it looks like a socket with a small buffer. Knows nothing of sessions.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tidings_core::shard::{SubscriberId, Written};

/// What a body tells its shard.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// It was dropped: its client has gone.
    Gone(SubscriberId),
    /// It takes bytes again.
    Writable(SubscriberId),
}

/// What stands between a shard and a body.
pub(crate) struct Queue {
    bytes_max: usize,
    notify: Box<dyn Fn(Notice) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who it is to its shard, once it has been attached.
    id: Option<SubscriberId>,
    bytes: VecDeque<Bytes>,
    length: usize,
    /// The shard was told that there is no room, and waits to hear of some.
    blocked: bool,
    /// The shard has ended the stream.
    ended: bool,
    /// The body is gone.
    dropped: bool,
    waker: Option<Waker>,
}

impl Queue {
    /// A queue of so many bytes, whose shard hears of it by `notify`, which must not wait.
    pub(crate) fn new(
        bytes_max: usize,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { bytes_max, notify: Box::new(notify), state: Mutex::default() })
    }

    /// The shard has taken it in under this id. `false`: the body has gone meanwhile.
    pub(crate) fn attach(&self, id: SubscriberId) -> bool {
        let mut state = self.state.lock();
        state.id = Some(id);
        !state.dropped
    }

    /// Takes what there is room for.
    pub(crate) fn write(&self, bytes: &Bytes) -> Written {
        let mut state = self.state.lock();
        if state.dropped {
            return Written::Gone;
        }
        let taken = bytes.len().min(self.bytes_max - state.length);
        state.blocked = taken < bytes.len();
        if taken > 0 {
            state.length += taken;
            state.bytes.push_back(bytes.slice(..taken));
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
        Written::Bytes(taken)
    }

    /// The stream ends after what was written.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// The body that a queue feeds. Dropping it ends the subscription.
pub(crate) struct EventBody {
    /// What the stream begins with.
    first: Option<Bytes>,
    queue: Arc<Queue>,
}

impl EventBody {
    pub(crate) fn new(first: Bytes, queue: Arc<Queue>) -> Self {
        Self { first: Some(first), queue }
    }

    /// One that is part of a stream which has begun.
    pub(crate) fn part(queue: Arc<Queue>) -> Self {
        Self { first: None, queue }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let mut state = self.queue.state.lock();
        let Some(bytes) = state.bytes.pop_front() else {
            if state.ended {
                return Poll::Ready(None);
            }
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.length -= bytes.len();
        let room = state.blocked && state.length <= self.queue.bytes_max / 2;
        let writable = if room { state.id } else { None };
        if writable.is_some() {
            state.blocked = false;
        }
        drop(state);
        if let Some(id) = writable {
            (self.queue.notify)(Notice::Writable(id));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.dropped = true;
        state.bytes.clear();
        let id = state.id;
        drop(state);
        if let Some(id) = id {
            (self.queue.notify)(Notice::Gone(id));
        }
    }
}
