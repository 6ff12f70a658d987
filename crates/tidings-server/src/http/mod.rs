//! Listens, and runs a router on what comes: hyper for heads and answers, the hub's shards for
//! HTTP/1 event streams. Knows nothing of what the routes do.
//!
//! A connection walks: [`Listener`] → `arrive` (a proxy's word, TLS) → `connection` (HTTP, until it
//! ends or a shard takes it over). `socket` makes TCP, TLS and Unix sockets one kind.

mod arrive;
mod begun;
mod connection;
mod head_time;
mod host;
mod linger;
mod listen;
mod proxy_protocol;
mod socket;
mod tls;
mod wire;

pub(crate) use listen::drive_unix;
pub use listen::{Listener, serve};
pub use tls::{CertificatePair, PairError, Tls};
