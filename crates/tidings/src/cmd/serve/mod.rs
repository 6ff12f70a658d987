//! `tidings serve`: a log, a hub over it, its API on the network, and an orderly end.
//! Knows nothing of requests.

mod access;
mod bind;
mod hello;
mod inherited;
mod open_files;
mod tls;
mod unix;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use tidings_core::limits::CONNECTIONS_MAX;
use tidings_log::{Disk, DiskOptions, Log, Memory, MemoryOptions};
use tidings_server::{Config, Hub, api};
use tokio::task::JoinSet;
use tokio::time;

use crate::exit::Interrupted;
use crate::memory;
use crate::settings::{Keep, Loaded, Settings};
use crate::signals::Signals;

use tls::Certificate;

pub(super) use access::load_access;
pub(super) use bind::{Bound, bind, check};
pub(super) use hello::{Hello, Here};
pub(super) use inherited::Inherited;

/// How often the log tells how far a drain has got.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// What the log may take to close, after streams and requests had their time.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(30);

/// Runs until a signal comes and all is closed.
///
/// # Errors
/// Where something can't be opened, or does not close in time; [`Interrupted`] where a second
/// signal came before.
pub(super) async fn run(loaded: &Loaded, inherited: Inherited) -> anyhow::Result<()> {
    let settings = &loaded.settings;
    let access = load_access(settings)?;
    let bound = bind(settings, inherited).await?;
    let config = within_open_files(settings.hub());
    let log = open_log(settings).await?;
    let hub = Hub::start(log, config).context("can't start the hub")?;
    let router = api::router_with_index(hub.clone(), access.clone());
    tokio::spawn(async move { access.watch().await });
    // Whoever waits for the address may send a signal as soon as it has it.
    let signals = Signals::new()?;
    Hello::new("tidings", &bound, settings)?.print(settings.log_format)?;
    until_closed(bound, router, hub, signals).await
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

/// Opens the log that the settings name.
pub(super) async fn open_log(settings: &Settings) -> anyhow::Result<Arc<dyn Log>> {
    let (bytes_max, age_max) = (settings.keep_bytes(), settings.keep_age);
    match &settings.log {
        Keep::Memory => Ok(Arc::new(Memory::new(MemoryOptions { bytes_max, age_max }))),
        Keep::Disk(directory) => {
            let (directory, sync) = (directory.clone(), settings.sync);
            let options = DiskOptions { directory, sync, bytes_max, age_max };
            let opening = tokio::task::spawn_blocking(|| Disk::open(options));
            let disk = opening.await.context("the log's opening ended")??;
            let bytes_cut = disk.recovery().bytes_cut;
            if bytes_cut > 0 {
                tracing::warn!("cut {bytes_cut} bytes off the log: a write that a crash broke off");
            }
            Ok(Arc::new(disk))
        }
    }
}

/// Serves until the first signal, then stops accepting, finishes what is being written, ends the
/// streams, and closes. A second signal ends it at once.
pub(super) async fn until_closed(
    bound: Bound,
    router: Router,
    hub: Hub,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let mut servers = JoinSet::new();
    // Sockets' files stay for as long as somebody may listen there.
    let mut files = Vec::new();
    for place in bound.places {
        files.push(place.file);
        servers.spawn(tidings_server::serve(place.listener, router.clone(), hub.clone()));
    }
    // Ends when it is dropped.
    let mut renewals = JoinSet::new();
    if let Some(Certificate { tls, files: Some((certificate, key)), .. }) = bound.certificate {
        renewals.spawn(tls.watch(certificate, key));
    }
    let received = tokio::select! {
        received = signals.next() => received,
        Some(ended) = servers.join_next() => {
            ended.context("a listener's task ended")?.context("a listener failed")?;
            bail!("a listener ended");
        }
        never = memory::give_back(&hub) => match never {},
    };
    let drain = if received.is_interrupt() { Duration::ZERO } else { hub.config().drain };
    tracing::info!("{}: shutting down; a second signal ends at once", received.name);
    let time_max = drain + hub.config().shutdown_time_max + CLOSE_TIME_MAX;
    hub.begin_drain(drain);
    let closing = async {
        // Requests first: each of them may still append to the log.
        while servers.join_next().await.is_some() {}
        hub.close().await;
    };
    tokio::select! {
        closed = time::timeout(time_max, closing) => {
            closed.context("the log did not close in time")?;
            tracing::info!("closed");
            Ok(())
        }
        never = tell_progress(&hub) => match never {},
        received = signals.next() => Err(Interrupted { signal: received.number }.into()),
    }
}

/// Says how many streams are left, as long as some end.
async fn tell_progress(hub: &Hub) -> Infallible {
    let all = hub.streams();
    let mut told = all;
    if all > 0 {
        tracing::info!("{all} streams are to end");
    }
    loop {
        time::sleep(PROGRESS_INTERVAL).await;
        let left = hub.streams();
        if left < told {
            tracing::info!("{left} of {all} streams are left");
            told = left;
        }
    }
}
