//! The connections of one shard: sockets and bodies by the slot of their subscriber.
//! Knows nothing of topics and positions; it is what the shard's rules act on.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Interest as Readiness, Registry, Token};
use tidings_core::cursor::Position;
use tidings_core::limits::STREAM_INPUT_BYTES_MAX;
use tidings_core::pages::Pages;
use tidings_core::shard::{Answer, Filter, Port, SubscriberId, Written};

use super::body::Queue;
use super::inbox::{Attached, ConnectionGuard};
use super::reader::Reader;
use super::tail::Tail;

/// The token of a shard's waker; subscribers' tokens are their slots.
pub(crate) const WAKER: Token = Token(usize::MAX);

pub(crate) struct Connections {
    registry: Registry,
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
    /// Bytes that the client has sent since the stream began.
    input_bytes: u32,
    stream: Stream,
    _guard: Option<ConnectionGuard>,
}

enum Stream {
    Socket(TcpStream),
    Body(Arc<Queue>),
}

// 40 of them; mio adds 8 where debug assertions are on.
const _: () = assert!(size_of::<Connection>() <= 48, "there may be a million of them");

impl Connections {
    pub(crate) fn new(registry: Registry, tail: Arc<Tail>, reader: Reader) -> Self {
        Self {
            registry,
            tail,
            reader,
            connections: Pages::default(),
            labels: HashMap::new(),
            scratch: vec![0; 4096].into_boxed_slice(),
        }
    }

    /// Takes a subscriber's connection in. `false`: it is gone already.
    pub(crate) fn insert(
        &mut self,
        id: SubscriberId,
        attached: Attached,
        label: Option<Box<str>>,
        guard: Option<ConnectionGuard>,
    ) -> bool {
        let stream = match attached {
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
        let connection = Connection {
            generation: id.generation,
            watched: false,
            input_bytes: 0,
            stream,
            _guard: guard,
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
        let Some(connection) = self.connections.get_mut(id.slot) else {
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

    fn read(&mut self, id: SubscriberId, from: Position, filter: &Filter) -> Answer {
        match self.tail.page(from, filter) {
            Some(page) => Answer::Page(page),
            None => {
                self.reader.read(id, from, filter.clone());
                Answer::Later
            }
        }
    }

    fn close(&mut self, id: SubscriberId) {
        let Some(connection) = self.connections.take(id.slot) else { return };
        self.labels.remove(&id.slot);
        if self.labels.is_empty() {
            self.labels.shrink_to_fit();
        }
        match connection.stream {
            // Dropping the socket closes it, and epoll forgets it.
            Stream::Socket(_) => {}
            Stream::Body(queue) => queue.end(),
        }
    }
}
