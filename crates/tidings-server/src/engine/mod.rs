//! The hub's engine: what is published goes into the log, what the log yields goes to the shards.
//! Knows nothing of HTTP requests; it is handed sockets, and gives bodies.
//!
//! A publish walks: [`Hub::publish`] → `Log::append` → `pump` (gets it from `Log::follow`, makes
//! the frame) → `tail` → `shard_thread` → [`tidings_core::shard`] (who, what, when) →
//! `connections` → the socket. Those who are behind the tail get pages through `reader`.

mod body;
mod connections;
mod fill;
mod hub;
mod inbox;
mod lane;
mod lifetime;
mod merged;
mod place;
mod places;
mod pump;
mod reader;
mod shard_thread;
mod tail;
mod takeover;
mod terms;
mod tls;

pub use hub::Hub;
pub(crate) use inbox::Attached;
pub(crate) use lifetime::ConnectionEnds;
pub use place::{Start, Verdict};
pub(crate) use pump::now;
pub use takeover::Takeover;
pub use terms::{
    Bookmark, History, Id, Publish, PublishError, Published, SubscribeError, Subscribed,
    Subscription, TooFast,
};
pub use tidings_core::shard::Filter;
