//! The thread that appends: it owns the last segment, and writes and syncs in groups.
//! Knows nothing of reading.
//!
//! While one group is on its way to the disk the next one gathers in the queue, so that under
//! load one sync serves many appends, and without load none waits for another.
//!
//! After a failed write or sync the system's memory and the disk may differ, and syncing again
//! would claim success (<https://lwn.net/Articles/752063/>). So nothing is tried twice on the
//! same file: it is cut back to what was acknowledged, and appending goes on in a new segment.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidings_core::cursor::{Position, Timestamp};

use super::directory::{Lock, io_error};
use super::format::{HEADER_BYTES, record_bytes, segment_header};
use super::group::Group;
use super::index::{Extent, Growing};
use super::keeper::Job;
use super::options::{OpenError, SyncPolicy};
use super::queue::{STOPPED, Trim, Waiting, Work};
use super::segment::{Index, Segment};
use super::shared::{Shared, Spare};
use super::sizes::{GATHER_SHARE, GROUP_BYTES_MAX, RETRY_AFTER};
use crate::AppendError;
use crate::keys::Keys;

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) keys: Keys,
    /// Missing after a failure, until a new segment could be begun.
    pub(super) active: Option<Active>,
    /// The position of the next record.
    pub(super) next: Position,
    /// Of the last record.
    pub(super) time: Timestamp,
    /// When what was written has to be synced, with the policy `interval`.
    pub(super) sync_due: Option<Instant>,
    /// How many appends were answered last, and how long their sync took, if there was one.
    pub(super) last_appends: usize,
    pub(super) last_sync: Duration,
    /// What failed last, and when it may be tried again.
    pub(super) failed: Option<(String, Instant)>,
    /// The last group's, to be used again.
    pub(super) buffer: Vec<u8>,
    pub(super) keeper: Keeper,
    /// Keeps other processes out for as long as the log is open.
    pub(super) lock: Lock,
}

/// The segment that grows.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) file: File,
    /// The byte after the last committed record.
    pub(super) end: u32,
    /// Up to here all is synced.
    pub(super) synced: u32,
    /// Bytes that are allocated.
    pub(super) capacity: u32,
}

/// The other thread.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) jobs: Sender<Job>,
    pub(super) thread: JoinHandle<()>,
}

impl Writer {
    /// Sees to it that there is a segment, before anything else is done.
    pub(super) fn begin_first(&mut self, directory: &Path) -> Result<(), OpenError> {
        if self.active.is_some() {
            return Ok(());
        }
        let next = self.make_segment(0).map_err(io_error("make a segment in", directory))?;
        let segment = Arc::clone(&next.segment);
        self.active = Some(next);
        self.shared.change_segments(|segments| segments.push(segment));
        Ok(())
    }

    /// Works until the log is closed. Whatever ends it, nobody is left waiting.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _stop = StopOnDrop(shared);
        loop {
            let Work { mut appends, trims, closing, .. } = self.shared.queue.take(self.sync_due);
            self.gather(&mut appends);
            self.append(appends);
            for trim in trims {
                self.trim(trim);
            }
            if self.sync_due.is_some_and(|due| due <= Instant::now()) {
                self.sync();
            }
            // Nothing comes after `closing`, and what came before it has just been done.
            if closing {
                return self.close();
            }
        }
    }

    /// Gives those who were just answered a moment to ask for more: the first of them to be back
    /// would otherwise have a sync of its own, and all others would wait for it. 64 publishers
    /// that wait for each answer get half as many syncs by it, and almost twice the rate.
    fn gather(&mut self, appends: &mut VecDeque<Waiting>) {
        if appends.is_empty() {
            return;
        }
        let missing = self.last_appends.saturating_sub(appends.len());
        if missing > 0 {
            let moment = self.last_sync / GATHER_SHARE;
            appends.append(&mut self.shared.queue.gather(missing, moment));
        }
        self.last_appends = appends.len();
    }

    fn append(&mut self, mut appends: VecDeque<Waiting>) {
        if appends.is_empty() {
            return;
        }
        let mut group = self.group();
        while let Some(waiting) = appends.pop_front() {
            let answers = match self.keys.admit(&waiting.batch, group.next()) {
                Ok(answers) => answers,
                Err(error) => {
                    group.refuse(waiting, error);
                    continue;
                }
            };
            let new = waiting.batch.iter().zip(&answers).filter(|(_, answer)| !answer.repeated);
            let bytes: usize =
                new.map(|(append, _)| record_bytes(&append.event, append.key.as_ref())).sum();
            if bytes == 0 || self.fits(&group, bytes) {
                group.push(waiting, answers, &mut self.keys);
                continue;
            }
            if !group.is_empty() {
                // Its answers may have to change if the group fails, so it is looked at again.
                appends.push_front(waiting);
            } else if let Err(reason) = self.begin_segment(bytes) {
                group.refuse(waiting, AppendError::Unavailable { reason });
                continue;
            } else {
                appends.push_front(waiting);
            }
            self.commit(group);
            group = self.group();
        }
        self.commit(group);
    }

    fn group(&mut self) -> Group {
        let (end, synced) = self.active.as_ref().map_or((0, 0), |a| (a.end, a.synced));
        Group::new(self.next, self.time, end, synced, std::mem::take(&mut self.buffer))
    }

    /// Whether so many bytes more can go into the group and into the segment. A group never
    /// spans two segments, so that it is committed by one sync.
    fn fits(&self, group: &Group, bytes: usize) -> bool {
        let Some(active) = &self.active else { return false };
        let room = (active.capacity - active.end) as usize;
        let small = group.is_empty() || group.bytes().len() + bytes <= GROUP_BYTES_MAX;
        small && group.bytes().len() + bytes <= room
    }

    /// Writes a group, makes it durable as far as the policy says, shows it to readers, and only
    /// then acknowledges it.
    fn commit(&mut self, mut group: Group) {
        let outcome = if group.is_empty() { Ok(()) } else { self.write(&group) };
        if outcome.is_ok() && !group.is_empty() {
            let active = self.active.as_mut().expect("the group was written there");
            active.segment.commit(group.entries(), group.end());
            active.end = group.end();
            self.next = group.next();
            self.time = group.time();
            self.failed = None;
            self.shared.publish(group.take_records());
        }
        let outcome = outcome.map_err(|error| {
            self.keys.forget_from(group.first());
            AppendError::Unavailable { reason: self.fail(&error, true) }
        });
        self.buffer = group.answer(&outcome);
        if self.buffer.capacity() > 2 * GROUP_BYTES_MAX {
            // One huge batch must not keep its memory for ever.
            self.buffer = Vec::new();
        }
    }

    fn write(&mut self, group: &Group) -> io::Result<()> {
        let files = &self.shared.directory.files;
        let active = self.active.as_mut().expect("a group is only begun where it has room");
        files.write(&active.file, group.bytes(), u64::from(active.end))?;
        match self.shared.sync {
            SyncPolicy::Always => {
                let start = Instant::now();
                files.sync(&active.file)?;
                self.last_sync = start.elapsed();
                active.synced = group.end();
            }
            SyncPolicy::Interval(interval) => {
                self.sync_due = self.sync_due.or_else(|| Some(Instant::now() + interval));
            }
            SyncPolicy::Never => {}
        }
        Ok(())
    }

    /// Syncs what was only written so far.
    fn sync(&mut self) {
        self.sync_due = None;
        let Some(active) = &mut self.active else { return };
        if active.synced < active.end {
            match self.shared.directory.files.sync(&active.file) {
                Ok(()) => active.synced = active.end,
                Err(error) => drop(self.fail(&error, false)),
            }
        }
    }

    /// Gives the active segment up, and says why.
    fn fail(&mut self, error: &io::Error, cut: bool) -> String {
        let reason = self.note(error);
        let Some(active) = self.active.take() else { return reason };
        let files = &self.shared.directory.files;
        if cut {
            // If even this fails, the next segment's first position says where this one ends.
            let _ = files.cut(&active.file, u64::from(active.end));
            if active.synced < active.end {
                // A write failed, no sync did: what came before it can still be made safe.
                let _ = files.sync(&active.file);
            }
        }
        self.sync_due = None;
        self.retire(active);
        reason
    }

    /// Remembers what is the matter, for those who ask how the log is.
    fn note(&mut self, error: &io::Error) -> String {
        let directory = self.shared.directory.path().display();
        let reason = format!("writing to {directory} failed: {error}");
        self.failed = Some((reason.clone(), Instant::now() + RETRY_AFTER));
        self.shared.state.lock().trouble = Some(reason.clone());
        reason
    }

    /// Hands a segment that grows no more to the keeper. One without records makes way for the
    /// next one, which has the same name.
    fn retire(&self, active: Active) {
        if active.segment.is_empty() {
            self.shared.change_segments(|segments| drop(segments.pop()));
        } else {
            // It only ends with us.
            let _ = self.keeper.jobs.send(Job::Seal(active.segment));
        }
    }

    /// Begins a segment that has room for so many bytes, after the active one, if there is one.
    fn begin_segment(&mut self, bytes: usize) -> Result<(), String> {
        if let Some((reason, until)) = &self.failed
            && Instant::now() < *until
        {
            return Err(reason.clone());
        }
        if let Some(active) = &mut self.active
            && active.synced < active.end
        {
            // What comes later must never be there without what came before.
            if let Err(error) = self.shared.directory.files.sync(&active.file) {
                self.fail(&error, false);
            } else {
                active.synced = active.end;
            }
        }
        match self.make_segment(bytes) {
            Ok(next) => {
                let segment = Arc::clone(&next.segment);
                let full = self.active.replace(next);
                if let Some(full) = full {
                    self.retire(full);
                }
                self.sync_due = None;
                self.failed = None;
                self.shared.change_segments(|segments| segments.push(segment));
                self.shared.state.lock().trouble = None;
                Ok(())
            }
            Err(error) => Err(self.note(&error)),
        }
    }

    fn make_segment(&self, bytes: usize) -> io::Result<Active> {
        let Shared { directory, segment_bytes, spare, spare_bytes, .. } = &*self.shared;
        let needed = u64::from(HEADER_BYTES) + bytes as u64;
        // Locked until the file has its name: the keeper would give the next spare the old one.
        let mut slot = spare.lock();
        let (path, Spare { file, bytes }) = match slot.take_if(|spare| spare.bytes >= needed) {
            Some(spare) => {
                spare_bytes.store(0, Ordering::Relaxed);
                (directory.spare(), spare)
            }
            None => {
                let path = directory.path().join("next.tmp");
                let bytes = needed.max(*segment_bytes);
                let file = directory.files.allocate(&path, bytes)?;
                (path, Spare { file, bytes })
            }
        };
        if let Err(error) = self.name_segment(&file, &path) {
            // What it takes may be what the disk lacks.
            let _ = directory.files.remove(&path);
            return Err(error);
        }
        let extent = Extent::empty(self.next);
        let index = Index::Growing(Growing::default());
        let segment = Segment::new(directory, self.next, extent, index, bytes);
        Ok(Active {
            segment: Arc::new(segment),
            file,
            end: HEADER_BYTES,
            synced: HEADER_BYTES,
            capacity: u32::try_from(bytes).expect("batches are bounded by BATCH_BYTES_MAX"),
        })
    }

    /// The header is there before the name is, so that no segment is ever without one.
    fn name_segment(&self, file: &File, path: &Path) -> io::Result<()> {
        let directory = &self.shared.directory;
        let header = segment_header(directory.incarnation, self.next);
        directory.files.write(file, &header, 0)?;
        directory.files.sync(file)?;
        directory.files.rename(path, &directory.segment(self.next))
    }

    fn trim(&mut self, Trim { now, done }: Trim) {
        self.keys.expire(now);
        // A log that failed gets well without anybody publishing: whoever asks how it is may hold
        // the publishers back until it is.
        let due = self.failed.is_some()
            || self.active.as_ref().is_none_or(|active| {
                let age = now.0.saturating_sub(active.segment.extent().time_first.0);
                let old = u128::from(age) > self.shared.age_max.as_millis();
                old && !active.segment.is_empty()
            });
        if due {
            // The next append, or the next call, tries again.
            let _ = self.begin_segment(0);
        }
        let _ = self.keeper.jobs.send(Job::Trim { now, done });
    }

    fn close(mut self) {
        self.sync();
        if let Some(active) = &self.active {
            // It only spares the next start a scan.
            let _ = active.segment.write_index(&self.shared.directory.files);
        }
        let Self { keeper, lock, .. } = self;
        drop(keeper.jobs);
        let _ = keeper.thread.join();
        drop(lock);
    }
}

/// Tells everybody when the writer has ended, be it by a mistake of ours.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.queue.stop();
        {
            let mut state = self.0.state.lock();
            state.closed = true;
            if std::thread::panicking() {
                state.trouble = Some(STOPPED.to_owned());
            }
        }
        self.0.changed.send_replace(());
    }
}
