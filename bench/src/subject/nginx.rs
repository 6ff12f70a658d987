//! nginx as Debian has it, with settings made from a template.
//! Knows the words that a template may hold; what they set up it does not.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::Place;
use super::settings::fill;
use crate::isolate;
use crate::measure;
use crate::server::{Server, free_address};

/// Where Debian's packages put it: not in the `PATH` of everybody.
const PROGRAM: &str = "/usr/sbin/nginx";
const MODULES: &str = "/usr/lib/nginx/modules";

/// What is particular to one that is started.
pub(super) struct Settings<'a> {
    /// The template: `<template>.conf` of the peers.
    pub(super) template: &'a str,
    /// The directory for what it writes, among those of the others.
    pub(super) directory: &'a str,
    pub(super) workers: usize,
    /// More words that the template holds.
    pub(super) words: &'a [(&'a str, String)],
}

/// Starts it on a free port.
///
/// # Errors
/// Where it is not installed, or does not start; then its log is told.
pub(super) fn start(place: &Place, wanted: &Settings<'_>) -> anyhow::Result<Server> {
    ensure!(Path::new(PROGRAM).is_file(), "nginx is not installed (Debian: nginx-light)");
    let address = free_address()?;
    let scratch = place.scratch.join(wanted.directory);
    fs::create_dir_all(&scratch).context("can't make a directory for nginx")?;
    let mut words = vec![
        ("ADDRESS", address.to_string()),
        ("FILES", measure::raise_open_files(0)?.to_string()),
        ("MODULES", MODULES.to_owned()),
        ("SCRATCH", scratch.display().to_string()),
        ("WORKERS", wanted.workers.to_string()),
    ];
    words.extend_from_slice(wanted.words);
    let settings = scratch.join("nginx.conf");
    fs::write(&settings, fill(&place.peers, &format!("{}.conf", wanted.template), &words)?)?;
    let log = scratch.join("error.log");
    let mut command = isolate::server(PROGRAM);
    command.arg("-p").arg(&scratch).arg("-c").arg(&settings).arg("-e").arg(&log);
    Server::start_at(&mut command, address).with_context(|| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("nginx did not start; its log: {}", said.trim())
    })
}

/// Its version.
///
/// # Errors
/// Where it is not installed.
pub(super) fn version() -> anyhow::Result<String> {
    let output = Command::new(PROGRAM).arg("-v").output();
    let output = output.context("nginx is not installed (Debian: nginx-light)")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let version = text.split("nginx/").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(version.context("nginx does not say its version")?.to_owned())
}

/// Makes sure that a module of it is installed, and tells the version of Debian's package.
///
/// # Errors
/// Where it is not.
pub(super) fn module_version(file: &str, package: &str) -> anyhow::Result<String> {
    let module = Path::new(MODULES).join(file);
    ensure!(module.is_file(), "{} is not there (Debian: {package})", module.display());
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let version = output.ok().filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // Before the colon stands Debian's own count, not the program's version.
    Ok(version.map_or("not Debian's".to_owned(), |version| {
        version.split_once(':').map_or(version.as_str(), |(_, version)| version).to_owned()
    }))
}
