//! What is written and synced at once: the appends that waited while the disk was busy.
//! Knows nothing of files.

use std::sync::Arc;

use tidings_core::cursor::{Position, Timestamp};
use tokio::sync::oneshot;

use super::format::{Place, encode_record};
use super::index::{Entry, Mark};
use super::queue::Waiting;
use crate::keys::{Fnv, Keys};
use crate::{AppendError, Appended, Record};

/// Appends that are acknowledged together, or refused together.
#[derive(Debug)]
pub(super) struct Group {
    /// The position of its first record.
    first: Position,
    /// The position after its last record.
    next: Position,
    time: Timestamp,
    /// Where in the segment its first byte goes.
    offset: u32,
    /// Up to which byte of the segment all is known to be synced.
    synced: u32,
    bytes: Vec<u8>,
    staged: Vec<Staged>,
    answers: Vec<(oneshot::Sender<Outcome>, Outcome)>,
}

type Outcome = Result<Vec<Appended>, AppendError>;

#[derive(Debug)]
struct Staged {
    offset: u32,
    record: Arc<Record>,
    keyed: bool,
}

impl Group {
    /// An empty group for this place. Its buffer is one that was used before.
    pub(super) fn new(
        next: Position,
        time: Timestamp,
        offset: u32,
        synced: u32,
        mut bytes: Vec<u8>,
    ) -> Self {
        bytes.clear();
        let (staged, answers) = (Vec::new(), Vec::new());
        Self { first: next, next, time, offset, synced, bytes, staged, answers }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The position of its first record.
    pub(super) fn first(&self) -> Position {
        self.first
    }

    /// The position that its next record would get.
    pub(super) fn next(&self) -> Position {
        self.next
    }

    /// Of its last record, or of the last before it.
    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The byte after its last one.
    pub(super) fn end(&self) -> u32 {
        self.end_after(0)
    }

    fn end_after(&self, bytes: usize) -> u32 {
        u32::try_from(self.offset as usize + self.bytes.len() + bytes)
            .expect("the writer only takes what the segment has room for")
    }

    /// Takes a request whose events stand at these places. Its answer waits for the group, even
    /// where it repeats an earlier one: that one may be in this very group.
    pub(super) fn push(&mut self, waiting: Waiting, answers: Vec<Appended>, keys: &mut Keys) {
        let last_new = answers.iter().rposition(|answer| !answer.repeated);
        for (number, (append, answer)) in waiting.batch.into_iter().zip(&answers).enumerate() {
            if answer.repeated {
                continue;
            }
            self.time = self.time.max(append.time);
            self.next = answer.position.next();
            let offset = self.end();
            let place = Place {
                position: answer.position,
                time: self.time,
                synced: self.synced,
                more: Some(number) != last_new,
            };
            encode_record(&mut self.bytes, place, &append.event, append.key.as_ref());
            if let Some(key) = &append.key {
                keys.remember(key, answer.position, self.time, &append.event);
            }
            let keyed = append.key.is_some();
            let record = Record {
                position: answer.position,
                print: None,
                time: self.time,
                event: append.event,
            };
            self.staged.push(Staged { offset, record: Arc::new(record), keyed });
        }
        self.answers.push((waiting.answer, Ok(answers)));
    }

    /// Takes a request that is refused when the others are answered.
    pub(super) fn refuse(&mut self, waiting: Waiting, error: AppendError) {
        self.answers.push((waiting.answer, Err(error)));
    }

    /// Its records as the index wants them.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<impl Iterator<Item = u64>>> {
        self.staged.iter().map(|Staged { offset, record, keyed }| Entry {
            mark: Mark { position: record.position, time: record.time, offset: *offset },
            id: record.event.id.as_ref().map(|id| Fnv::of(id.as_str().as_bytes())),
            topics: record.event.topics.iter().map(|topic| Fnv::of(topic.as_str().as_bytes())),
            keyed: *keyed,
        })
    }

    /// Its records, once.
    pub(super) fn take_records(&mut self) -> Vec<Arc<Record>> {
        self.staged.drain(..).map(|staged| staged.record).collect()
    }

    /// Answers all of it, and gives the buffer back.
    pub(super) fn answer(self, outcome: &Result<(), AppendError>) -> Vec<u8> {
        for (answer, own) in self.answers {
            // Whoever asked may be gone.
            let _ = answer.send(outcome.clone().and(own));
        }
        self.bytes
    }
}
