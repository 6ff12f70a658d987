//! Pushpin, with nginx as the origin that says which channel a subscriber is held on.
//! Knows how its processes are started, and how its control port is published to.
//!
//! Its runner starts the others and is what is measured, with all of them; the origin, which only
//! sees each subscriber come, is not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::settings::fill;
use super::{Ability, Door, Place, Subject, System, nginx};
use crate::crowd::Target;
use crate::isolate;
use crate::measure;
use crate::publish::Publisher;
use crate::server::{Server, free_address};

pub(super) const SYSTEM: System = System {
    name: "pushpin",
    title: "Pushpin",
    settings: "Debian's, which is of 2022; `bench/peers/pushpin.conf`: its limits on messages \
               (2,500 deliveries a second as it comes) are off; nginx is the origin, and not in \
               the figures; subscribers come at 400 a second, since it refuses them at 500; \
               several in one go: the items of one request; it takes one request a connection, \
               and refuses pipelined ones",
    abilities: &[Ability::Publish, Ability::Topics],
    version: |_: &Place| version(),
    start: |place| Ok(Box::new(Pushpin::start(place)?)),
};

/// With more, it answers some of them that it can't reach its origin.
const CONNECTS_PER_SECOND: u32 = 400;

/// How its parts reach each other; as installed, one of them in a directory of the system's.
const INTERNAL: &str = "/usr/lib/pushpin/internal.conf";
const SYSTEM_SOCKETS: &str = "ipc:///var/run/zurl/";
const OUR_SOCKETS: &str = "ipc://{rundir}/{ipc_prefix}";

/// The kernel takes addresses of 107 bytes, and the longest name there has 26.
const SOCKETS_PATH_BYTES_MAX: usize = 80;

/// Its parts find each other within this time.
const READY_TIME_MAX: Duration = Duration::from_secs(20);

fn version() -> anyhow::Result<String> {
    let output = Command::new("pushpin").arg("--version").output();
    let output = output.context("pushpin is not installed (Debian: pushpin)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().last().context("pushpin does not say its version")?;
    Ok(format!("{version}, nginx {}", nginx::version()?))
}

struct Pushpin {
    // Ended in this order.
    runner: Server,
    _origin: Server,
    door: Door,
}

impl Pushpin {
    fn start(place: &Place) -> anyhow::Result<Self> {
        let origin = nginx::start(
            place,
            &nginx::Settings {
                template: "pushpin-origin",
                directory: "pushpin-origin",
                workers: 1,
                words: &[],
            },
        )?;
        let scratch = place.scratch.join("pushpin");
        let (address, publish) = (free_address()?, free_address()?);
        settings(place, &scratch, &origin, address, publish)?;
        let config = format!("--config={}", scratch.join("pushpin.conf").display());
        let runner = Server::start_at(isolate::server("pushpin").arg(config), address);
        let runner = runner.with_context(|| log(&scratch))?;
        let pushpin = Self { runner, _origin: origin, door: door(publish) };
        pushpin.wait_until_ready().with_context(|| log(&scratch))?;
        Ok(pushpin)
    }

    /// Waits until a subscriber gets a stream: that takes all its parts.
    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIME_MAX;
        while TcpStream::connect(self.door.address()).is_err() || !self.takes_subscribers()? {
            if Instant::now() > deadline {
                bail!("pushpin takes no subscribers");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn takes_subscribers(&self) -> anyhow::Result<bool> {
        let mut stream = TcpStream::connect(self.runner.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /sub/bench/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut begin = [0; 12];
        Ok(stream.read_exact(&mut begin).is_ok() && begin == *b"HTTP/1.1 200")
    }
}

/// Writes its settings and makes its directories.
fn settings(
    place: &Place,
    scratch: &Path,
    origin: &Server,
    address: SocketAddr,
    publish: SocketAddr,
) -> anyhow::Result<()> {
    let run = scratch.join("run");
    ensure!(
        run.as_os_str().len() <= SOCKETS_PATH_BYTES_MAX,
        "the path {} is too long for Pushpin's sockets: give a shorter --out",
        run.display()
    );
    for directory in [&run, &scratch.join("log")] {
        fs::create_dir_all(directory).context("can't make a directory for pushpin")?;
    }
    let connections = measure::raise_open_files(0)? * 9 / 10;
    let words = [
        ("ADDRESS", address.to_string()),
        ("CONNECTIONS", connections.to_string()),
        ("PUBLISH_PORT", publish.port().to_string()),
        ("SCRATCH", scratch.display().to_string()),
    ];
    fs::write(scratch.join("pushpin.conf"), fill(&place.peers, "pushpin.conf", &words)?)?;
    let internal = fs::read_to_string(INTERNAL)
        .with_context(|| format!("can't read {INTERNAL} (Debian: pushpin)"))?;
    fs::write(scratch.join("internal.conf"), internal.replace(SYSTEM_SOCKETS, OUR_SOCKETS))?;
    fs::write(scratch.join("routes"), format!("* {}\n", origin.address()))?;
    Ok(())
}

/// What its parts have written, as the cause of an error.
fn log(scratch: &Path) -> String {
    let files = fs::read_dir(scratch.join("log")).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    format!("pushpin did not start; its logs: {}", texts.collect::<String>().trim())
}

fn door(address: SocketAddr) -> Door {
    Door::new(address, move |topic, data| {
        let body = items(topic, &[data]);
        let length = body.len();
        let head =
            format!("POST /publish/ HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}");
        format!("{head}\r\n\r\n{body}").into_bytes()
    })
}

/// Events of one topic as the body of a request.
fn items(topic: &str, events: &[impl AsRef<str>]) -> String {
    // A stamp and its filling need no escapes.
    let items = events.iter().map(|data| {
        let content = format!("data: {}\\n\\n", data.as_ref());
        let formats = format!("{{\"http-stream\":{{\"content\":\"{content}\"}}}}");
        format!("{{\"channel\":\"{topic}\",\"formats\":{formats}}}")
    });
    format!("{{\"items\":[{}]}}", items.collect::<Vec<_>>().join(","))
}

impl Subject for Pushpin {
    fn process(&self) -> u32 {
        self.runner.process()
    }

    fn target(&self, topic: &str, first: u64) -> Target {
        let target = Target::new(self.runner.address(), &format!("/sub/{topic}"), "", first);
        target.slowly(CONNECTS_PER_SECOND)
    }

    fn keeps(&self) -> bool {
        false
    }

    fn publish(&mut self, topic: &str, events: &[String]) -> anyhow::Result<()> {
        // It closes the connection after each answer.
        let mut publisher = Publisher::connect(self.door.address(), "")?;
        publisher.post("/publish/", "", items(topic, events).as_bytes())
    }

    fn door(&self) -> Option<Door> {
        Some(door(self.door.address()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_events_are_items_of_one_request() {
        let body: serde_json::Value =
            serde_json::from_str(&items("a/b", &["1 2 x", "2 2 x"])).unwrap();
        assert_eq!(body["items"][1]["channel"], "a/b");
        assert_eq!(body["items"][1]["formats"]["http-stream"]["content"], "data: 2 2 x\n\n");
    }
}
