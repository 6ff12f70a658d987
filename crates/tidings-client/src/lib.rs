//! Server-Sent Events for Rust: an [`EventSource`] that is a `Stream` and comes back where it was,
//! and a [`Hub`] that publishes to Tidings. Knows nothing of how a hub works inside.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidings_client::Error> {
//! use futures_util::TryStreamExt as _;
//! let mut source = tidings_client::EventSource::new("https://hub.example/topics/orders")?;
//! while let Some(event) = source.try_next().await? {
//!     println!("{} {}: {}", event.id, event.event_type, event.data);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The decoder
//!
//! It is the hub's own, `tidings_core::sse`: it reads every vector of `testdata/sse` as the
//! standard has it, is tested by properties and fuzzed, and is linear in time. The core is light
//! (no runtime, no socket, five small libraries), and so the hub, its command line and this client
//! can't come to read a stream differently; another crate, however good, would be a second reader
//! to keep in step.

#![forbid(unsafe_code)]

mod backoff;
mod connection;
mod error;
mod event;
mod hub;
pub mod limits;
mod options;
mod publish;
mod source;

pub use connection::Step;
pub use error::{BoxError, Error, Refusal};
pub use event::{Event, Gap};
pub use hub::Hub;
pub use options::Builder;
pub use publish::Publish;
pub use reqwest;
pub use source::{EventSource, State};
pub use tidings_core::sse::{Decoder, Message, TooLong};
