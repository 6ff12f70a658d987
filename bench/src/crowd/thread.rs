//! The thread of a crowd: opens streams a few at a time, and reads what comes.
//! Knows nothing of what is in the streams.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::connection::{Connection, Outcome, READ_BYTES};
use super::counts::Counts;
use super::{Command, Shared, Target};
use crate::event::now_ns;
use crate::histogram::Histogram;

pub(super) const WAKER: Token = Token(usize::MAX);

/// Streams that are being opened at once: fewer than any server's backlog.
const OPENING_MAX: usize = 64;

/// What a wake-up that comes late may make good: a few streams at once.
const CATCH_UP_NS_MAX: u64 = 10_000_000;

/// Sockets that are handled between two looks at the clock and at the commands.
const READY_MAX: usize = 1024;

pub(super) struct Thread {
    poll: Poll,
    inbox: Receiver<Command>,
    shared: Arc<Shared>,
    streams: Slab<Connection>,
    /// What is still to be opened.
    wanted: VecDeque<(Target, usize)>,
    /// How many were begun since the crowd was empty.
    begun: usize,
    /// Before this time no stream is begun of a target that wants them slowly.
    slowly_from_ns: u64,
    counts: Counts,
    latencies: Histogram,
    buffer: Box<[u8]>,
}

impl Thread {
    pub(super) fn new(poll: Poll, inbox: Receiver<Command>, shared: Arc<Shared>) -> Self {
        Self {
            poll,
            inbox,
            shared,
            streams: Slab::new(),
            wanted: VecDeque::new(),
            begun: 0,
            slowly_from_ns: 0,
            counts: Counts::default(),
            latencies: Histogram::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    pub(super) fn run(mut self) {
        let mut ready = Events::with_capacity(READY_MAX);
        let mut time_max = None;
        loop {
            match self.poll.poll(&mut ready, time_max) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled.expect("an epoll set that is ours can be waited for"),
            }
            for event in &ready {
                if event.token() != WAKER {
                    self.handle(event);
                }
            }
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Connect(target, streams) => self.wanted.push_back((target, streams)),
                    Command::Leave => self.leave(),
                    Command::Stop => return,
                }
            }
            time_max = self.open();
            self.tell();
        }
    }

    fn handle(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(connection) = self.streams.get_mut(key) else { return };
        let was_open = connection.is_open();
        let closing = event.is_read_closed() || event.is_error();
        let (counts, latencies) = (&mut self.counts, &mut self.latencies);
        let outcome = connection.handle_ready(closing, &mut self.buffer, counts, latencies);
        let count = match outcome {
            Outcome::Goes => return,
            Outcome::Opened => {
                counts.opening -= 1;
                counts.open += 1;
                return;
            }
            Outcome::Ended => &mut counts.ended,
            Outcome::Refused => &mut counts.refused,
            Outcome::Cut => &mut counts.cut,
            Outcome::Malformed => &mut counts.malformed,
        };
        *count += 1;
        let now = if was_open { &mut counts.open } else { &mut counts.opening };
        *now -= 1;
        self.streams.remove(key);
    }

    /// Begins to open streams, as many as may be under way. Gives the time until the next one may
    /// be begun, where that is all it waits for.
    fn open(&mut self) -> Option<Duration> {
        while self.counts.opening < OPENING_MAX {
            let (target, left) = self.wanted.front_mut()?;
            if *left == 0 {
                self.wanted.pop_front();
                continue;
            }
            if let Some(per_second) = target.per_second {
                let now_ns = now_ns();
                if now_ns < self.slowly_from_ns {
                    return Some(Duration::from_nanos(self.slowly_from_ns - now_ns));
                }
                let from_ns = self.slowly_from_ns.max(now_ns.saturating_sub(CATCH_UP_NS_MAX));
                self.slowly_from_ns = from_ns + 1_000_000_000 / u64::from(per_second.get());
            }
            *left -= 1;
            let request = Arc::clone(&target.request);
            let begun = Connection::begin(target.address, request, target.first, self.begun);
            let entry = self.streams.vacant_entry();
            let registered = begun.and_then(|mut connection| {
                let both = Interest::READABLE | Interest::WRITABLE;
                let token = Token(entry.key());
                self.poll.registry().register(&mut connection.socket, token, both)?;
                Ok(connection)
            });
            match registered {
                Ok(connection) => {
                    entry.insert(connection);
                    self.begun += 1;
                    self.counts.opening += 1;
                }
                Err(_) => self.counts.refused += 1,
            }
        }
        None
    }

    fn leave(&mut self) {
        // Dropping a socket closes it, and epoll forgets it.
        self.streams = Slab::new();
        self.wanted.clear();
        self.begun = 0;
        self.counts.open = 0;
        self.counts.opening = 0;
    }

    fn tell(&mut self) {
        let mut seen = self.shared.seen.lock();
        seen.0 = self.counts;
        if self.latencies.count() > 0 {
            seen.1.add(&self.latencies);
            self.latencies.clear();
        }
        self.shared.changed.notify_all();
    }
}
