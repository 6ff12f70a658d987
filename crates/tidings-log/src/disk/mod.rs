//! A log on disk: segments that are written by one thread, in groups, and read by many.
//! Knows nothing of other nodes.
//!
//! The directory holds:
//!
//! | file | |
//! |---|---|
//! | `format` | format version and incarnation, in plain text |
//! | `lock` | locked by the process that uses the log |
//! | `<position>.log` | a segment: the records from this position on, up to the next segment's |
//! | `<position>.index` | its index, once it is full; the last segment's, after an orderly end |
//! | `spare` | the next segment, allocated and zeroed |
//!
//! A record goes this way: [`queue`] → [`writer`] (→ [`group`] → [`format`] → [`files`]) →
//! [`segment`] and its [`index`] → [`shared`], where [`follow`] and [`reader`] see it. What has
//! time is done by the [`keeper`]; what a crash leaves behind is sorted out by [`recover`].

mod directory;
mod files;
mod follow;
mod format;
pub mod fuzzing;
mod group;
mod index;
mod keeper;
mod options;
mod queue;
mod reader;
mod recover;
mod scan;
mod segment;
mod shared;
mod sizes;
mod writer;

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_core::cursor::{Position, Timestamp};
use tokio::sync::watch;

use self::directory::{Directory, Opened, io_error};
use self::files::Files;
use self::follow::Follower;
use self::format::record_bytes;
use self::keeper::Keeper;
use self::reader::Reader;
use self::recover::{Recovered, recover};
use self::segment::Fault;
use self::shared::{Shared, Spare};
use self::sizes::{
    BATCH_BYTES_MAX, READ_RECENT_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_MIN,
};
use self::writer::{Active, Writer};
use crate::page::Filling;
use crate::{
    Append, AppendError, Appended, Bounds, Follow, Log, Mark, Page, Read, ReadError, Usage,
};

pub use self::options::{DiskOptions, OpenError, SyncPolicy, SyncPolicyError};
pub use self::recover::Recovery;

/// A log on disk. Dropping it closes it too, and waits until that is done.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    recovery: Recovery,
    /// Taken by whoever waits for its end.
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The sender is dropped when the writer has ended.
    ended: watch::Receiver<()>,
}

impl Disk {
    /// Opens a log, or makes one. Blocks while the last segment is looked through: after a crash
    /// at most some 32 MiB, after an orderly end next to nothing.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: DiskOptions) -> Result<Self, OpenError> {
        Self::open_with(options, Files::default())
    }

    fn open_with(options: DiskOptions, files: Files) -> Result<Self, OpenError> {
        let Opened { directory, segments, lock } = Directory::open(&options.directory, files)?;
        let Recovered { segments, unsealed, last, keys, recovery } =
            recover(&directory, &segments)?;
        let active = last.zip(segments.last()).map(|((file, capacity), segment)| {
            let end = segment.extent().end;
            let capacity = u32::try_from(capacity).expect("checked with the header");
            Active { segment: Arc::clone(segment), file, end, synced: end, capacity }
        });
        let time = segments.iter().map(|segment| segment.extent().time_last).max();
        let DiskOptions { sync, bytes_max, age_max, .. } = options;
        let shared = Arc::new(Shared::new(directory, sync, bytes_max, age_max, segments));
        adopt_spare(&shared)?;
        let (jobs, received) = mpsc::channel();
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            unsealed,
            doomed: VecDeque::new(),
            spare_failed: None,
        };
        let next = shared.snapshot().next;
        let keeper = spawn("log-keeper", &options.directory, move || keeper.run(&received))?;
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            keys,
            active,
            next,
            time: time.unwrap_or(Timestamp(0)),
            sync_due: None,
            last_appends: 0,
            last_sync: Duration::ZERO,
            failed: None,
            buffer: Vec::new(),
            keeper: writer::Keeper { jobs, thread: keeper },
            lock,
        };
        // A new log has to have a segment: the positions of a directory without any begin anew.
        writer.begin_first(&options.directory)?;
        let (end, ended) = watch::channel(());
        let writer = spawn("log-writer", &options.directory, move || {
            writer.run();
            drop(end);
        })?;
        Ok(Self { shared, recovery, writer: Mutex::new(Some(writer)), ended })
    }

    /// What was done to the directory when it was opened.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Which of these could never be kept.
    fn too_large(&self, batch: &[Append]) -> Option<AppendError> {
        let bytes: usize =
            batch.iter().map(|append| record_bytes(&append.event, append.key.as_ref())).sum();
        let (bytes, bytes_max) = (bytes as u64, self.shared.bytes_max.min(BATCH_BYTES_MAX));
        (bytes > bytes_max).then_some(AppendError::TooLarge { bytes, bytes_max })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.get_mut().take() {
            // If it panicked, everybody was told already.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Log for Disk {
    fn bounds(&self) -> Bounds {
        let state = self.shared.state.lock();
        let incarnation = self.shared.directory.incarnation;
        Bounds { incarnation, oldest: state.oldest, next: state.next }
    }

    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(error) = self.too_large(&batch) {
            return Err(error);
        }
        for append in &mut batch {
            append.event.data = append.event.data.unshared();
        }
        self.shared.queue.append(batch).await
    }

    async fn read(&self, read: Read<'_>) -> Result<Page, ReadError> {
        let from = read.from.max(Position::FIRST);
        let recent = {
            let state = self.shared.state.lock();
            if from < state.oldest {
                return Err(ReadError::Trimmed { oldest: state.oldest });
            }
            state.recent.from(from, READ_RECENT_MAX)
        };
        if let Some(records) = recent {
            let mut filling = Filling::new(read.events_max, read.bytes_max);
            let mut next = from;
            for record in records {
                let position = record.position;
                if filling.full()
                    || read.selectors.matches(&record.event.topics) && !filling.push(record)
                {
                    return Ok(filling.finish(position));
                }
                next = position.next();
            }
            return Ok(filling.finish(next));
        }
        let (selectors, events_max, bytes_max) =
            (read.selectors.clone(), read.events_max, read.bytes_max);
        let page = self.shared.blocking(from, move |reader| {
            reader.page(from, Some(&selectors), events_max, bytes_max)
        });
        page.await
    }

    async fn find(&self, mark: Mark<'_>) -> Result<Option<Position>, ReadError> {
        let Bounds { oldest, next, .. } = self.bounds();
        match mark {
            Mark::Id(id) => {
                let id = id.clone();
                self.shared.blocking(oldest, move |reader| reader.find_id(&id)).await
            }
            Mark::Last { events: 0, .. } => Ok(Some(next)),
            Mark::Last { events, selectors } => {
                let selectors = selectors.clone();
                let found =
                    self.shared.blocking(oldest, move |reader| reader.nth_last(events, &selectors));
                found.await.map(Some)
            }
            Mark::Time(time) => {
                self.shared.blocking(oldest, move |reader| reader.since(time)).await.map(Some)
            }
        }
    }

    fn follow(&self, from: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(Arc::clone(&self.shared), from))
    }

    async fn trim(&self, now: Timestamp) -> Result<(), String> {
        self.shared.queue.trim(now).await
    }

    fn health(&self) -> Result<(), String> {
        let state = self.shared.state.lock();
        match &state.trouble {
            Some(reason) => Err(reason.clone()),
            None if state.closed => Err(AppendError::Closed.to_string()),
            None => Ok(()),
        }
    }

    fn usage(&self) -> Usage {
        self.shared.usage()
    }

    async fn close(&self) {
        self.shared.queue.close();
        let mut ended = self.ended.clone();
        // An error is what is waited for: the sender is gone.
        while ended.changed().await.is_ok() {}
    }
}

impl Shared {
    /// Reads on a thread that may wait for the disk, of which there are only so many.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        from: Position,
        read: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let shared = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let result = read(&Reader::new(&shared));
            drop(permit);
            result.map_err(|fault| fault.reading(from, shared.snapshot().oldest))
        });
        match task.await {
            Ok(result) => result,
            Err(error) => Err(ReadError::Failed { reason: format!("the reader stopped: {error}") }),
        }
    }
}

/// Bytes of a segment of a log that may take so many.
fn segment_bytes(bytes_max: u64) -> u64 {
    (bytes_max / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
}

/// Takes over the spare that an earlier process prepared, if it still has the right size.
fn adopt_spare(shared: &Shared) -> Result<(), OpenError> {
    let path = shared.directory.spare();
    let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { return Ok(()) };
    let bytes = file.metadata().map_err(io_error("read", &path))?.len();
    if bytes == shared.segment_bytes {
        shared.spare_bytes.store(bytes, Ordering::Relaxed);
        *shared.spare.lock() = Some(Spare { file, bytes });
        Ok(())
    } else {
        fs::remove_file(&path).map_err(io_error("remove", &path))
    }
}

fn spawn(
    name: &str,
    directory: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(run).map_err(io_error("start a thread for", directory))
}

#[cfg(test)]
mod tests;
