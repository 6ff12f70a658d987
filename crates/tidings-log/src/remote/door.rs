//! Where publishers wait until the writer has appended what they bring, for a bounded time.
//! Knows nothing of how it is appended.

use parking_lot::Mutex;
use tidings_core::limits::{APPEND_TIME_MAX, APPENDS_WAITING_MAX};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::format::event_bytes;
use super::shared::Shared;
use super::sizes::{BATCH_BYTES_MAX, EVENT_OVERHEAD_BYTES};
use crate::{Append, AppendError, Appended};

/// A batch that waits to be appended.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) batch: Vec<Append>,
    /// When its publisher stops waiting.
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
}

impl Waiting {
    /// Whether nobody waits any more: it has not been sent, so it is not kept.
    pub(crate) fn is_given_up(&self) -> bool {
        self.answer.is_closed() || self.deadline <= Instant::now()
    }

    pub(crate) fn answer(self, answer: Result<Vec<Appended>, AppendError>) {
        // Whoever has stopped waiting does not want to know.
        let _ = self.answer.send(answer);
    }
}

/// The bytes that a batch counts in the log.
pub(crate) fn batch_bytes(batch: &[Append]) -> u64 {
    batch.iter().map(|append| (event_bytes(&append.event) + EVENT_OVERHEAD_BYTES) as u64).sum()
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct Door {
    /// Taken when the log is closed.
    waiting: Mutex<Option<mpsc::Sender<Waiting>>>,
    bytes_max: u64,
}

impl Door {
    /// For a log of so many bytes; and what comes through the door.
    pub(crate) fn new(bytes_max: u64) -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, waiting) = mpsc::channel(APPENDS_WAITING_MAX);
        let bytes_max = bytes_max.min(BATCH_BYTES_MAX);
        (Self { waiting: Mutex::new(Some(sender)), bytes_max }, waiting)
    }

    /// Nobody comes in any more. What is inside already is appended first.
    pub(crate) fn close(&self) {
        drop(self.waiting.lock().take());
    }

    /// Hands a batch to the writer and waits for the answer.
    pub(crate) async fn append<E>(
        &self,
        shared: &Shared<E>,
        batch: Vec<Append>,
    ) -> Result<Vec<Appended>, AppendError> {
        let sender = self.waiting.lock().clone();
        let Some(sender) = sender else { return Err(AppendError::Closed) };
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (bytes, bytes_max) = (batch_bytes(&batch), self.bytes_max);
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        let deadline = Instant::now() + APPEND_TIME_MAX;
        let (answer, answered) = oneshot::channel();
        match sender.try_send(Waiting { batch, deadline, answer }) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(AppendError::Closed),
            Err(TrySendError::Full(waiting)) => {
                match timeout_at(deadline, sender.send(waiting)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(AppendError::Closed),
                    Err(_) => return Err(late(shared)),
                }
            }
        }
        // The log closes when nobody holds one.
        drop(sender);
        match timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            // The writer lets go of those whose time is up, maybe a moment before they see it.
            Ok(Err(_)) if Instant::now() < deadline => Err(AppendError::Closed),
            Ok(Err(_)) | Err(_) => Err(late(shared)),
        }
    }
}

/// Batches that are appended together.
pub(crate) trait Gathering {
    /// Takes a batch in.
    fn push(&mut self, waiting: Waiting);
    /// Whether it is large enough.
    fn is_full(&self) -> bool;
}

/// Gathers what waits, beginning with `first`. Whoever has waited for too long is told so.
pub(crate) fn gather<E>(
    shared: &Shared<E>,
    first: Waiting,
    others: &mut mpsc::Receiver<Waiting>,
    group: &mut impl Gathering,
) {
    let mut next = Some(first);
    while let Some(waiting) = next {
        if waiting.is_given_up() {
            waiting.answer(Err(late(shared)));
        } else {
            group.push(waiting);
        }
        next = if group.is_full() { None } else { others.try_recv().ok() };
    }
}

/// What a publisher is told whose time is up.
fn late<E>(shared: &Shared<E>) -> AppendError {
    let state = shared.state.lock();
    let reason = state.mute.clone().or_else(|| state.deaf.clone());
    drop(state);
    let reason = reason.unwrap_or_else(|| shared.trouble("it does not answer"));
    AppendError::Late { reason }
}
