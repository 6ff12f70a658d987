//! Who may come in: how many at once, and how fast.
//! Knows nothing of sockets and requests; it counts by whoever is named to it.

mod admissions;
mod budget;
mod client;
mod counts;
mod everywhere;
mod rates;

pub use admissions::NotAdmitted;
pub(crate) use admissions::{Admissions, ConnectionGuard};
pub(crate) use budget::{Budget, Share, Spent};
pub use client::Client;
pub(crate) use counts::{Counted, Counts, Full};
pub(crate) use everywhere::Everywhere;
pub(crate) use rates::{Rates, TooFast};
