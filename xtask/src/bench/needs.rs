//! What the systems that Tidings is compared with need on the machine.
//! Knows their packages; how they are started is in the benchmark.

use std::path::Path;

use anyhow::Result;

use crate::context::{Context, find_program};
use crate::install::debian::{self, Debian};
use crate::install::npm;

/// Their settings, and those that are written for Node.
pub(super) const PEERS: &str = "bench/peers";

// Asked for by what they bring: the benchmark starts them from these places.
const DEBIAN: &[Debian] = &[
    Debian {
        package: "iproute2",
        why: "the isolated cases have a network of their own",
        present: || find_program("ip").is_some(),
        services: &[],
    },
    Debian {
        package: "nginx-light",
        why: "Nchan is a module of it, and Pushpin has its origin in it",
        present: || is_file("/usr/sbin/nginx"),
        services: &["nginx"],
    },
    Debian {
        package: "libnginx-mod-nchan",
        why: "Tidings is compared with Nchan",
        present: || is_file("/usr/lib/nginx/modules/ngx_nchan_module.so"),
        services: &["nginx"],
    },
    Debian {
        package: "pushpin",
        why: "Tidings is compared with Pushpin",
        present: || {
            let programs = ["condure", "pushpin", "pushpin-handler", "pushpin-proxy", "zurl"];
            programs.iter().all(|name| find_program(name).is_some())
        },
        services: &["pushpin", "zurl"],
    },
    Debian {
        package: "redis-server",
        why: "several nodes are measured over one",
        present: || find_program("redis-server").is_some(),
        services: &["redis-server"],
    },
    Debian {
        package: "nats-server",
        why: "several nodes are measured over one",
        present: || find_program("nats-server").is_some(),
        services: &["nats-server"],
    },
    Debian {
        package: "redis-tools",
        why: "redis-benchmark says what a Redis takes by itself",
        present: || find_program("redis-benchmark").is_some(),
        services: &[],
    },
];

/// Installs what is missing.
///
/// # Errors
///
/// When that can't be done.
pub(crate) fn install(context: &Context) -> Result<()> {
    npm::check_node()?;
    debian::install(context, DEBIAN)?;
    npm::install(context, PEERS)
}

fn is_file(path: &str) -> bool {
    Path::new(path).is_file()
}
