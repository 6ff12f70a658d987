//! Hubs written for Node: Express as in a first tutorial, and better-sse on Express.
//! Knows how they are started; how they are written stands in `bench/peers`.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

use super::plain::{Api, Plain};
use super::{Ability, Place, Subject, System};
use crate::isolate;
use crate::server::Server;

pub(super) const EXPRESS: System = System {
    name: "express",
    title: "Express",
    settings: "`bench/peers/express.mjs`: `res.write` to a `Set` of responses a topic, as in a \
               first tutorial; `NODE_ENV=production`; several in one go: pipelined on one \
               connection",
    abilities: ABILITIES,
    version: |place| version(place, "express"),
    start: |place| start(place, "express.mjs"),
};

pub(super) const BETTER_SSE: System = System {
    name: "better-sse",
    title: "better-sse on Express",
    settings: "`bench/peers/better-sse.mjs`: a channel a topic, no keep-alive pings, text not \
               made into JSON, else as it comes; `NODE_ENV=production`; several in one go: \
               pipelined on one connection",
    abilities: ABILITIES,
    version: |place| version(place, "better-sse"),
    start: |place| start(place, "better-sse.mjs"),
};

const ABILITIES: &[Ability] = &[Ability::Publish, Ability::Topics];

/// The package's version, and Node's.
fn version(place: &Place, package: &str) -> anyhow::Result<String> {
    let manifest = place.peers.join("node_modules").join(package).join("package.json");
    let text = fs::read(&manifest).with_context(|| {
        let peers = place.peers.display();
        format!("the npm package {package} is not installed (npm ci --prefix {peers})")
    })?;
    let manifest: serde_json::Value = serde_json::from_slice(&text)?;
    let version = manifest["version"].as_str().context("a package without a version")?;
    let node = Command::new("node").arg("--version").output().context("there is no Node")?;
    ensure!(node.status.success(), "`node --version` ended with {}", node.status);
    let node = String::from_utf8_lossy(&node.stdout);
    Ok(format!("{version}, Node {}", node.trim().trim_start_matches('v')))
}

fn start(place: &Place, program: &str) -> anyhow::Result<Box<dyn Subject>> {
    let mut command = isolate::server("node");
    command.arg(place.peers.join(program)).env("NODE_ENV", "production");
    let server = Server::start(&mut command)?;
    let api = Api { subscribe: "/topics/", publish: "/publish/", keeps: false };
    Ok(Box::new(Plain::new(server, api)?))
}
