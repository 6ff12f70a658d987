//! What the nodes of one hub hold of what is limited, counted over all of them.
//! Knows nothing of what that is, nor of how nodes tell each other.

use async_trait::async_trait;

use crate::ReadError;

/// How many the nodes of a hub hold of each of many names: each says its own numbers, and they are
/// summed up where the log is.
///
/// Numbers are absolute, and what is said carries its order: so it may be said twice, and come in
/// any order, and the newest counts. A node's numbers count for as long as it says every so often
/// that it lives ([`Shares::live`]); those of one that has died end after
/// [`tidings_core::limits::SHARES_LEASE`].
#[async_trait]
pub trait Shares: Send + Sync {
    /// Says how many this node holds of each of these: no more than
    /// [`tidings_core::limits::SHARES_PER_CALL_MAX`] names, none of them twice. The answer says in
    /// the same order whether it counts. It does not, and what was said before goes on counting,
    /// where the nodes that live would hold more than the share's `max` together.
    ///
    /// What is not said again within [`tidings_core::limits::SHARES_TIME_MAX`] may be forgotten.
    /// Dropping the future does not take it back: it may count all the same.
    ///
    /// # Errors
    /// [`ReadError::Failed`] only: nobody knows whether it counts.
    async fn hold(&self, shares: &[Share<'_>]) -> Result<Vec<bool>, ReadError>;

    /// Says that this node lives, and that nothing counts that it said with an order below
    /// `since`. `false`: it had counted as dead before, and has to say all of its shares again.
    ///
    /// # Errors
    /// [`ReadError::Failed`] only: nobody knows whether it counts.
    async fn live(&self, since: u64) -> Result<bool, ReadError>;
}

/// What one node holds of one name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share<'a> {
    /// Of what.
    pub name: &'a str,
    /// How many.
    pub held: u64,
    /// Of all that this node says, the higher order is the newer.
    pub order: u64,
    /// How many all nodes may hold together, where that is asked.
    pub max: Option<u64>,
}
