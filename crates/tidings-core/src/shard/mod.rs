//! Many sessions on one thread: who gets what, what is joined in one write, who needs a
//! heartbeat. Knows nothing of sockets, logs and threads: it asks a [`Port`] for all three.
//!
//! Events come in as runs of [`Delivery`], in the order of the log. Everything else a session
//! needs, it reads as pages. No queue is kept per subscriber: see [`crate::session`].

mod join;
mod wheel;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;

use self::join::{Joiner, bits, join};
use self::wheel::Wheel;
use crate::cursor::{Cursor, Incarnation, Position};
use crate::event::Topics;
use crate::limits::{PASS_EVENTS_MAX, PASS_TURNS_MAX};
use crate::session::{Phase, Session};
use crate::sse::{Frame, LAST_CHUNK};
use crate::topic::{EntryId, Index, Selectors};

/// One event on its way to subscribers: its frame, and what decides who gets it.
#[derive(Debug)]
pub struct Delivery {
    /// Its place in the log.
    pub position: Position,
    /// What it was published under.
    pub topics: Topics,
    /// Only for subscribers who may see private events.
    pub private: bool,
    /// Its bytes.
    pub frame: Frame,
}

/// A frame and where it stands in the log.
type Placed<'a> = (Position, &'a Frame);

impl Delivery {
    fn place(&self) -> Placed<'_> {
        (self.position, &self.frame)
    }
}

/// What a subscriber's connection wants around its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// HTTP/1.1: each frame is a chunk.
    Chunked,
    /// HTTP/1.0, HTTP/2, and bodies that somebody else frames.
    Raw,
}

impl Framing {
    fn bytes(self, frame: &Frame) -> Bytes {
        match self {
            Self::Chunked => frame.chunk().clone(),
            Self::Raw => frame.raw(),
        }
    }
}

/// Names one subscriber of one shard; never means another one, even when its slot is used again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SubscriberId {
    /// Its place in tables, as small as can be.
    pub slot: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

/// What somebody wants to receive, where from and how.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Which events.
    pub selectors: Selectors,
    /// The first position.
    pub next: Position,
    /// How the bytes are framed.
    pub framing: Framing,
    /// Whether private events are among them.
    pub private: bool,
}

/// The world that a shard acts on. Calls must not come back into the shard.
pub trait Port {
    /// Hands bytes to a connection, which takes what it can without waiting.
    fn write(&mut self, id: SubscriberId, bytes: &Bytes) -> Written;

    /// Asks for the next selected events from `from` on.
    fn read(&mut self, id: SubscriberId, from: Position, interest: &Interest) -> Answer;

    /// The subscriber is gone: its connection is closed and all of it freed.
    fn close(&mut self, id: SubscriberId);
}

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// So many bytes were taken. Where they are fewer than were offered, the port calls
    /// [`Shard::handle_writable`] once more can be.
    Bytes(usize),
    /// The connection is broken.
    Gone,
}

/// What became of a wish to read.
#[derive(Debug)]
pub enum Answer {
    /// A page, at once.
    Page(Page),
    /// It will come by [`Shard::handle_page`].
    Later,
}

/// Selected events from the log.
#[derive(Debug)]
pub enum Page {
    /// The events, in order, and where to read on.
    Events {
        /// The events, oldest first.
        events: Vec<Arc<Delivery>>,
        /// All before it has been looked at.
        next: Position,
    },
    /// Retention has passed the position that was asked for.
    Trimmed {
        /// The oldest position that is kept.
        oldest: Position,
    },
    /// The log can't be read now: the connection is closed, and its client comes back with its
    /// cursor.
    Failed,
}

/// What a shard has done since it was last asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Events handed over whole.
    pub delivered: u64,
    /// Bytes handed over.
    pub bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Times a live subscriber's connection took no more.
    pub lagged: u64,
    /// Times a subscriber was told of a gap.
    pub resets: u64,
    /// Heartbeats.
    pub heartbeats: u64,
}

/// Many sessions, driven by one thread.
#[derive(Debug)]
pub struct Shard {
    incarnation: Incarnation,
    heartbeats: Heartbeats,
    heartbeat: Frame,
    subscribers: Slab<Subscriber>,
    generation: u32,
    index: Index<u32>,
    /// The position that the next run of events begins with.
    head: Position,
    /// Who is behind and can write: each gets a page a turn.
    behind: VecDeque<SubscriberId>,
    /// Scratch: who gets something in this pass.
    touched: Vec<u32>,
    joiner: Joiner,
    counts: Counts,
}

#[derive(Debug)]
struct Subscriber {
    /// Bits of the events in this pass that it gets.
    pending: u64,
    session: Session,
    generation: u32,
    /// The tick of its last write.
    written: u64,
    interest: Interest,
    entries: Box<[EntryId]>,
}

impl Shard {
    /// A shard without subscribers, which will be handed events from `head` on.
    #[must_use]
    pub fn new(
        incarnation: Incarnation,
        head: Position,
        heartbeat: Duration,
        now: Instant,
    ) -> Self {
        Self {
            incarnation,
            heartbeats: Heartbeats::new(heartbeat, now),
            heartbeat: Frame::heartbeat(),
            subscribers: Slab::new(),
            generation: 0,
            index: Index::default(),
            head,
            behind: VecDeque::new(),
            touched: Vec::new(),
            joiner: Joiner::default(),
            counts: Counts::default(),
        }
    }

    /// The position that the next run of events has to begin with.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Whether somebody waits for a turn: call [`Shard::handle_turn`] soon.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Takes the counts since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Adds a subscriber. Nothing is written before the next [`Shard::handle_turn`].
    pub fn subscribe(&mut self, interest: Interest, now: Instant) -> SubscriberId {
        let vacant = self.subscribers.vacant_entry();
        let slot = u32::try_from(vacant.key()).expect("connections are limited far below 2^32");
        self.generation = self.generation.wrapping_add(1);
        let id = SubscriberId { slot, generation: self.generation };
        let entries = interest.selectors.iter().map(|s| self.index.insert(s, slot)).collect();
        let written = self.heartbeats.tick(now);
        if self.heartbeats.wheel.is_empty() {
            self.heartbeats.wheel.start(written);
        }
        vacant.insert(Subscriber {
            pending: 0,
            session: Session::new(interest.next),
            generation: id.generation,
            written,
            interest,
            entries,
        });
        self.heartbeats.schedule(slot, written);
        self.behind.push_back(id);
        id
    }

    /// The client has gone: frees all that the subscriber held. Unknown ids are fine.
    pub fn remove(&mut self, id: SubscriberId, port: &mut impl Port) {
        if self.is_current(id) {
            self.close(id.slot, port);
        }
    }

    /// Delivers a run of events, which begins at [`Shard::head`]. Bounded by
    /// [`PASS_EVENTS_MAX`] events, so that other work comes in between.
    ///
    /// # Panics
    /// Where the run is longer, or not in order: that would be our own mistake.
    pub fn handle_events(&mut self, events: &[Arc<Delivery>], now: Instant, port: &mut impl Port) {
        assert!(events.len() <= PASS_EVENTS_MAX, "a pass is bounded");
        self.joiner.clear();
        for (bit, delivery) in events.iter().enumerate() {
            assert!(delivery.position >= self.head, "events come in the order of the log");
            self.head = delivery.position.next();
            let (subscribers, touched) = (&mut self.subscribers, &mut self.touched);
            self.index.matches(&delivery.topics, |slot| {
                let subscriber = &mut subscribers[slot as usize];
                if subscriber.session.takes(delivery.position)
                    && (!delivery.private || subscriber.interest.private)
                {
                    if subscriber.pending == 0 {
                        touched.push(slot);
                    }
                    subscriber.pending |= 1 << bit;
                }
            });
        }
        let tick = self.heartbeats.tick(now);
        let mut touched = std::mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            self.deliver(slot, events, tick, port);
        }
        self.touched = touched;
        // Frames are large; between passes nobody needs them here.
        self.joiner.clear();
    }

    /// The connection takes bytes again, after it had taken fewer than it was offered.
    pub fn handle_writable(&mut self, id: SubscriberId, now: Instant, port: &mut impl Port) {
        if !self.is_current(id) {
            return;
        }
        let session = &mut self.subscribers[id.slot as usize].session;
        if session.is_writable() {
            return;
        }
        let next = session.position(self.head);
        if let Some(rest) = session.handle_writable() {
            let tick = self.heartbeats.tick(now);
            match self.write(id.slot, &rest, tick, port) {
                Written::Gone => return self.close(id.slot, port),
                Written::Bytes(bytes) if bytes < rest.len() => {
                    let session = &mut self.subscribers[id.slot as usize].session;
                    return session.handle_blocked(next, Some(rest.slice(bytes..)));
                }
                // What was cut was an event, but for a heartbeat or a reset now and then.
                Written::Bytes(_) => self.counts.delivered += 1,
            }
        }
        match self.subscribers[id.slot as usize].session.phase() {
            Phase::Closing => self.end(id.slot, port),
            Phase::Live => {}
            Phase::Replay | Phase::Lagging => self.behind.push_back(id),
        }
    }

    /// Gives those who are behind a page each, at most [`PASS_TURNS_MAX`] of them.
    pub fn handle_turn(&mut self, now: Instant, port: &mut impl Port) {
        for _ in 0..PASS_TURNS_MAX.min(self.behind.len()) {
            let Some(id) = self.behind.pop_front() else { return };
            if !self.is_current(id) {
                continue;
            }
            let subscriber = &mut self.subscribers[id.slot as usize];
            let Some(from) = subscriber.session.wants() else { continue };
            subscriber.session.handle_asked();
            match port.read(id, from, &subscriber.interest) {
                Answer::Page(page) => self.handle_page(id, page, now, port),
                Answer::Later => {}
            }
        }
    }

    /// A page that was asked for came.
    pub fn handle_page(
        &mut self,
        id: SubscriberId,
        page: Page,
        now: Instant,
        port: &mut impl Port,
    ) {
        if !self.is_current(id) {
            return;
        }
        let subscriber = &mut self.subscribers[id.slot as usize];
        if !subscriber.session.handle_answered() {
            return;
        }
        let tick = self.heartbeats.tick(now);
        let whole = match page {
            Page::Failed => return self.close(id.slot, port),
            Page::Trimmed { oldest } => self.tell_reset(id.slot, oldest, tick, port),
            Page::Events { events, next } => {
                let run = events.iter().map(|event| event.place());
                self.write_run(id.slot, run, next, tick, port)
            }
        };
        if whole && self.subscribers[id.slot as usize].session.wants().is_some() {
            self.behind.push_back(id);
        }
    }

    /// When [`Shard::handle_timeout`] has to be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.heartbeats.poll_timeout()
    }

    /// Writes the heartbeats that are due.
    pub fn handle_timeout(&mut self, now: Instant, port: &mut impl Port) {
        let tick = self.heartbeats.tick(now);
        while let Some(slot) = self.heartbeats.wheel.expire(tick) {
            let subscriber = &self.subscribers[slot as usize];
            let due = self.heartbeats.due(slot, subscriber.written);
            if due > tick || !subscriber.session.is_writable() {
                // It had something since, or has something to take already.
                self.heartbeats.wheel.schedule(slot, due.max(tick + 1));
                continue;
            }
            self.heartbeats.schedule(slot, tick);
            self.counts.heartbeats += 1;
            let bytes = subscriber.interest.framing.bytes(&self.heartbeat);
            let next = subscriber.session.position(self.head);
            match self.write(slot, &bytes, tick, port) {
                Written::Gone => self.close(slot, port),
                Written::Bytes(taken) if taken < bytes.len() => {
                    self.block(slot, next, Some(bytes.slice(taken..)));
                }
                Written::Bytes(_) => {}
            }
        }
    }

    /// Ends one subscriber's stream properly: what was begun is finished first.
    pub fn end_one(&mut self, id: SubscriberId, port: &mut impl Port) {
        if self.is_current(id) && self.subscribers[id.slot as usize].session.handle_close() {
            self.end(id.slot, port);
        }
    }

    /// Ends all streams: those whose last frame was cut once it is whole, the others now.
    pub fn end_all(&mut self, port: &mut impl Port) {
        let slots: Vec<usize> = self.subscribers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if self.subscribers[slot].session.handle_close() {
                self.end(u32::try_from(slot).expect("it was made from one"), port);
            }
        }
    }

    fn is_current(&self, id: SubscriberId) -> bool {
        self.subscribers
            .get(id.slot as usize)
            .is_some_and(|subscriber| subscriber.generation == id.generation)
    }

    /// Writes what a live subscriber gets in this pass.
    fn deliver(&mut self, slot: u32, events: &[Arc<Delivery>], tick: u64, port: &mut impl Port) {
        let subscriber = &mut self.subscribers[slot as usize];
        let mut mask = std::mem::take(&mut subscriber.pending);
        let framing = subscriber.interest.framing;
        while mask != 0 {
            let joined = self.joiner.first(events, mask, framing).clone();
            match self.write(slot, &joined.bytes, tick, port) {
                Written::Gone => return self.close(slot, port),
                Written::Bytes(taken) if taken < joined.bytes.len() => {
                    let run = bits(mask).map(|bit| events[bit].place());
                    return self.cut(slot, run, taken);
                }
                Written::Bytes(_) => self.counts.delivered += joined.frames as u64,
            }
            for _ in 0..joined.frames {
                mask &= mask - 1;
            }
        }
        let session = &mut self.subscribers[slot as usize].session;
        session.handle_reached(session.position(self.head), self.head);
    }

    /// Writes a page. `true`: all of it is written and the subscriber is still there.
    fn write_run<'a>(
        &mut self,
        slot: u32,
        mut run: impl Iterator<Item = Placed<'a>> + Clone,
        next: Position,
        tick: u64,
        port: &mut impl Port,
    ) -> bool {
        let framing = self.subscribers[slot as usize].interest.framing;
        loop {
            let joined = join(run.clone(), framing);
            if joined.frames == 0 {
                break;
            }
            match self.write(slot, &joined.bytes, tick, port) {
                Written::Gone => {
                    self.close(slot, port);
                    return false;
                }
                Written::Bytes(taken) if taken < joined.bytes.len() => {
                    self.cut(slot, run, taken);
                    return false;
                }
                Written::Bytes(_) => self.counts.delivered += joined.frames as u64,
            }
            run.nth(joined.frames - 1);
        }
        self.subscribers[slot as usize].session.handle_reached(next, self.head);
        true
    }

    /// Tells a subscriber that what it wanted is gone, and goes on at the oldest.
    fn tell_reset(&mut self, slot: u32, oldest: Position, tick: u64, port: &mut impl Port) -> bool {
        let subscriber = &self.subscribers[slot as usize];
        let next = subscriber.session.position(self.head);
        let had =
            Cursor { incarnation: self.incarnation, position: Position(next.0.saturating_sub(1)) };
        let missed = oldest.0.saturating_sub(next.0);
        let frame = Frame::reset(self.incarnation, &had.to_string(), oldest, Some(missed));
        let before = Position(oldest.0.saturating_sub(1));
        self.counts.resets += 1;
        self.write_run(slot, std::iter::once((before, &frame)), oldest, tick, port)
    }

    /// Of a run, only so many bytes were taken: what is whole is delivered, what was cut goes
    /// first next time, what follows will be read from the log.
    fn cut<'a>(&mut self, slot: u32, run: impl Iterator<Item = Placed<'a>>, mut taken: usize) {
        let framing = self.subscribers[slot as usize].interest.framing;
        for (position, frame) in run {
            let bytes = framing.bytes(frame);
            if taken == 0 {
                return self.block(slot, position, None);
            }
            if taken < bytes.len() {
                return self.block(slot, position.next(), Some(bytes.slice(taken..)));
            }
            taken -= bytes.len();
            self.counts.delivered += 1;
        }
        unreachable!("fewer bytes were taken than the run has");
    }

    fn block(&mut self, slot: u32, next: Position, rest: Option<Bytes>) {
        let session = &mut self.subscribers[slot as usize].session;
        self.counts.lagged += u64::from(session.phase() == Phase::Live);
        session.handle_blocked(next, rest);
    }

    fn write(&mut self, slot: u32, bytes: &Bytes, tick: u64, port: &mut impl Port) -> Written {
        let subscriber = &mut self.subscribers[slot as usize];
        subscriber.written = tick;
        let id = SubscriberId { slot, generation: subscriber.generation };
        let written = port.write(id, bytes);
        self.counts.writes += 1;
        if let Written::Bytes(taken) = written {
            assert!(taken <= bytes.len(), "a port takes no more than it is offered");
            self.counts.bytes += taken as u64;
        }
        written
    }

    /// Ends a stream whose last frame is whole. A connection that does not even take the five
    /// bytes of the last chunk is closed without them: its client reconnects all the same.
    fn end(&mut self, slot: u32, port: &mut impl Port) {
        let subscriber = &self.subscribers[slot as usize];
        if subscriber.interest.framing == Framing::Chunked {
            let id = SubscriberId { slot, generation: subscriber.generation };
            let _ = port.write(id, &Bytes::from_static(LAST_CHUNK));
        }
        self.close(slot, port);
    }

    fn close(&mut self, slot: u32, port: &mut impl Port) {
        let subscriber = self.subscribers.remove(slot as usize);
        for entry in &subscriber.entries {
            self.index.remove(*entry);
        }
        self.heartbeats.wheel.cancel(slot);
        port.close(SubscriberId { slot, generation: subscriber.generation });
        if self.subscribers.is_empty() {
            // The crowd has left: what it needed goes back to the system.
            self.subscribers.shrink_to_fit();
            self.index.shrink();
            self.touched.shrink_to_fit();
            self.behind = VecDeque::new();
        }
    }
}

/// Who may need a heartbeat when, in ticks of a sixteenth of the interval (a second at most).
#[derive(Debug)]
struct Heartbeats {
    start: Instant,
    tick: Duration,
    /// The interval in ticks.
    interval: u64,
    wheel: Wheel,
}

impl Heartbeats {
    fn new(interval: Duration, start: Instant) -> Self {
        let tick = (interval / 16).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let interval = u64::try_from(interval.as_nanos() / tick.as_nanos())
            .expect("an interval is a matter of seconds")
            .max(1);
        Self { start, tick, interval, wheel: Wheel::new(interval + 1) }
    }

    fn tick(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since / self.tick.as_nanos()).unwrap_or(u64::MAX)
    }

    /// When a slot that was written to at `tick` needs a heartbeat: within the interval, and up
    /// to a fifth earlier, so that those who got the same event are not all due at once.
    fn due(&self, slot: u32, tick: u64) -> u64 {
        let spread = self.interval / 5 + 1;
        tick + self.interval - u64::from(slot) % spread
    }

    fn schedule(&mut self, slot: u32, written: u64) {
        let due = self.due(slot, written);
        self.wheel.schedule(slot, due);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.wheel.is_empty() {
            return None;
        }
        let tick = u64::try_from(self.tick.as_nanos()).expect("a tick is a second at most");
        Some(self.start + Duration::from_nanos(tick.saturating_mul(self.wheel.tick())))
    }
}
