//! Hubs on a Redis Cluster, whose primaries hand over and whose slots move while events are
//! published: nobody notices.

#[path = "../../../tidings-log/src/redis/tests/cluster/servers.rs"]
mod servers;

use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use self::servers::Cluster;
use crate::chaos::{Engine, Random, everybody_gets_everything_once};
use crate::engine::node_on;
use crate::proxy::Proxy;
use crate::support::free_port;

/// A key of a partition of the log.
fn meta(partition: u64) -> String {
    format!("{{tidings:{partition}}}:meta")
}

#[test]
fn whatever_fails_in_a_cluster_everybody_gets_everything_once() {
    everybody_gets_everything_once(Servers::<1>::start());
}

#[test]
fn whatever_fails_in_a_cluster_with_partitions_everybody_gets_everything_once() {
    everybody_gets_everything_once(Servers::<4>::start());
}

/// The servers of a cluster with a log in so many partitions, and the way to each server, by which
/// the others know it.
struct Servers<const PARTITIONS: usize> {
    cluster: Cluster,
    proxies: Vec<Proxy>,
}

impl<const PARTITIONS: usize> Servers<PARTITIONS> {
    fn start() -> Self {
        let proxies = Mutex::new(Vec::new());
        let cluster = Cluster::announced(free_port, |port| {
            let proxy = Proxy::to(port);
            let port = proxy.port;
            proxies.lock().unwrap().push(proxy);
            port
        });
        Self { cluster, proxies: proxies.into_inner().unwrap() }
    }
}

impl<const PARTITIONS: usize> Engine for Servers<PARTITIONS> {
    fn log(&self, _node: usize) -> String {
        format!("redis+cluster://{}", self.cluster.seeds())
    }

    fn command(&self, directory: &TempDir, address: &str, node: usize) -> Command {
        let mut command = node_on(directory.path(), address, &self.log(node));
        if PARTITIONS > 1 {
            command.args(["--redis-partitions", &PARTITIONS.to_string()]);
        }
        command
    }

    fn fail(&mut self, _node: usize, broken: Duration, random: &mut Random) {
        let meta = &meta(random.below(PARTITIONS as u64));
        match random.below(4) {
            0 => {
                println!("the slot moves, with pauses of {:?}", broken / 20);
                self.cluster.migrate(meta, || std::thread::sleep(broken / 20));
            }
            1 => {
                println!("a replica takes over");
                self.cluster.fail_over(meta);
            }
            2 => {
                println!("the way to the primary is cut for {broken:?}");
                let way = &self.proxies[self.cluster.holder(meta)];
                way.cut();
                std::thread::sleep(broken);
                way.mend();
                self.cluster.wait_until_whole();
            }
            _ => {
                println!("the servers break all connections off");
                self.cluster.break_off();
            }
        }
    }
}
