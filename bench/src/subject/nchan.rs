//! Nchan, the module of nginx, with its messages in memory or in Redis.
//! Knows its publisher's and its subscribers' addresses.

use std::time::{Duration, Instant};

use super::plain::{Api, Plain};
use super::{Ability, Fleet, Place, Subject, System, nginx};
use crate::crowd::Probe;
use crate::engine::{Engine, Redis};

/// It finds its Redis within this time.
const ENGINE_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) const ONE_WORKER: System = System {
    name: "nchan",
    title: "Nchan, 1 worker",
    settings: "Debian's nginx-light with its Nchan, `bench/peers/nchan.conf`: messages in memory, \
               2,000 kept a channel for 10 minutes, no pings; 1 worker, its best on one hot \
               channel; several in one go: pipelined on one connection",
    abilities: &[Ability::Publish, Ability::Topics, Ability::Resume, Ability::Twin],
    version,
    start: |place| alone(place, 1),
};

pub(super) const WORKERS: System = System {
    name: "nchan-workers",
    title: "Nchan, a worker per core",
    settings: "as Nchan with 1 worker, but as many as it has processors, with `reuseport`",
    abilities: &[Ability::Publish, Ability::Topics, Ability::Resume],
    version,
    start: |place| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        alone(place, processors)
    },
};

pub(super) const REDIS: System = System {
    name: "nchan-redis",
    title: "Nchan over Redis",
    settings: "as Nchan with 1 worker, each node such an nginx, with `nchan_redis_pass` to one \
               Redis (storage mode `distributed`, its default); that Redis as for Tidings",
    abilities: &[Ability::Publish, Ability::Resume, Ability::Nodes, Ability::Twin],
    version: |place| Ok(format!("{}, Redis {}", version(place)?, Redis::version()?)),
    start: |place| {
        let engine = Box::new(Redis::start(&place.scratch.join("redis"))?);
        let theirs = place.clone();
        let node = move |redis: &dyn Engine, nth: usize| {
            let upstream = format!("upstream engine {{ nchan_redis_server {}; }}", redis.url());
            let words = [("UPSTREAM", upstream), ("STORE", "nchan_redis_pass engine;".to_owned())];
            let node = start(&theirs, &format!("nchan-{nth}"), 1, &words)?;
            wait_for_engine(&*node)?;
            Ok(node)
        };
        Ok(Box::new(Fleet::start(engine, Box::new(node))?))
    },
};

fn version(_: &Place) -> anyhow::Result<String> {
    let module = nginx::module_version("ngx_nchan_module.so", "libnginx-mod-nchan")?;
    Ok(format!("{module}, nginx {}", nginx::version()?))
}

/// It listens before it has found its Redis, and refuses all meanwhile.
fn wait_for_engine(node: &dyn Subject) -> anyhow::Result<()> {
    let deadline = Instant::now() + ENGINE_TIME_MAX;
    loop {
        match Probe::open(&node.target("bench/ready", 0)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn alone(place: &Place, workers: usize) -> anyhow::Result<Box<dyn Subject>> {
    let words = [("UPSTREAM", String::new()), ("STORE", String::new())];
    start(place, "nchan", workers, &words)
}

fn start(
    place: &Place,
    directory: &str,
    workers: usize,
    words: &[(&str, String)],
) -> anyhow::Result<Box<dyn Subject>> {
    let settings = nginx::Settings { template: "nchan", directory, workers, words };
    let server = nginx::start(place, &settings)?;
    Ok(Box::new(Plain::new(server, Api { subscribe: "/sub/", publish: "/pub/", keeps: true })?))
}
