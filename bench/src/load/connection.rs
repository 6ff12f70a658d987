//! One connection of a load: what is to be written, and what is under way.
//! Knows nothing of the others, nor of when requests are due.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;

use crate::wire::answers::Answers;

/// A server that takes longer to accept is not there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// Requests of which something is still to be written.
    unwritten: Vec<u8>,
    /// From when on the time of each request under way counts, oldest first.
    under_way: VecDeque<u64>,
    answers: Answers,
}

/// The connection is of no use any more.
#[derive(Debug)]
pub(super) struct Broken;

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            unwritten: Vec::new(),
            under_way: VecDeque::new(),
            answers: Answers::default(),
        })
    }

    /// How many requests have no answer yet.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Takes a request, to be written with the next [`Self::write`].
    pub(super) fn push(&mut self, request: &[u8], from_ns: u64) {
        self.unwritten.extend_from_slice(request);
        self.under_way.push_back(from_ns);
    }

    /// Writes as much as the socket takes.
    pub(super) fn write(&mut self) -> Result<(), Broken> {
        let mut written = 0;
        while written < self.unwritten.len() {
            match self.socket.write(&self.unwritten[written..]) {
                Ok(0) => return Err(Broken),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken),
            }
        }
        self.unwritten.drain(..written);
        Ok(())
    }

    /// Reads what there is, and calls `answered` with each answer's status and from when on its
    /// time counts. `ending`: the other side has closed its half.
    pub(super) fn read(
        &mut self,
        ending: bool,
        buffer: &mut [u8],
        mut answered: impl FnMut(u16, u64),
    ) -> Result<(), Broken> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(Broken),
                Ok(bytes) => {
                    self.take(&buffer[..bytes], &mut answered)?;
                    if bytes < buffer.len() && !ending {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken),
            }
        }
    }

    fn take(
        &mut self,
        mut input: &[u8],
        answered: &mut impl FnMut(u16, u64),
    ) -> Result<(), Broken> {
        while let Some(head) = self.answers.next(&mut input).map_err(|_| Broken)? {
            // An answer that nobody asked for makes all others doubtful.
            let from_ns = self.under_way.pop_front().ok_or(Broken)?;
            answered(head.status, from_ns);
            if head.closes {
                return Err(Broken);
            }
        }
        Ok(())
    }
}
