//! One connection: which HTTP it speaks, the requests it brings, and its end: closed, or taken
//! over by a shard. Knows nothing of routes and streams.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::SockRef;
use tidings_core::limits::{
    HEAD_BYTES_MAX, HEAD_TIME_MAX, HEADERS_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX,
    SOCKET_UNSENT_BYTES_MAX,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::linger::linger;
use super::wire::Wire;
use crate::engine::{ConnectionGuard, Hub, Subscribed, Takeover};

/// What an HTTP/2 client begins with (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often a silent HTTP/2 connection is asked whether it is still there, and how long it may
/// take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Runs the router on one connection until it ends or is taken over.
pub(super) async fn drive(
    mut stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    hub: Hub,
    guard: ConnectionGuard,
) {
    let begun = tokio::time::timeout(HEAD_TIME_MAX, begin(&mut stream)).await;
    let Ok(Ok(begun)) = begun else {
        tracing::debug!(%peer, "no request came");
        return;
    };
    let result = if begun.starts_with(HTTP2_PREFACE) {
        drive_http2(begun, stream, peer, router, &hub).await
    } else {
        drive_http1(begun, stream, peer, router, &hub, guard).await
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection has failed");
    }
}

/// Reads until it is plain which HTTP the client speaks.
async fn begin(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut buffer = [0; 1024];
    let mut length = 0;
    loop {
        let bytes = stream.read(&mut buffer[length..]).await?;
        length += bytes;
        let compared = length.min(HTTP2_PREFACE.len());
        let may_be_http2 = buffer[..compared] == HTTP2_PREFACE[..compared];
        if bytes == 0 || !may_be_http2 || compared == HTTP2_PREFACE.len() {
            return Ok(Bytes::copy_from_slice(&buffer[..length]));
        }
    }
}

async fn drive_http1(
    begun: Bytes,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    hub: &Hub,
    guard: ConnectionGuard,
) -> io::Result<()> {
    let takeover = Takeover::default();
    let wire = TokioIo::new(Wire::new(begun, stream, takeover.clone()));
    let requests = Requests { router, peer, takeover: Some(takeover.clone()) };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(wire, requests);
    let mut shutdown = pin!(hub.shutting_down());
    let mut shutting_down = false;
    let end: Result<Option<Subscribed>, hyper::Error> = poll_fn(|context| {
        if !shutting_down && shutdown.as_mut().poll(context).is_ready() {
            shutting_down = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match connection.poll_without_shutdown(context) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| None)),
            Poll::Pending => match takeover.take() {
                Some(subscribed) => Poll::Ready(Ok(Some(subscribed))),
                None => Poll::Pending,
            },
        }
    })
    .await;
    let stream = connection.into_parts().io.into_inner().into_stream();
    match end {
        Ok(Some(subscribed)) => hand_over(stream, subscribed, hub, guard),
        Ok(None) => {
            linger(stream).await;
            Ok(())
        }
        Err(error) => {
            // hyper has answered what it could (400, 408, 431); let the answer arrive.
            linger(stream).await;
            Err(io::Error::other(error))
        }
    }
}

/// Gives a socket to a shard.
fn hand_over(
    stream: TcpStream,
    subscribed: Subscribed,
    hub: &Hub,
    guard: ConnectionGuard,
) -> io::Result<()> {
    let stream = stream.into_std()?;
    SockRef::from(&stream).set_tcp_notsent_lowat(SOCKET_UNSENT_BYTES_MAX)?;
    hub.attach_socket(subscribed, stream, guard);
    Ok(())
}

async fn drive_http2(
    begun: Bytes,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    hub: &Hub,
) -> io::Result<()> {
    let wire = TokioIo::new(Wire::new(begun, stream, Takeover::default()));
    let requests = Requests { router, peer, takeover: None };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .serve_connection(wire, requests);
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result.map_err(io::Error::other),
        () = hub.shutting_down() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(io::Error::other)
}

/// The router, as hyper calls it.
struct Requests {
    router: Router,
    peer: SocketAddr,
    /// Where the connection can be taken over.
    takeover: Option<Takeover>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        if let Some(takeover) = &self.takeover {
            request.extensions_mut().insert(takeover.clone());
        }
        // A router is always ready, and a clone of it is a counter.
        Box::pin(self.router.clone().call(request))
    }
}
