//! The repository's text files, as the checks see them.
//! Knows what is source and what was made; nothing of any rule.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Directories whose contents nobody wrote, beside those that begin with a dot or that cargo
/// marks as a cache (its build directories).
const MADE: &[&str] =
    &["__pycache__", "artifacts", "corpus", "dist", "node_modules", "tidings-data"];
/// Hidden, and ours all the same.
const HIDDEN: &[&str] = &[".cargo", ".ci", ".github"];

/// A file, by its path from the repository's root with forward slashes.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    /// Empty where it is not text: links may point at it, but there is nothing to read.
    pub(crate) text: String,
}

impl SourceFile {
    /// The end of the file's name after the last dot.
    pub(crate) fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The rules for Rust are for the crates and the tools, not for examples of other people.
    pub(crate) fn is_rust_of_ours(&self) -> bool {
        let ours = self.path.starts_with("crates/") || self.path.starts_with("xtask/");
        ours && self.extension() == "rs"
    }

    /// Whether all of it is tests, by its place: a `tests` directory or a file `tests.rs`.
    pub(crate) fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.path.split('/').any(|part| part == "tests")
    }

    fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, name)| name)
    }
}

/// Reads everything that a person wrote, in the order of the paths.
///
/// # Errors
///
/// When a directory or file cannot be read.
pub(crate) fn read(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    read_directory(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_directory(directory: &Path, prefix: &str, files: &mut Vec<SourceFile>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !is_made(&entry.path(), &name) {
                read_directory(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() {
            // Others may be writing while we read; a file that is gone is not wrong.
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            let text = String::from_utf8(bytes).unwrap_or_default();
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

fn is_made(directory: &Path, name: &str) -> bool {
    let hidden = name.starts_with('.') && !HIDDEN.contains(&name);
    hidden || MADE.contains(&name) || directory.join("CACHEDIR.TAG").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        let names = [
            ".ci/run",
            ".git/config",
            "docs/a.md",
            "node_modules/b.js",
            "out/CACHEDIR.TAG",
            "out/c.rs",
        ];
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let paths: Vec<String> =
            read(root.path()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [".ci/run", "docs/a.md"]);
    }

    #[test]
    fn tests_are_known_by_their_place() {
        let file = |path: &str| SourceFile { path: path.to_owned(), text: String::new() };
        assert!(file("crates/a/src/b/tests.rs").is_test());
        assert!(file("crates/a/tests/it/main.rs").is_test());
        assert!(!file("crates/a/src/testing.rs").is_test());
        assert!(file("xtask/src/main.rs").is_rust_of_ours());
        assert!(!file("examples/a.rs").is_rust_of_ours());
    }
}
