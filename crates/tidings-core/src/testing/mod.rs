//! A world in memory to drive shards in: a log, connections, clients, and a clock that only moves
//! when it is told. Knows nothing of real sockets, threads and time.
//!
//! A test says in a few lines what happens, and the [`World`] sees to it that nobody is wronged:
//! every client checks each byte it gets against the log.
//!
//! ```
//! use tidings_core::testing::{Settings, Start, Subscription, World};
//!
//! let mut world = World::new(Settings::default());
//! world.publish("orders/42");
//! let orders = Subscription { start: Start::Earliest, ..Subscription::to("orders/*") };
//! let client = world.subscribe(orders);
//! world.publish("orders/43");
//! world.settle();
//! assert_eq!(world.client(client).positions(), [1, 2]);
//! ```
//!
//! What can happen is an [`Op`], so that it can also come from a seed ([`Op::from_bytes`]): the
//! property tests and the fuzz targets ([`fuzzing`]) do that. It is part of the library, behind
//! the feature `testing`, for the tests of the crates above this one.

mod chunks;
mod client;
mod connection;
pub mod fuzzing;
mod history;
mod op;
#[cfg(test)]
mod tests;
mod wires;
mod world;

pub use chunks::Chunks;
pub use client::Client;
pub use connection::Connection;
pub use history::{Event, History};
pub use op::{Op, Reads, Start, Subscription};
pub use world::{RETRY_MS, Settings, World};
