//! Several hubs on one Redis: the program as one of many nodes, while nodes, the server and the
//! ways between them fail.

#![cfg(feature = "redis")]
// A test that fails says so by panicking, in its helpers too.
#![allow(clippy::unwrap_used)]

mod away;
mod chaos;
mod cluster;
mod engine;
mod failover;
mod limits;
mod lost;
mod proxy;
mod secure;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
mod together;
#[path = "../endurance/wire.rs"]
#[allow(dead_code, reason = "no test binary uses all of it")]
mod wire;
