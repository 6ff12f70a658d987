//! How many of something each client has at once.
//! Knows nothing of what is counted.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Client;

/// Things counted by their client, at most so many of each.
#[derive(Debug)]
pub(crate) struct Counts {
    /// `None`: as many as they like.
    max: Option<usize>,
    // No more entries than there are things: an entry goes with the last of its client.
    held: Mutex<HashMap<Client, Weak<Held>>>,
}

/// One thing that counts until this is dropped. All of one client share what it points to, so
/// that it takes eight bytes.
pub(crate) type Counted = Arc<Held>;

/// What those of one client share; there are as many as there are references to it.
#[derive(Debug)]
pub(crate) struct Held {
    counts: Arc<Counts>,
    client: Client,
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
        Arc::new(Self { max: (max > 0).then_some(max), held: Mutex::default() })
    }

    /// Counts one more of `client`; `None` where there is no limit, and nothing to count.
    pub(crate) fn enter(self: &Arc<Self>, client: &Client) -> Result<Option<Counted>, Full> {
        let Some(max) = self.max else { return Ok(None) };
        let mut held = self.held.lock();
        if let Some(counted) = held.get(client).and_then(Weak::upgrade) {
            // One of the references is ours, of this moment.
            if Arc::strong_count(&counted) > max {
                // Should it be the last by now, then its drop needs the lock.
                drop(held);
                return Err(Full { max });
            }
            return Ok(Some(counted));
        }
        let counted = Arc::new(Held { counts: Arc::clone(self), client: client.clone() });
        held.insert(client.clone(), Arc::downgrade(&counted));
        Ok(Some(counted))
    }

    /// How many clients have something.
    #[cfg(test)]
    fn clients(&self) -> usize {
        self.held.lock().len()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.counts.held.lock();
        // Another one of the same client may have come since the last reference went.
        if held.get(&self.client).is_some_and(|held| held.strong_count() == 0) {
            held.remove(&self.client);
            if held.is_empty() {
                held.shrink_to_fit();
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
        assert_eq!(counts.clients(), 2);
        drop((second, third, other));
        assert_eq!(counts.clients(), 0, "nothing is left of those who have gone");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let counts = Counts::new(0);
        assert!(counts.enter(&client("a")).unwrap().is_none());
        assert_eq!(counts.clients(), 0);
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
        assert_eq!(counts.clients(), 0);
    }
}
