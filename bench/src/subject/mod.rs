//! What can be measured: something with a process, an address, and a way to publish.
//! Knows nothing of what is measured of it.
//!
//! A [`System`] is a kind of server with its settings; a [`Subject`] is one that runs.

mod axum;
mod fleet;
mod limit;
mod nchan;
mod nginx;
mod node;
mod plain;
mod pushpin;
mod settings;
mod tidings;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use fleet::{Costs, Fleet};
pub use limit::Limit;
pub use tidings::Tidings;

use crate::crowd::Target;

/// One that runs. It ends with its handle.
pub trait Subject {
    /// Its process; those that it has started belong to it.
    fn process(&self) -> u32;

    /// A stream of a topic, from now on; the first event that counts is number `first`.
    fn target(&self, topic: &str, first: u64) -> Target;

    /// A stream of all topics that at least one of these selectors selects: exact topics, and
    /// patterns as Tidings has them. `None`: it knows nothing of the kind.
    fn selector_target(&self, _selectors: &[String], _first: u64) -> Option<Target> {
        None
    }

    /// Whether it keeps what was published, for those who come back. One that does not is
    /// published to when all are there.
    fn keeps(&self) -> bool {
        true
    }

    /// Publishes events on a topic, all that are given in one go, in the way that suits it best.
    /// Comes back when they are acknowledged.
    ///
    /// # Errors
    /// Where they were not taken.
    fn publish(&mut self, topic: &str, events: &[String]) -> anyhow::Result<()>;

    /// Where many publishers at once send their requests. `None`: it takes none.
    fn door(&self) -> Option<Door>;

    /// All its nodes. `None`: it is alone.
    fn fleet(&mut self) -> Option<&mut Fleet> {
        None
    }
}

/// Where events are published by HTTP, one a request.
pub struct Door {
    address: SocketAddr,
    request: Box<Make>,
}

/// Makes the request that publishes this data on this topic.
type Make = dyn Fn(&str, &str) -> Vec<u8> + Send;

impl Door {
    /// A door where `make` makes the whole request of a topic and the data, for a connection that
    /// is kept alive.
    pub fn new(address: SocketAddr, make: impl Fn(&str, &str) -> Vec<u8> + Send + 'static) -> Self {
        Self { address, request: Box::new(make) }
    }

    /// A door where the data is the body of a `POST` to the path that `path` makes of the topic.
    pub fn post(address: SocketAddr, path: impl Fn(&str) -> String + Send + 'static) -> Self {
        Self::new(address, move |topic, data| {
            let (path, length) = (path(topic), data.len());
            format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{data}"
            )
            .into_bytes()
        })
    }

    /// Whom to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The whole request that publishes this data on this topic.
    #[must_use]
    pub fn request(&self, topic: &str, data: &str) -> Vec<u8> {
        (self.request)(topic, data)
    }
}

/// What a system can do beyond handing on what is published now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ability {
    /// It takes requests of many publishers: it has a [`Door`].
    Publish,
    /// Topics come and go with those who use them.
    Topics,
    /// A subscriber may ask for a pattern of topics.
    Patterns,
    /// A client that comes back with `Last-Event-ID` gets what it missed.
    Resume,
    /// It keeps events on disk.
    Disk,
    /// Many events can be published in one streamed request, as NDJSON.
    Stream,
    /// It is several nodes that share an engine. What it costs is told for each of its parts: so
    /// it takes part only in works that ask for this, or for [`Ability::Twin`].
    Nodes,
    /// There is one of its kind with an engine and one without: side by side they tell what an
    /// engine adds.
    Twin,
}

/// Where the programs are, and where files may be written.
#[derive(Clone, Debug)]
pub struct Place {
    /// The program `tidings`.
    pub tidings: PathBuf,
    /// The peers' settings and their npm packages.
    pub peers: PathBuf,
    /// A directory for what the systems write; emptied by whoever made it.
    pub scratch: PathBuf,
}

/// A kind of server, with the settings that suit it best.
pub struct System {
    /// One word, for the command line and the results.
    pub name: &'static str,
    /// What tables call it.
    pub title: &'static str,
    /// What was set, and why.
    pub settings: &'static str,
    /// What it can do.
    pub abilities: &'static [Ability],
    version: fn(&Place) -> anyhow::Result<String>,
    start: fn(&Place) -> anyhow::Result<Box<dyn Subject>>,
}

impl System {
    /// Whether it can do all of this.
    #[must_use]
    pub fn can(&self, abilities: &[Ability]) -> bool {
        let looks_at_parts = abilities.iter().any(|a| matches!(a, Ability::Nodes | Ability::Twin));
        let is_alone = !self.abilities.contains(&Ability::Nodes);
        (is_alone || looks_at_parts) && abilities.iter().all(|a| self.abilities.contains(a))
    }

    /// Its version, as the installed program says it.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn version(&self, place: &Place) -> anyhow::Result<String> {
        (self.version)(place)
    }

    /// Starts one on a free port.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Subject>> {
        (self.start)(place)
    }
}

/// All that can be compared; the limit stands first.
pub const SYSTEMS: &[System] = &[
    limit::SYSTEM,
    tidings::MEMORY,
    tidings::DISK,
    nchan::ONE_WORKER,
    nchan::WORKERS,
    tidings::REDIS,
    tidings::NATS,
    nchan::REDIS,
    pushpin::SYSTEM,
    axum::SYSTEM,
    node::EXPRESS,
    node::BETTER_SSE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_several_parts_is_measured_only_where_each_is_told() {
        let can = |name: &str, needs: &[Ability]| {
            let system = SYSTEMS.iter().find(|system| system.name == name);
            system.expect("there is one of this name").can(needs)
        };
        for needs in [&[][..], &[Ability::Publish], &[Ability::Resume]] {
            assert!(can("tidings", needs) && !can("tidings-redis", needs), "{needs:?}");
        }
        assert!(can("tidings-redis", &[Ability::Nodes, Ability::Publish]));
        assert!(!can("tidings", &[Ability::Nodes]));
        assert!(can("tidings", &[Ability::Twin]) && can("tidings-redis", &[Ability::Twin]));
    }
}
