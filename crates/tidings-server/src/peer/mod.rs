//! Who is at the other end: of a connection, as its socket tells, and of a request, as proxies
//! that are trusted tell. Knows nothing of what is asked.

mod forwarded;
mod proxies;

use std::net::{IpAddr, SocketAddr};

pub use proxies::{Proxies, ProxiesError};

/// What a connection came over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP, which this process ends.
    Tls,
    /// A Unix socket.
    Unix,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its address: the socket's, or what a trusted proxy said by the PROXY protocol. A Unix
    /// socket has none.
    pub address: Option<SocketAddr>,
    /// What it came over.
    pub transport: Transport,
}

impl Peer {
    /// Whether it is on this machine, as far as its address tells.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

/// Who made a request: in the extensions of every request that [`crate::serve`] hands to a router.
///
/// It is the connection's peer, unless that is a proxy that is trusted and tells of somebody
/// else: see [`Proxies`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientAddress {
    /// The client's address, an IPv4 address never as IPv6. `None`: a process on this machine,
    /// over a Unix socket.
    pub ip: Option<IpAddr>,
    /// Whether the client speaks TLS, to us or to a proxy that is trusted.
    pub secure: bool,
    /// What the connection came over, be it the client's or a proxy's.
    pub transport: Transport,
}

impl ClientAddress {
    /// Whether the client is on this machine, as far as its address tells.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.ip.is_none_or(|ip| ip.is_loopback())
    }
}
