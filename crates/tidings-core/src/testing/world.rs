//! The world itself: does what an operation says, and looks whether all is well.
//! Knows nothing of who invents the operations.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cursor::{Incarnation, Position};
use crate::event::Topic;
use crate::limits::{HEARTBEAT, PASS_EVENTS_MAX};
use crate::shard::{Counts, EndReason, Filter, Interest, Life, Page, Shard, SubscriberId};

use super::history::PageBounds;
use super::wires::{Asked, Wires};
use super::{Client, Event, History, Op, Reads, Start, Subscription};

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Shards, each with subscribers of its own.
    pub shards: usize,
    /// The heartbeat's interval.
    pub heartbeat: Duration,
    /// Events of one page.
    pub page_events_max: usize,
    /// Positions that are looked at for one page.
    pub page_positions_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shards: 1, heartbeat: HEARTBEAT, page_events_max: 100, page_positions_max: 10_000 }
    }
}

/// When those whose streams a drain ends come back, in milliseconds.
pub const RETRY_MS: RangeInclusive<u32> = 1600..=2400;

/// A log, shards and clients, and the time.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Instant,
    history: History,
    reads: Reads,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    /// Clients who have been written to and not looked at since.
    touched: Vec<usize>,
}

/// A shard and what stands around it.
#[derive(Debug)]
struct Node {
    shard: Shard,
    owners: HashMap<SubscriberId, usize>,
    asked: VecDeque<Asked>,
}

impl World {
    /// A world in which nothing has happened yet.
    ///
    /// # Panics
    /// Without shards, or with pages without room.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        assert!(settings.shards > 0 && settings.page_events_max > 0);
        assert!(settings.page_positions_max > 0, "a page that never gets on");
        #[expect(clippy::disallowed_methods, reason = "any start will do; then time is told")]
        let now = Instant::now();
        let history = History::new(Incarnation::from_random(7));
        let node = || Node {
            shard: Shard::new(history.incarnation(), history.tail(), settings.heartbeat, now),
            owners: HashMap::new(),
            asked: VecDeque::new(),
        };
        Self {
            settings,
            now,
            nodes: std::iter::repeat_with(node).take(settings.shards).collect(),
            history,
            reads: Reads::default(),
            clients: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Does one thing, and lets everybody who reads take what came of it.
    ///
    /// # Panics
    /// Where a client or a connection is wronged.
    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Publish { ref event, count } => {
                for _ in 0..count {
                    self.history.append(event);
                }
            }
            Op::Deliver { shard, events_max } => self.deliver(shard, events_max),
            Op::Turn { shard } => self.turn(shard),
            Op::Subscribe(ref subscription) => drop(self.add(subscription)),
            Op::Stall { client, room_bytes } => self.stall(client, room_bytes),
            Op::Resume { client } => self.resume(client),
            Op::Drain { client, bytes } => self.drain(client, bytes),
            Op::Nudge { client } => self.nudge(client),
            Op::Sever { client } => self.sever(client),
            Op::Disconnect { client } => self.disconnect(client),
            Op::Reconnect { client, shard } => self.reconnect(client, shard),
            Op::Trim { events } => self.history.trim(events),
            Op::Read(reads) => self.reads = reads,
            Op::Answer { shard, pages, newest_first } => self.answer(shard, pages, newest_first),
            Op::Advance { time } => self.advance(time),
            Op::EndOne { client } => self.end_one(client),
            Op::EndAll { shard } => {
                self.drive(shard, |shard, _, wires| shard.end_all(wires));
            }
            Op::EndEvenly { shard, time } => self.end_evenly(shard, time),
        }
        self.pump();
    }

    /// Somebody subscribes; the answer is the number of the new client.
    pub fn subscribe(&mut self, subscription: Subscription) -> usize {
        let client = self.add(&subscription);
        self.pump();
        client
    }

    /// Appends an event with a few bytes of data under one topic. It is delivered by
    /// [`World::run`].
    ///
    /// # Panics
    /// Where it is no topic.
    pub fn publish(&mut self, topic: &str) {
        let topics = Topic::parse(topic).expect("a topic").into();
        self.apply(&Op::Publish { event: Event { topics, private: false, bytes: 20 }, count: 1 });
    }

    /// Lets the shards work until there is nothing left that they can do: late pages come, all
    /// events are delivered. Clients who have stalled stay so.
    ///
    /// # Panics
    /// Where it never comes to an end.
    pub fn run(&mut self) {
        for shard in 0..self.nodes.len() {
            // Each round brings somebody a page or delivers an event; beyond that it is a loop.
            let mut rounds = 100 + self.clients.len() + self.history.tail().0 as usize;
            rounds *= 4;
            while self.is_busy(shard) {
                rounds -= 1;
                assert_ne!(rounds, 0, "a shard works on and on and comes to no end");
                self.answer(shard, usize::MAX, false);
                self.deliver(shard, PASS_EVENTS_MAX);
                self.turn(shard);
                self.pump();
            }
        }
    }

    /// Makes everything well: who stalled reads, the log answers. Then everybody who is
    /// connected must have everything.
    ///
    /// # Panics
    /// Where somebody has not.
    pub fn settle(&mut self) {
        self.reads = Reads::Prompt;
        for client in 0..self.clients.len() {
            match self.clients[client].connection() {
                Some(connection) if connection.is_broken() => self.disconnect(client),
                _ => self.resume(client),
            }
        }
        self.pump();
        self.run();
        self.check();
        for client in self.clients.iter().filter(|client| client.connection.is_some()) {
            client.check_whole(self.history.tail(), &self.history);
        }
    }

    /// Ends all streams and looks that nothing is left.
    ///
    /// # Panics
    /// Where something is.
    pub fn end(&mut self) {
        for shard in 0..self.nodes.len() {
            self.apply(&Op::EndAll { shard });
        }
        for client in 0..self.clients.len() {
            self.apply(&Op::Resume { client });
            self.disconnect(client);
        }
        assert!(self.nodes.iter().all(|node| node.shard.is_empty()));
        self.check();
    }

    /// Looks whether all is well that has to be well at any moment. What clients get, they check
    /// as they get it.
    ///
    /// # Panics
    /// Where it is not.
    pub fn check(&self) {
        // The longest that may be cut: an event, or one of the hub's own short frames.
        let cut_bytes_max = self.history.frame_bytes_max().max(256);
        for (number, node) in self.nodes.iter().enumerate() {
            let held = node.shard.holdings();
            let connected = |client: &&Client| {
                client.connection().is_some_and(|connection| connection.shard == number)
            };
            let clients: Vec<&Client> = self.clients.iter().filter(connected).collect();
            assert_eq!(held.subscribers, clients.len(), "a shard has who is connected");
            assert_eq!(held.subscribers, node.owners.len());
            assert_eq!(held.timers, clients.len(), "a subscriber has a timer");
            let mortal = clients.iter().filter_map(|client| client.connection()?.ends).count();
            assert_eq!(held.lives, mortal, "who has to end has an entry for it, and nobody else");
            let filters: HashSet<&Filter> =
                clients.iter().map(|client| &client.interest().filter).collect();
            let entries: usize = filters.iter().map(|filter| filter.selectors.iter().count()).sum();
            assert_eq!(held.entries, entries, "those who ask for the same share its entries");
            assert_eq!(held.scratch, 0, "a pass leaves nothing behind");
            assert!(held.cut_bytes_max <= cut_bytes_max, "no more than one frame is kept");
            let timeout = node.shard.poll_timeout();
            let is_fresh = timeout.is_none_or(|at| at + self.settings.heartbeat > self.now);
            assert!(is_fresh, "no timeout has long passed: a driver would spin to catch up");
            if clients.is_empty() {
                assert!(node.shard.is_empty());
                assert!(held.is_nothing(), "who has left holds nothing: {held:?}");
                assert_eq!(timeout, None);
            }
        }
        for connection in self.clients.iter().filter_map(Client::connection) {
            connection.check(self.now, self.settings.heartbeat);
        }
    }

    /// A client by its number.
    #[must_use]
    pub fn client(&self, client: usize) -> &Client {
        &self.clients[client]
    }

    /// The log.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Takes what a shard has counted.
    pub fn take_counts(&mut self, shard: usize) -> Counts {
        self.nodes[shard].shard.take_counts()
    }

    /// Hands a page to a shard, whether it asked for one or not.
    pub fn hand_page(&mut self, shard: usize, id: SubscriberId, page: Page) {
        self.drive(shard, |shard, now, wires| shard.handle_page(id, page, now, wires));
        self.pump();
    }

    /// Tells a shard that a connection is writable, whether it is there or not.
    pub fn tell_writable(&mut self, shard: usize, id: SubscriberId) {
        self.drive(shard, |shard, now, wires| shard.handle_writable(id, now, wires));
        self.pump();
    }

    /// Lets a shard do something with the world behind its port.
    fn drive<T>(
        &mut self,
        shard: usize,
        act: impl FnOnce(&mut Shard, Instant, &mut Wires<'_>) -> T,
    ) -> T {
        let at = shard % self.nodes.len();
        let node = &mut self.nodes[at];
        let mut wires = Wires {
            now: self.now,
            heartbeat: self.settings.heartbeat,
            history: &self.history,
            reads: &mut self.reads,
            bounds: PageBounds {
                events_max: self.settings.page_events_max,
                positions_max: self.settings.page_positions_max,
            },
            asked: &mut node.asked,
            owners: &mut node.owners,
            clients: &mut self.clients,
            touched: &mut self.touched,
        };
        act(&mut node.shard, self.now, &mut wires)
    }

    fn node(&mut self, shard: usize) -> &mut Node {
        let at = shard % self.nodes.len();
        &mut self.nodes[at]
    }

    fn is_busy(&self, shard: usize) -> bool {
        let node = &self.nodes[shard];
        node.shard.is_busy() || !node.asked.is_empty() || node.shard.head() < self.history.tail()
    }

    fn deliver(&mut self, shard: usize, events_max: usize) {
        let head = self.node(shard).shard.head();
        let run = self.history.run(head, events_max.min(PASS_EVENTS_MAX));
        self.drive(shard, |shard, now, wires| shard.handle_events(&run, now, wires));
    }

    fn turn(&mut self, shard: usize) {
        self.drive(shard, |shard, now, wires| shard.handle_turn(now, wires));
    }

    fn answer(&mut self, shard: usize, pages: usize, newest_first: bool) {
        for _ in 0..pages {
            let asked = &mut self.node(shard).asked;
            let next = if newest_first { asked.pop_back() } else { asked.pop_front() };
            let Some(Asked { id, from, filter, page }) = next else { return };
            self.drive(shard, |shard, now, wires| {
                let page = page.unwrap_or_else(|| wires.history.read(from, &filter, wires.bounds));
                shard.handle_page(id, page, now, wires);
            });
        }
    }

    fn add(&mut self, subscription: &Subscription) -> usize {
        let interest = Interest {
            filter: Filter {
                selectors: subscription.selectors.clone(),
                private: subscription.private.clone().map(Arc::new),
            },
            next: match subscription.start {
                Start::Earliest => self.history.oldest(),
                Start::Tail => self.history.tail(),
                Start::At(position) => Position(position.max(1)).min(self.history.tail()),
            },
            framing: subscription.framing,
            life: subscription.ends.map(|ends| Life {
                renew: subscription.renew.map(|renew| self.now + renew),
                ends: self.now + ends,
                reason: EndReason::Expired,
            }),
        };
        let client = self.clients.len();
        self.clients.push(Client::new(interest.clone(), subscription.room_bytes));
        self.connect(client, subscription.shard, interest);
        client
    }

    fn connect(&mut self, client: usize, shard: usize, interest: Interest) {
        let shard = shard % self.nodes.len();
        let ends = interest.life.map(|life| life.ends);
        let id = self.nodes[shard].shard.subscribe(interest, self.now);
        let before = self.nodes[shard].owners.insert(id, client);
        assert_eq!(before, None, "an id never names two subscribers");
        let client = &mut self.clients[client];
        let mut connection = super::Connection::new(shard, id, client.room_bytes, self.now);
        connection.ends = ends;
        client.connection = Some(connection);
    }

    /// The client of that number, counted round, if it is connected: where, and as whom.
    fn connected(&self, client: usize) -> Option<(usize, usize, SubscriberId)> {
        let client = client.checked_rem(self.clients.len())?;
        let connection = self.clients[client].connection()?;
        Some((client, connection.shard, connection.id))
    }

    fn stall(&mut self, client: usize, room_bytes: usize) {
        let Some(client) = client.checked_rem(self.clients.len()) else { return };
        self.clients[client].reading = false;
        if let Some(connection) = &mut self.clients[client].connection {
            connection.set_room(room_bytes);
        }
    }

    fn resume(&mut self, client: usize) {
        let Some(client) = client.checked_rem(self.clients.len()) else { return };
        let reader = &mut self.clients[client];
        reader.reading = true;
        let room_bytes = reader.room_bytes;
        reader.read(usize::MAX, &self.history);
        if let Some(connection) = &mut reader.connection {
            connection.set_room(room_bytes);
        }
        self.report_writable(client);
    }

    fn drain(&mut self, client: usize, bytes: usize) {
        let Some((client, ..)) = self.connected(client) else { return };
        self.clients[client].read(bytes, &self.history);
        self.report_writable(client);
    }

    fn nudge(&mut self, client: usize) {
        let Some((client, shard, id)) = self.connected(client) else { return };
        let now = self.now;
        if let Some(connection) = &mut self.clients[client].connection {
            connection.unblock(now);
        }
        self.drive(shard, |shard, now, wires| shard.handle_writable(id, now, wires));
    }

    fn sever(&mut self, client: usize) {
        let Some((client, ..)) = self.connected(client) else { return };
        if let Some(connection) = &mut self.clients[client].connection {
            connection.sever();
        }
        self.report_writable(client);
    }

    fn disconnect(&mut self, client: usize) {
        let Some((client, shard, id)) = self.connected(client) else { return };
        // What it has not read is lost with its connection.
        if let Some(connection) = &mut self.clients[client].connection {
            connection.sever();
        }
        self.drive(shard, |shard, _, wires| shard.remove(id, wires));
    }

    fn reconnect(&mut self, client: usize, shard: usize) {
        let Some(client) = client.checked_rem(self.clients.len()) else { return };
        if self.clients[client].connection.is_none() {
            let interest = self.clients[client].reconnect(&self.history);
            self.connect(client, shard, interest);
        }
    }

    fn end_one(&mut self, client: usize) {
        if let Some((_, shard, id)) = self.connected(client) {
            self.drive(shard, |shard, _, wires| shard.end_one(id, wires));
        }
    }

    fn end_evenly(&mut self, shard: usize, time: Duration) {
        let shard = shard % self.nodes.len();
        let ends = self.now + time;
        for client in &mut self.clients {
            if let Some(connection) = &mut client.connection
                && connection.shard == shard
            {
                connection.ends = Some(connection.ends.map_or(ends, |before| before.min(ends)));
            }
        }
        self.drive(shard, |shard, now, _| shard.drain(time, RETRY_MS, now));
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        let due = |node: &Node| node.shard.poll_timeout().filter(|&timeout| timeout <= end);
        while let Some(timeout) = self.nodes.iter().filter_map(due).min() {
            self.now = self.now.max(timeout);
            for shard in 0..self.nodes.len() {
                self.drive(shard, |shard, now, wires| shard.handle_timeout(now, wires));
                let next = self.nodes[shard].shard.poll_timeout();
                assert!(next.is_none_or(|next| next > self.now), "a timeout is handled once");
            }
            self.pump();
            for connection in self.clients.iter().filter_map(Client::connection) {
                connection.check(self.now, self.settings.heartbeat);
            }
        }
        self.now = end;
    }

    /// Lets those who were written to read, and tells the shards who can be written to again.
    fn pump(&mut self) {
        while let Some(client) = self.touched.pop() {
            if self.clients[client].reading {
                self.clients[client].read(usize::MAX, &self.history);
            }
            self.report_writable(client);
        }
    }

    fn report_writable(&mut self, client: usize) {
        let now = self.now;
        let Some(connection) = &mut self.clients[client].connection else { return };
        if connection.is_owed_word() {
            connection.unblock(now);
            let (shard, id) = (connection.shard, connection.id);
            self.drive(shard, |shard, now, wires| shard.handle_writable(id, now, wires));
        }
    }
}
