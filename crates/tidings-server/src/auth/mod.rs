//! Who may publish and listen: keys, tokens, API keys, tickets, origins.
//! Knows nothing of routes and of how a refusal is told; `api` asks [`Access`].
//!
//! A request walks: [`Access::identify`] → `credential` (where is the token?) → `api_keys`, or
//! `token` (whose keys? is it signed?) → `claims` (does it count here and now?), or `tickets` →
//! [`Caller`], whom [`Access::may_publish`] and [`Access::may_subscribe`] are asked about.

mod access;
pub mod api_keys;
mod claims;
mod credential;
mod files;
pub mod fuzzing;
mod jwks;
mod keys;
mod origins;
mod policy;
mod refusal;
mod rights;
mod tickets;
mod token;

pub use access::{Access, Caller};
pub use files::FileError;
pub use jwks::{JwksUrl, JwksUrlError};
pub use keys::KeysError;
pub(crate) use origins::Standing;
pub use origins::{OriginError, Origins};
pub use policy::{AccessError, Policy, Secret};
pub use refusal::{Kind, Refusal};
pub use rights::{Rights, RightsError};
pub use tickets::{Ticket, TicketUses, TicketUsesError, UsedHere};
