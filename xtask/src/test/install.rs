//! The step `install`: Debian's packages, npm's and Python's, each only where it is missing.
//! Knows what the tests need on the machine; nothing else in the project installs anything.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};

use crate::context::{Context, find_chromium, find_program};
use crate::process::command_line;

const NODE_MAJOR_MIN: u32 = 20;
/// Directories with an npm package of their own.
const NPM_DIRECTORIES: &[&str] = &["tests/browser", "tests/clients"];
const REQUIREMENTS: &str = "tests/clients/requirements.txt";

/// A package of Debian's, and how to tell that we need not ask for it.
struct Debian {
    package: &'static str,
    why: &'static str,
    present: fn() -> bool,
}

// Asked for by what they bring, not by the package's name: a Chromium or a Python that came
// another way is as good.
const DEBIAN: &[Debian] = &[
    Debian {
        package: "chromium",
        why: "the browser tests drive it",
        present: || find_chromium().is_some(),
    },
    Debian {
        package: "curl",
        why: "the clients' tests publish and listen with it",
        present: || find_program("curl").is_some(),
    },
    Debian {
        package: "python3",
        why: "the clients' tests run Python clients",
        present: || find_program("python3").is_some(),
    },
    Debian {
        package: "python3-venv",
        why: "those clients get an environment of their own",
        present: || quietly(Command::new("python3").args(["-c", "import ensurepip, venv"])),
    },
];

/// Installs what is missing.
pub(crate) fn run(context: &Context) -> Result<()> {
    check_node()?;
    install_debian(context)?;
    for directory in NPM_DIRECTORIES {
        install_npm(context, directory)?;
    }
    install_python(context)
}

/// Node and npm are the person's choice (a version manager, a distribution, an installer).
fn check_node() -> Result<()> {
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

fn install_debian(context: &Context) -> Result<()> {
    if let Some(chosen) = env::var_os("CHROMIUM") {
        ensure!(Path::new(&chosen).is_file(), "CHROMIUM names no file: {}", chosen.display());
    }
    let missing: Vec<&Debian> = DEBIAN.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        println!("nothing to get from Debian");
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let mut update = apt(&["update"]);
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    install.args(&packages);
    ensure!(
        find_program("apt-get").is_some(),
        "this is not Debian: install {} by your system's means",
        packages.join(", ")
    );
    if rustix::process::geteuid().is_root() {
        // A source that does not answer need not be the one that has the packages.
        if let Err(error) = context.runner.run(&mut update) {
            println!("going on all the same: {error:#}");
        }
        context.runner.run(&mut install)?;
    } else {
        if !quietly(Command::new("sudo").args(["-n", "true"])) {
            bail!(
                "may not install packages: not root, and `sudo -n` does not work; run this, then \
                 try again:\n  sudo apt-get update && sudo apt-get install {}",
                packages.join(" ")
            );
        }
        if let Err(error) = context.runner.run(&mut with_sudo(&update)) {
            println!("going on all the same: {error:#}");
        }
        context.runner.run(&mut with_sudo(&install))?;
    }
    let still: Vec<&str> =
        missing.iter().filter(|need| !(need.present)()).map(|need| need.package).collect();
    ensure!(still.is_empty(), "apt-get succeeded, and yet these are missing: {}", still.join(", "));
    Ok(())
}

/// `apt-get` that asks nothing, and waits for another that is at work instead of failing.
fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
    command
}

fn with_sudo(command: &Command) -> Command {
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").arg(command.get_program()).args(command.get_args());
    sudo
}

fn install_npm(context: &Context, directory: &str) -> Result<()> {
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

fn install_python(context: &Context) -> Result<()> {
    if !context.root.join("tests/clients").is_dir() {
        println!("tests/clients: not there, so no Python environment");
        return Ok(());
    }
    let venv = context.venv();
    let python = venv.join("bin").join("python");
    if !python.is_file() {
        context.runner.run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let file = context.root.join(REQUIREMENTS);
    if !file.is_file() {
        println!("{REQUIREMENTS}: not there, so no Python packages");
        return Ok(());
    }
    let wanted = fs::read(&file)?;
    let installed = venv.join("requirements.installed");
    if fs::read(&installed).is_ok_and(|had| had == wanted) {
        println!("{REQUIREMENTS}: Python packages are up to date");
        return Ok(());
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "-r"]).arg(&file);
    context.runner.run(&mut pip)?;
    fs::write(&installed, wanted).with_context(|| format!("after `{}`", command_line(&pip)))
}

/// Whether `made` exists and is not older than `source`.
fn is_newer(made: &Path, source: &Path) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    modified(made).is_some_and(|time| Some(time) >= modified(source))
}

/// Whether a command succeeds; one that cannot be started does not.
fn quietly(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
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

    #[test]
    fn sudo_runs_the_same_command() {
        let line = command_line(&with_sudo(&apt(&["update"])));
        assert!(line.starts_with("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get"), "{line}");
        assert!(line.ends_with(" update"), "{line}");
    }
}
