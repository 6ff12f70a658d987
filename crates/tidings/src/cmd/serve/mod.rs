//! `tidings serve`: a log, a hub over it, its API on the network, and an orderly end.
//! Knows nothing of requests.

mod access;
mod bind;
mod closing;
mod hello;
mod inherited;
mod open_files;
mod restart;
mod tickets;
mod tls;
mod unix;

use std::sync::Arc;

use anyhow::Context;
use tidings_core::limits::CONNECTIONS_MAX;
use tidings_log::{Disk, DiskOptions, Log, Memory, MemoryOptions};
#[cfg(feature = "nats")]
use tidings_log::{Nats, NatsCredentials, NatsOptions};
#[cfg(feature = "redis")]
use tidings_log::{Redis, RedisOptions};
use tidings_server::{Config, Hub, api};

use self::restart::{Restart, Successor};
use crate::settings::{Keep, Loaded, Settings};
use crate::signals::Signals;
use crate::supervisor;

pub(super) use access::load_access;
pub(super) use bind::{bind, check};
pub(super) use closing::until_closed;
pub(super) use hello::{Hello, Here};
pub(super) use inherited::Inherited;
pub(super) use tickets::SharedTickets;

/// Runs until a signal comes and all is closed. The answer is who takes over, if somebody does.
///
/// # Errors
/// Where something can't be opened, or does not close in time;
/// [`Interrupted`](crate::exit::Interrupted) where a second signal came before.
pub(super) async fn run(
    loaded: &Loaded,
    inherited: Inherited,
) -> anyhow::Result<Option<Successor>> {
    let settings = &loaded.settings;
    let tickets = Arc::<SharedTickets>::default();
    let access = load_access(settings, &tickets)?;
    let bound = bind(settings, inherited).await?;
    let restart = Restart::new(settings, bound.places.iter().map(|place| &place.listener))?;
    let config = within_open_files(settings.hub());
    let logs = open_logs(settings, &tickets).await?;
    let hub = Hub::start_partitioned(logs, config).context("can't start the hub")?;
    let router = api::router_with_index(hub.clone(), access.clone());
    tokio::spawn(async move { access.watch().await });
    // Whoever waits for the address may send a signal as soon as it has it.
    let signals = Signals::new()?;
    Hello::new("tidings", &bound, settings)?.print(settings.log_format)?;
    supervisor::ready();
    until_closed(bound, router, hub, signals, Some(restart)).await
}

/// The settings of the hub with as many connections as the system allows.
pub(super) fn within_open_files(config: Config) -> Config {
    let connections_max = open_files::raise();
    if connections_max >= config.connections_max {
        return config;
    }
    let wanted = config.connections_max;
    let why = "the system allows no more open files (ulimit -Hn, or LimitNOFILE= in systemd)";
    // Nobody asked for the default, and most people never come near it.
    if wanted == CONNECTIONS_MAX {
        tracing::debug!("at most {connections_max} connections: {why}");
    } else {
        tracing::warn!("at most {connections_max} connections, not {wanted}: {why}");
    }
    Config { connections_max, ..config }
}

/// Opens the log that the settings name, in all its partitions. Where it is one for many nodes,
/// tickets that are used are recorded beside it.
#[cfg_attr(not(any(feature = "nats", feature = "redis")), allow(unused_variables))]
pub(super) async fn open_logs(
    settings: &Settings,
    tickets: &SharedTickets,
) -> anyhow::Result<Vec<Arc<dyn Log>>> {
    let (bytes_max, age_max) = (settings.keep_bytes(), settings.keep_age);
    match &settings.log {
        Keep::Memory => Ok(vec![Arc::new(Memory::new(MemoryOptions { bytes_max, age_max }))]),
        Keep::Disk(directory) => {
            let (directory, sync) = (directory.clone(), settings.sync);
            let options = DiskOptions { directory, sync, bytes_max, age_max };
            let opening = tokio::task::spawn_blocking(|| Disk::open(options));
            let disk = opening.await.context("the log's opening ended")??;
            let bytes_cut = disk.recovery().bytes_cut;
            if bytes_cut > 0 {
                tracing::warn!("cut {bytes_cut} bytes off the log: a write that a crash broke off");
            }
            Ok(vec![Arc::new(disk)])
        }
        #[cfg(feature = "nats")]
        Keep::Nats(address) => {
            let credentials = match &settings.nats_credentials {
                None => None,
                Some(path) => {
                    Some(NatsCredentials::new(std::fs::read_to_string(path).with_context(
                        || format!("can't read {} (nats-credentials)", path.display()),
                    )?))
                }
            };
            let options = NatsOptions {
                address: address.clone(),
                stream: settings.nats_stream.clone(),
                domain: settings.nats_domain.clone(),
                bytes_max,
                age_max,
                replicas: settings.nats_replicas,
                credentials,
                authority: settings.nats_ca.clone(),
            };
            let nats = Arc::new(Nats::open(options).await?);
            tickets.record_in(Arc::clone(&nats) as _);
            Ok(vec![nats])
        }
        #[cfg(feature = "redis")]
        Keep::Redis(address) => {
            let authority = match &settings.redis_ca {
                None => None,
                Some(path) => Some(
                    std::fs::read(path)
                        .with_context(|| format!("can't read {} (redis-ca)", path.display()))?,
                ),
            };
            let options = RedisOptions {
                address: address.clone(),
                prefix: settings.redis_prefix.clone(),
                bytes_max,
                age_max,
                wait_replicas: settings.redis_wait_replicas,
                authority,
            };
            let partitions = Redis::open_partitions(options, settings.redis_partitions).await?;
            let partitions: Vec<_> = partitions.into_iter().map(Arc::new).collect();
            // One place for all of them.
            tickets.record_in(Arc::clone(&partitions[0]) as _);
            Ok(partitions.into_iter().map(|log| log as Arc<dyn Log>).collect())
        }
    }
}
