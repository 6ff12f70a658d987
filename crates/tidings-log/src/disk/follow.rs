//! Follows the log: from the segments while behind, from memory at the tail.
//! Knows nothing of appending.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::cursor::Position;
use tidings_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tokio::sync::watch;

use super::shared::Shared;
use crate::page::Filling;
use crate::{Follow, FollowError, ReadError, Record};

pub(super) struct Follower {
    next: Position,
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
}

/// Where a follower stands.
enum Place {
    /// These come next.
    Here(Vec<Arc<Record>>),
    /// What comes next is no longer in memory.
    Behind,
    /// Nothing comes next, yet.
    AtTail,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, from: Position) -> Self {
        let changed = shared.changed.subscribe();
        Self { next: from.max(Position::FIRST), shared, changed }
    }

    fn look(&mut self) -> Result<Place, FollowError> {
        let state = self.shared.state.lock();
        if self.next < state.oldest {
            self.next = state.oldest;
            return Err(FollowError::Trimmed { oldest: state.oldest });
        }
        if self.next >= state.next {
            return if state.closed { Err(FollowError::Closed) } else { Ok(Place::AtTail) };
        }
        Ok(match state.recent.from(self.next, PAGE_EVENTS_MAX) {
            Some(records) => Place::Here(records),
            None => Place::Behind,
        })
    }
}

#[async_trait]
impl Follow for Follower {
    async fn next(&mut self) -> Result<Vec<Arc<Record>>, FollowError> {
        loop {
            // Seen before looking: what comes after the look wakes the wait below.
            self.changed.borrow_and_update();
            let records = match self.look()? {
                Place::Here(records) => {
                    let mut filling = Filling::new(PAGE_EVENTS_MAX, PAGE_BYTES_MAX);
                    for record in records {
                        if !filling.push(record) {
                            break;
                        }
                    }
                    filling.finish(self.next).records
                }
                Place::Behind => {
                    let from = self.next;
                    let page = self.shared.blocking(from, move |reader| {
                        reader.page(from, None, PAGE_EVENTS_MAX, PAGE_BYTES_MAX)
                    });
                    match page.await {
                        Ok(page) => page.records,
                        // It is told at the next look.
                        Err(ReadError::Trimmed { .. }) => continue,
                        Err(ReadError::Failed { reason }) => {
                            return Err(FollowError::Failed { reason });
                        }
                    }
                }
                Place::AtTail => {
                    // Cannot fail: this follower keeps the sender alive.
                    let _ = self.changed.changed().await;
                    continue;
                }
            };
            if let Some(last) = records.last() {
                self.next = last.position.next();
                return Ok(records);
            }
        }
    }
}
