//! What can be measured: something with a process, an address, and a way to publish.
//! Knows nothing of what is measured of it.

use std::path::Path;

use anyhow::Context;

use crate::crowd::Target;
use crate::event::Stamp;
use crate::isolate;
use crate::publish::Publisher;
use crate::server::Server;

/// One of those that are compared.
pub trait Subject {
    /// Its process.
    fn process(&self) -> u32;

    /// A stream of what [`Subject::publish`] publishes; the first that counts is number `first`.
    fn target(&self, first: u64) -> Target;

    /// Publishes an event of so many bytes of data.
    ///
    /// # Errors
    /// Where it was not taken.
    fn publish(&mut self, stamp: Stamp, bytes: usize) -> anyhow::Result<()>;
}

/// The bare `send(2)` loop of [`crate::limit`], as a process.
#[derive(Debug)]
pub struct Limit {
    server: Server,
}

impl Limit {
    /// Starts this program again, as the loop.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("can't find this program")?;
        Ok(Self { server: Server::start(isolate::server(program).arg("limit"))? })
    }
}

impl Subject for Limit {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn target(&self, first: u64) -> Target {
        Target::new(self.server.address(), "/", "", first)
    }

    fn publish(&mut self, stamp: Stamp, bytes: usize) -> anyhow::Result<()> {
        self.server.write_line(&stamp.data(bytes))
    }
}

/// A hub with its log in memory, published to over one connection.
#[derive(Debug)]
pub struct Tidings {
    server: Server,
    publisher: Publisher,
}

const TOPIC: &str = "/topics/bench/crowd";
/// A topic that nobody listens to.
const SILENT_TOPIC: &str = "/topics/bench/silent";

impl Tidings {
    /// Starts `tidings serve` on a free port, with more flags.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(program: &Path, flags: &[String]) -> anyhow::Result<Self> {
        let mut command = isolate::server(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "memory"]).args(flags);
        let server = Server::start(&mut command)?;
        let publisher = Publisher::connect(server.address(), TOPIC, "")?;
        Ok(Self { server, publisher })
    }

    /// Publishes where nobody listens.
    ///
    /// # Errors
    /// Where it was not taken.
    pub fn publish_to_nobody(&mut self, bytes: usize) -> anyhow::Result<()> {
        self.publisher.request("POST", SILENT_TOPIC, Stamp::now(0).data(bytes).as_bytes())?;
        Ok(())
    }

    /// One of its own counters, by its name in `/metrics`.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn counter(&mut self, name: &str) -> anyhow::Result<u64> {
        let answer = self.publisher.request("GET", "/metrics", b"")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("no counter {name} in its metrics"))
    }
}

impl Subject for Tidings {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn target(&self, first: u64) -> Target {
        Target::new(self.server.address(), TOPIC, "", first)
    }

    fn publish(&mut self, stamp: Stamp, bytes: usize) -> anyhow::Result<()> {
        self.publisher.publish(stamp.data(bytes).as_bytes())
    }
}
