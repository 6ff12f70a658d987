//! The loop of a load: sends what is due where there is room, and counts what is answered.
//! Knows nothing of when requests are due, nor of what they say.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use anyhow::Context;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::connection::{Broken, Connection};
use super::schedule::Schedule;
use super::{Options, Outcome, Pace};
use crate::event::now_ns;

/// Requests are under way and nothing has come for so long: nothing will.
const SILENCE_NS_MAX: u64 = 30_000_000_000;

/// Requests that are sent between two looks at what was answered.
const SEND_MAX: u64 = 256;

const READ_BYTES: usize = 64 * 1024;
const READY_MAX: usize = 1024;

pub(super) struct Engine<'a, F> {
    options: &'a Options,
    request: F,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections that have room, each once, the one that has waited longest first.
    room: VecDeque<usize>,
    /// Requests on all connections.
    under_way: usize,
    /// The first request that can still be found late.
    late_from: u64,
    outcome: Outcome,
    buffer: Box<[u8]>,
}

impl<'a, F: FnMut(u64) -> Vec<u8>> Engine<'a, F> {
    pub(super) fn connect(options: &'a Options, request: F) -> anyhow::Result<Self> {
        assert!(!options.addresses.is_empty(), "a load has to go somewhere");
        assert!(options.connections > 0 && options.pipeline > 0, "and on something");
        let poll = Poll::new().context("can't make an epoll set")?;
        let connections = (0..options.connections).map(|at| open(&poll, options, at));
        let connections = connections.collect::<anyhow::Result<_>>()?;
        Ok(Self {
            options,
            request,
            poll,
            connections,
            room: (0..options.connections).collect(),
            under_way: 0,
            late_from: 0,
            outcome: Outcome::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    pub(super) fn run(mut self) -> anyhow::Result<Outcome> {
        let start_ns = now_ns();
        let schedule = Schedule::new(self.options, start_ns);
        let mut ready = Events::with_capacity(READY_MAX);
        let mut heard_ns = start_ns;
        loop {
            let due = schedule.due(now_ns());
            self.send(&schedule, due)?;
            self.count_late(due);
            let (now_ns, sent) = (now_ns(), self.outcome.sent);
            if self.under_way == 0 {
                if schedule.is_over(sent, now_ns) {
                    break;
                }
                heard_ns = now_ns;
            } else if now_ns - heard_ns > SILENCE_NS_MAX {
                self.outcome.failed += self.under_way as u64;
                break;
            }
            let until_ns = match schedule.next_ns(sent, now_ns) {
                _ if sent < due && !self.room.is_empty() => now_ns,
                next_ns => next_ns.unwrap_or(u64::MAX).min(heard_ns + SILENCE_NS_MAX + 1),
            };
            self.wait(&mut ready, until_ns.saturating_sub(now_ns))?;
            for event in &ready {
                heard_ns = crate::event::now_ns();
                self.receive(event, heard_ns)?;
            }
        }
        self.outcome.unsent = schedule.unsent(self.outcome.sent);
        self.outcome.elapsed = Duration::from_nanos(now_ns() - start_ns);
        Ok(self.outcome)
    }

    /// Sends what is due, as far as there is room: several on one connection in one write.
    fn send(&mut self, schedule: &Schedule, due: u64) -> anyhow::Result<()> {
        let until = due.min(self.outcome.sent + SEND_MAX);
        let mut filled = Vec::new();
        while self.outcome.sent < until {
            let Some(at) = self.room.pop_front() else { break };
            let number = self.outcome.sent;
            let request = (self.request)(number);
            let connection = &mut self.connections[at];
            if connection.is_written() {
                filled.push(at);
            }
            connection.push(&request, schedule.due_ns(number, now_ns()));
            self.outcome.sent += 1;
            self.under_way += 1;
            if connection.under_way() < self.options.pipeline {
                self.room.push_back(at);
            }
        }
        for at in filled {
            let was_full = self.is_full(at);
            if let Err(Broken) = self.connections[at].write() {
                self.replace(at)?;
                self.make_room(at, was_full);
            }
        }
        Ok(())
    }

    fn receive(&mut self, event: &mio::event::Event, now_ns: u64) -> anyhow::Result<()> {
        let at = event.token().0;
        let was_full = self.is_full(at);
        let Self { connections, outcome, under_way, buffer, .. } = self;
        let connection = &mut connections[at];
        let answered = |status: u16, from_ns: u64| {
            *under_way -= 1;
            outcome.answer_times.record(now_ns.saturating_sub(from_ns));
            if (200..300).contains(&status) {
                outcome.accepted += 1;
            } else {
                outcome.refused += 1;
                outcome.refused_with.get_or_insert(status);
            }
        };
        let ending = event.is_read_closed() || event.is_error();
        let gone = connection.write().and_then(|()| connection.read(ending, buffer, answered));
        if let Err(Broken) = gone {
            self.replace(at)?;
        }
        self.make_room(at, was_full);
        Ok(())
    }

    /// Opens a connection that has ended again; what was under way on it gets no answer any more.
    fn replace(&mut self, at: usize) -> anyhow::Result<()> {
        let lost = self.connections[at].under_way();
        self.under_way -= lost;
        self.outcome.failed += lost as u64;
        self.connections[at] = open(&self.poll, self.options, at)?;
        Ok(())
    }

    fn is_full(&self, at: usize) -> bool {
        self.connections[at].under_way() >= self.options.pipeline
    }

    fn make_room(&mut self, at: usize, was_full: bool) {
        if was_full && !self.is_full(at) {
            self.room.push_back(at);
        }
    }

    /// Counts what is due and finds no room.
    fn count_late(&mut self, due: u64) {
        let sent = self.outcome.sent;
        if self.options.pace == Pace::Free || due <= sent || !self.room.is_empty() {
            return;
        }
        self.outcome.backlog_max = self.outcome.backlog_max.max(due - sent);
        self.outcome.late += due.saturating_sub(self.late_from.max(sent));
        self.late_from = self.late_from.max(due);
    }

    /// Waits until a connection is ready, or for so long. An epoll set by itself counts in
    /// milliseconds: too coarse for a timetable.
    fn wait(&mut self, ready: &mut Events, time_ns: u64) -> io::Result<()> {
        if time_ns > 0 {
            let time = Timespec {
                tv_sec: (time_ns / 1_000_000_000) as i64,
                tv_nsec: (time_ns % 1_000_000_000) as i64,
            };
            let mut set = [PollFd::new(self.poll.registry(), PollFlags::IN)];
            match rustix::event::poll(&mut set, Some(&time)) {
                Err(error) if error != rustix::io::Errno::INTR => return Err(error.into()),
                _ => {}
            }
        }
        self.poll.poll(ready, Some(Duration::ZERO))
    }
}

fn open(poll: &Poll, options: &Options, at: usize) -> anyhow::Result<Connection> {
    let address = options.addresses[at % options.addresses.len()];
    let opened = Connection::open(address).and_then(|mut connection| {
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut connection.socket, Token(at), both)?;
        Ok(connection)
    });
    opened.with_context(|| format!("can't connect to {}", address))
}
