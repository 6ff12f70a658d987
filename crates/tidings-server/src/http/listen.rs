//! Accepts connections until the hub shuts down, within the limit of connections.
//! Knows nothing of HTTP but one answer: why somebody is not let in.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{SockRef, TcpKeepalive};
use tidings_core::limits::{
    ACKNOWLEDGE_TIME_MAX, KEEPALIVE_IDLE_TIME, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES,
    LINGER_TIME_MAX, REFUSALS_MAX,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::arrive::Terms;
use super::connection;
use super::linger::linger;
use super::socket::Socket;
use super::tls::Tls;
use crate::engine::Hub;
use crate::gate::{Client, NotAdmitted};
use crate::peer::{Peer, Proxies, Transport};

/// How long an accept waits that failed for want of a file or of memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in: a TCP address or a Unix socket, and how they begin.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    terms: Terms,
}

#[derive(Debug)]
enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Its connections speak TLS. Those of a Unix socket never do: they don't leave the machine.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.terms.tls = Some(tls);
        self
    }

    /// Its connections may come from these proxies.
    #[must_use]
    pub fn behind(mut self, proxies: Arc<Proxies>) -> Self {
        self.terms.proxies = proxies;
        self
    }

    /// Its TCP address; a Unix socket has none.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Tcp(listener) => listener.local_addr().ok(),
            Source::Unix(_) => None,
        }
    }

    /// By whom the limits of addresses count a connection of this peer. A proxy that is trusted
    /// stands for many: who they are is told later.
    fn client(&self, peer: &Peer) -> Option<Client> {
        let address = peer.address.filter(|_| !self.terms.proxies.trusts(peer))?;
        Client::of(address.ip())
    }

    /// Waits for the next connection. Cancel safe.
    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.source {
            Source::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // A connection that has ended meanwhile has no options; who drives it will see.
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%error, "the options of a socket can't be set");
                }
                let peer = Peer { address: Some(address), transport: Transport::Tcp };
                Ok((Socket::Tcp(stream), peer))
            }
            Source::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), Peer { address: None, transport: Transport::Unix }))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self { source: Source::Tcp(listener), terms: Terms::default() }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self { source: Source::Unix(listener), terms: Terms::default() }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Tcp(listener) => listener.as_fd(),
            Source::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Runs `router` on what a listener brings until the hub shuts down and the last request is
/// answered (within [`crate::Config::shutdown_time_max`]). Event streams over HTTP/1 are taken over
/// by the hub's shards. HTTP/2 is spoken where TLS has agreed on it, and with prior knowledge.
/// Requests have a [`crate::peer::ClientAddress`] among their extensions.
///
/// Dropping the future closes the listener and cuts off the requests under way; streams that
/// were taken over go on until the hub is closed.
///
/// # Errors
/// None today; accepting goes on where single connections fail.
pub async fn serve(listener: impl Into<Listener>, router: Router, hub: Hub) -> io::Result<()> {
    let listener = listener.into();
    let mut connections = JoinSet::new();
    let mut refusals = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            // Who is not accepted any more can be another process's.
            () = hub.shutting_down() => break,
            Some(_) = connections.join_next() => continue,
            Some(_) = refusals.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Only ours to mend where files or memory have run out: wait for some to end.
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match hub.admit(listener.client(&peer).as_ref()) {
            Ok(guard) => {
                let (terms, router, hub) = (listener.terms.clone(), router.clone(), hub.clone());
                connections.spawn(connection::drive(socket, peer, terms, router, hub, guard));
            }
            Err(reason) => {
                hub.metrics().limit_hit(reason.limit());
                // A handshake, only to say no, would cost what the limit is to save.
                if listener.terms.tls.is_none() && refusals.len() < REFUSALS_MAX {
                    refusals.spawn(refuse(socket, reason));
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

/// Runs the router on one connection of a Unix socket, as [`serve`] does on all that come.
pub(crate) async fn drive_unix(stream: UnixStream, proxies: Proxies, router: Router, hub: Hub) {
    let peer = Peer { address: None, transport: Transport::Unix };
    let terms = Terms { proxies: Arc::new(proxies), ..Terms::default() };
    if let Ok(guard) = hub.admit(None) {
        connection::drive(Socket::Unix(stream), peer, terms, router, hub, guard).await;
    }
}

/// What every TCP connection is told: to send small events at once, and to find out when its
/// other end has vanished.
fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    // Small events must not wait for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(ACKNOWLEDGE_TIME_MAX))
}

/// How long whoever finds no room is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Tells a client why it is not let in.
async fn refuse(mut socket: Socket, reason: NotAdmitted) {
    let (status, title, wait) = match reason {
        NotAdmitted::Full { .. } => (503, "Service Unavailable", RETRY_AFTER),
        NotAdmitted::AddressFull { .. } => (429, "Too Many Requests", RETRY_AFTER),
        NotAdmitted::TooFast { wait, .. } => (429, "Too Many Requests", wait),
    };
    let body = format!(
        "{{\"title\":\"{title}\",\"status\":{status},\"detail\":\"{reason}\",\"limit\":\"{}\",\
         \"max\":{}}}",
        reason.limit(),
        reason.max()
    );
    let answer = format!(
        "HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nretry-after: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
        wait.as_secs() + 1
    );
    let _ = tokio::time::timeout(LINGER_TIME_MAX, socket.write_all(answer.as_bytes())).await;
    linger(socket).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_find_out_when_their_other_end_has_vanished() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (socket, peer) = Listener::from(listener).accept().await.unwrap();
        assert!(peer.is_local());
        let Socket::Tcp(stream) = socket else { panic!("TCP") };
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE_TIME);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(ACKNOWLEDGE_TIME_MAX));
    }
}
