//! How many bytes of publishers the hub holds at once: whoever comes when they are taken waits,
//! and its connection fills instead of our memory. Knows nothing of what the bytes are.
//!
//! Bytes are taken as they come, not as they are announced, so that a slow client holds no more
//! than it has sent. When none is left, one of those that wait goes on without: its request ends
//! some time, and sets bytes free. So requests that each hold a part never wait for one another for
//! ever, and the memory is bounded by the budget and one request.

use std::sync::Arc;

use tidings_core::limits::PUBLISH_WAIT_TIME_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// So many bytes, for all requests together.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    free: Arc<Semaphore>,
    /// Who goes on although nothing is left.
    beyond: Arc<Semaphore>,
}

/// What one request has of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedSemaphorePermit>,
}

/// None was left for too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Spent {
    /// How many there are in all.
    pub(crate) bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        let (free, beyond) = (Arc::new(Semaphore::new(bytes_max)), Arc::new(Semaphore::new(1)));
        Self { bytes_max, free, beyond }
    }

    /// Nothing yet, for one request.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), held: None, beyond: None }
    }
}

impl Share {
    /// Takes as many more; at once, if they are there.
    ///
    /// # Errors
    /// Where none were for [`PUBLISH_WAIT_TIME_MAX`].
    pub(crate) async fn take(&mut self, bytes: usize, waits: impl FnOnce()) -> Result<(), Spent> {
        let Budget { bytes_max, free, beyond } = &self.budget;
        if bytes == 0 || self.beyond.is_some() {
            return Ok(());
        }
        let Ok(wanted) = u32::try_from(bytes.min(*bytes_max)) else {
            return Err(Spent { bytes_max: *bytes_max });
        };
        let taken = match Arc::clone(free).try_acquire_many_owned(wanted) {
            Ok(permit) => permit,
            Err(_) => {
                waits();
                let waiting = async {
                    tokio::select! {
                        biased;
                        taken = Arc::clone(free).acquire_many_owned(wanted) => (taken.ok(), None),
                        beyond = Arc::clone(beyond).acquire_owned() => (None, beyond.ok()),
                    }
                };
                match timeout(PUBLISH_WAIT_TIME_MAX, waiting).await {
                    Ok((Some(taken), _)) => taken,
                    Ok((None, beyond)) => {
                        self.beyond = beyond;
                        return Ok(());
                    }
                    Err(_) => return Err(Spent { bytes_max: *bytes_max }),
                }
            }
        };
        match &mut self.held {
            Some(held) => held.merge(taken),
            held @ None => *held = Some(taken),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_nothing_waits_until_others_are_done() {
        let budget = Budget::new(10);
        let waited = Cell::new(0);
        let waits = || waited.set(waited.get() + 1);
        let (mut first, mut second, mut third) = (budget.share(), budget.share(), budget.share());
        first.take(6, waits).await.unwrap();
        first.take(4, waits).await.unwrap();
        assert_eq!(waited.get(), 0);
        second.take(1, waits).await.unwrap();
        assert_eq!(waited.get(), 1, "one goes on without");
        second.take(1_000, waits).await.unwrap();
        assert_eq!(waited.get(), 1, "to its end");
        let before = Instant::now();
        assert_eq!(third.take(1, waits).await, Err(Spent { bytes_max: 10 }));
        assert_eq!(before.elapsed(), PUBLISH_WAIT_TIME_MAX);
        let (waiting, ()) = tokio::join!(third.take(8, waits), async { drop(first) });
        waiting.unwrap();
        assert_eq!(budget.free.available_permits(), 2);
        drop((second, third));
        assert_eq!(budget.free.available_permits(), 10);
        assert_eq!(budget.beyond.available_permits(), 1);
    }

    #[tokio::test]
    async fn more_than_there_is_takes_all() {
        let budget = Budget::new(10);
        let mut share = budget.share();
        share.take(50, || unreachable!("it is all there")).await.unwrap();
        assert_eq!(budget.free.available_permits(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_hold_a_part_each_all_come_to_their_end() {
        let budget = Budget::new(10);
        let requests = (0..5).map(|_| {
            let mut share = budget.share();
            tokio::spawn(async move {
                for _ in 0..4 {
                    share.take(2, || {}).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
        assert_eq!(budget.free.available_permits(), 10);
    }
}
