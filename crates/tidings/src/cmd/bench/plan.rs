//! What is measured: where the hub is, its topics, and who listens to which.
//! Knows nothing of how it goes.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::Url;
use tidings_bench::crowd::Target;
use tidings_bench::event::Stamp;
use tidings_bench::load;
use tokio::net::{self, TcpStream};
use tokio::time;

use crate::cli::BenchArgs;
use crate::client::Client;
use crate::credential::Secret;
use crate::exit::Usage;

/// A hub that is further away than this is not there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Random bytes in the names of topics, so that no two runs meet.
const RUN_BYTES: usize = 4;

/// What is measured.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    host: String,
    /// What each request says beside what it needs: who sends it.
    headers: Secret,
    /// The paths of the topics' streams.
    paths: Vec<String>,
    pub(super) connections: u64,
    pub(super) publishers: u16,
    pub(super) time: Duration,
    event_bytes: usize,
}

impl Plan {
    /// # Errors
    /// Where the hub's URL, or what is wanted of it, is not for us.
    pub(super) async fn new(client: &Client, args: &BenchArgs) -> anyhow::Result<Self> {
        if args.topics > args.connections {
            let wrong = "--topics can't be more than --connections: somebody has to listen to each";
            return Err(Usage(wrong.into()).into());
        }
        let url = client.base();
        if url.scheme() != "http" || client.is_unix() {
            let wrong = "bench does not support https yet, nor Unix sockets: give the hub's \
                         http:// URL";
            return Err(Usage(wrong.into()).into());
        }
        let host = url.host_str().context("the URL has no host")?;
        let port = url.port_or_known_default().context("the URL has no port")?;
        let address = reach(client, host.trim_matches(['[', ']']), port, args.allow_remote).await?;
        let run = run_name()?;
        let paths = (0..args.topics).map(|topic| {
            let name = format!("{}/{run}/{topic}", args.topic_prefix);
            let segments = ["topics"].into_iter().chain(name.split('/'));
            Ok(client.address(segments)?.path().to_owned())
        });
        Ok(Self {
            address,
            host: format!("{host}:{port}"),
            headers: client.header_lines()?,
            paths: paths.collect::<anyhow::Result<_>>()?,
            connections: args.connections,
            publishers: args.publishers,
            time: args.time,
            event_bytes: args.event_bytes as usize,
        })
    }

    /// Sockets that are open at once.
    pub(super) fn sockets(&self) -> usize {
        self.connections as usize + usize::from(self.publishers)
    }

    /// Each topic's stream, and how many want it.
    pub(super) fn targets(&self) -> impl Iterator<Item = (Target, u64)> {
        (0..self.topics()).map(|topic| (self.target(topic), self.listeners(topic)))
    }

    /// A stream of a topic.
    pub(super) fn target(&self, topic: u64) -> Target {
        Target::named(self.address, &self.host, self.path(topic), self.headers.expose(), 0)
    }

    /// The request that publishes an event now: one topic after the other has its turn.
    pub(super) fn publish(&self, number: u64) -> Vec<u8> {
        let path = self.path(number % self.topics());
        let data = self.data(number / self.topics());
        load::post(&self.host, path, self.headers.expose(), data.as_bytes())
    }

    /// The data of an event that is published now, by its number in its topic.
    pub(super) fn data(&self, number: u64) -> String {
        Stamp::now(number).data(self.event_bytes)
    }

    /// The URL of a topic.
    pub(super) fn url(&self, client: &Client, topic: u64) -> Url {
        let mut url = client.base().clone();
        url.set_path(self.path(topic));
        url
    }

    /// Deliveries that so many events make, one topic after the other.
    pub(super) fn deliveries(&self, events: u64) -> u64 {
        let rounds = events / self.topics();
        let rest: u64 = (0..events % self.topics()).map(|topic| self.listeners(topic)).sum();
        rounds * self.connections + rest
    }

    fn topics(&self) -> u64 {
        self.paths.len() as u64
    }

    fn path(&self, topic: u64) -> &str {
        &self.paths[topic as usize]
    }

    fn listeners(&self, topic: u64) -> u64 {
        let more = u64::from(topic < self.connections % self.topics());
        self.connections / self.topics() + more
    }
}

/// The first of the host's addresses on which somebody listens.
async fn reach(
    client: &Client,
    host: &str,
    port: u16,
    allow_remote: bool,
) -> anyhow::Result<SocketAddr> {
    let unreachable = |reason: String| {
        anyhow!("can't reach {}: {reason} (is `tidings serve` running there?)", client.url())
    };
    let found = net::lookup_host((host, port)).await;
    let mut reason = "its name has no address".to_owned();
    for address in found.map_err(|error| unreachable(error.to_string()))? {
        // Before the first packet.
        if !address.ip().is_loopback() && !allow_remote {
            let wrong = format!(
                "{address} is not this machine, and a measurement is a heavy load: where the hub \
                 is yours, say --allow-remote"
            );
            return Err(Usage(wrong).into());
        }
        match time::timeout(CONNECT_TIME_MAX, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => reason = error.to_string(),
            Err(_elapsed) => reason = "it takes too long".into(),
        }
    }
    Err(unreachable(reason))
}

fn run_name() -> anyhow::Result<String> {
    let mut bytes = [0; RUN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(bytes.iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: u64, topics: u64) -> Plan {
        Plan {
            address: ([127, 0, 0, 1], 3000).into(),
            host: "localhost:3000".into(),
            headers: Secret::default(),
            paths: (0..topics).map(|topic| format!("/topics/bench/r/{topic}")).collect(),
            connections,
            publishers: 1,
            time: Duration::from_secs(1),
            event_bytes: 50,
        }
    }

    #[test]
    fn everybody_has_a_topic_and_every_delivery_is_expected() {
        for (connections, topics) in [(1000, 1), (10, 10), (10, 3), (11, 4)] {
            let plan = plan(connections, topics);
            let listeners: Vec<u64> = plan.targets().map(|(_, listeners)| listeners).collect();
            assert_eq!(listeners.iter().sum::<u64>(), connections);
            assert!(listeners.iter().all(|count| count.abs_diff(connections / topics) <= 1));
            for events in 0..3 * topics {
                let one_by_one = (0..events).map(|number| listeners[(number % topics) as usize]);
                assert_eq!(plan.deliveries(events), one_by_one.sum::<u64>(), "{events}");
            }
        }
    }

    #[test]
    fn a_publish_goes_to_its_topic_with_a_stamp() {
        let request = String::from_utf8(plan(10, 3).publish(7)).unwrap();
        assert!(request.starts_with("POST /topics/bench/r/1 HTTP/1.1\r\nHost: localhost:3000\r\n"));
        let (_, data) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(Stamp::parse(data.as_bytes()).unwrap().number, 2);
        assert_eq!(data.len(), 50);
    }

    #[test]
    fn every_request_says_who_sends_it() {
        let line = "Authorization: Bearer s3cret\r\n";
        let plan = Plan { headers: line.to_owned().into(), ..plan(10, 3) };
        for request in [plan.publish(0), plan.target(0).request().to_vec()] {
            let request = String::from_utf8(request).unwrap();
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
        }
        assert!(!format!("{plan:?}").contains("s3cret"));
    }
}
