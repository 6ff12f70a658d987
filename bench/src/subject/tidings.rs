//! Tidings itself, with its log in memory, on disk, in Redis or in NATS.
//! Knows its API from outside, as any client does.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{Ability, Door, Fleet, Place, Subject, System};
use crate::crowd::Target;
use crate::engine::{Engine, Nats, Redis};
use crate::event::Stamp;
use crate::isolate;
use crate::publish::Publisher;
use crate::server::Server;

pub(super) const MEMORY: System = System {
    name: "tidings",
    title: "Tidings, log in memory",
    settings: "`--log memory`, else as it comes",
    abilities: &[
        Ability::Publish,
        Ability::Topics,
        Ability::Patterns,
        Ability::Resume,
        Ability::Stream,
        Ability::Twin,
    ],
    version,
    start: |place| Ok(Box::new(Tidings::start(&place.tidings, &[])?)),
};

pub(super) const DISK: System = System {
    name: "tidings-disk",
    title: "Tidings, log on disk",
    settings: "`--log disk:… --sync always`: a publish is answered after its fsync",
    abilities: &[
        Ability::Publish,
        Ability::Topics,
        Ability::Patterns,
        Ability::Resume,
        Ability::Disk,
        Ability::Stream,
    ],
    version,
    start: |place| {
        let log = format!("disk:{}", place.scratch.join("tidings-data").display());
        Ok(Box::new(Tidings::start(&place.tidings, &["--log".to_owned(), log])?))
    },
};

pub(super) const REDIS: System = System {
    name: "tidings-redis",
    title: "Tidings over Redis",
    settings: "each node with `--log redis://…`, else as it comes; Debian's redis-server with \
               `appendonly yes` (fsync each second, its default) and no other persistence; its \
               CPU is told beside the nodes'",
    abilities: &[Ability::Publish, Ability::Resume, Ability::Stream, Ability::Nodes, Ability::Twin],
    version: |place| Ok(format!("{}, Redis {}", version(place)?, Redis::version()?)),
    start: |place| fleet(place, Box::new(Redis::start(&place.scratch.join("redis"))?)),
};

pub(super) const NATS: System = System {
    name: "tidings-nats",
    title: "Tidings over NATS",
    settings: "each node with `--log nats://…`, else as it comes; Debian's nats-server with \
               JetStream, which keeps the stream in files",
    abilities: REDIS.abilities,
    version: |place| Ok(format!("{}, NATS {}", version(place)?, Nats::version()?)),
    start: |place| fleet(place, Box::new(Nats::start(&place.scratch.join("nats"))?)),
};

fn fleet(place: &Place, engine: Box<dyn Engine>) -> anyhow::Result<Box<dyn Subject>> {
    let program = place.tidings.clone();
    let node = move |engine: &dyn Engine, _: usize| -> anyhow::Result<Box<dyn Subject>> {
        Ok(Box::new(Tidings::start(&program, &["--log".to_owned(), engine.url()])?))
    };
    Ok(Box::new(Fleet::start(engine, Box::new(node))?))
}

fn version(place: &Place) -> anyhow::Result<String> {
    let output = Command::new(&place.tidings).arg("--version").output();
    let output = output.with_context(|| format!("can't run {}", place.tidings.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim().trim_start_matches("tidings ").to_owned())
}

/// A hub, published to over one connection.
#[derive(Debug)]
pub struct Tidings {
    server: Server,
    publisher: Publisher,
}

impl Tidings {
    /// Starts `tidings serve` on a free port, with more flags. The log is in memory unless one of
    /// them says otherwise.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(program: &Path, flags: &[String]) -> anyhow::Result<Self> {
        let mut command = isolate::server(program);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if !flags.iter().any(|flag| flag == "--log") {
            command.args(["--log", "memory"]);
        }
        let server = Server::start(command.args(flags))?;
        let publisher = Publisher::connect(server.address(), "")?;
        Ok(Self { server, publisher })
    }

    /// Publishes where nobody listens.
    ///
    /// # Errors
    /// Where it was not taken.
    pub fn publish_to_nobody(&mut self, bytes: usize) -> anyhow::Result<()> {
        self.publish("bench/silent", &[Stamp::now(0).data(bytes)])
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

/// A parameter of a query; braces are the only signs of a selector that need to be escaped.
fn parameter(name: &str, text: &str) -> String {
    format!("{name}={}", text.replace('{', "%7B").replace('}', "%7D"))
}

/// Several events on one topic as the body of `POST /events`: they are kept by one append.
fn batch(topic: &str, events: &[String]) -> String {
    // A stamp and its filling need no escapes.
    let items: Vec<String> = events
        .iter()
        .map(|data| format!("{{\"topic\":\"{topic}\",\"data\":\"{data}\"}}"))
        .collect();
    format!("[{}]", items.join(","))
}

impl Subject for Tidings {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn target(&self, topic: &str, first: u64) -> Target {
        Target::new(self.server.address(), &format!("/topics/{topic}"), "", first)
    }

    fn selector_target(&self, selectors: &[String], first: u64) -> Option<Target> {
        let query: Vec<String> = selectors.iter().map(|text| parameter("topic", text)).collect();
        let path = format!("/events?{}", query.join("&"));
        Some(Target::new(self.server.address(), &path, "", first))
    }

    fn publish(&mut self, topic: &str, events: &[String]) -> anyhow::Result<()> {
        if let [data] = events {
            return self.publisher.post(&format!("/topics/{topic}"), "", data.as_bytes());
        }
        let headers = "Content-Type: application/json\r\n";
        self.publisher.post("/events", headers, batch(topic, events).as_bytes())
    }

    fn door(&self) -> Option<Door> {
        Some(Door::post(self.server.address(), |topic| format!("/topics/{topic}")))
    }
}
