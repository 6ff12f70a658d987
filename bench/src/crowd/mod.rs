//! Very many event streams on one thread, each checked event by event.
//! Knows nothing of publishers; events carry a number and the time, and that is all it needs.
//!
//! The thread has one epoll set and one buffer. A stream is a socket, the place in the chunked
//! coding, the beginning of a line that has no end yet, and the number that has to come next.

mod connection;
mod counts;
mod probe;
mod thread;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use parking_lot::{Condvar, Mutex};

pub use counts::Counts;
pub use probe::Probe;

use crate::histogram::Histogram;

/// What a stream is asked for, and from whom.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    request: Arc<[u8]>,
    /// `None`: numbers may come in any order.
    first: Option<u64>,
    /// `None`: as fast as they are answered.
    per_second: Option<NonZeroU32>,
}

impl Target {
    /// `GET path`, as `EventSource` sends it, with more header lines (each ended by CR LF). The
    /// first event that each stream has to get is number `first`.
    #[must_use]
    pub fn new(address: SocketAddr, path: &str, headers: &str, first: u64) -> Self {
        Self::named(address, &address.to_string(), path, headers, first)
    }

    /// The same of a server that knows itself by a name.
    #[must_use]
    pub fn named(address: SocketAddr, host: &str, path: &str, headers: &str, first: u64) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\
             Cache-Control: no-cache\r\n{headers}\r\n"
        );
        let request = request.into_bytes().into();
        Self { address, request, first: Some(first), per_second: None }
    }

    /// The same for one that comes back: with the id of the last event that it had.
    #[must_use]
    pub fn after(&self, id: &str) -> Self {
        let lines = self.request.strip_suffix(b"\r\n").unwrap_or(&self.request);
        let request = [lines, format!("Last-Event-ID: {id}\r\n\r\n").as_bytes()].concat();
        Self { request: request.into(), ..self.clone() }
    }

    /// The same where events have many publishers and no order among them: they are counted, and
    /// none is missed or misplaced by its number.
    #[must_use]
    pub fn unordered(self) -> Self {
        Self { first: None, ..self }
    }

    /// The same of a server that refuses subscribers who come faster than this.
    ///
    /// # Panics
    /// Where it is 0: nobody would ever come.
    #[must_use]
    pub fn slowly(self, per_second: u32) -> Self {
        let per_second = NonZeroU32::new(per_second).expect("somebody comes now and then");
        Self { per_second: Some(per_second), ..self }
    }

    /// Whom to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The whole request.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }
}

/// A crowd of streams. Dropping it closes them all.
#[derive(Debug)]
pub struct Crowd {
    commands: Sender<Command>,
    waker: Waker,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    Connect(Target, usize),
    Leave,
    Stop,
}

/// What the thread tells the outside, once for each time it wakes up.
#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<(Counts, Histogram)>,
    changed: Condvar,
}

impl Crowd {
    /// An empty crowd.
    ///
    /// # Errors
    /// Where the system gives no thread or epoll set.
    pub fn start() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), thread::WAKER)?;
        let (commands, inbox) = channel();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("crowd".into()).spawn(move || {
            thread::Thread::new(poll, inbox, theirs).run();
        })?;
        Ok(Self { commands, waker, shared, thread: Some(thread) })
    }

    /// Opens so many more streams; [`Counts::open`] says when they are there.
    pub fn connect(&self, target: Target, streams: usize) {
        self.tell(Command::Connect(target, streams));
    }

    /// Closes all streams; [`Counts::open`] says when they are gone.
    pub fn leave(&self) {
        self.tell(Command::Leave);
    }

    /// What has been counted since the beginning.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.seen.lock().0
    }

    /// The times from publishing to receiving since the last call.
    #[must_use]
    pub fn take_latencies(&self) -> Histogram {
        std::mem::take(&mut self.shared.seen.lock().1)
    }

    /// Waits until the counts are as wanted. `false`: they were not within the time.
    #[must_use]
    pub fn wait(&self, time_max: Duration, wanted: impl Fn(&Counts) -> bool) -> bool {
        let deadline = Instant::now() + time_max;
        let mut seen = self.shared.seen.lock();
        while !wanted(&seen.0) {
            if self.shared.changed.wait_until(&mut seen, deadline).timed_out() {
                return wanted(&seen.0);
            }
        }
        true
    }

    fn tell(&self, command: Command) {
        // A thread that has ended has panicked: joining it says so.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        assert!(!panicked || std::thread::panicking(), "the crowd's thread has panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_come_slowly_take_their_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::new(listener.local_addr().unwrap(), "/a", "", 0);
        let crowd = Crowd::start().unwrap();
        let begun = Instant::now();
        crowd.connect(target.slowly(200), 20);
        let streams: Vec<_> = listener.incoming().take(20).collect();
        assert_eq!(streams.len(), 20);
        // Five milliseconds each, less what may be made good at the beginning.
        assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
    }

    #[test]
    fn one_that_comes_back_says_what_it_had() {
        let target = Target::new(([127, 0, 0, 1], 1).into(), "/a", "X: 1\r\n", 7);
        let request = String::from_utf8(target.after("k-2").request.to_vec()).unwrap();
        assert!(request.starts_with("GET /a HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\nX: 1\r\nLast-Event-ID: k-2\r\n\r\n"), "{request}");
    }
}
