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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use tidings_core::cursor::{Position, Timestamp};
    use tidings_log::{
        Append, AppendError, Appended, Bounds, Follow, Mark, Memory, MemoryOptions, Page, Read,
        Usage,
    };
    use tokio::time::sleep;

    use super::*;

    /// A log beside which nodes count together, and what this node has said there.
    #[derive(Default)]
    struct Together {
        said: Mutex<HashMap<String, (u64, u64)>>,
        /// How many others hold of each name.
        others: Mutex<u64>,
        /// It hears, but its answer gets lost.
        is_away: AtomicBool,
        since: Mutex<Vec<u64>>,
    }

    struct Kept(Memory, Arc<Together>);

    #[async_trait]
    impl Shares for Together {
        async fn hold(&self, shares: &[Share<'_>]) -> Result<Vec<bool>, ReadError> {
            let hold = |share: &Share<'_>| {
                let counts = share.max.is_none_or(|max| share.held + *self.others.lock() <= max);
                let mut said = self.said.lock();
                let known = said.get(share.name).map_or(0, |(_, order)| *order);
                if counts && known <= share.order {
                    said.insert(share.name.to_owned(), (share.held, share.order));
                }
                counts
            };
            let counts = shares.iter().map(hold).collect();
            self.answer().map(|()| counts)
        }

        async fn live(&self, since: u64) -> Result<bool, ReadError> {
            self.answer()?;
            self.since.lock().push(since);
            Ok(true)
        }
    }

    impl Together {
        fn answer(&self) -> Result<(), ReadError> {
            match self.is_away.load(Ordering::Relaxed) {
                true => Err(ReadError::Failed { reason: "it is away".into() }),
                false => Ok(()),
            }
        }

        /// What this node has said of a client, where it still counts.
        fn held(&self, name: &str) -> u64 {
            let since = self.since.lock().last().copied().unwrap_or_default();
            let said = self.said.lock().get(name).copied();
            said.filter(|(_, order)| *order >= since).map_or(0, |(held, _)| held)
        }
    }

    #[async_trait]
    impl Log for Kept {
        fn bounds(&self) -> Bounds {
            self.0.bounds()
        }
        async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
            self.0.append(batch).await
        }
        async fn read(&self, read: Read<'_>) -> Result<Page, ReadError> {
            self.0.read(read).await
        }
        async fn find(&self, mark: Mark<'_>) -> Result<Option<Position>, ReadError> {
            self.0.find(mark).await
        }
        fn follow(&self, from: Position) -> Box<dyn Follow> {
            self.0.follow(from)
        }
        async fn trim(&self, now: Timestamp) -> Result<(), String> {
            self.0.trim(now).await
        }
        fn health(&self) -> Result<(), String> {
            self.0.health()
        }
        fn usage(&self) -> Usage {
            self.0.usage()
        }
        fn shares(&self) -> Option<&dyn Shares> {
            Some(&*self.1)
        }
        async fn close(&self) {
            self.0.close().await;
        }
    }

    fn world(max: usize) -> (Arc<Together>, Arc<Everywhere>) {
        let together = Arc::<Together>::default();
        let log = Kept(Memory::new(MemoryOptions::default()), Arc::clone(&together));
        let streams = Arc::new(Everywhere::new(max, Arc::new(log)));
        let keeper = Arc::clone(&streams);
        tokio::spawn(async move { keeper.keep().await });
        (together, streams)
    }

    fn client(name: &str) -> Client {
        Client::Subject(name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn others_count_too_and_learn_what_has_gone() {
        let (together, streams) = world(2);
        *together.others.lock() = 1;
        let first = streams.enter(&client("a")).await.unwrap();
        assert_eq!(together.held("a"), 1);
        assert_eq!(streams.enter(&client("a")).await.err(), Some(Full { max: 2 }));
        sleep(LIVE_INTERVAL).await;
        assert_eq!(together.held("a"), 1, "who was refused does not count");
        drop(first);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(together.held("a"), 0);
        streams.leave().await;
        assert!(*together.since.lock().last().unwrap() > 0, "nothing counts any more");
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_it_counts_its_own_and_then_says_all_anew() {
        let (together, streams) = world(2);
        let gone = streams.enter(&client("gone")).await.unwrap();
        assert_eq!(together.held("gone"), 1);
        together.is_away.store(true, Ordering::Relaxed);
        *together.others.lock() = 2;
        // Others can't be asked.
        let _first = streams.enter(&client("a")).await.unwrap();
        let _second = streams.enter(&client("a")).await.unwrap();
        assert_eq!(streams.enter(&client("a")).await.err(), Some(Full { max: 2 }));
        // Should the other nodes never hear of it, then it must not count for ever.
        drop(gone);
        sleep(2 * SHARES_LEASE).await;
        together.said.lock().insert("gone".into(), (1, 1));
        together.is_away.store(false, Ordering::Relaxed);
        sleep(2 * LIVE_INTERVAL).await;
        assert_eq!(together.held("gone"), 0);
        assert_eq!(together.held("a"), 2, "nobody is put out, and the others know");
        assert_eq!(streams.enter(&client("b")).await.err(), Some(Full { max: 2 }));
    }

    #[tokio::test(start_paused = true)]
    async fn all_is_said_again_before_it_is_forgotten() {
        let (together, streams) = world(2);
        let _held = streams.enter(&client("a")).await.unwrap();
        together.said.lock().clear();
        sleep(SHARES_TIME_MAX / 2).await;
        assert_eq!(together.held("a"), 1);
    }
}
