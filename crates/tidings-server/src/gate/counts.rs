//! How many of something each client has at once.
//! Knows nothing of what is counted.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Client;

/// Things counted by their client, at most so many of each.
#[derive(Debug)]
pub(crate) struct Counts {
    /// `None`: as many as they like.
    max: Option<usize>,
    held: Mutex<Table>,
    /// Whose things became fewer, where somebody wants to know.
    left: Option<Left>,
}

#[derive(Debug, Default)]
struct Table {
    // No more entries than there are things: an entry goes with the last of its client.
    clients: HashMap<Client, Weak<Held>>,
    /// How often somebody has asked how many there are.
    asked: u64,
}

#[derive(Debug, Default)]
struct Left {
    clients: Mutex<HashSet<Client>>,
    some: Notify,
}

/// One thing that counts until this is dropped. All of one client share what it points to, so
/// that it takes eight bytes.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Held>);

/// What those of one client share.
#[derive(Debug)]
struct Held {
    counts: Arc<Counts>,
    client: Client,
    things: AtomicUsize,
}

/// How many things a client had at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Count {
    pub(crate) things: usize,
    /// Later counts have higher ones.
    pub(crate) order: u64,
}

/// The client has as many as it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full {
    /// How many that is.
    pub(crate) max: usize,
}

impl Counts {
    /// `max` of 0: no limit.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: (max > 0).then_some(max), held: Mutex::default(), left: None })
    }

    /// The same; and [`Counts::left`] tells whose things became fewer.
    pub(crate) fn watched(max: usize) -> Arc<Self> {
        let left = Some(Left::default());
        Arc::new(Self { max: (max > 0).then_some(max), held: Mutex::default(), left })
    }

    /// How many each client may have; `None` without a limit.
    pub(crate) fn max(&self) -> Option<usize> {
        self.max
    }

    /// Counts one more of `client`; `None` where there is no limit, and nothing to count.
    pub(crate) fn enter(self: &Arc<Self>, client: &Client) -> Result<Option<Counted>, Full> {
        let Some(max) = self.max else { return Ok(None) };
        let mut table = self.held.lock();
        if let Some(held) = table.clients.get(client).and_then(Weak::upgrade) {
            // It grows under the lock only.
            if held.things.load(Ordering::Acquire) >= max {
                // Should ours be the last reference by now, then its drop needs the lock.
                drop(table);
                return Err(Full { max });
            }
            held.things.fetch_add(1, Ordering::AcqRel);
            return Ok(Some(Counted(held)));
        }
        let (counts, things) = (Arc::clone(self), AtomicUsize::new(1));
        let held = Arc::new(Held { counts, client: client.clone(), things });
        table.clients.insert(client.clone(), Arc::downgrade(&held));
        Ok(Some(Counted(held)))
    }

    /// How many things a client has now.
    pub(crate) fn count(&self, client: &Client) -> Count {
        let mut table = self.held.lock();
        table.asked += 1;
        let held = table.clients.get(client).and_then(Weak::upgrade);
        let count = Count {
            things: held.as_ref().map_or(0, |held| held.things.load(Ordering::Acquire)),
            order: table.asked,
        };
        // Should it be the last reference by now, then its drop needs the lock.
        drop(table);
        count
    }

    /// An order above that of all counts so far.
    pub(crate) fn order(&self) -> u64 {
        let mut table = self.held.lock();
        table.asked += 1;
        table.asked
    }

    /// Who has something.
    pub(crate) fn clients(&self) -> Vec<Client> {
        self.held.lock().clients.keys().cloned().collect()
    }

    /// Waits until things became fewer, and says whose. For one task. Cancel safe.
    pub(crate) async fn left(&self) -> Vec<Client> {
        let Some(left) = &self.left else { return std::future::pending().await };
        loop {
            let clients = std::mem::take(&mut *left.clients.lock());
            if !clients.is_empty() {
                return clients.into_iter().collect();
            }
            left.some.notified().await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Held { counts, client, things } = &*self.0;
        things.fetch_sub(1, Ordering::AcqRel);
        if let Some(left) = &counts.left {
            left.clients.lock().insert(client.clone());
            left.some.notify_one();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.counts.held.lock();
        let clients = &mut table.clients;
        // Another one of the same client may have come since the last reference went.
        if clients.get(&self.client).is_some_and(|held| held.strong_count() == 0) {
            clients.remove(&self.client);
            if clients.is_empty() {
                clients.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn client(name: &str) -> Client {
        Client::Subject(name.into())
    }

    #[test]
    fn each_client_has_its_own_count() {
        let counts = Counts::new(2);
        let first = counts.enter(&client("a")).unwrap();
        let second = counts.enter(&client("a")).unwrap();
        assert_eq!(counts.enter(&client("a")).unwrap_err(), Full { max: 2 });
        let other = counts.enter(&client("b")).unwrap();
        drop(first);
        let third = counts.enter(&client("a")).unwrap();
        assert!(counts.enter(&client("a")).is_err());
        assert_eq!(counts.clients().len(), 2);
        drop((second, third, other));
        assert_eq!(counts.clients(), [], "nothing is left of those who have gone");
    }

    #[tokio::test]
    async fn who_watches_learns_whose_became_fewer_and_later_counts_are_told_apart() {
        let counts = Counts::watched(2);
        let first = counts.enter(&client("a")).unwrap();
        let second = counts.enter(&client("a")).unwrap();
        let before = counts.count(&client("a"));
        assert_eq!(before.things, 2);
        drop(first);
        assert_eq!(counts.left().await, [client("a")]);
        let after = counts.count(&client("a"));
        assert_eq!(after.things, 1);
        assert!(after.order > before.order);
        drop(second);
        assert_eq!(counts.left().await, [client("a")]);
        assert_eq!(counts.count(&client("a")).things, 0);
        assert!(counts.order() > after.order);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let counts = Counts::new(0);
        assert!(counts.enter(&client("a")).unwrap().is_none());
        assert_eq!(counts.clients(), []);
    }

    #[test]
    fn many_threads_never_have_more_than_the_limit() {
        let counts = Counts::new(3);
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Ok(counted) = counts.enter(&client("a")) else { continue };
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now <= 3, "{now} at once");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(counted);
                    }
                });
            }
        });
        assert_eq!(counts.clients(), []);
    }
}
