//! How others reach a shard's thread: a queue, and a wake-up where it sleeps.
//! Knows nothing of what the thread does with it.

use std::io;
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mio::{Registry, Token, Waker};
use rustls::ServerConnection;
use tidings_core::cursor::Incarnation;
use tidings_core::event::Topics;
use tidings_core::shard::{Interest, Page, SubscriberId};
use tidings_core::topic::Sketch;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{Notice, Queue};
use super::lifetime::UnderWayGuard;
use crate::gate::{ConnectionGuard, Counted};

/// What a shard's thread is told.
pub(crate) enum Input {
    /// A subscriber comes, with its connection.
    Attach(Box<Attach>),
    /// A page that a subscriber asked for. It counts among the pages under way until it has been
    /// taken.
    Page(SubscriberId, Page, OwnedSemaphorePermit),
    /// What a body has to say.
    Body(Notice),
    /// The streams with this label end.
    Cut(Arc<str>),
    /// All streams end within this time, and those that come later at once; their clients come
    /// back after so many milliseconds.
    Drain(Duration, RangeInclusive<u32>),
    /// The thread ends.
    Stop,
}

/// A subscriber and its connection.
pub(crate) struct Attach {
    /// The log that its position is one of.
    pub(crate) incarnation: Incarnation,
    pub(crate) interest: Interest,
    pub(crate) label: Option<Box<str>>,
    pub(crate) connection: Attached,
    /// Open connections are counted by whoever accepted them; this counts until it is dropped.
    pub(crate) guard: Option<ConnectionGuard>,
    /// Counts among the streams of its subject until it is dropped.
    pub(crate) counted: Option<Counted>,
    /// Until it is dropped, a hub that closes waits for it.
    pub(crate) arriving: UnderWayGuard,
}

/// What a subscriber is connected by.
pub(crate) enum Attached {
    /// A body that somebody else writes to a socket.
    Body(Arc<Queue>),
    /// A socket of its own.
    Tcp(TcpStream),
    /// The same, and TLS on it.
    Tls(TcpStream, Box<ServerConnection>),
    /// A Unix socket of its own.
    Unix(UnixStream),
}

/// The way to one shard's thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inbox {
    shared: Arc<Shared>,
    sketch: Arc<Sketch>,
    // Unbounded as a type, bounded in effect: a connection has one attach and one answer under
    // way, and connections are limited.
    inputs: Sender<Input>,
}

struct Shared {
    waker: Waker,
    /// The thread was woken and has not looked yet: waking it again would be a wasted call.
    woken: AtomicBool,
    subscribers: AtomicUsize,
}

/// The thread's end of it.
pub(crate) struct Outlet {
    shared: Arc<Shared>,
    inputs: Receiver<Input>,
}

impl Inbox {
    /// `sketch` is that of the shard.
    pub(crate) fn new(
        registry: &Registry,
        token: Token,
        sketch: Arc<Sketch>,
    ) -> io::Result<(Self, Outlet)> {
        let (sender, receiver) = channel();
        let shared = Arc::new(Shared {
            waker: Waker::new(registry, token)?,
            woken: AtomicBool::new(false),
            subscribers: AtomicUsize::new(0),
        });
        let outlet = Outlet { shared: Arc::clone(&shared), inputs: receiver };
        Ok((Self { shared, sketch, inputs: sender }, outlet))
    }

    /// Sends something; a thread that has ended has nothing left that it could matter to.
    pub(crate) fn send(&self, input: Input) {
        if self.inputs.send(input).is_ok() {
            self.wake();
        }
    }

    /// Has the thread look at its inbox and at the tail.
    pub(crate) fn wake(&self) {
        if !self.shared.woken.swap(true, Ordering::AcqRel)
            && let Err(error) = self.shared.waker.wake()
        {
            tracing::error!(%error, "a shard can't be woken");
        }
    }

    /// Whether an event that is in the tail may be for somebody of the shard.
    pub(crate) fn may_select(&self, topics: &Topics) -> bool {
        self.sketch.may_select(topics)
    }

    /// How many subscribers the shard has.
    pub(crate) fn subscribers(&self) -> usize {
        self.shared.subscribers.load(Ordering::Relaxed)
    }
}

impl Outlet {
    /// From now on a wake-up is a new one. Call it before looking at anything it may be about.
    pub(crate) fn rearm(&self) {
        // A swap, not a store: it sees what was done before the wake-up that it takes back, and
        // whoever comes after it wakes the thread anew.
        self.shared.woken.swap(false, Ordering::AcqRel);
    }

    /// The next thing that was sent.
    pub(crate) fn next(&self) -> Option<Input> {
        self.inputs.try_recv().ok()
    }

    /// Tells how many subscribers there are.
    pub(crate) fn count(&self, subscribers: usize) {
        self.shared.subscribers.store(subscribers, Ordering::Relaxed);
    }
}
