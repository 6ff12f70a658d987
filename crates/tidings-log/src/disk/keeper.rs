//! The thread that does what appends need not wait for: it deletes what retention lets go,
//! writes the indexes of full segments, and prepares the next one.
//! Knows nothing of appending.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use tidings_core::cursor::{Position, Timestamp};
use tokio::sync::oneshot;

use super::reader::Reader;
use super::segment::{Fault, Segment};
use super::shared::{Shared, Spare};
use super::sizes::SPARE_RETRY_AFTER;

/// What the writer asks for.
#[derive(Debug)]
pub(super) enum Job {
    /// This segment is full, and its records are synced.
    Seal(Arc<Segment>),
    /// Retention at this time; answered when what it frees is freed.
    Trim { now: Timestamp, done: oneshot::Sender<Result<(), String>> },
}

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    /// Full segments whose index could not be written yet. Until then it is in memory.
    pub(super) unsealed: Vec<Arc<Segment>>,
    /// Segments that are to be deleted: in order, so that none is ever missing in between.
    pub(super) doomed: VecDeque<Arc<Segment>>,
    /// When the next segment could not be prepared.
    pub(super) spare_failed: Option<Instant>,
}

impl Keeper {
    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.prepare_spare();
        self.seal();
        for job in jobs {
            match job {
                Job::Seal(segment) => {
                    self.unsealed.push(segment);
                    self.spare_failed = None;
                    // What can't be deleted now is deleted later.
                    let _ = self.retain(Position::FIRST);
                    self.seal();
                    self.prepare_spare();
                }
                Job::Trim { now, done } => {
                    let trimmed = self.trim(now);
                    self.seal();
                    self.prepare_spare();
                    // Nobody may be waiting any more.
                    let _ = done.send(trimmed);
                }
            }
        }
    }

    fn trim(&mut self, now: Timestamp) -> Result<(), String> {
        let age_max = u64::try_from(self.shared.age_max.as_millis()).unwrap_or(u64::MAX);
        let cutoff = Timestamp(now.0.saturating_sub(age_max));
        // A segment can only go as a whole, but nobody is given what is too old in it.
        let oldest = Reader::new(&self.shared).since(cutoff);
        let retained = self.retain(*oldest.as_ref().unwrap_or(&Position::FIRST));
        match oldest {
            Err(Fault::Failed(reason)) => Err(format!("can't find what is too old: {reason}")),
            Err(Fault::Gone) | Ok(_) => retained,
        }
    }

    fn retain(&mut self, oldest: Position) -> Result<(), String> {
        self.doomed.extend(self.shared.retain(oldest));
        let files = &self.shared.directory.files;
        let mut removed = false;
        while let Some(segment) = self.doomed.front() {
            if let Err(error) = segment.remove(files) {
                return Err(format!("can't delete {}: {error}", segment.path().display()));
            }
            removed = true;
            let gone = self.doomed.pop_front();
            self.unsealed
                .retain(|other| !gone.as_ref().is_some_and(|gone| Arc::ptr_eq(gone, other)));
        }
        if removed {
            let path = self.shared.directory.spare();
            let synced = files.sync_directory_of(&path);
            synced.map_err(|error| format!("can't sync the log's directory: {error}"))?;
        }
        Ok(())
    }

    fn seal(&mut self) {
        let files = &self.shared.directory.files;
        // On failure the index stays in memory, and the next job tries again.
        self.unsealed.retain(|segment| segment.seal(files).is_err());
    }

    fn prepare_spare(&mut self) {
        if self.spare_failed.is_some_and(|failed| failed.elapsed() < SPARE_RETRY_AFTER) {
            return;
        }
        let mut slot = self.shared.spare.lock();
        if slot.is_some() {
            return;
        }
        let Shared { directory, segment_bytes: bytes, spare_bytes, .. } = &*self.shared;
        let unfinished = directory.unfinished_spare();
        let made = directory.files.allocate(&unfinished, *bytes).and_then(|file| {
            directory.files.rename(&unfinished, &directory.spare())?;
            Ok(Spare { file, bytes: *bytes })
        });
        // Without one, the writer makes the next segment itself, and says so if it can't.
        self.spare_failed = made.is_err().then(Instant::now);
        spare_bytes.store(made.as_ref().map_or(0, |spare| spare.bytes), Ordering::Relaxed);
        *slot = made.ok();
    }
}
