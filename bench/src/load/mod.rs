//! Very many requests on one thread: as fast as they are answered, or by a timetable.
//! Knows nothing of what is requested, nor of what an answer says beyond its status.
//!
//! There are so many kept-alive HTTP/1.1 connections, each with at most `pipeline` requests under
//! way. By a timetable, a request that is due while all connections are busy waits for its turn,
//! and its time to answer counts from when it was due: a server that stalls can't hide that behind
//! a client that politely waits. A connection that ends is opened again.

mod connection;
mod engine;
mod schedule;

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use crate::histogram::Histogram;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server; or several that are one hub, among whom the connections are dealt out.
    pub addresses: Vec<SocketAddr>,
    /// Kept-alive connections.
    pub connections: usize,
    /// Requests that may be under way on each: 1 waits for each answer.
    pub pipeline: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// When it is over.
    pub until: Until,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as a connection has room.
    Free,
    /// So many a second, each at a time that is fixed from the beginning.
    Rate(f64),
}

/// When it is over; the answers that are under way are waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Until {
    /// So many requests were sent.
    Requests(u64),
    /// So much time has passed.
    Time(Duration),
}

/// What came out. Each request that was sent is in one of `accepted`, `refused` and `failed`.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests that were sent.
    pub sent: u64,
    /// Answers with a status of 200 to 299.
    pub accepted: u64,
    /// Answers with any other status.
    pub refused: u64,
    /// The status of the first refusal.
    pub refused_with: Option<u16>,
    /// Requests that got no answer, or what is none.
    pub failed: u64,
    /// Requests that were due when no connection had room for them.
    pub late: u64,
    /// Requests that were due within the time and were not sent.
    pub unsent: u64,
    /// The most requests that were due and could not be sent, at any moment.
    pub backlog_max: u64,
    /// From when each request was sent, or was due by the timetable, to the end of its answer.
    pub answer_times: Histogram,
    /// From the beginning to the last answer.
    pub elapsed: Duration,
}

/// Opens the connections, and sends what `request` gives for each number, from 0 on: the bytes of
/// a whole request. It is called at the moment of sending, in order. Runs on this thread until
/// all is answered, or nothing comes any more.
///
/// # Errors
/// Where the connections can't be opened, at the beginning or again.
///
/// # Panics
/// Where there are no servers or no connections, or nothing may be under way on them.
pub fn run(options: &Options, request: impl FnMut(u64) -> Vec<u8>) -> anyhow::Result<Outcome> {
    engine::Engine::connect(options, request)?.run()
}

/// The bytes of a request with a body; `host` is the server's name or address.
#[must_use]
pub fn post(host: impl Display, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests;
