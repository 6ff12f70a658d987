//! How many of something each client has at once, on all nodes of a hub together.
//! Knows nothing of what is counted, nor of how nodes tell each other.
//!
//! Each node counts its own, and says so where the log is ([`Shares`]): before a new one is let in,
//! and after one has gone. While the log can't be asked, the node's own count is what holds; when
//! it can be asked again, nothing counts that was said before, and all is said anew.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidings_core::limits::{SHARES_LEASE, SHARES_PER_CALL_MAX, SHARES_TIME_MAX};
use tidings_log::{Log, ReadError, Share, Shares};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Client, Counted, Counts, Full};

/// How often a node says that it lives: a few times may fail.
const LIVE_INTERVAL: Duration = SHARES_LEASE.checked_div(5).expect("5 is not 0");

/// How often all is said again, long before it would be forgotten.
const AGAIN_INTERVAL: Duration = SHARES_TIME_MAX.checked_div(3).expect("3 is not 0");

/// Things counted by their client, at most so many of each on all nodes.
pub(crate) struct Everywhere {
    here: Arc<Counts>,
    log: Arc<dyn Log>,
    /// Something was not said, or nobody knows whether it was.
    unsaid: AtomicBool,
}

impl Everywhere {
    /// `max` of 0: no limit.
    pub(crate) fn new(max: usize, log: Arc<dyn Log>) -> Self {
        let here = if log.shares().is_some() { Counts::watched(max) } else { Counts::new(max) };
        Self { here, log, unsaid: AtomicBool::new(false) }
    }

    /// Counts one more of `client`; `None` where there is no limit, and nothing to count. Cancel
    /// safe: what is not taken counts no more.
    pub(crate) async fn enter(&self, client: &Client) -> Result<Option<Counted>, Full> {
        let Some(counted) = self.here.enter(client)? else { return Ok(None) };
        let (Some(shares), Some(max)) = (self.log.shares(), self.here.max()) else {
            return Ok(Some(counted));
        };
        match self.say(shares, std::slice::from_ref(client), Some(max)).await {
            Ok(counts) if counts.first() == Some(&false) => Err(Full { max }),
            Ok(_) => Ok(Some(counted)),
            Err(error) => {
                tracing::debug!(%error, "streams are counted on this node alone");
                self.unsaid.store(true, Ordering::Relaxed);
                Ok(Some(counted))
            }
        }
    }

    /// Tells the other nodes that this one lives, and what has gone here. It ends where nobody is
    /// to be told.
    pub(crate) async fn keep(&self) {
        let (Some(shares), Some(_)) = (self.log.shares(), self.here.max()) else { return };
        let mut lives = interval(LIVE_INTERVAL);
        lives.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut since, mut again) = (0, Instant::now() + AGAIN_INTERVAL);
        loop {
            let clients = tokio::select! {
                _ = lives.tick() => {
                    let anew = self.unsaid.swap(false, Ordering::Relaxed);
                    if anew {
                        since = self.here.order();
                    }
                    match shares.live(since).await {
                        Ok(lived) if lived && !anew && Instant::now() < again => continue,
                        Ok(_) => {
                            again = Instant::now() + AGAIN_INTERVAL;
                            self.here.clients()
                        }
                        Err(_) => {
                            self.unsaid.store(true, Ordering::Relaxed);
                            continue;
                        }
                    }
                }
                clients = self.here.left() => clients,
            };
            for clients in clients.chunks(SHARES_PER_CALL_MAX) {
                if self.say(shares, clients, None).await.is_err() {
                    self.unsaid.store(true, Ordering::Relaxed);
                    break;
                }
            }
        }
    }

    /// Has nothing of this node's count any more on the others.
    pub(crate) async fn leave(&self) {
        if let (Some(shares), Some(_), Ok(())) =
            (self.log.shares(), self.here.max(), self.log.health())
        {
            // If it fails, the lease ends some time.
            let _ = shares.live(self.here.order()).await;
        }
    }

    async fn say(
        &self,
        shares: &dyn Shares,
        clients: &[Client],
        max: Option<usize>,
    ) -> Result<Vec<bool>, ReadError> {
        let max = max.map(|max| max as u64);
        let names: Vec<_> = clients.iter().map(name).collect();
        let said: Vec<_> = clients
            .iter()
            .zip(&names)
            .map(|(client, name)| {
                let count = self.here.count(client);
                Share { name, held: count.things as u64, order: count.order, max }
            })
            .collect();
        shares.hold(&said).await
    }
}

fn name(client: &Client) -> Cow<'_, str> {
    match client {
        Client::Subject(name) => Cow::Borrowed(name),
        Client::Address(address) => Cow::Owned(address.to_string()),
    }
}
