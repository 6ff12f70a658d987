//! Files with keys, read again when they change. A new file that is bad keeps the old keys.
//! Knows nothing of what the keys are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::RwLock;
use tidings_core::limits::KEY_FILE_BYTES_MAX;

/// A file, and what was last made of it.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: PathBuf,
    parse: fn(&[u8]) -> Result<T, String>,
    state: RwLock<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Arc<T>,
    /// What was seen last, good or bad, so that each change is told once.
    seen: Seen,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Seen {
    /// A file with this digest.
    Text(Box<[u8]>),
    /// One that could not be read.
    Failed(io::ErrorKind),
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {path}: {error}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {reason}", path = .path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, nothing of it being secret.
        reason: String,
    },
}

impl<T> Watched<T> {
    /// Reads a file for the first time. Blocks.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(super) fn open(
        path: &Path,
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Result<Self, FileError> {
        let path = path.to_owned();
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(FileError::Read { path, error }),
        };
        match parse(&bytes) {
            Ok(value) => {
                let state = State { value: Arc::new(value), seen: Seen::text(&bytes) };
                Ok(Self { path, parse, state: RwLock::new(state) })
            }
            Err(reason) => Err(FileError::Text { path, reason }),
        }
    }

    /// What the file held when it was last good.
    pub(super) fn value(&self) -> Arc<T> {
        Arc::clone(&self.state.read().value)
    }

    /// Looks whether it has changed, and says so in the log. Blocks.
    ///
    /// It reads all of it: the time of a change has too coarse a grain, and the files are small.
    pub(super) fn look(&self) {
        let read = read(&self.path);
        let seen = match &read {
            Ok(bytes) => Seen::text(bytes),
            Err(error) => Seen::Failed(error.kind()),
        };
        if self.state.read().seen == seen {
            return;
        }
        let path = self.path.display();
        let parsed = read.map_err(|error| error.to_string()).and_then(|bytes| (self.parse)(&bytes));
        let mut state = self.state.write();
        state.seen = seen;
        match parsed {
            Ok(value) => {
                state.value = Arc::new(value);
                tracing::info!(%path, "keys read again");
            }
            Err(reason) => {
                tracing::error!(%path, "{reason}; the keys that were there before still count");
            }
        }
    }
}

impl Seen {
    fn text(bytes: &[u8]) -> Self {
        Self::Text(digest(&SHA256, bytes).as_ref().into())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path)?.take(KEY_FILE_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() > KEY_FILE_BYTES_MAX {
        let why = format!("it has more than {KEY_FILE_BYTES_MAX} bytes (key_file_bytes_max)");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> Result<u32, String> {
        String::from_utf8_lossy(bytes).parse().map_err(|_| "no number".to_owned())
    }

    #[test]
    fn a_bad_file_keeps_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        assert!(matches!(Watched::open(&path, number), Err(FileError::Read { .. })));
        std::fs::write(&path, "x").unwrap();
        let error = Watched::open(&path, number).unwrap_err().to_string();
        assert!(error.ends_with("keys: no number"), "{error}");
        std::fs::write(&path, "1").unwrap();
        let file = Watched::open(&path, number).unwrap();
        let check = |expected| {
            file.look();
            assert_eq!(*file.value(), expected);
        };
        check(1);
        std::fs::write(&path, "2").unwrap();
        check(2);
        std::fs::write(&path, "two").unwrap();
        check(2);
        std::fs::remove_file(&path).unwrap();
        check(2);
        std::fs::write(&path, "3").unwrap();
        check(3);
        std::fs::write(&path, "4".repeat(KEY_FILE_BYTES_MAX + 1)).unwrap();
        check(3);
    }
}
