//! Unix sockets to listen on: files that come and go with the program.
//! Knows nothing of what is served there.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Removes the file of a socket when it is dropped, if it is still that of this socket.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file at this path, of a socket that listens there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self { path: path.into(), device: file.dev(), inode: file.ino() })
    }

    /// Leaves the file to somebody who goes on listening.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("can't remove {}: {error}", self.path.display());
        }
    }
}

/// Listens at a path, with these permissions. A socket that is there and that nobody answers on
/// was left behind by a process that was killed: it goes.
///
/// # Errors
/// Where something else is there, or somebody answers, or the system refuses.
pub(super) fn listen(path: &Path, mode: u32) -> anyhow::Result<(UnixListener, SocketFile)> {
    clear(path)?;
    let cannot = || format!("can't listen on unix:{}", path.display());
    let listener = UnixListener::bind(path).with_context(cannot)?;
    let file = SocketFile::of(path).with_context(cannot)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(cannot)?;
    listener.set_nonblocking(true).with_context(cannot)?;
    Ok((listener, file))
}

fn clear(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("can't look at {shown}")),
        Ok(file) if !file.file_type().is_socket() => {
            bail!("can't listen on unix:{shown}: a file that is no socket is there: choose another")
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("can't remove the old socket {shown}"))
        }
        Err(error) => Err(error).with_context(|| format!("can't tell who listens on unix:{shown}")),
        Ok(_) => bail!(
            "can't listen on unix:{shown}: somebody does already; is another tidings running? Stop \
             it, or choose another path"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_socket_comes_with_its_mode_and_goes_with_its_owner() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("hub.sock");
        let (listener, file) = listen(&path, 0o640).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        let error = listen(&path, 0o660).unwrap_err().to_string();
        assert!(error.contains("another tidings running?"), "{error}");
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn one_that_was_left_behind_is_taken_over_and_nothing_else() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("hub.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "nobody answers there");
        let (_listener, file) = listen(&path, 0o660).unwrap();

        // Somebody else's by now: not ours to remove.
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());

        let text = directory.path().join("text");
        fs::write(&text, "precious").unwrap();
        assert!(listen(&text, 0o660).unwrap_err().to_string().contains("no socket"));
        assert_eq!(fs::read_to_string(&text).unwrap(), "precious");
    }
}
