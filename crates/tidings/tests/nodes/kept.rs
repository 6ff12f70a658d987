//! The kinds of servers that keep the log of the hubs in a test.
//! Knows nothing of what is tested.

use tempfile::TempDir;

use crate::engine::{Redis, node_on};
use crate::nats::Nats;
use crate::proxy::Proxy;
use crate::support::Server;

/// A server that keeps the log, and what can be done to it. Dropping it kills it.
pub(crate) trait Kept {
    /// What operators are told that it is.
    const PLACE: &'static str;

    /// One that forgets all when it ends.
    fn forgetful() -> Self;

    /// One that keeps what it has acknowledged when it is killed.
    fn durable() -> Self;

    fn port(&self) -> u16;

    fn kill(&mut self);

    /// Starts it where it was.
    fn up(&mut self);

    /// Breaks all connections off; these are the ways to it.
    fn break_off(&self, ways: &[Proxy]);

    /// The log in a server of this kind, behind this port.
    fn log(port: u16) -> String;
}

impl Kept for Redis {
    const PLACE: &'static str = "Redis at redis://127.0.0.1";

    fn forgetful() -> Self {
        Self::forgetful()
    }

    fn durable() -> Self {
        Self::durable()
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn up(&mut self) {
        self.up();
    }

    fn break_off(&self, _ways: &[Proxy]) {
        self.ask("CLIENT KILL TYPE normal SKIPME yes");
    }

    fn log(port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }
}

impl Kept for Nats {
    const PLACE: &'static str = "NATS at nats://127.0.0.1";

    fn forgetful() -> Self {
        Self::forgetful()
    }

    fn durable() -> Self {
        Self::durable()
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn up(&mut self) {
        self.up();
    }

    fn break_off(&self, ways: &[Proxy]) {
        ways.iter().for_each(Proxy::cut);
        ways.iter().for_each(Proxy::mend);
    }

    fn log(port: u16) -> String {
        format!("nats://127.0.0.1:{port}")
    }
}

/// A hub on the server behind this port.
pub(crate) fn start_on<K: Kept>(port: u16) -> Server {
    let directory = TempDir::new().unwrap();
    Server::start_by(&mut node_on(directory.path(), "127.0.0.1:0", &K::log(port)))
}

/// Makes each of these checks a test on each kind of server.
macro_rules! on_every_server {
    ($($check:ident),* $(,)?) => {
        mod on_redis {
            $(#[test]
            fn $check() {
                super::$check::<crate::engine::Redis>();
            })*
        }

        mod on_nats {
            $(#[test]
            fn $check() {
                super::$check::<crate::nats::Nats>();
            })*
        }
    };
}
