//! Puts the settings of who may what into force.
//! Knows nothing of how tokens are checked.

use std::sync::Arc;

use tidings_server::auth::Access;

use super::SharedTickets;
use crate::exit::Usage;
use crate::settings::Settings;

/// Reads the files with keys. Where many nodes are one hub, the uses of tickets are recorded where
/// all of them look.
///
/// # Errors
/// [`Usage`] where one can't be used, or the settings do not fit together; nothing in it is secret.
pub(in crate::cmd) fn load_access(
    settings: &Settings,
    tickets: &Arc<SharedTickets>,
) -> anyhow::Result<Access> {
    let policy = settings.access();
    let loaded = if settings.log.is_shared() {
        if policy.ticket_key.is_none() && policy.has_keys() {
            tracing::warn!(
                "a ticket of this node counts on no other one: give all nodes the same file as \
                 ticket-key"
            );
        }
        Access::load_shared(policy, Arc::<SharedTickets>::clone(tickets))
    } else {
        Access::load(policy)
    };
    loaded.map_err(|error| Usage(error.to_string()).into())
}
