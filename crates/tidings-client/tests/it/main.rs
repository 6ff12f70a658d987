//! The client against a server that follows a script, and against a hub.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod contract;
mod hub;
mod options;
mod publish;
mod scripted;
mod states;
mod vectors;
