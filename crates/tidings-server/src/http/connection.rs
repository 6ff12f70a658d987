//! One connection: which HTTP it speaks, the requests it brings, and its end: closed, or taken
//! over by a shard. Knows nothing of routes and streams.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tidings_core::limits::{
    HEAD_BYTES_MAX, HEAD_TIME_MAX, HEADERS_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_ERRORS_MAX,
    HTTP2_RESETS_WAITING_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAM_WINDOW_BYTES, HTTP2_STREAMS_MAX,
    LAST_ARRIVAL_TIME_MAX,
};
use tower_service::Service as _;

use super::arrive::{Arrived, Terms, arrive};
use super::begun::Begun;
use super::head_time::{Arrivals, HeadTimer};
use super::host;
use super::linger::linger;
use super::socket::Socket;
use super::wire::Wire;
use crate::engine::{ConnectionEnds, Hub, Subscribed, Takeover};
use crate::gate::{Client, ConnectionGuard};
use crate::peer::{Peer, Proxies};

/// How often a silent HTTP/2 connection is asked whether it is still there, and how long it may
/// take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Runs the router on one connection until it ends or is taken over.
pub(super) async fn drive(
    socket: Socket,
    peer: Peer,
    terms: Terms,
    router: Router,
    hub: Hub,
    mut guard: ConnectionGuard,
) {
    let near = peer;
    // On the heap, and only for as long as it takes: what a handshake needs is much.
    let arriving = Box::pin(arrive(socket, peer, &terms, hub.metrics()));
    let arrived = tokio::select! {
        biased;
        arrived = arriving => arrived,
        // Browsers connect in advance: nothing has been asked here that could be answered.
        () = hub.shutting_down_for(LAST_ARRIVAL_TIME_MAX) => return,
    };
    let Arrived { socket, peer, http2 } = match arrived {
        Ok(arrived) => arrived,
        Err(error) => {
            tracing::debug!(?peer, %error, "no request came");
            return;
        }
    };
    if peer.address != near.address
        && let Some(client) = peer.address.and_then(|address| Client::of(address.ip()))
        && let Err(reason) = guard.count_as(&client)
    {
        // A proxy brought it: it can be told by nothing but the end.
        tracing::debug!(?peer, %reason, "a connection is not let in");
        hub.metrics().limit_hit(reason.limit());
        return;
    }
    let ends = hub.connection_ends();
    let (proxies, takeover) = (terms.proxies, None);
    let requests = Requests { router, hub: hub.clone(), peer, proxies, ends, takeover };
    let result = if http2 {
        drive_http2(socket, requests, &hub).await
    } else {
        drive_http1(socket, requests, &hub, guard).await
    };
    if let Err(error) = result {
        tracing::debug!(?peer, %error, "a connection has failed");
    }
}

async fn drive_http1(
    socket: Begun<Socket>,
    requests: Requests,
    hub: &Hub,
    guard: ConnectionGuard,
) -> io::Result<()> {
    let takeover = Takeover::default();
    let arrivals = Arrivals::default();
    let wire = TokioIo::new(Wire::new(socket, takeover.clone(), arrivals.clone()));
    let ends = requests.ends;
    let requests = Requests { takeover: Some(takeover.clone()), ..requests };
    let mut connection = http1::Builder::new()
        .timer(HeadTimer::new(arrivals))
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(wire, requests);
    let mut over = pin!(hub.connection_over(ends));
    let mut is_over = false;
    let end: Result<Option<Subscribed>, hyper::Error> = poll_fn(|context| {
        loop {
            // First, so that a request that has come is answered even if it is the last.
            if let Poll::Ready(result) = connection.poll_without_shutdown(context) {
                return Poll::Ready(result.map(|()| None));
            }
            if let Some(subscribed) = takeover.take() {
                return Poll::Ready(Ok(Some(subscribed)));
            }
            if is_over || over.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            is_over = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
    })
    .await;
    let socket = connection.into_parts().io.into_inner().into_socket();
    match end {
        Ok(Some(subscribed)) => {
            hub.attach_socket(subscribed, socket.into_attached()?, guard);
            Ok(())
        }
        Ok(None) => {
            linger(socket).await;
            Ok(())
        }
        Err(error) => {
            // hyper has answered what it could (400, 431); let the answer arrive.
            linger(socket).await;
            Err(io::Error::other(error))
        }
    }
}

async fn drive_http2(socket: Begun<Socket>, requests: Requests, hub: &Hub) -> io::Result<()> {
    let ends = requests.ends;
    let wire = TokioIo::new(Wire::new(socket, Takeover::default(), Arrivals::default()));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_WAITING_MAX)
        .max_local_error_reset_streams(HTTP2_ERRORS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .serve_connection(wire, requests);
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result.map_err(io::Error::other),
        () = hub.connection_over(ends) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(io::Error::other)
}

/// The router, as hyper calls it.
struct Requests {
    router: Router,
    hub: Hub,
    peer: Peer,
    proxies: Arc<Proxies>,
    /// When the connection ends, if it has to.
    ends: Option<ConnectionEnds>,
    /// Where the connection can be taken over.
    takeover: Option<Takeover>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        if let Some(refusal) = host::refusal(&request) {
            return Box::pin(ready(Ok(refusal)));
        }
        let client = self.proxies.client(&self.peer, request.headers());
        let extensions = request.extensions_mut();
        extensions.insert(client);
        if let Some(address) = self.peer.address {
            extensions.insert(ConnectInfo(address));
        }
        if let Some(ends) = self.ends {
            extensions.insert(ends);
        }
        if let Some(takeover) = &self.takeover {
            extensions.insert(takeover.clone());
        }
        let guard = self.hub.begin_request();
        // A router is always ready, and a clone of it is a counter.
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let _guard = guard;
            answer.await
        })
    }
}
