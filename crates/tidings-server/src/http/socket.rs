//! The kinds of connection that come in, as one: plain TCP, TLS over TCP, a Unix socket.
//! Knows nothing of HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tidings_core::limits::{SOCKET_UNSENT_BYTES_MAX, UNIX_SEND_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::begun::Begun;
use crate::engine::Attached;

pub(super) enum Socket {
    Tcp(TcpStream),
    /// Boxed: its state would else make every plain connection as large.
    Tls(Box<TlsStream<Begun<TcpStream>>>),
    Unix(UnixStream),
}

impl Socket {
    /// The socket as a shard takes it, with little room for what its client does not read.
    pub(super) fn into_attached(self) -> io::Result<Attached> {
        let unsent = SOCKET_UNSENT_BYTES_MAX;
        Ok(match self {
            Self::Tcp(stream) => {
                let stream = stream.into_std()?;
                SockRef::from(&stream).set_tcp_notsent_lowat(unsent)?;
                Attached::Tcp(stream)
            }
            Self::Tls(stream) => {
                // The handshake has read all that was read before it.
                let (begun, session) = stream.into_inner();
                let stream = begun.into_stream().into_std()?;
                SockRef::from(&stream).set_tcp_notsent_lowat(unsent)?;
                Attached::Tls(stream, Box::new(session))
            }
            Self::Unix(stream) => {
                let stream = stream.into_std()?;
                SockRef::from(&stream).set_send_buffer_size(UNIX_SEND_BYTES_MAX)?;
                Attached::Unix(stream)
            }
        })
    }
}

/// Runs an expression on whichever stream it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $run:expr) => {
        match $socket {
            Socket::Tcp($stream) => $run,
            Socket::Tls($stream) => $run,
            Socket::Unix($stream) => $run,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}
