//! One stream of a crowd: from the connection to its end.
//! Knows nothing of the others.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::counts::Counts;
use crate::event::{Stamp, now_ns};
use crate::histogram::Histogram;
use crate::wire::Malformed;
use crate::wire::chunks::Chunks;
use crate::wire::events::{Events, Seen};
use crate::wire::head::{self, Length};

/// Streams that leave from one address of ours: the ports of one are about 28,000.
const STREAMS_PER_ADDRESS_MAX: usize = 25_000;

/// Bytes taken by one call.
pub(super) const READ_BYTES: usize = 64 * 1024;

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    state: State,
    /// The number that has to come next, where there is an order.
    next: Option<u64>,
}

enum State {
    Connecting(Arc<[u8]>),
    Head(Vec<u8>),
    Stream { chunks: Option<Chunks>, events: Events },
}

/// What a stream came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Nothing new.
    Goes,
    /// Its head has come: it is open now.
    Opened,
    Ended,
    Refused,
    Cut,
    Malformed,
}

impl Connection {
    /// Begins to connect; `nth` of its crowd decides from which address.
    pub(super) fn begin(
        address: SocketAddr,
        request: Arc<[u8]>,
        first: Option<u64>,
        nth: usize,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        let number = u8::try_from(nth / STREAMS_PER_ADDRESS_MAX).unwrap_or(u8::MAX - 2);
        if number > 0 && address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            let ours = Ipv4Addr::new(127, 0, 0, number + 1);
            socket.bind(&SocketAddr::from((ours, 0)).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(in_progress()) => return Err(error),
            _ => {}
        }
        let socket = TcpStream::from_std(socket.into());
        Ok(Self { socket, state: State::Connecting(request), next: first })
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Stream { .. })
    }

    /// The socket is ready for something. `closing`: the other side has closed its half.
    pub(super) fn handle_ready(
        &mut self,
        closing: bool,
        buffer: &mut [u8],
        counts: &mut Counts,
        latencies: &mut Histogram,
    ) -> Outcome {
        if let State::Connecting(request) = &self.state {
            let request = Arc::clone(request);
            match self.send(&request) {
                Ok(true) => self.state = State::Head(Vec::new()),
                Ok(false) => return Outcome::Goes,
                Err(_) => return Outcome::Refused,
            }
        }
        let was_open = self.is_open();
        let outcome = self.read(closing, buffer, counts, latencies);
        match outcome {
            Ok(Outcome::Goes) if !was_open && self.is_open() => Outcome::Opened,
            Ok(outcome) => outcome,
            Err(Malformed(_)) => Outcome::Malformed,
        }
    }

    /// `false`: there is no connection yet.
    fn send(&mut self, request: &[u8]) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.write(request) {
            Ok(bytes) if bytes == request.len() => Ok(true),
            Ok(_) => Err(io::Error::other("a request does not fit into an empty socket")),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(
        &mut self,
        closing: bool,
        buffer: &mut [u8],
        counts: &mut Counts,
        latencies: &mut Histogram,
    ) -> Result<Outcome, Malformed> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Ok(self.end()),
                Ok(bytes) => {
                    counts.bytes += bytes as u64;
                    if let Some(outcome) = self.take(&buffer[..bytes], counts, latencies)? {
                        return Ok(outcome);
                    }
                    // All that was there: what comes later is a new readiness.
                    if bytes < buffer.len() && !closing {
                        return Ok(Outcome::Goes);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Outcome::Goes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.is_open() => return Ok(Outcome::Cut),
                Err(_) => return Ok(Outcome::Refused),
            }
        }
    }

    /// The other side has closed.
    fn end(&self) -> Outcome {
        match &self.state {
            State::Stream { chunks: None, .. } => Outcome::Ended,
            State::Stream { chunks: Some(chunks), .. } if chunks.ended() => Outcome::Ended,
            State::Stream { .. } => Outcome::Cut,
            State::Connecting(_) | State::Head(_) => Outcome::Refused,
        }
    }

    fn take(
        &mut self,
        bytes: &[u8],
        counts: &mut Counts,
        latencies: &mut Histogram,
    ) -> Result<Option<Outcome>, Malformed> {
        let State::Head(begun) = &mut self.state else {
            return self.take_stream(bytes, counts, latencies);
        };
        begun.extend_from_slice(bytes);
        let begun = std::mem::take(begun);
        let Some(head) = head::parse(&begun)? else {
            self.state = State::Head(begun);
            return Ok(None);
        };
        let chunks = match head.length {
            _ if head.status != 200 => return Ok(Some(Outcome::Refused)),
            Length::Chunked => Some(Chunks::default()),
            Length::UntilClose => None,
            Length::Known(_) => return Ok(Some(Outcome::Refused)),
        };
        self.state = State::Stream { chunks, events: Events::default() };
        self.take_stream(&begun[head.bytes..], counts, latencies)
    }

    fn take_stream(
        &mut self,
        mut bytes: &[u8],
        counts: &mut Counts,
        latencies: &mut Histogram,
    ) -> Result<Option<Outcome>, Malformed> {
        let State::Stream { chunks, events } = &mut self.state else { return Ok(None) };
        let next = &mut self.next;
        let mut seen = |seen| match seen {
            Seen::Stamped(stamp) => check(stamp, next, counts, latencies),
            Seen::Foreign => counts.foreign += 1,
        };
        let Some(chunks) = chunks else {
            events.push(bytes, seen);
            return Ok(None);
        };
        while !bytes.is_empty() {
            let content = chunks.next(&mut bytes)?;
            events.push(content, &mut seen);
        }
        Ok(chunks.ended().then_some(Outcome::Ended))
    }
}

fn check(stamp: Stamp, next: &mut Option<u64>, counts: &mut Counts, latencies: &mut Histogram) {
    counts.events += 1;
    latencies.record(now_ns().saturating_sub(stamp.time_ns));
    let Some(next) = next else { return };
    if stamp.number < *next {
        counts.misplaced += 1;
        return;
    }
    counts.lost += stamp.number - *next;
    *next = stamp.number + 1;
}

fn in_progress() -> i32 {
    rustix::io::Errno::INPROGRESS.raw_os_error()
}
