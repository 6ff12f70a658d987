//! The hub as a library: the engine that delivers, and the HTTP API in front of it.
//!
//! [`serve`] runs an axum router on a listener with event streams taken over by the hub's shards;
//! [`api::router`] is the hub's own API, which asks [`auth::Access`] who may what;
//! [`Hub::publish`] and [`Subscriber`] are for applications that bring routes of their own, and
//! work in any server that runs axum handlers:
//!
//! ```no_run
//! # use std::sync::Arc;
//! use axum::{Router, extract::State, routing::get};
//! use tidings_server::event::{Data, Event, Topic};
//! use tidings_server::log::{Memory, MemoryOptions};
//! use tidings_server::{Config, EventStream, Hub, Problem, Subscriber};
//!
//! type Answer = Result<EventStream, Problem>;
//!
//! async fn events(State(hub): State<Hub>, subscriber: Subscriber) -> Answer {
//!     subscriber.to(&hub, ["orders/{id}"]).await
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::start(Arc::new(Memory::new(MemoryOptions::default())), Config::default())?;
//! let router = Router::new().route("/events", get(events)).with_state(hub.clone());
//! hub.publish(Event::new(Topic::parse("orders/42")?, Data::from("shipped"))).await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! tidings_server::serve(listener, router, hub).await?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod admin;
pub mod api;
pub mod auth;
pub mod config;
pub mod engine;
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
mod http;
pub mod metrics;
pub mod peer;

pub use api::{EventStream, Problem, Subscriber};
pub use config::Config;
pub use engine::Hub;
pub use http::{CertificatePair, Listener, PairError, Tls, serve};
pub use tidings_core::{event, topic};
pub use tidings_log as log;
