//! What comes before HTTP: a proxy's word on who it is, and TLS.
//! Knows nothing of requests, but one answer for those who speak HTTP where TLS is spoken.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tidings_core::limits::{HEAD_TIME_MAX, LINGER_TIME_MAX};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::begun::Begun;
use super::linger::linger;
use super::proxy_protocol::introduce;
use super::socket::Socket;
use super::tls::{self, Tls};
use crate::metrics::Metrics;
use crate::peer::{Peer, Proxies, Transport};

/// What an HTTP/2 client begins with (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a listener's connections begin. Shared by all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// All of them speak TLS.
    pub(super) tls: Option<Tls>,
    pub(super) proxies: Arc<Proxies>,
}

/// A connection of which it is plain who it is and what it speaks.
pub(super) struct Arrived {
    pub(super) socket: Begun<Socket>,
    pub(super) peer: Peer,
    pub(super) http2: bool,
}

/// Finds out who connects and what it speaks. Dropping the future closes the connection.
///
/// # Errors
/// Where nothing comes in time, or nothing that can be understood.
pub(super) async fn arrive(
    mut socket: Socket,
    peer: Peer,
    terms: &Terms,
    metrics: &Metrics,
) -> io::Result<Arrived> {
    let (begun, peer) = introduced(&mut socket, peer, &terms.proxies).await?;
    match (socket, &terms.tls) {
        (Socket::Tcp(stream), Some(tls)) => {
            secured(Begun::new(begun, stream), peer, tls, metrics).await
        }
        (socket, _) => {
            let (socket, http2) = told_apart(Begun::new(begun, socket)).await?;
            Ok(Arrived { socket, peer, http2 })
        }
    }
}

/// Reads what a proxy has to say of the connection: who it is, and what was read behind that.
async fn introduced(
    socket: &mut Socket,
    peer: Peer,
    proxies: &Proxies,
) -> io::Result<(Bytes, Peer)> {
    if !proxies.sends_protocol(&peer) {
        return Ok((Bytes::new(), peer));
    }
    let introduced = timeout(HEAD_TIME_MAX, introduce(socket)).await?;
    let introduced = introduced.inspect_err(|error| {
        // Only from those that are trusted, so nobody can fill the log with it.
        tracing::warn!(?peer, %error, "a proxy does not say who its client is");
    })?;
    let address = introduced.address.or(peer.address);
    Ok((introduced.rest, Peer { address, ..peer }))
}

/// The handshake of a client that speaks TLS; an answer for one that does not.
async fn secured(
    mut stream: Begun<TcpStream>,
    peer: Peer,
    tls: &Tls,
    metrics: &Metrics,
) -> io::Result<Arrived> {
    if stream.begun().is_empty() {
        // Nothing is spent on those who connect and say nothing.
        let begun = timeout(HEAD_TIME_MAX, some(&mut stream)).await??;
        stream = Begun::new(begun, stream.into_stream());
    }
    if !tls::begins_handshake(stream.begun()) {
        refuse_plain(stream).await;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS where it is spoken"));
    }
    let secured = tls.handshake(stream).await.inspect_err(|error| {
        if error.kind() == io::ErrorKind::QuotaExceeded {
            metrics.limit_hit("tls_handshakes_max");
        }
    })?;
    let peer = Peer { transport: Transport::Tls, ..peer };
    let negotiated = tls::is_http2(&secured);
    let socket = Begun::new(Bytes::new(), Socket::Tls(Box::new(secured)));
    if negotiated {
        return Ok(Arrived { socket, peer, http2: true });
    }
    let (socket, http2) = told_apart(socket).await?;
    Ok(Arrived { socket, peer, http2 })
}

/// Reads until it is plain which HTTP the client speaks.
async fn told_apart(mut socket: Begun<Socket>) -> io::Result<(Begun<Socket>, bool)> {
    let begin = async {
        let mut buffer = [0; 1024];
        let mut length = 0;
        loop {
            let bytes = socket.read(&mut buffer[length..]).await?;
            length += bytes;
            let compared = length.min(HTTP2_PREFACE.len());
            let may_be_http2 = buffer[..compared] == HTTP2_PREFACE[..compared];
            if bytes == 0 || !may_be_http2 || compared == HTTP2_PREFACE.len() {
                return io::Result::Ok(Bytes::copy_from_slice(&buffer[..length]));
            }
        }
    };
    let begun = timeout(HEAD_TIME_MAX, begin).await??;
    let http2 = begun.starts_with(HTTP2_PREFACE);
    Ok((Begun::new([&begun, socket.begun()].concat().into(), socket.into_stream()), http2))
}

/// What comes first, at least a byte.
async fn some(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        bytes => Ok(Bytes::copy_from_slice(&buffer[..bytes])),
    }
}

/// Tells a client that speaks HTTP in the clear what it should do. Whoever speaks anything else
/// would not understand, and is just left.
async fn refuse_plain(stream: Begun<TcpStream>) {
    if !stream.begun().first().is_some_and(u8::is_ascii_alphabetic) {
        return;
    }
    let body = "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"this port speaks TLS: write \
                https:// instead of http://\"}";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut socket = Socket::Tcp(stream.into_stream());
    let _ = timeout(LINGER_TIME_MAX, socket.write_all(answer.as_bytes())).await;
    linger(socket).await;
}
