//! Writes the files of a key: all of them or none, and never over another file.
//! Knows nothing of what is in them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

/// Who may read a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Readers {
    /// Whom the umask lets.
    Everybody,
    /// Whoever owns it.
    Owner,
}

/// A file to write.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) readers: Readers,
}

/// Writes them all.
///
/// # Errors
/// Where one is there already, or can't be written; those that were written are taken away again.
pub(super) fn write(files: &[NewFile]) -> anyhow::Result<()> {
    for (nth, file) in files.iter().enumerate() {
        if let Err(error) = create(file) {
            for written in &files[..nth] {
                let _ = fs::remove_file(&written.path);
            }
            let shown = file.path.display();
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => anyhow!(
                    "{shown} is there already, and a key that is overwritten is lost: move it \
                     away, or give another --out"
                ),
                _ => anyhow!("can't write {shown}: {error}"),
            });
        }
    }
    Ok(())
}

fn create(file: &NewFile) -> io::Result<()> {
    let mode = match file.readers {
        Readers::Everybody => 0o644,
        Readers::Owner => 0o600,
    };
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&file.path)?;
    let written = opened.write_all(file.text.as_bytes()).and_then(|()| opened.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&file.path);
    }
    written
}

/// What stands beside a file: its path less `ending`, with `other`.
pub(super) fn beside(path: &Path, ending: &str, other: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(ending).filter(|stem| !stem.is_empty()).unwrap_or(&name);
    path.with_file_name(format!("{stem}{other}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn all_files_are_written_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, readers| NewFile {
            path: directory.path().join(name),
            text: name.into(),
            readers,
        };
        write(&[file("a", Readers::Owner), file("b", Readers::Everybody)]).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("a")).unwrap(), "a");
        let mode = fs::metadata(directory.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = [file("c", Readers::Owner), file("b", Readers::Everybody)];
        let error = write(&files).unwrap_err().to_string();
        assert!(error.contains("b is there already"), "{error}");
        assert!(!directory.path().join("c").exists());
        assert_eq!(fs::read_to_string(directory.path().join("b")).unwrap(), "b");
    }

    #[test]
    fn names_beside_another() {
        let check = |path: &str, expected: &str| {
            assert_eq!(beside(Path::new(path), ".pem", ".pub.pem"), Path::new(expected));
        };
        check("jwt.pem", "jwt.pub.pem");
        check("/etc/keys/a.b.pem", "/etc/keys/a.b.pub.pem");
        check("key", "key.pub.pem");
        check(".pem", ".pem.pub.pem");
    }
}
