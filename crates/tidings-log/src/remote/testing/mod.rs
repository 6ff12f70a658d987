//! What the tests of all logs on a server share: what has to hold for all of them, a way
//! there that can be cut, and free ports.
//! Knows nothing of any server.

pub(crate) mod nodes;
mod ports;
mod proxy;

pub(crate) use self::ports::free_port;
pub(crate) use self::proxy::Proxy;
