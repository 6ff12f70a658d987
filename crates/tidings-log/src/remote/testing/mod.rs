//! What the tests of all logs on a server share: what has to hold for all of them, a way
//! there that can be cut, and free ports.
//! Knows nothing of any server.

pub(crate) mod nodes;
mod proxy;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

pub(crate) use self::proxy::Proxy;

/// A port that nobody has. A server that comes back needs one that the system does not give out
/// to somebody else meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 7 + std::process::id() * 13;
        let port = 10_000 + (offset % 5_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
