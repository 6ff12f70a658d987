//! Hubs on a Redis Cluster, whose primaries hand over and whose slots move while events are
//! published: nobody notices.

#[path = "../../../tidings-log/src/redis/tests/cluster/servers.rs"]
mod servers;

use std::sync::Mutex;
use std::time::Duration;

use self::servers::Cluster;
use crate::chaos::{Engine, Random, everybody_gets_everything_once};
use crate::proxy::Proxy;
use crate::support::port_to_come_back_to;

/// A key of the log.
const META: &str = "{tidings:0}:meta";

#[test]
fn whatever_fails_in_a_cluster_everybody_gets_everything_once() {
    everybody_gets_everything_once(Servers::start());
}

/// The servers of a cluster, and the way to each, by which the others know it.
struct Servers {
    cluster: Cluster,
    proxies: Vec<Proxy>,
}

impl Servers {
    fn start() -> Self {
        let proxies = Mutex::new(Vec::new());
        let cluster = Cluster::announced(port_to_come_back_to, |port| {
            let proxy = Proxy::to(port);
            let port = proxy.port;
            proxies.lock().unwrap().push(proxy);
            port
        });
        Self { cluster, proxies: proxies.into_inner().unwrap() }
    }
}

impl Engine for Servers {
    fn log(&self, _node: usize) -> String {
        format!("redis+cluster://{}", self.cluster.seeds())
    }

    fn fail(&mut self, _node: usize, broken: Duration, random: &mut Random) {
        match random.below(4) {
            0 => {
                println!("the slot moves, with pauses of {:?}", broken / 20);
                self.cluster.migrate(META, || std::thread::sleep(broken / 20));
            }
            1 => {
                println!("a replica takes over");
                self.cluster.fail_over(META);
            }
            2 => {
                println!("the way to the primary is cut for {broken:?}");
                let way = &self.proxies[self.cluster.holder(META)];
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
