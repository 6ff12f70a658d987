//! The rules of an event hub for Server-Sent Events, and nothing else.
//! Opens nothing, spawns nothing, reads no clock: bytes and time go in, actions come out.
//!
//! Read it in this order, each part knowing only those before it:
//!
//! - [`limits`]: every bound of the program, with its unit and its reason.
//! - [`event`]: what is published, parsed at the door; [`cursor`]: places in the log.
//! - [`sse`]: events as `text/event-stream` bytes, and back.
//! - [`topic`]: topics, selectors, and the index from one to the subscribers of the other.
//! - [`pages`]: a table for what a shard keeps for each of very many.
//! - [`session`]: one subscriber's state: replay → live → lagging → closed.
//! - [`shard`]: many sessions on one thread: fan-out, heartbeats, joined writes.
//! - [`vector`]: places in several logs at once, as one id.
//! - `testing` (a feature): a world in memory with a clock of its own, to drive all of it from a
//!   seed.

#![forbid(unsafe_code)]

pub mod cursor;
pub mod event;
mod few;
pub mod limits;
pub mod pages;
pub mod session;
pub mod shard;
pub mod sse;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod topic;
pub mod vector;
