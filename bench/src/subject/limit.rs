//! The bare `send(2)` loop of [`crate::limit`], as a process.
//! Knows nothing of what the loop does.

use anyhow::Context;

use super::{Door, Place, Subject, System};
use crate::crowd::Target;
use crate::isolate;
use crate::server::Server;

pub(super) const SYSTEM: System = System {
    name: "limit",
    title: "bare `send` loop",
    settings: "one thread, one `send(2)` for each subscriber and each go",
    abilities: &[],
    version: |_: &Place| Ok(env!("CARGO_PKG_VERSION").to_owned()),
    start: |_: &Place| Ok(Box::new(Limit::start()?)),
};

/// The loop, which all streams get everything of, whatever they ask for.
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

    fn target(&self, _topic: &str, first: u64) -> Target {
        Target::new(self.server.address(), "/", "", first)
    }

    fn keeps(&self) -> bool {
        false
    }

    fn publish(&mut self, _topic: &str, events: &[String]) -> anyhow::Result<()> {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        // An empty line ends what goes in one write.
        self.server.write_line(&lines)
    }

    fn door(&self) -> Option<Door> {
        None
    }
}
