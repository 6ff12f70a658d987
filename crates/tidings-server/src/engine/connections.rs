//! The connections of one shard: sockets and bodies by the slot of their subscriber.
//! Knows nothing of topics and positions; it is what the shard's rules act on.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Interest as Readiness, Registry, Token};
use tidings_core::cursor::Position;
use tidings_core::limits::STREAM_INPUT_BYTES_MAX;
use tidings_core::shard::{Answer, Interest, Port, SubscriberId, Written};

use super::body::Queue;
use super::inbox::{Attach, Attached, ConnectionGuard};
use super::reader::Reader;
use super::tail::Tail;

/// The token of a shard's waker; subscribers' tokens are their slots.
pub(crate) const WAKER: Token = Token(usize::MAX);

pub(crate) struct Connections {
    registry: Registry,
    tail: Arc<Tail>,
    reader: Reader,
    connections: Vec<Option<Connection>>,
    /// What clients send on their streams goes here, and nowhere else.
    scratch: Box<[u8]>,
}

struct Connection {
    generation: u32,
    /// The socket is registered for writability, because it was full once.
    watched: bool,
    /// Bytes that the client has sent since the stream began.
    input_bytes: u32,
    label: Option<Box<str>>,
    stream: Stream,
    _guard: Option<ConnectionGuard>,
}

enum Stream {
    Socket(TcpStream),
    Body(Arc<Queue>),
}

impl Connections {
    pub(crate) fn new(registry: Registry, tail: Arc<Tail>, reader: Reader) -> Self {
        Self {
            registry,
            tail,
            reader,
            connections: Vec::new(),
            scratch: vec![0; 4096].into_boxed_slice(),
        }
    }

    /// Takes a subscriber's connection in. `false`: it is gone already.
    pub(crate) fn insert(&mut self, id: SubscriberId, attach: Attach) -> bool {
        let stream = match attach.connection {
            Attached::Body(queue) => {
                if !queue.attach(id) {
                    return false;
                }
                Stream::Body(queue)
            }
            Attached::Socket(socket) => {
                let mut socket = TcpStream::from_std(socket);
                let token = Token(id.slot as usize);
                // Only for the client's end. Writability is of interest once the socket was full.
                if let Err(error) = self.registry.register(&mut socket, token, Readiness::READABLE)
                {
                    tracing::warn!(%error, "a subscriber's socket can't be watched");
                    return false;
                }
                Stream::Socket(socket)
            }
        };
        let slot = id.slot as usize;
        if slot >= self.connections.len() {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Connection {
            generation: id.generation,
            watched: false,
            input_bytes: 0,
            label: attach.label,
            stream,
            _guard: attach.guard,
        });
        true
    }

    /// Who has the socket of this token.
    pub(crate) fn id(&self, token: Token) -> Option<SubscriberId> {
        let connection = self.connections.get(token.0)?.as_ref()?;
        let slot = u32::try_from(token.0).ok()?;
        Some(SubscriberId { slot, generation: connection.generation })
    }

    /// The subscribers with this label.
    pub(crate) fn labelled(&self, label: &str) -> Vec<SubscriberId> {
        (0..self.connections.len())
            .filter(|&slot| {
                self.connections[slot]
                    .as_ref()
                    .is_some_and(|connection| connection.label.as_deref() == Some(label))
            })
            .filter_map(|slot| self.id(Token(slot)))
            .collect()
    }

    /// Reads and drops what a client sent. `false`: the client has gone, or sends what can never
    /// be answered.
    pub(crate) fn is_alive(&mut self, id: SubscriberId) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(id.slot as usize) else {
            return false;
        };
        let Stream::Socket(socket) = &mut connection.stream else { return true };
        loop {
            match socket.read(&mut self.scratch) {
                Ok(0) => return false,
                Ok(bytes) => {
                    let bytes = u32::try_from(bytes).expect("the scratch buffer is small");
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
}

impl Port for Connections {
    fn write(&mut self, id: SubscriberId, bytes: &Bytes) -> Written {
        let Some(Some(connection)) = self.connections.get_mut(id.slot as usize) else {
            return Written::Gone;
        };
        let socket = match &mut connection.stream {
            Stream::Body(queue) => return queue.write(bytes),
            Stream::Socket(socket) => socket,
        };
        let mut taken = 0;
        while taken < bytes.len() {
            match socket.write(&bytes[taken..]) {
                Ok(0) => return Written::Gone,
                Ok(written) => taken += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !connection.watched {
                        let both = Readiness::READABLE | Readiness::WRITABLE;
                        let token = Token(id.slot as usize);
                        if self.registry.reregister(socket, token, both).is_err() {
                            return Written::Gone;
                        }
                        connection.watched = true;
                    }
                    break;
                }
                Err(_) => return Written::Gone,
            }
        }
        Written::Bytes(taken)
    }

    fn read(&mut self, id: SubscriberId, from: Position, interest: &Interest) -> Answer {
        match self.tail.page(from, interest) {
            Some(page) => Answer::Page(page),
            None => {
                self.reader.read(id, from, interest.clone());
                Answer::Later
            }
        }
    }

    fn close(&mut self, id: SubscriberId) {
        let Some(connection) = self.connections.get_mut(id.slot as usize).and_then(Option::take)
        else {
            return;
        };
        match connection.stream {
            // Dropping the socket closes it, and epoll forgets it.
            Stream::Socket(_) => {}
            Stream::Body(queue) => queue.end(),
        }
        while let Some(None) = self.connections.last() {
            self.connections.pop();
        }
        if self.connections.is_empty() {
            self.connections = Vec::new();
        }
    }
}
