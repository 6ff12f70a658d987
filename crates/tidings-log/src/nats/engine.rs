//! What the parts of a log in NATS know together beside what those of any log on a server do.
//! Knows nothing of how it is used.

use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::cursor::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cache::Cache;
use super::compose::Cut;
use super::link::Link;
use super::options::NatsOptions;
use super::sizes::CLOCK_AHEAD_MAX;
use super::tail::Tail;
use super::turn::Turn;

/// What the parts of a log in NATS share.
pub(super) type Shared = crate::remote::Shared<Engine>;

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) link: Link,
    pub(super) options: NatsOptions,
    /// Which node this is; no other has the same number.
    pub(super) node: u64,
    /// A leaf, but for `state`, which may be locked inside.
    pub(super) tail: Mutex<Tail>,
    pub(super) cache: Mutex<Cache>,
    pub(super) clock: Mutex<Clock>,
    pub(super) turn: Turn,
    /// How far retention is to come.
    pub(super) cut: watch::Sender<Option<Cut>>,
    /// Asks whoever listens to look whether the log is still the one that we know.
    pub(super) doubt: watch::Sender<()>,
}

impl Engine {
    pub(super) fn new(link: Link, options: NatsOptions, node: u64, tail: Tail) -> Self {
        Self {
            link,
            options,
            node,
            clock: Mutex::new(Clock { time: tail.opened, heard: Instant::now() }),
            turn: Turn::default(),
            tail: Mutex::new(tail),
            cache: Mutex::default(),
            cut: watch::Sender::new(None),
            doubt: watch::Sender::new(()),
        }
    }
}

impl Shared {
    /// The log is another one now.
    pub(super) fn become_another(&self, tail: Tail) {
        let mut own = self.engine.tail.lock();
        *own = tail;
        *self.engine.cache.lock() = Cache::default();
        self.engine.cut.send_replace(None);
        let held = own.held();
        self.replace(held);
    }
}

/// The server's time of day, as far as it can be told from what it sends.
#[derive(Debug)]
pub(super) struct Clock {
    time: Timestamp,
    heard: Instant,
}

impl Clock {
    /// It was this time a moment ago.
    pub(super) fn hear(&mut self, time: Timestamp) {
        if time > self.now() {
            *self = Self { time, heard: Instant::now() };
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.after(self.heard.elapsed())
    }

    /// What no event's time may be beyond.
    pub(super) fn latest(&self) -> Timestamp {
        self.after(self.heard.elapsed() + CLOCK_AHEAD_MAX)
    }

    fn after(&self, time: Duration) -> Timestamp {
        Timestamp(self.time.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}
