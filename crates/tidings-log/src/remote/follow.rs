//! Follows the log: from the server while behind, from memory at the tail.
//! Knows nothing of appending, and of the server only that somebody listens to it.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::cursor::Position;
use tidings_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tokio::sync::watch;

use super::reading::Reading;
use super::shared::Shared;
use crate::page::Filling;
use crate::{Bounds, Follow, FollowError, ReadError, Record};

pub(crate) struct Follower<E, R> {
    next: Position,
    generation: u64,
    /// That the server is away was told.
    told: bool,
    shared: Arc<Shared<E>>,
    reader: Arc<R>,
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

impl<E, R: Reading> Follower<E, R> {
    pub(crate) fn new(shared: Arc<Shared<E>>, reader: Arc<R>, from: Position) -> Self {
        let changed = shared.changed.subscribe();
        let generation = shared.state.lock().generation;
        let next = from.max(Position::FIRST);
        Self { next, generation, told: false, shared, reader, changed }
    }

    fn look(&mut self) -> Result<Place, FollowError> {
        let state = self.shared.state.lock();
        if self.generation != state.generation {
            self.generation = state.generation;
            self.next = state.followed;
            let bounds = Bounds {
                incarnation: state.held.incarnation,
                oldest: state.held.oldest,
                next: state.followed,
            };
            return Err(FollowError::Replaced { bounds });
        }
        if self.next < state.held.oldest {
            let oldest = state.held.oldest;
            self.next = oldest;
            return Err(FollowError::Trimmed { oldest });
        }
        if self.next >= state.followed {
            if state.ended || state.closed && self.next >= state.held.next {
                return Err(FollowError::Closed);
            }
            return match &state.deaf {
                Some(reason) if !self.told => {
                    self.told = true;
                    Err(FollowError::Failed { reason: reason.clone() })
                }
                Some(_) => Ok(Place::AtTail),
                None => {
                    self.told = false;
                    Ok(Place::AtTail)
                }
            };
        }
        Ok(match state.recent_from(self.next, PAGE_EVENTS_MAX) {
            Some(records) => Place::Here(records),
            None => Place::Behind,
        })
    }

    /// What comes next, from the server.
    async fn read(&mut self) -> Result<Vec<Arc<Record>>, FollowError> {
        match self.reader.page(self.next, None, PAGE_EVENTS_MAX, PAGE_BYTES_MAX).await {
            Ok(page) => Ok(page.records),
            Err(ReadError::Trimmed { oldest }) => {
                self.next = oldest;
                Err(FollowError::Trimmed { oldest })
            }
            Err(ReadError::Failed { reason }) => Err(FollowError::Failed { reason }),
        }
    }
}

#[async_trait]
impl<E, R> Follow for Follower<E, R>
where
    E: Send + Sync + 'static,
    R: Reading,
{
    async fn next(&mut self) -> Result<Vec<Arc<Record>>, FollowError> {
        loop {
            // Seen before looking: what comes after the look wakes the wait below.
            self.changed.borrow_and_update();
            let generation = self.generation;
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
                    let read = self.read().await;
                    // What was read of a log that is another one by now belongs to neither.
                    if self.shared.state.lock().generation != generation {
                        continue;
                    }
                    read?
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
