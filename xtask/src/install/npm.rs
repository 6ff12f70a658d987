//! npm's packages, as a lock file pins them, and the Node they need.
//! Knows nothing of what they are for.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};

use crate::context::{Context, find_program};

const NODE_MAJOR_MIN: u32 = 20;

/// Node and npm are the person's choice (a version manager, a distribution, an installer).
///
/// # Errors
///
/// When they are missing or too old.
pub(crate) fn check_node() -> Result<()> {
    let advice = format!("install Node {NODE_MAJOR_MIN} or later (https://nodejs.org)");
    let output = Command::new("node").arg("--version").output();
    let output = output.with_context(|| format!("there is no `node`: {advice}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = node_major(&version).with_context(|| format!("`node` is `{version}`: {advice}"))?;
    ensure!(major >= NODE_MAJOR_MIN, "`node` is {version}: {advice}");
    ensure!(find_program("npm").is_some(), "there is no `npm`: it comes with Node; {advice}");
    println!("node {version}: new enough");
    Ok(())
}

fn node_major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Installs what a directory's lock file names, unless it is there.
///
/// # Errors
///
/// When there is no lock file, or npm fails.
pub(crate) fn install(context: &Context, directory: &str) -> Result<()> {
    let path = context.root.join(directory);
    if !path.join("package.json").is_file() {
        println!("{directory}: no npm package");
        return Ok(());
    }
    let lock = path.join("package-lock.json");
    ensure!(lock.is_file(), "{directory} has a package.json without a package-lock.json");
    // npm writes this file last, so it is there only when all packages are.
    if is_newer(&path.join("node_modules/.package-lock.json"), &lock) {
        println!("{directory}: npm packages are up to date");
        return Ok(());
    }
    let mut ci = Command::new("npm");
    ci.args(["ci", "--no-audit", "--no-fund", "--prefix", directory]);
    // Packages that drive a browser would fetch one; the tests use Debian's.
    ci.env("PUPPETEER_SKIP_DOWNLOAD", "1").env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    context.runner.run(&mut ci)
}

/// Whether `made` exists and is not older than `source`.
fn is_newer(made: &Path, source: &Path) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    modified(made).is_some_and(|time| Some(time) >= modified(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_says_its_version() {
        assert_eq!(node_major("v20.20.2"), Some(20));
        assert_eq!(node_major("v8.0.0"), Some(8));
        assert_eq!(node_major("20.0"), None);
        assert_eq!(node_major(""), None);
    }

    #[test]
    fn newer_means_there_and_not_older() {
        let directory = tempfile::tempdir().unwrap();
        let (source, made) = (directory.path().join("source"), directory.path().join("made"));
        fs::write(&source, "").unwrap();
        assert!(!is_newer(&made, &source), "not there");
        fs::write(&made, "").unwrap();
        assert!(is_newer(&made, &source));
        let old = SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(&made).unwrap().set_modified(old).unwrap();
        assert!(!is_newer(&made, &source), "older");
    }
}
