//! A way to the server that can be cut and mended, as a network can.
//! Knows nothing of what goes over it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A running proxy. Dropping it ends it.
pub(crate) struct Proxy {
    port: u16,
    server: Arc<AtomicU16>,
    /// Counts the cuts; odd while nothing passes.
    cuts: Arc<watch::Sender<u64>>,
    accepting: tokio::task::AbortHandle,
}

impl Proxy {
    /// A way to the server on this port.
    pub(crate) async fn to(server: u16) -> Self {
        Self::far(server, Duration::ZERO).await
    }

    /// The same, where each piece takes so long, either way.
    pub(crate) async fn far(server: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(watch::Sender::new(0));
        let own = Arc::clone(&cuts);
        let target = Arc::new(AtomicU16::new(server));
        let server = Arc::clone(&target);
        let accepting = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut cut = own.subscribe();
                if *cut.borrow_and_update() % 2 == 1 {
                    continue;
                }
                let address = (Ipv4Addr::LOCALHOST, target.load(Ordering::Relaxed));
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(address).await else { return };
                    let (from_client, to_client) = client.split();
                    let (from_server, to_server) = server.split();
                    tokio::select! {
                        () = pass_on(from_client, to_server, delay) => {}
                        () = pass_on(from_server, to_client, delay) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port, server, cuts, accepting: accepting.abort_handle() }
    }

    /// Leads who comes from now on to another server.
    pub(crate) fn lead_to(&self, server: u16) {
        self.server.store(server, Ordering::Relaxed);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections off, and lets none through until it is mended.
    pub(crate) fn cut(&self) {
        self.cuts.send_if_modified(|cuts| {
            let open = *cuts % 2 == 0;
            *cuts += u64::from(open);
            open
        });
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.cuts.send_if_modified(|cuts| {
            let closed = *cuts % 2 == 1;
            *cuts += u64::from(closed);
            closed
        });
    }
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut piece).await {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&piece[..bytes]).await.is_err() {
            return;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
