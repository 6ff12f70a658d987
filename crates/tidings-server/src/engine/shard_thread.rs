//! The thread that drives one shard: waits for sockets, for its inbox and for the tail.
//! Decides nothing: the rules are in [`tidings_core::shard`].

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use tidings_core::cursor::{Incarnation, Position};
use tidings_core::limits::{PASS_EVENTS_MAX, PASS_INPUTS_MAX, PASS_READY_MAX};
use tidings_core::shard::{Coalesce, Delivery, EndReason, Shard};

use super::body::Notice;
use super::connections::{Connections, WAKER};
use super::inbox::{Attach, Inbox, Input, Outlet};
use super::reader::{Reader, Source};
use super::tail::{Run, Tail};
use crate::config::Config;
use crate::metrics::Metrics;

/// Starts the thread. It ends with [`Input::Stop`].
///
/// # Errors
/// Where the system gives no epoll set or no thread.
pub(crate) fn spawn(
    number: usize,
    config: &Config,
    tail: &Arc<Tail>,
    source: &Arc<Source>,
) -> io::Result<(Inbox, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let (incarnation, head) = tail.head();
    let shard = Shard::new(incarnation, head, config.heartbeat, Instant::now());
    let (inbox, outlet) = Inbox::new(poll.registry(), WAKER, Arc::clone(shard.sketch()))?;
    let registry = poll.registry().try_clone()?;
    let reader = Reader::new(Arc::clone(source), inbox.clone());
    let mut driver = Driver {
        poll,
        outlet,
        shard,
        coalesce: Coalesce::new(config.coalesce),
        connections: Connections::new(registry, incarnation, Arc::clone(tail), reader),
        tail: Arc::clone(tail),
        metrics: Arc::clone(&source.metrics),
        run: Vec::with_capacity(PASS_EVENTS_MAX),
        ending: false,
        counted: 0,
    };
    let thread = std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
        if let Err(error) = driver.drive() {
            tracing::error!(%error, "a shard has stopped: its subscribers are cut off");
        }
    })?;
    Ok((inbox, thread))
}

struct Driver {
    poll: Poll,
    outlet: Outlet,
    shard: Shard,
    coalesce: Coalesce,
    connections: Connections,
    tail: Arc<Tail>,
    metrics: Arc<Metrics>,
    /// Scratch: the events of this pass.
    run: Vec<Arc<Delivery>>,
    /// All streams are about to end: whoever comes now ends at once.
    ending: bool,
    /// The subscribers that the metrics know of.
    counted: usize,
}

impl Driver {
    fn drive(&mut self) -> io::Result<()> {
        let mut ready = Events::with_capacity(PASS_READY_MAX);
        let mut more = false;
        loop {
            let timeout = if more {
                Some(Duration::ZERO)
            } else {
                let due = [self.shard.poll_timeout(), self.coalesce.poll_timeout()];
                let due = due.into_iter().flatten().min();
                due.map(|due| due.saturating_duration_since(Instant::now()))
            };
            match self.poll.poll(&mut ready, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            let now = Instant::now();
            self.outlet.rearm();
            self.handle_ready(&ready, now);
            let Some(inputs_left) = self.handle_inputs(now) else { return Ok(()) };
            let events_left = self.handle_events(now);
            self.shard.handle_turn(now, &mut self.connections);
            if self.shard.poll_timeout().is_some_and(|due| due <= now) {
                self.shard.handle_timeout(now, &mut self.connections);
            }
            self.count();
            more = inputs_left || events_left || self.shard.is_busy();
        }
    }

    fn handle_ready(&mut self, ready: &Events, now: Instant) {
        for event in ready {
            let Some(id) = self.connections.id(event.token()) else { continue };
            let ended = event.is_readable() || event.is_read_closed() || event.is_error();
            if ended && !self.connections.is_alive(id) {
                self.shard.remove(id, &mut self.connections);
            } else if event.is_writable() {
                match self.connections.make_room(id) {
                    Ok(true) => self.shard.handle_writable(id, now, &mut self.connections),
                    Ok(false) => {}
                    Err(_) => self.shard.remove(id, &mut self.connections),
                }
            }
        }
    }

    /// Takes what is in the inbox. `Some(true)`: there may be more; `None`: the thread ends.
    fn handle_inputs(&mut self, now: Instant) -> Option<bool> {
        for _ in 0..PASS_INPUTS_MAX {
            let Some(input) = self.outlet.next() else { return Some(false) };
            match input {
                Input::Attach(attach) => self.attach(*attach, now),
                Input::Page(id, page, _permit) => {
                    self.shard.handle_page(id, page, now, &mut self.connections);
                }
                Input::Body(Notice::Writable(id)) => {
                    self.shard.handle_writable(id, now, &mut self.connections);
                }
                Input::Body(Notice::Gone(id)) => {
                    self.shard.remove(id, &mut self.connections);
                }
                Input::Cut(label) => {
                    for id in self.connections.labelled(&label) {
                        self.shard.end_one(id, &mut self.connections);
                    }
                }
                Input::Drain(time, retry_ms) => {
                    self.ending = true;
                    self.shard.drain(time, retry_ms, now);
                }
                Input::Stop => return None,
            }
        }
        Some(true)
    }

    fn attach(&mut self, attach: Attach, now: Instant) {
        let Attach { incarnation, interest, label, connection, .. } = attach;
        let (guard, counted, arriving) = (attach.guard, attach.counted, attach.arriving);
        let id = self.shard.subscribe(interest, now);
        if !self.connections.insert(id, connection, label, guard, counted) {
            self.shard.remove(id, &mut self.connections);
        } else if self.ending || self.is_of_another_log(incarnation) {
            self.shard.end_one(id, &mut self.connections);
        }
        // In this order: whoever waits for all streams to end has to meet it as one or the other.
        self.count_subscribers();
        drop(arriving);
    }

    /// Whether a position of this log means nothing here: the log was replaced after the position
    /// was found, or is only just being replaced.
    fn is_of_another_log(&mut self, incarnation: Incarnation) -> bool {
        if incarnation != self.shard.incarnation() {
            let (log, head) = self.tail.head();
            self.handle_replaced(log, head);
        }
        incarnation != self.shard.incarnation()
    }

    fn handle_replaced(&mut self, incarnation: Incarnation, head: Position) {
        if incarnation != self.shard.incarnation() {
            self.connections.handle_replaced(incarnation);
            self.shard.handle_replaced(incarnation, head, &mut self.connections);
        }
    }

    /// Delivers the next events, if they are due. `true`: there may be more.
    fn handle_events(&mut self, now: Instant) -> bool {
        self.shard.sketch().settle();
        let (log, next) = self.tail.head();
        if log != self.shard.incarnation() {
            self.handle_replaced(log, next);
            return true;
        }
        let waiting = next.0.saturating_sub(self.shard.head().0);
        if !self.coalesce.is_due(waiting, now) {
            return false;
        }
        match self.tail.take(log, self.shard.head(), PASS_EVENTS_MAX, &mut self.run) {
            Run::Gap(next) => {
                self.shard.handle_gap(next);
                true
            }
            Run::Replaced(log, head) => {
                self.handle_replaced(log, head);
                true
            }
            Run::Events => {
                let full = self.run.len() == PASS_EVENTS_MAX;
                if !full {
                    self.coalesce.handle_drained();
                }
                if !self.run.is_empty() {
                    self.shard.handle_events(&self.run, now, &mut self.connections);
                    self.run.clear();
                }
                full
            }
        }
    }

    fn count(&mut self) {
        let counts = self.shard.take_counts();
        if counts.writes > 0 {
            self.metrics.delivered.inc_by(counts.delivered);
            self.metrics.delivered_bytes.inc_by(counts.bytes);
            self.metrics.writes.inc_by(counts.writes);
            self.metrics.lagged.inc_by(counts.lagged);
            self.metrics.resets.inc_by(counts.resets);
            self.metrics.heartbeats.inc_by(counts.heartbeats);
            self.metrics.renewals.inc_by(counts.renewals);
        }
        self.metrics.streams_ended(EndReason::Aged, counts.aged);
        self.metrics.streams_ended(EndReason::Drained, counts.drained);
        self.metrics.streams_ended(EndReason::Expired, counts.expired);
        self.count_subscribers();
    }

    fn count_subscribers(&mut self) {
        let subscribers = self.shard.len();
        if subscribers != self.counted {
            let change = subscribers as i64 - self.counted as i64;
            self.metrics.subscribers.inc_by(change);
            self.outlet.count(subscribers);
            self.counted = subscribers;
        }
    }
}
