//! The program as its users meet it: the real binary, real sockets, real signals.
//! Knows nothing of what is inside.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod access;
mod bench;
mod config;
mod credential;
mod demo;
#[cfg(feature = "redis")]
mod demo_nodes;
#[path = "../support/mod.rs"]
mod harness;
mod keygen;
mod listen;
mod publish;
mod serve;
mod subscribe;
mod token;
mod usage;
#[cfg(feature = "redis")]
#[path = "../endurance/wire.rs"]
#[allow(dead_code, reason = "no test binary uses all of it")]
mod wire;

#[cfg(feature = "redis")]
use self::harness as support;
