//! The program under clients who mean it harm: the hub stays up, whoever means well gets every
//! event, and when they have gone, memory and files have come back. Knows nothing of what is
//! inside. Deadlines are for hanging; nothing here depends on speed.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod floods;
mod http2;
#[path = "../endurance/process.rs"]
mod process;
mod requests;
mod siege;
mod slow;
#[path = "../support/mod.rs"]
mod support;
#[path = "../endurance/wire.rs"]
#[allow(dead_code, reason = "the endurance tests use more of it")]
mod wire;
