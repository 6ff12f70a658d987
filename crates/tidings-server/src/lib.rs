//! The hub as a library: the engine that delivers, and the HTTP API in front of it.
//!
//! [`serve`] runs an axum router on a listener with event streams taken over by the hub's shards;
//! [`api::router`] is the hub's own API; [`Hub::publish`] and [`api::Subscriber`] are for
//! applications that bring routes of their own.

pub mod admin;
pub mod api;
pub mod config;
pub mod engine;
mod http;
pub mod metrics;

pub use config::Config;
pub use engine::Hub;
pub use http::serve;
