//! The steps that Node does: the JavaScript client by its own scripts, and what Node's test
//! runner runs against the release binary.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::context::{Context, find_chromium};

/// `js`: types, build, tests and sizes of `clients/js`, in this order: sizes are those of the
/// build. Then the example that uses it is built.
pub(crate) fn client(context: &Context) -> Result<()> {
    let client = ["check", "build", "test", "sizes"].map(|script| ("clients/js", script));
    for (directory, script) in client.into_iter().chain([("examples/react", "build")]) {
        let mut npm = Command::new("npm");
        npm.args(["--prefix", directory, "run", script]);
        context.runner.run(&mut npm)?;
    }
    Ok(())
}

/// `browser`: `tests/browser`, in Chromium.
pub(crate) fn browser(context: &Context) -> Result<()> {
    let chromium = find_chromium()
        .context("no Chromium: run `cargo xtask test --only install`, or name one in CHROMIUM")?;
    run(context, "tests/browser", ("CHROMIUM", chromium))
}

/// `clients`: `tests/clients`, with the Python environment that `install` makes.
pub(crate) fn clients(context: &Context) -> Result<()> {
    let python = context.venv().join("bin").join("python");
    ensure!(python.is_file(), "no Python environment: run `cargo xtask test --only install` first");
    run(context, "tests/clients", ("PYTHON", python))
}

fn run(context: &Context, directory: &str, setting: (&str, PathBuf)) -> Result<()> {
    let path = context.root.join(directory);
    ensure!(path.is_dir(), "there is no directory `{directory}`");
    let binary = context.release_binary();
    ensure!(
        binary.is_file(),
        "there is no release binary: run `cargo xtask test --only release` first"
    );
    let mut files = Vec::new();
    collect_tests(&path, &mut files)?;
    if files.is_empty() {
        bail!("`{directory}` holds no test: no file like `resume.test.mjs`");
    }
    files.sort();
    let relative = files.iter().map(|file| file.strip_prefix(&context.root).unwrap_or(file));
    // Files and not the directory: what `node --test` makes of a directory differs from one
    // version of Node to the next. The reporter, as the default is not for people in a pipe.
    context.runner.run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .args(relative.map(|file| OsString::from(file.as_os_str())))
            .env("TIDINGS_BIN", binary)
            .env(setting.0, setting.1),
    )
}

fn collect_tests(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "node_modules" && !name.starts_with('.') {
                collect_tests(&path, files)?;
            }
        } else if is_test(&name) {
            files.push(path);
        }
    }
    Ok(())
}

/// The names that Node's test runner takes for tests: `test.js`, `test-x.js`, `x.test.js`.
fn is_test(name: &str) -> bool {
    let Some((stem, "js" | "mjs" | "cjs")) = name.rsplit_once('.') else {
        return false;
    };
    let ends = [".test", "-test", "_test"];
    stem == "test" || stem.starts_with("test-") || ends.iter().any(|end| stem.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_found_by_name_and_not_in_packages() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.test.mjs", "deep/b.test.js", "deep/helper.mjs", "node_modules/c.test.js"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut files = Vec::new();
        collect_tests(root.path(), &mut files).unwrap();
        files.sort();
        assert_eq!(files, [root.path().join("a.test.mjs"), root.path().join("deep/b.test.js")]);
    }
}
