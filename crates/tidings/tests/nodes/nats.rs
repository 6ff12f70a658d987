//! A nats-server for one test; and hubs on three of them, whose leader dies again and again.

#[path = "../../../tidings-log/src/nats/tests/servers.rs"]
mod servers;

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use self::servers::{Cluster, Server};
use crate::chaos::{Engine, Random, everybody_gets_everything_once};
use crate::engine::node_on;
use crate::support::free_port;

/// A running nats-server.
pub(crate) struct Nats {
    server: Server,
    forgets: bool,
}

impl Nats {
    pub(crate) fn forgetful() -> Self {
        Self { server: Server::start(free_port), forgets: true }
    }

    pub(crate) fn durable() -> Self {
        Self { server: Server::start(free_port), forgets: false }
    }

    /// One with this configuration; `STORE` stands for a directory of its own.
    pub(crate) fn with(configuration: &str) -> Self {
        let server = Server::with(free_port, configuration);
        Self { server, forgets: false }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn kill(&mut self) {
        self.server.kill();
        if self.forgets {
            self.server.forget();
        }
    }

    pub(crate) fn up(&mut self) {
        self.server.up();
    }
}

#[test]
fn whatever_fails_in_a_cluster_of_nats_everybody_gets_everything_once() {
    everybody_gets_everything_once(Servers { cluster: Cluster::start(free_port) });
}

/// Three servers that all keep the stream.
struct Servers {
    cluster: Cluster,
}

impl Engine for Servers {
    fn log(&self, _node: usize) -> String {
        let hosts = self.cluster.ports().into_iter().map(|port| format!("127.0.0.1:{port}"));
        format!("nats://{}", hosts.collect::<Vec<_>>().join(","))
    }

    fn command(&self, directory: &TempDir, address: &str, node: usize) -> Command {
        let mut command = node_on(directory.path(), address, &self.log(node));
        command.args(["--nats-replicas", "3"]);
        command
    }

    fn fail(&mut self, _node: usize, broken: Duration, random: &mut Random) {
        let leader = self.cluster.leader("tidings");
        let which = match random.below(2) {
            0 => leader,
            _ => (leader + 1) % 3,
        };
        println!("server {which} is killed, where {leader} leads, and away for {broken:?}");
        self.cluster.servers[which].kill();
        std::thread::sleep(broken);
        self.cluster.servers[which].up();
        // Two at once would be more than three servers promise to survive.
        self.cluster.until_whole("tidings");
    }
}
