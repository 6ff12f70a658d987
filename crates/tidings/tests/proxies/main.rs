//! The program behind real proxies, each with the settings that docs/operating.md gives: events
//! pass as they come, clients come back where they were, and nobody is who they claim to be.
//! Fails where a proxy is not installed; `cargo xtask test` installs them.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod caddy;
mod check;
mod docs;
mod haproxy;
mod nginx;
mod proxy;
#[path = "../support/mod.rs"]
mod support;
#[path = "../endurance/wire.rs"]
#[allow(dead_code, reason = "the endurance tests use more of it")]
mod wire;
