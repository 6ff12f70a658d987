//! Accepts connections until the hub shuts down, within the limit of connections.
//! Knows nothing of HTTP but one answer: that there is no room.

use std::io;
use std::time::Duration;

use axum::Router;
use socket2::SockRef;
use tidings_core::limits::{LINGER_TIME_MAX, REFUSALS_MAX};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection;
use super::linger::linger;
use crate::engine::Hub;

/// How long an accept waits that failed for want of a file or of memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs `router` on `listener` until the hub shuts down and the last request is answered (within
/// [`crate::Config::shutdown_time_max`]). Event streams over HTTP/1 are taken over by the hub's
/// shards. HTTP/2 is spoken with prior knowledge.
///
/// Dropping the future closes the listener and cuts off the requests under way; streams that
/// were taken over go on until the hub is closed.
///
/// # Errors
/// None today; accepting goes on where single connections fail.
pub async fn serve(listener: TcpListener, router: Router, hub: Hub) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut refusals = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            Some(_) = refusals.join_next() => continue,
            () = hub.shutting_down() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Only ours to mend where files or memory have run out: wait for some to end.
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small events must not wait for the acknowledgement of the one before.
        if let Err(error) = SockRef::from(&stream).set_tcp_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        match hub.admit() {
            Some(guard) => {
                let (router, hub) = (router.clone(), hub.clone());
                connections.spawn(connection::drive(stream, peer, router, hub, guard));
            }
            None => {
                hub.metrics().limit_hit("connections_max");
                if refusals.len() < REFUSALS_MAX {
                    refusals.spawn(refuse(stream, hub.config().connections_max));
                }
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    let deadline = hub.shutdown_deadline().expect("that is why the loop has ended");
    if tokio::time::timeout_at(deadline, finish).await.is_err() {
        tracing::warn!("some requests were not finished in time: they are cut off");
    }
    Ok(())
}

/// Tells a client that there is no room.
async fn refuse(mut stream: TcpStream, connections_max: usize) {
    let body = format!(
        "{{\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"the hub has as many \
         connections as it may (connections_max, {connections_max}): try again later\",\
         \"limit\":\"connections_max\",\"max\":{connections_max}}}"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nretry-after: 5\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = tokio::time::timeout(LINGER_TIME_MAX, stream.write_all(answer.as_bytes())).await;
    linger(stream).await;
}
