//! The program as its users meet it: the real binary, real sockets, real signals.
//! Knows nothing of what is inside.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod access;
mod bench;
mod config;
mod credential;
mod demo;
#[path = "../support/mod.rs"]
mod harness;
mod keygen;
mod listen;
mod publish;
mod serve;
mod subscribe;
mod token;
mod usage;
