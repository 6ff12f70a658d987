//! A way to the server that can be cut and mended, as a network can.
//! Knows nothing of what goes over it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::copy_bidirectional;
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
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
