//! The only way by which the log changes anything on the disk, so that tests can make it fail.
//! Knows nothing of what is written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What the log does to files. Outside of tests it has no state and adds nothing to the calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    #[cfg(test)]
    pub(super) faults: std::sync::Arc<faults::Faults>,
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Call {
    Allocate,
    Cut,
    Remove,
    Rename,
    Sync,
    SyncDirectory,
    Write,
}

impl Files {
    /// Writes all of it.
    pub(super) fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.check(Call::Write) {
            // As a full disk does it: a part is there, and then no more.
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        file.write_all_at(bytes, offset)
    }

    /// Forces what was written to the disk.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.check(Call::Sync)?;
        file.sync_data()
    }

    /// Makes a file full of zeros, which are on the disk when this returns. Later writes into it
    /// then change neither its size nor its extents, so that syncing them costs one write of the
    /// disk and not several: 416,000 records a second instead of 27,000.
    pub(super) fn allocate(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let made = self.try_allocate(path, bytes);
        if made.is_err() {
            // What was allocated before the disk was full would keep it full.
            let _ = fs::remove_file(path);
        }
        made
    }

    fn try_allocate(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        self.check(Call::Allocate)?;
        // Finds out at once whether there is room, and keeps the file in one piece.
        #[cfg(target_os = "linux")]
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        self.zero(&file, 0, bytes)?;
        file.sync_all()?;
        Ok(file)
    }

    /// Writes zeros over a stretch of a file.
    pub(super) fn zero(&self, file: &File, from: u64, to: u64) -> io::Result<()> {
        let zeros = [0; 64 * 1024];
        let mut offset = from;
        while offset < to {
            let bytes = (to - offset).min(zeros.len() as u64);
            file.write_all_at(&zeros[..bytes as usize], offset)?;
            offset += bytes;
        }
        Ok(())
    }

    /// Lets go of all from this byte on.
    pub(super) fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.check(Call::Cut)?;
        file.set_len(bytes)
    }

    /// Writes a whole file so that there is either all of it or what was there before.
    pub(super) fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let made = self.write_whole(&temporary, contents);
        if let Err(error) = made.and_then(|()| self.rename(&temporary, path)) {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(())
    }

    fn write_whole(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let file = File::create(path)?;
        self.write(&file, contents, 0)?;
        self.check(Call::Sync)?;
        file.sync_all()
    }

    /// Gives a file its name, in place of any that has it, for good.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename)?;
        fs::rename(from, to)?;
        self.sync_directory_of(to)
    }

    /// Removes a file; that it is not there is fine. Not for good before
    /// [`Files::sync_directory_of`].
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Call::Remove)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Forces names that came or went to the disk.
    pub(super) fn sync_directory_of(&self, path: &Path) -> io::Result<()> {
        self.check(Call::SyncDirectory)?;
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn check(&self, call: Call) -> io::Result<()> {
        self.faults.check(call)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the faults are only there in tests")]
    fn check(&self, _: Call) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod faults {
    //! What tests can do to the disk: let calls fail, hold them up, count them.

    use std::collections::HashMap;
    use std::io;

    use parking_lot::{Condvar, Mutex};

    use super::Call;

    #[derive(Debug, Default)]
    pub(in super::super) struct Faults {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct State {
        counts: HashMap<Call, usize>,
        /// How many more calls fail, and how.
        failing: HashMap<Call, (usize, i32)>,
        held: Option<Call>,
        /// Calls that wait because of `held`.
        waiting: usize,
    }

    /// No space left on the device.
    pub(in super::super) const ENOSPC: i32 = 28;
    /// Input or output error.
    pub(in super::super) const EIO: i32 = 5;
    /// For as long as nobody says otherwise.
    pub(in super::super) const ALWAYS: usize = usize::MAX;

    impl Faults {
        /// Lets the next `times` calls fail with this error; 0 makes it work again.
        pub(in super::super) fn fail(&self, call: Call, times: usize, errno: i32) {
            self.state.lock().failing.insert(call, (times, errno));
        }

        /// How often it was called, failed calls included.
        pub(in super::super) fn count(&self, call: Call) -> usize {
            self.state.lock().counts.get(&call).copied().unwrap_or_default()
        }

        /// Holds calls up until [`Faults::release`].
        pub(in super::super) fn hold(&self, call: Call) {
            self.state.lock().held = Some(call);
        }

        /// Whether a call is held up.
        pub(in super::super) fn holding(&self) -> bool {
            self.state.lock().waiting > 0
        }

        pub(in super::super) fn release(&self) {
            self.state.lock().held = None;
            self.changed.notify_all();
        }

        pub(super) fn check(&self, call: Call) -> io::Result<()> {
            let mut state = self.state.lock();
            *state.counts.entry(call).or_default() += 1;
            state.waiting += 1;
            self.changed.notify_all();
            while state.held == Some(call) {
                self.changed.wait(&mut state);
            }
            state.waiting -= 1;
            match state.failing.get_mut(&call) {
                Some((times, errno)) if *times > 0 => {
                    *times = times.saturating_sub(usize::from(*times != ALWAYS));
                    Err(io::Error::from_raw_os_error(*errno))
                }
                _ => Ok(()),
            }
        }
    }
}
