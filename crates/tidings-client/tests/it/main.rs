//! The client against a server that follows a script, and against a hub.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod contract;
mod hub;
mod options;
mod publish;
mod scripted;
#[path = "../../../../testdata/sse/vectors.rs"]
mod sse;
mod states;
mod tokens;
mod vectors;
