//! Several hubs on one log in Redis or NATS: the program as one of many nodes, while nodes, the
//! server and the ways between them fail.

#![cfg(all(feature = "nats", feature = "redis"))]
// A test that fails says so by panicking, in its helpers too.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod kept;

mod away;
mod chaos;
mod cluster;
mod engine;
mod failover;
mod limits;
mod lost;
mod nats;
mod partitions;
mod proxy;
mod secure;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
mod together;
#[path = "../endurance/wire.rs"]
#[allow(dead_code, reason = "no test binary uses all of it")]
mod wire;
