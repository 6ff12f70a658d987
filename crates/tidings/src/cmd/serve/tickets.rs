//! Where the uses of tickets are recorded when many nodes are one hub: beside their log.
//! Knows nothing of what a ticket says.

// A build without logs for many nodes never records anything.
#![cfg_attr(not(any(feature = "nats", feature = "redis")), allow(dead_code))]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tidings_core::cursor::Timestamp;
use tidings_log::Claims;
use tidings_server::auth::{TicketUses, TicketUsesError};

/// The uses of tickets, once the log is open.
#[derive(Default)]
pub(in crate::cmd) struct SharedTickets {
    log: OnceLock<Arc<dyn Claims>>,
}

impl SharedTickets {
    /// From now on they are recorded there.
    pub(super) fn record_in(&self, log: Arc<dyn Claims>) {
        self.log.get_or_init(|| log);
    }

    async fn claim(
        &self,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, TicketUsesError> {
        let unavailable = |reason| TicketUsesError::Unavailable { reason };
        let log = self.log.get().ok_or_else(|| unavailable("the log is not open yet".into()))?;
        // A clock that is behind must not have it forgotten while another one lets it count.
        let time = Duration::from_millis(until.0.saturating_sub(now.0)) + CLOCKS_APART_MAX;
        log.claim(id, time).await.map_err(|error| unavailable(error.to_string()))
    }
}

/// How far the clocks of two nodes may be apart.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);

impl TicketUses for SharedTickets {
    fn take<'a>(
        &'a self,
        id: &'a str,
        until: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, TicketUsesError>> {
        Box::pin(self.claim(id, until, now))
    }
}
