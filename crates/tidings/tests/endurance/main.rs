//! The program under what happens to servers: killed, stalled, out of space, left, told to end.
//! Knows nothing of what is inside. Deadlines are for hanging; nothing here depends on speed.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod crash;
mod disk_full;
mod drain;
mod leaving;
mod process;
mod restart;
mod shutdown;
mod stalled;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the tests of nodes use it too, each a part of it")]
mod wire;
