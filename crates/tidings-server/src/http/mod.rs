//! Listens, and runs a router on what comes: hyper for heads and answers, the hub's shards for
//! HTTP/1 event streams. Knows nothing of what the routes do.

mod connection;
mod linger;
mod listen;
mod wire;

pub use listen::serve;
