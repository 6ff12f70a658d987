//! Nchan, the module of nginx, with its messages in memory.
//! Knows its publisher's and its subscribers' addresses.

use super::{Ability, Door, Place, Subject, System, nginx};
use crate::crowd::Target;
use crate::publish::Publisher;
use crate::server::Server;

pub(super) const ONE_WORKER: System = System {
    name: "nchan",
    title: "Nchan, 1 worker",
    settings: "Debian's nginx-light with its Nchan, `bench/peers/nchan.conf`: messages in memory, \
               2,000 kept a channel for 10 minutes, no pings; 1 worker, its best on one hot \
               channel; several in one go: pipelined on one connection",
    abilities: ABILITIES,
    version,
    start: |place| Ok(Box::new(Nchan::start(place, 1)?)),
};

pub(super) const WORKERS: System = System {
    name: "nchan-workers",
    title: "Nchan, a worker per core",
    settings: "as Nchan with 1 worker, but as many as it has processors, with `reuseport`",
    abilities: ABILITIES,
    version,
    start: |place| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Box::new(Nchan::start(place, processors)?))
    },
};

const ABILITIES: &[Ability] = &[Ability::Publish, Ability::Topics, Ability::Resume];

fn version(_: &Place) -> anyhow::Result<String> {
    let module = nginx::module_version("ngx_nchan_module.so", "libnginx-mod-nchan")?;
    Ok(format!("{module}, nginx {}", nginx::version()?))
}

struct Nchan {
    server: Server,
    door: Door,
    publisher: Publisher,
}

impl Nchan {
    fn start(place: &Place, workers: usize) -> anyhow::Result<Self> {
        let server = nginx::start(place, "nchan", workers)?;
        let address = server.address();
        let publisher = Publisher::connect(address, "")?;
        Ok(Self { server, door: door(address), publisher })
    }
}

fn door(address: std::net::SocketAddr) -> Door {
    Door::post(address, |topic| format!("/pub/{topic}"))
}

impl Subject for Nchan {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn target(&self, topic: &str, first: u64) -> Target {
        Target::new(self.server.address(), &format!("/sub/{topic}"), "", first)
    }

    fn publish(&mut self, topic: &str, events: &[String]) -> anyhow::Result<()> {
        let requests = events.iter().map(|data| self.door.request(topic, data));
        self.publisher.pipeline(&requests.collect::<Vec<_>>())
    }

    fn door(&self) -> Option<Door> {
        Some(door(self.server.address()))
    }
}
