//! Nchan, the module of nginx, with its messages in memory.
//! Knows its publisher's and its subscribers' addresses.

use super::plain::{Api, Plain};
use super::{Ability, Place, Subject, System, nginx};

pub(super) const ONE_WORKER: System = System {
    name: "nchan",
    title: "Nchan, 1 worker",
    settings: "Debian's nginx-light with its Nchan, `bench/peers/nchan.conf`: messages in memory, \
               2,000 kept a channel for 10 minutes, no pings; 1 worker, its best on one hot \
               channel; several in one go: pipelined on one connection",
    abilities: ABILITIES,
    version,
    start: |place| start(place, 1),
};

pub(super) const WORKERS: System = System {
    name: "nchan-workers",
    title: "Nchan, a worker per core",
    settings: "as Nchan with 1 worker, but as many as it has processors, with `reuseport`",
    abilities: ABILITIES,
    version,
    start: |place| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        start(place, processors)
    },
};

const ABILITIES: &[Ability] = &[Ability::Publish, Ability::Topics, Ability::Resume];

fn version(_: &Place) -> anyhow::Result<String> {
    let module = nginx::module_version("ngx_nchan_module.so", "libnginx-mod-nchan")?;
    Ok(format!("{module}, nginx {}", nginx::version()?))
}

fn start(place: &Place, workers: usize) -> anyhow::Result<Box<dyn Subject>> {
    let server = nginx::start(place, "nchan", workers)?;
    Ok(Box::new(Plain::new(server, Api { subscribe: "/sub/", publish: "/pub/", keeps: true })?))
}
