//! A subscriber's TLS connection in its shard: bytes go in as they are and leave as records.
//! Knows nothing of subscribers and events.

use std::io::{self, BufRead as _, Write as _};

use mio::net::TcpStream;
use rustls::ServerConnection;

/// A socket and the state of TLS on it.
pub(crate) struct TlsSocket {
    socket: TcpStream,
    session: ServerConnection,
}

impl TlsSocket {
    pub(crate) fn new(socket: TcpStream, session: ServerConnection) -> Self {
        Self { socket, session }
    }

    /// The socket, to watch it.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Takes what it can without waiting, a record at a time: no more is encrypted than
    /// [`tidings_core::limits::TLS_SEND_BYTES_MAX`] before it has left. What was taken may not have
    /// left yet: see [`TlsSocket::flush`].
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.flush()? && taken < bytes.len() {
            taken += self.session.writer().write(&bytes[taken..])?;
        }
        Ok(taken)
    }

    /// Sends what was encrypted. `false`: the socket is full, and some of it is left.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether some of what was encrypted is left.
    pub(crate) fn is_full(&self) -> bool {
        self.session.wants_write()
    }

    /// Reads once and drops what the client sent, after TLS has had its part of it (new keys).
    /// Gives how many bytes came; 0: the client has said goodbye.
    ///
    /// # Errors
    /// Where nothing has come ([`io::ErrorKind::WouldBlock`]), or the connection is broken.
    pub(crate) fn discard(&mut self) -> io::Result<usize> {
        let bytes = self.session.read_tls(&mut self.socket)?;
        match self.digest() {
            Ok(true) => Ok(bytes),
            Ok(false) => Ok(0),
            Err(error) => {
                // What is wrong was put into an alert; the client should learn of it.
                let _ = self.flush();
                Err(error)
            }
        }
    }

    /// Drops what was read before. `false`: the client has said goodbye.
    ///
    /// # Errors
    /// Where what it sent is no TLS.
    pub(crate) fn digest(&mut self) -> io::Result<bool> {
        let state = self.session.process_new_packets().map_err(io::Error::other)?;
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let mut reader = self.session.reader();
            let bytes = reader.fill_buf()?.len();
            reader.consume(bytes);
            left = left.saturating_sub(bytes.max(1));
        }
        Ok(!state.peer_has_closed())
    }

    /// Says goodbye, as far as the socket takes it without waiting: a client that does not hear it
    /// can't tell an end from a cut, and comes back either way.
    pub(crate) fn close(mut self) {
        self.session.send_close_notify();
        let _ = self.flush();
    }
}
