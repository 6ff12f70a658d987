//! The server as its clients see it: one binary, a module per subject.
//! Knows nothing of the engine's insides; what it needs to look in is public.

// A test that fails says so by panicking, in its helpers too.
#![allow(clippy::unwrap_used)]

mod access;
mod api;
mod bad_input;
mod http2_floods;
mod incoming;
mod jwks;
mod lifetimes;
mod limits;
mod partitions;
mod replaced;
mod sockets;
mod tls;
mod world;
