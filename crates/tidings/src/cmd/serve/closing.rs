//! Serves until somebody wants an end or a restart, and ends in order: requests, streams, log.
//! Knows nothing of how the hub came to be.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use tidings_server::Hub;
use tokio::task::JoinSet;
use tokio::time;

use super::bind::Bound;
use super::restart::{Restart, Successor};
use super::tls::Certificate;
use super::unix::SocketFile;
use crate::exit::Interrupted;
use crate::memory;
use crate::signals::{Received, Signals};
use crate::supervisor;

/// How often the log tells how far a drain has got.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// What the log may take to close, after streams and requests had their time.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(30);

type Servers = JoinSet<std::io::Result<()>>;

/// Why it ends.
enum Reason {
    /// A signal asks for the end.
    End(Received),
    /// The program is to start anew.
    Restart(PathBuf),
}

/// Serves until the first signal, then stops accepting, finishes what is being written, ends the
/// streams, and closes. A second signal ends it at once. Where there is a `restart`, and it was
/// asked for, the answer is who takes over.
///
/// # Errors
/// Where a listener fails or something does not close in time; [`Interrupted`] by a second signal.
pub(in crate::cmd) async fn until_closed(
    bound: Bound,
    router: Router,
    hub: Hub,
    mut signals: Signals,
    mut restart: Option<Restart>,
) -> anyhow::Result<Option<Successor>> {
    let mut servers = Servers::new();
    // Sockets' files stay for as long as somebody may listen there.
    let mut files = Vec::new();
    for place in bound.places {
        files.extend(place.file);
        servers.spawn(tidings_server::serve(place.listener, router.clone(), hub.clone()));
    }
    // Ends when it is dropped.
    let mut renewals = JoinSet::new();
    if let Some(Certificate { tls, files: Some((certificate, key)), .. }) = bound.certificate {
        renewals.spawn(tls.watch(certificate, key));
    }
    let reason = until_told(&mut servers, &hub, &mut signals, &mut restart).await?;
    let hub_config = hub.config();
    let (drain, successor) = match reason {
        Reason::End(received) => {
            tracing::info!("{}: shutting down; a second signal ends at once", received.name);
            supervisor::stopping();
            // The sockets that are kept for a successor would look as if somebody listened.
            drop(restart.take());
            (if received.is_interrupt() { Duration::ZERO } else { hub_config.drain }, None)
        }
        Reason::Restart(program) => {
            // From now on, who connects waits for the successor.
            hub.stop_accepting();
            files.drain(..).for_each(SocketFile::leave);
            tracing::info!("SIGUSR2: restarting");
            (Duration::ZERO, restart.take().map(|restart| restart.into_successor(program)))
        }
    };
    let time_max = drain + hub_config.shutdown_time_max + CLOSE_TIME_MAX;
    let restarts = successor.is_some();
    let closing = async {
        if restarts {
            // Whoever leaves early would only wait: streams go on until there is nothing else.
            hub.finish_requests().await;
        }
        hub.begin_drain(drain);
        // Requests first: each of them may still append to the log.
        while servers.join_next().await.is_some() {}
        hub.close().await;
    };
    tokio::select! {
        closed = time::timeout(time_max, closing) => {
            closed.context("the log did not close in time")?;
            tracing::info!("closed");
            Ok(successor)
        }
        never = tell_progress(&hub) => match never {},
        received = signals.next() => Err(Interrupted { signal: received.number }.into()),
    }
}

/// Waits until it is to end, or can restart and is to.
async fn until_told(
    servers: &mut Servers,
    hub: &Hub,
    signals: &mut Signals,
    restart: &mut Option<Restart>,
) -> anyhow::Result<Reason> {
    let mut give_back = pin!(memory::give_back(hub));
    loop {
        let asked = async {
            match restart {
                None => std::future::pending().await,
                Some(restart) => {
                    restart.asked().await;
                    supervisor::restarting();
                    restart.check().await
                }
            }
        };
        tokio::select! {
            received = signals.next() => return Ok(Reason::End(received)),
            checked = asked => match checked {
                Ok(program) => return Ok(Reason::Restart(program)),
                Err(error) => {
                    tracing::error!("SIGUSR2: not restarted: {error:#}");
                    supervisor::ready();
                }
            },
            Some(ended) = servers.join_next() => {
                ended.context("a listener's task ended")?.context("a listener failed")?;
                bail!("a listener ended");
            }
            never = &mut give_back => match never {},
        }
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
