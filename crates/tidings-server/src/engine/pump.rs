//! Moves what the log yields to the shards: record → frame → tail → wake-up.
//! Knows nothing of subscribers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidings_core::cursor::Timestamp;
use tidings_log::{Follow, FollowError, Log};

use super::inbox::Inbox;
use super::reader::deliver;
use super::tail::Tail;
use crate::metrics::Metrics;

/// How long a failed read of the log waits before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How often the log is asked to let go of what is too old.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the log until it is closed.
pub(crate) async fn pump(
    log: Arc<dyn Log>,
    mut follow: Box<dyn Follow>,
    tail: Arc<Tail>,
    inboxes: Vec<Inbox>,
) {
    let incarnation = log.bounds().incarnation;
    loop {
        match follow.next().await {
            Ok(records) => {
                tail.push(records.iter().map(|record| deliver(incarnation, record)));
                inboxes.iter().for_each(Inbox::wake);
            }
            Err(FollowError::Closed) => return,
            Err(FollowError::Trimmed { oldest }) => {
                // The next run begins at `oldest`; shards see the gap by its position.
                tracing::warn!(%oldest, "retention has overtaken delivery: is it set too short?");
            }
            Err(FollowError::Failed { reason }) => {
                tracing::error!(%reason, "the log can't be followed; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Has the log let go of what retention does not cover, for ever.
pub(crate) async fn trim(log: Arc<dyn Log>, metrics: Arc<Metrics>) {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(reason) = log.trim(now()).await {
            tracing::warn!(%reason, "the log can't let go of old events");
        }
        let usage = log.usage();
        metrics.log_events.set(usage.events as i64);
        metrics.log_bytes.set(usage.bytes as i64);
    }
}

/// The time of day, for what is kept. A clock before 1970 is a clock that is not set; nothing is
/// older than its 0 then.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
