//! A hub written with axum, by the program `bench-axum` beside this one.
//! Knows its addresses; how it is written stands in `bench/peers/axum`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::plain::{Api, Plain};
use super::{Ability, Place, Subject, System};
use crate::isolate;
use crate::server::Server;

pub(super) const SYSTEM: System = System {
    name: "axum",
    title: "axum `Sse`",
    settings: "`bench/peers/axum`: `Sse` over one `tokio::sync::broadcast` of 256 events a topic, \
               the default runtime (a thread per processor it may use), `TCP_NODELAY`, no \
               keep-alive events; several in one go: pipelined on one connection",
    abilities: &[Ability::Publish, Ability::Topics],
    version: |_: &Place| version(),
    start: |_: &Place| start(),
};

fn program() -> anyhow::Result<PathBuf> {
    let ours = std::env::current_exe().context("can't find this program")?;
    let program = ours.with_file_name("bench-axum");
    ensure!(
        program.is_file(),
        "{} is not built (cargo build --release -p bench-axum)",
        program.display()
    );
    Ok(program)
}

fn version() -> anyhow::Result<String> {
    let output = Command::new(program()?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim().trim_start_matches("axum ").to_owned())
}

fn start() -> anyhow::Result<Box<dyn Subject>> {
    let server = Server::start(&mut isolate::server(program()?))?;
    let api = Api { subscribe: "/topics/", publish: "/publish/", keeps: false };
    Ok(Box::new(Plain::new(server, api)?))
}
