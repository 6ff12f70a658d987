//! The connections of one shard: sockets and bodies by the slot of their subscriber.
//! Knows nothing of topics and positions; it is what the shard's rules act on.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest as Readiness, Registry, Token, event};
use socket2::SockRef;
use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::limits::{ACKNOWLEDGE_TIME_MAX, STREAM_INPUT_BYTES_MAX};
use tidings_core::pages::Pages;
use tidings_core::shard::{Answer, Filter, Port, SubscriberId, Written};

use super::body::Queue;
use super::inbox::Attached;
use super::reader::Reader;
use super::tail::Tail;
use super::tls::TlsSocket;
use crate::gate::{ConnectionGuard, Counted};

/// The token of a shard's waker; subscribers' tokens are their slots.
pub(crate) const WAKER: Token = Token(usize::MAX);

pub(crate) struct Connections {
    registry: Registry,
    /// Which log the subscribers read.
    incarnation: Incarnation,
    tail: Arc<Tail>,
    reader: Reader,
    connections: Pages<Connection>,
    /// The names of those that have one.
    labels: HashMap<u32, Box<str>>,
    /// What clients send on their streams goes here, and nowhere else.
    scratch: Box<[u8]>,
}

struct Connection {
    generation: u32,
    /// The socket is registered for writability, because it was full once.
    watched: bool,
    /// The socket is full now.
    full: bool,
    /// Bytes that the client has sent since the stream began.
    input_bytes: u32,
    stream: Stream,
    _guard: Option<ConnectionGuard>,
    _counted: Option<Counted>,
}

enum Stream {
    Body(Arc<Queue>),
    Tcp(TcpStream),
    Tls(Box<TlsSocket>),
    Unix(UnixStream),
}

impl Stream {
    /// What is to be watched, if it is a socket.
    fn source(&mut self) -> Option<&mut dyn event::Source> {
        match self {
            Self::Body(_) => None,
            Self::Tcp(socket) => Some(socket),
            Self::Tls(tls) => Some(tls.socket()),
            Self::Unix(socket) => Some(socket),
        }
    }

    /// Takes what it can without waiting.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Body(_) => unreachable!("whoever has a body does not ask for its socket"),
            Self::Tcp(socket) => write_all(socket, bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::Unix(socket) => write_all(socket, bytes),
        }
    }

    /// Reads once and drops what came; 0: the client has ended its side.
    fn discard(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Body(_) => Err(io::ErrorKind::WouldBlock.into()),
            Self::Tcp(socket) => socket.read(scratch),
            Self::Tls(tls) => tls.discard(),
            Self::Unix(socket) => socket.read(scratch),
        }
    }

    /// How long the kernel waits for acknowledgements.
    fn set_acknowledge_time_max(&mut self, time: Option<Duration>) {
        let set = match self {
            Self::Body(_) | Self::Unix(_) => return,
            Self::Tcp(socket) => SockRef::from(&*socket).set_tcp_user_timeout(time),
            Self::Tls(tls) => SockRef::from(&*tls.socket()).set_tcp_user_timeout(time),
        };
        if let Err(error) = set {
            tracing::debug!(%error, "no TCP_USER_TIMEOUT");
        }
    }
}

/// Writes until all is written or no more is taken.
fn write_all(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match socket.write(&bytes[taken..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => taken += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

// 56 of them; mio adds 8 where debug assertions are on.
const _: () = assert!(size_of::<Connection>() <= 64, "there may be a million of them");

impl Connections {
    pub(crate) fn new(
        registry: Registry,
        incarnation: Incarnation,
        tail: Arc<Tail>,
        reader: Reader,
    ) -> Self {
        Self {
            registry,
            incarnation,
            tail,
            reader,
            connections: Pages::default(),
            labels: HashMap::new(),
            scratch: vec![0; 4096].into_boxed_slice(),
        }
    }

    /// The log is another one now.
    pub(crate) fn handle_replaced(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
    }

    /// Takes a subscriber's connection in. `false`: it is gone already.
    pub(crate) fn insert(
        &mut self,
        id: SubscriberId,
        attached: Attached,
        label: Option<Box<str>>,
        guard: Option<ConnectionGuard>,
        counted: Option<Counted>,
    ) -> bool {
        let mut stream = match attached {
            Attached::Body(queue) => {
                if !queue.attach(id) {
                    return false;
                }
                Stream::Body(queue)
            }
            Attached::Tcp(socket) => Stream::Tcp(TcpStream::from_std(socket)),
            Attached::Tls(socket, session) => {
                let mut tls = TlsSocket::new(TcpStream::from_std(socket), *session);
                // What the client has sent behind its request was read before, perhaps.
                if !tls.digest().unwrap_or(false) {
                    return false;
                }
                Stream::Tls(Box::new(tls))
            }
            Attached::Unix(socket) => Stream::Unix(UnixStream::from_std(socket)),
        };
        if let Some(socket) = stream.source() {
            let token = Token(id.slot as usize);
            // Only for the client's end. Writability is of interest once the socket was full.
            if let Err(error) = self.registry.register(socket, token, Readiness::READABLE) {
                tracing::warn!(%error, "a subscriber's socket can't be watched");
                return false;
            }
        }
        let connection = Connection {
            generation: id.generation,
            watched: false,
            full: false,
            input_bytes: 0,
            stream,
            _guard: guard,
            _counted: counted,
        };
        self.connections.put(id.slot, connection);
        if let Some(label) = label {
            self.labels.insert(id.slot, label);
        }
        true
    }

    /// Who has the socket of this token.
    pub(crate) fn id(&self, token: Token) -> Option<SubscriberId> {
        self.at(u32::try_from(token.0).ok()?)
    }

    /// The subscribers with this label.
    pub(crate) fn labelled(&self, label: &str) -> Vec<SubscriberId> {
        let labelled = self.labels.iter().filter(|(_, name)| ***name == *label);
        labelled.filter_map(|(&slot, _)| self.at(slot)).collect()
    }

    fn at(&self, slot: u32) -> Option<SubscriberId> {
        let generation = self.connections.get(slot)?.generation;
        Some(SubscriberId { slot, generation })
    }

    /// Reads and drops what a client sent. `false`: the client has gone, or sends what can never
    /// be answered.
    pub(crate) fn is_alive(&mut self, id: SubscriberId) -> bool {
        let Some(connection) = self.connections.get_mut(id.slot) else {
            return false;
        };
        loop {
            match connection.stream.discard(&mut self.scratch) {
                Ok(0) => return false,
                Ok(bytes) => {
                    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                    connection.input_bytes = connection.input_bytes.saturating_add(bytes);
                    if connection.input_bytes as usize > STREAM_INPUT_BYTES_MAX {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// The socket takes more again: what TLS holds leaves first. `false`: it does not take all
    /// of that.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) fn make_room(&mut self, id: SubscriberId) -> io::Result<bool> {
        let Some(connection) = self.connections.get_mut(id.slot) else { return Ok(false) };
        if let Stream::Tls(tls) = &mut connection.stream
            && !tls.flush()?
        {
            return Ok(false);
        }
        if connection.full {
            connection.full = false;
            connection.stream.set_acknowledge_time_max(Some(ACKNOWLEDGE_TIME_MAX));
        }
        Ok(true)
    }
}

impl Connection {
    /// The socket has taken less than there was. From now on it tells when it takes more.
    ///
    /// # Errors
    /// Where it can't be watched.
    fn handle_full(&mut self, slot: u32, registry: &Registry) -> io::Result<()> {
        if !self.full {
            self.full = true;
            // The kernel would count the time in which a client reads nothing as time without
            // acknowledgement, although it acknowledges: what it may take is up to it.
            self.stream.set_acknowledge_time_max(None);
        }
        if !self.watched
            && let Some(socket) = self.stream.source()
        {
            let both = Readiness::READABLE | Readiness::WRITABLE;
            registry.reregister(socket, Token(slot as usize), both)?;
            self.watched = true;
        }
        Ok(())
    }
}

impl Port for Connections {
    fn write(&mut self, id: SubscriberId, bytes: &Bytes) -> Written {
        let Some(connection) = self.connections.get_mut(id.slot) else {
            return Written::Gone;
        };
        if let Stream::Body(queue) = &connection.stream {
            return queue.write(bytes);
        }
        let Ok(taken) = connection.stream.write(bytes) else { return Written::Gone };
        // TLS may have taken all and still hold some of it.
        let held = matches!(&connection.stream, Stream::Tls(tls) if tls.is_full());
        if (taken < bytes.len() || held) && connection.handle_full(id.slot, &self.registry).is_err()
        {
            return Written::Gone;
        }
        Written::Bytes(taken)
    }

    fn read(&mut self, id: SubscriberId, from: Position, filter: &Filter) -> Answer {
        match self.tail.page(self.incarnation, from, filter) {
            Some(page) => Answer::Page(page),
            None => {
                self.reader.read(id, self.incarnation, from, filter.clone());
                Answer::Later
            }
        }
    }

    fn cursor(&self, cursor: Cursor) -> Cursor {
        self.tail.cursor(cursor)
    }

    fn close(&mut self, id: SubscriberId) {
        let Some(connection) = self.connections.take(id.slot) else { return };
        self.labels.remove(&id.slot);
        if self.labels.is_empty() {
            self.labels.shrink_to_fit();
        }
        match connection.stream {
            Stream::Body(queue) => queue.end(),
            // Dropping a socket closes it, and epoll forgets it.
            Stream::Tcp(_) | Stream::Unix(_) => {}
            Stream::Tls(tls) => tls.close(),
        }
    }
}
