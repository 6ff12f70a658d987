//! Many sessions on one thread: who gets what, what is joined in one write, who needs a
//! heartbeat. Knows nothing of sockets, logs and threads: it asks a [`Port`] for all three.
//!
//! Events come in as runs of [`Delivery`], in the order of the log. Everything else a session
//! needs, it reads as pages. No queue is kept per subscriber: see [`crate::session`].

mod audience;
mod coalesce;
mod ending;
mod heartbeats;
#[cfg(any(test, feature = "testing"))]
mod holdings;
mod join;
mod lives;
mod port;
mod wheel;
mod write;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::coalesce::Coalesce;
#[cfg(any(test, feature = "testing"))]
pub use self::holdings::Holdings;
pub use self::port::{
    Answer, Counts, Delivery, EndReason, Filter, Framing, Interest, Life, Page, Port, SubscriberId,
    Written,
};

use self::audience::{Audiences, Seat};
use self::heartbeats::Heartbeats;
use self::join::{Joiner, Replay};
use self::lives::Lives;
use crate::cursor::{Incarnation, Position};
use crate::limits::{PASS_EVENTS_MAX, PASS_TURNS_MAX};
use crate::pages::Pages;
use crate::session::{Phase, Session};
use crate::sse::Frame;
use crate::topic::Sketch;

/// Many sessions, driven by one thread.
#[derive(Debug)]
pub struct Shard {
    incarnation: Incarnation,
    heartbeats: Heartbeats,
    heartbeat: Frame,
    lives: Lives,
    /// Once the shard drains: when those whose streams end are to come back, in milliseconds.
    last_retry: Option<RangeInclusive<u32>>,
    subscribers: Pages<Subscriber>,
    generation: u32,
    audiences: Audiences,
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
    seat: Seat,
    framing: Framing,
}

// Beside it, a subscriber has a timer in the wheel (12 bytes) and a number in its audience (4);
// if its life has an end, an entry for that.
const _: () = assert!(size_of::<Subscriber>() <= 56, "there may be a million of them");

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
            lives: Lives::new(now),
            last_retry: None,
            subscribers: Pages::default(),
            generation: 0,
            audiences: Audiences::default(),
            head,
            behind: VecDeque::new(),
            touched: Vec::new(),
            joiner: Joiner::default(),
            counts: Counts::default(),
        }
    }

    /// Which log the events come from.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The position that the next run of events has to begin with.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// By which other threads tell whether an event may be for somebody here.
    #[must_use]
    pub fn sketch(&self) -> &Arc<Sketch> {
        self.audiences.sketch()
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
        let Interest { filter, next, framing, life } = interest;
        let slot = self.subscribers.next_slot();
        self.generation = self.generation.wrapping_add(1);
        let id = SubscriberId { slot, generation: self.generation };
        let written = self.heartbeats.tick(now);
        let subscriber = Subscriber {
            pending: 0,
            session: Session::new(next),
            generation: id.generation,
            written,
            seat: self.audiences.join(&filter, slot),
            framing,
        };
        self.subscribers.put(slot, subscriber);
        self.heartbeats.start(slot, written);
        if let Some(life) = life {
            self.lives.start(slot, &life);
        }
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
            self.audiences.find(delivery, |slot| {
                let subscriber = &mut subscribers[slot];
                if subscriber.session.takes(delivery.position) {
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

    /// Events from [`Shard::head`] to `head` will not come: the thread was too slow for them.
    /// Whoever was live reads them from the log.
    pub fn handle_gap(&mut self, head: Position) {
        assert!(head >= self.head, "the log never goes back");
        for slot in self.slots() {
            let subscriber = &mut self.subscribers[slot];
            if subscriber.session.handle_gap(self.head) {
                self.behind.push_back(SubscriberId { slot, generation: subscriber.generation });
            }
        }
        self.head = head;
    }

    /// The log is another one now, whose next event stands at `head`, be it before those that came
    /// so far. All streams end: whoever comes back is told by its cursor that something is gone.
    pub fn handle_replaced(
        &mut self,
        incarnation: Incarnation,
        head: Position,
        port: &mut impl Port,
    ) {
        self.end_all(port);
        self.incarnation = incarnation;
        self.head = head;
    }

    /// The connection takes bytes again, after it had taken fewer than it was offered.
    pub fn handle_writable(&mut self, id: SubscriberId, now: Instant, port: &mut impl Port) {
        if !self.is_current(id) {
            return;
        }
        let session = &mut self.subscribers[id.slot].session;
        if session.is_writable() {
            return;
        }
        let next = session.position(self.head);
        if let Some(rest) = session.handle_writable() {
            let tick = self.heartbeats.tick(now);
            match self.write(id.slot, &rest, tick, port) {
                Written::Gone => return self.close(id.slot, port),
                Written::Bytes(bytes) if bytes < rest.len() => {
                    let session = &mut self.subscribers[id.slot].session;
                    return session.handle_blocked(next, Some(rest.slice(bytes..)));
                }
                // What was cut was an event, but for a heartbeat or a reset now and then.
                Written::Bytes(_) => self.counts.delivered += 1,
            }
        }
        match self.subscribers[id.slot].session.phase() {
            Phase::Closing => self.end(id.slot, port),
            Phase::Live => {}
            Phase::Replay | Phase::Lagging => self.behind.push_back(id),
        }
    }

    /// Gives those who are behind a page each, at most [`PASS_TURNS_MAX`] of them. Those of one
    /// audience who want it from the same position on share it: a crowd that was cut off comes
    /// back to the same place.
    pub fn handle_turn(&mut self, now: Instant, port: &mut impl Port) {
        let tick = self.heartbeats.tick(now);
        let mut shared: Option<(Seat, Position, Framing, Replay)> = None;
        for _ in 0..PASS_TURNS_MAX.min(self.behind.len()) {
            let Some(id) = self.behind.pop_front() else { return };
            if !self.is_current(id) {
                continue;
            }
            let subscriber = &self.subscribers[id.slot];
            let (seat, framing) = (subscriber.seat, subscriber.framing);
            let Some(from) = subscriber.session.wants() else { continue };
            let same = shared.as_ref().filter(|(other, position, framed, _)| {
                other.is_beside(seat) && *position == from && *framed == framing
            });
            if let Some((.., page)) = same {
                self.replay(id, page, tick, port);
                continue;
            }
            match port.read(id, from, self.audiences.filter(seat)) {
                Answer::Later => self.subscribers[id.slot].session.handle_asked(),
                Answer::Page(Page::Events { events, next }) => {
                    let page = Replay::new(events, next, framing);
                    self.replay(id, &page, tick, port);
                    shared = Some((seat, from, framing, page));
                }
                Answer::Page(page) => self.handle_page(id, page, now, port),
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
        let subscriber = &mut self.subscribers[id.slot];
        if !subscriber.session.handle_answered() {
            return;
        }
        let tick = self.heartbeats.tick(now);
        match page {
            Page::Failed => self.close(id.slot, port),
            Page::Trimmed { oldest } => {
                let whole = self.tell_reset(id.slot, oldest, tick, port);
                self.go_on(id, whole);
            }
            Page::Events { events, next } => {
                let page = Replay::new(events, next, subscriber.framing);
                self.replay(id, &page, tick, port);
            }
        }
    }

    fn replay(&mut self, id: SubscriberId, page: &Replay, tick: u64, port: &mut impl Port) {
        let whole = self.write_page(id.slot, page, tick, port);
        self.go_on(id, whole);
    }

    /// Whoever took all that it was offered, and is behind still, has another turn.
    fn go_on(&mut self, id: SubscriberId, whole: bool) {
        if whole && self.subscribers[id.slot].session.wants().is_some() {
            self.behind.push_back(id);
        }
    }

    /// When [`Shard::handle_timeout`] has to be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = [self.heartbeats.poll_timeout(), self.lives.poll_timeout()];
        due.into_iter().flatten().min()
    }

    /// Ends the streams whose time has come, tells those whose time is short, and writes the
    /// heartbeats that are due.
    pub fn handle_timeout(&mut self, now: Instant, port: &mut impl Port) {
        let tick = self.heartbeats.tick(now);
        self.handle_lives(now, tick, port);
        while let Some(slot) = self.heartbeats.expire(tick) {
            let subscriber = &self.subscribers[slot];
            let is_due = self.heartbeats.is_due(slot, subscriber.written, tick);
            if !is_due || !subscriber.session.is_writable() {
                // It had something since, or has something to take already.
                self.heartbeats.schedule(slot, subscriber.written, tick);
                continue;
            }
            self.heartbeats.schedule(slot, tick, tick);
            self.counts.heartbeats += 1;
            let bytes = subscriber.framing.bytes(&self.heartbeat);
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

    fn slots(&self) -> Vec<u32> {
        self.subscribers.slots().collect()
    }

    fn is_current(&self, id: SubscriberId) -> bool {
        self.subscribers
            .get(id.slot)
            .is_some_and(|subscriber| subscriber.generation == id.generation)
    }
}
