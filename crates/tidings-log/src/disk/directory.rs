//! The log's directory: its names, its lock, and the file that says what it is.
//! Knows nothing of what stands in segments.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tidings_core::cursor::{Incarnation, Position};

use super::files::Files;
use super::format::VERSION;
use super::options::OpenError;
use crate::memory::random_incarnation;

/// A directory that is a log.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    pub(super) incarnation: Incarnation,
    pub(super) files: Files,
}

/// What was there when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) directory: Directory,
    /// The first positions of its segments, in order.
    pub(super) segments: Vec<Position>,
    /// Keeps other processes out for as long as it lives, and not longer than this process.
    pub(super) lock: Lock,
}

/// The directory is ours. A process that is being started from this one holds a copy of the file
/// for a moment, and with it the lock: so it is given back, not just closed.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

const FORMAT: &str = "format";
const FORMAT_TITLE: &str = "Tidings log";

impl Directory {
    /// Takes a directory for this process, and makes a log of it if it is not one yet.
    pub(super) fn open(path: &Path, files: Files) -> Result<Opened, OpenError> {
        if !path.is_dir() {
            fs::create_dir_all(path).map_err(io_error("make the directory", path))?;
            files.sync_directory_of(path).map_err(io_error("sync the directory above", path))?;
        }
        let lock = lock(path)?;
        let segments = tidy(path)?;
        let format = path.join(FORMAT);
        let known = match fs::read_to_string(&format) {
            Ok(text) => Some(parse_format(&format, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("read", &format)(error)),
        };
        let incarnation = match known {
            Some(incarnation) if !segments.is_empty() => incarnation,
            None if !segments.is_empty() => {
                let reason = "it is missing, though there are segments".to_owned();
                return Err(OpenError::Foreign { file: format, reason });
            }
            // Without segments positions begin at 1 again, so it has to be another log: cursors
            // of the one that was here would point to other events.
            _ => {
                let incarnation = random_incarnation();
                let text =
                    format!("{FORMAT_TITLE}\nformat: {VERSION}\nincarnation: {incarnation}\n");
                files.replace(&format, text.as_bytes()).map_err(io_error("write", &format))?;
                incarnation
            }
        };
        let directory = Self { path: path.to_owned(), incarnation, files };
        Ok(Opened { directory, segments, lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the segment that begins with this position stands.
    pub(super) fn segment(&self, first: Position) -> PathBuf {
        self.path.join(format!("{:020}.{SEGMENT}", first.0))
    }

    /// Where its index stands.
    pub(super) fn index(&self, first: Position) -> PathBuf {
        self.path.join(format!("{:020}.{INDEX}", first.0))
    }

    /// Where the next segment waits until it is needed.
    pub(super) fn spare(&self) -> PathBuf {
        self.path.join("spare")
    }

    /// Where it is made: a crash in the midst of it leaves a file that is no spare yet.
    pub(super) fn unfinished_spare(&self) -> PathBuf {
        self.path.join("spare.tmp")
    }
}

const SEGMENT: &str = "log";
const INDEX: &str = "index";

/// Says what was tried on what, when it fails.
pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path, source }
}

fn lock(path: &Path) -> Result<Lock, OpenError> {
    let name = path.join("lock");
    let file = File::create(&name).map_err(io_error("make", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &name)(error)),
    }
}

/// Lists the segments, and removes what a crash may have left: half-made files, and indexes
/// whose segment went just before.
fn tidy(path: &Path) -> Result<Vec<Position>, OpenError> {
    let mut segments = Vec::new();
    let mut indexes = Vec::new();
    let entries = fs::read_dir(path).map_err(io_error("read the directory", path))?;
    for entry in entries {
        let file = entry.map_err(io_error("read the directory", path))?.path();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some(SEGMENT) => segments.extend(position_of(&file)),
            Some(INDEX) => indexes.extend(position_of(&file).map(|position| (position, file))),
            Some("tmp") => fs::remove_file(&file).map_err(io_error("remove", &file))?,
            _ => {}
        }
    }
    segments.sort_unstable();
    for (position, file) in indexes {
        if segments.binary_search(&position).is_err() {
            fs::remove_file(&file).map_err(io_error("remove", &file))?;
        }
    }
    Ok(segments)
}

/// The position that a file is named after; other names are not ours, and left alone.
fn position_of(file: &Path) -> Option<Position> {
    let stem = file.file_stem()?.to_str()?;
    let ours = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    if ours { stem.parse().ok().map(Position) } else { None }
}

fn parse_format(file: &Path, text: &str) -> Result<Incarnation, OpenError> {
    let foreign =
        |reason: &str| OpenError::Foreign { file: file.to_owned(), reason: reason.to_owned() };
    let mut lines = text.lines();
    if lines.next() != Some(FORMAT_TITLE) {
        return Err(foreign("it does not say that this is a log"));
    }
    let found = lines.next().and_then(|line| line.strip_prefix("format: "));
    let found = found.ok_or_else(|| foreign("it names no format"))?;
    if found != VERSION.to_string() {
        return Err(OpenError::Version { file: file.to_owned(), found: found.to_owned() });
    }
    let incarnation = lines.next().and_then(|line| line.strip_prefix("incarnation: "));
    incarnation.and_then(|text| text.parse().ok()).ok_or_else(|| foreign("it names no incarnation"))
}
