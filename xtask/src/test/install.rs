//! The step `install`: Debian's packages, npm's and Python's, each only where it is missing.
//! Knows what the tests need on the machine; how it gets there is in `install`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::bench;
use crate::context::{Context, find_chromium, find_program};
use crate::install::debian::{self, Debian, quietly};
use crate::install::npm;
use crate::process::command_line;

/// Directories with an npm package of their own.
const NPM_DIRECTORIES: &[&str] =
    &["clients/js", "clients/js/test/react-18", "examples/react", "tests/browser", "tests/clients"];
const REQUIREMENTS: &str = "tests/clients/requirements.txt";

// Asked for by what they bring, not by the package's name: a Chromium or a Python that came
// another way is as good.
const DEBIAN: &[Debian] = &[
    Debian {
        package: "chromium",
        why: "the browser tests drive it",
        present: || find_chromium().is_some(),
        services: &[],
    },
    Debian {
        package: "curl",
        why: "the clients' tests publish and listen with it",
        present: || find_program("curl").is_some(),
        services: &[],
    },
    Debian {
        package: "nginx-light",
        why: "the hub is tried behind it",
        present: || Path::new("/usr/sbin/nginx").is_file(),
        services: &["nginx"],
    },
    Debian {
        package: "haproxy",
        why: "the hub is tried behind it",
        present: || Path::new("/usr/sbin/haproxy").is_file(),
        services: &["haproxy"],
    },
    Debian {
        package: "caddy",
        why: "the hub is tried behind it",
        present: || find_program("caddy").is_some(),
        services: &["caddy"],
    },
    Debian {
        package: "python3",
        why: "the clients' tests run Python clients",
        present: || find_program("python3").is_some(),
        services: &[],
    },
    Debian {
        package: "python3-venv",
        why: "those clients get an environment of their own",
        present: || quietly(Command::new("python3").args(["-c", "import ensurepip, venv"])),
        services: &[],
    },
    Debian {
        package: "nats-server",
        why: "the tests of the log in NATS start servers of their own",
        present: || find_program("nats-server").is_some(),
        services: &["nats-server"],
    },
    Debian {
        package: "redis-server",
        why: "the tests of the log in Redis start servers of their own",
        present: || find_program("redis-server").is_some(),
        services: &["redis-server"],
    },
];

/// Installs what is missing.
pub(crate) fn run(context: &Context) -> Result<()> {
    npm::check_node()?;
    if let Some(chosen) = env::var_os("CHROMIUM") {
        ensure!(Path::new(&chosen).is_file(), "CHROMIUM names no file: {}", chosen.display());
    }
    debian::install(context, DEBIAN)?;
    for directory in NPM_DIRECTORIES {
        npm::install(context, directory)?;
    }
    install_python(context)?;
    // The step `bench` starts everything that the benchmark compares with.
    bench::install(context)
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
