//! What waits for the writer: appends, and calls to trim.
//! Knows nothing of what becomes of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidings_core::cursor::Timestamp;
use tidings_core::limits::APPENDS_WAITING_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Append, AppendError, Appended};

/// Neither of the channels at hand would do: callers wait without a thread, the writer waits
/// with one and until a deadline, and takes all that is there at once.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Work>,
    wake: Condvar,
    /// One permit for each append that has no answer yet.
    room: Arc<Semaphore>,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) appends: VecDeque<Waiting>,
    pub(super) trims: Vec<Trim>,
    /// The writer need not be woken for fewer appends.
    wake_at: usize,
    /// Nothing comes after this.
    pub(super) closing: bool,
    /// There is no writer any more.
    stopped: bool,
}

/// An append that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Vec<Append>,
    pub(super) answer: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
    _room: OwnedSemaphorePermit,
}

/// A call to trim that waits for its end.
#[derive(Debug)]
pub(super) struct Trim {
    pub(super) now: Timestamp,
    pub(super) done: oneshot::Sender<Result<(), String>>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(APPENDS_WAITING_MAX)),
        }
    }
}

impl Queue {
    /// Hands a batch to the writer and waits for its answer. Dropped before the batch was handed
    /// over, nothing happens; after that, it is kept all the same.
    pub(super) async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_| AppendError::Closed)?;
        let (answer, answered) = oneshot::channel();
        {
            let mut work = self.waiting.lock();
            if work.closing {
                return Err(AppendError::Closed);
            }
            if work.stopped {
                return Err(stopped());
            }
            work.appends.push_back(Waiting { batch, answer, _room: room });
            if work.appends.len() >= work.wake_at {
                self.wake.notify_one();
            }
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Has the log trimmed. On a closed log there is nothing to do.
    pub(super) async fn trim(&self, now: Timestamp) -> Result<(), String> {
        let (done, trimmed) = oneshot::channel();
        {
            let mut work = self.waiting.lock();
            if work.closing {
                return Ok(());
            }
            if work.stopped {
                return Err(STOPPED.to_owned());
            }
            work.trims.push(Trim { now, done });
        }
        self.wake.notify_one();
        trimmed.await.unwrap_or(Ok(()))
    }

    /// Lets the writer finish what is there, and nothing else.
    pub(super) fn close(&self) {
        self.waiting.lock().closing = true;
        self.wake.notify_one();
    }

    /// Waits for work, until a deadline at the latest.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Work {
        let mut work = self.waiting.lock();
        while work.appends.is_empty() && work.trims.is_empty() && !work.closing {
            match deadline {
                None => self.wake.wait(&mut work),
                Some(deadline) => {
                    if self.wake.wait_until(&mut work, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        Work {
            appends: std::mem::take(&mut work.appends),
            trims: std::mem::take(&mut work.trims),
            wake_at: 0,
            closing: work.closing,
            stopped: work.stopped,
        }
    }

    /// Waits until so many appends wait, for a moment at most, and takes them.
    pub(super) fn gather(&self, wanted: usize, at_most: Duration) -> VecDeque<Waiting> {
        let deadline = Instant::now() + at_most;
        let mut work = self.waiting.lock();
        work.wake_at = wanted;
        while work.appends.len() < wanted && !work.closing {
            if self.wake.wait_until(&mut work, deadline).timed_out() {
                break;
            }
        }
        work.wake_at = 0;
        std::mem::take(&mut work.appends)
    }

    /// Says that there is no writer any more: whoever waits is told.
    pub(super) fn stop(&self) {
        let mut work = self.waiting.lock();
        work.stopped = true;
        work.appends.clear();
        work.trims.clear();
    }

    /// How many appends wait to be taken.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().appends.len()
    }
}

pub(super) const STOPPED: &str = "its writer has stopped: restart the server";

fn stopped() -> AppendError {
    AppendError::Unavailable { reason: STOPPED.to_owned() }
}
