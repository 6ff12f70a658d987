//! Moves what the log yields to the shards: record → frame → tail → wake-up.
//! Knows nothing of subscribers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tidings_core::cursor::Timestamp;
use tidings_core::limits::PASSED_OVER_EVENTS_MAX;
use tidings_log::{Follow, FollowError, Log, Record};

use super::inbox::Inbox;
use super::reader::deliver;
use super::tail::Tail;
use crate::metrics::Metrics;

/// How long a failed read of the log waits before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How often the log is asked to let go of what is too old.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the log, which may be one of several, until it is closed.
pub(crate) async fn pump(
    mut follow: Box<dyn Follow>,
    tail: Arc<Tail>,
    inboxes: Vec<Inbox>,
    several: bool,
) {
    let (mut incarnation, _) = tail.head();
    let mut failed = false;
    let mut sleepers: Vec<Sleeper> = inboxes.into_iter().map(Sleeper::new).collect();
    loop {
        match follow.next().await {
            Ok(records) => {
                if std::mem::take(&mut failed) {
                    tracing::info!("the log can be followed again");
                }
                tail.push(records.iter().map(|record| deliver(incarnation, record, several)));
                sleepers.iter_mut().for_each(|sleeper| sleeper.tell(&records, &tail));
            }
            Err(FollowError::Closed) => return,
            Err(FollowError::Trimmed { oldest }) => {
                // The next run begins at `oldest`; shards see the gap by its position.
                tracing::warn!(%oldest, "retention has overtaken delivery: is it set too short?");
            }
            Err(FollowError::Replaced { bounds }) => {
                tracing::error!(
                    from = %incarnation, to = %bounds.incarnation,
                    "the log has lost events that were acknowledged: all streams end, and whoever \
                     comes back is told by tidings.reset"
                );
                incarnation = bounds.incarnation;
                tail.replace(incarnation, bounds.next);
                sleepers.iter().for_each(|sleeper| sleeper.inbox.wake());
            }
            Err(FollowError::Failed { reason }) => {
                failed = true;
                tracing::error!(%reason, "the log can't be followed; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// A shard that sleeps while nothing comes for it.
struct Sleeper {
    inbox: Inbox,
    /// What came since it was woken last.
    events: usize,
    bytes: usize,
}

impl Sleeper {
    fn new(inbox: Inbox) -> Self {
        Self { inbox, events: 0, bytes: 0 }
    }

    /// Wakes the shard if some of these records, which are in the tail, may be for somebody
    /// there; or if so much has come that it would fall out of the tail.
    fn tell(&mut self, records: &[Arc<Record>], tail: &Tail) {
        self.events += records.len();
        self.bytes += records.iter().map(|record| record.event.weight()).sum::<usize>();
        let behind = self.events >= PASSED_OVER_EVENTS_MAX || self.bytes >= tail.bytes_max() / 4;
        if behind || records.iter().any(|record| self.inbox.may_select(&record.event.topics)) {
            self.inbox.wake();
            self.events = 0;
            self.bytes = 0;
        }
    }
}

/// Has the logs let go of what retention does not cover, for ever.
pub(crate) async fn trim(logs: Vec<Arc<dyn Log>>, metrics: Arc<Metrics>) {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let trimmed = join_all(logs.iter().map(|log| log.trim(now()))).await;
        for reason in trimmed.into_iter().filter_map(Result::err) {
            tracing::warn!(%reason, "the log can't let go of old events");
        }
        metrics.log_available.set(i64::from(logs.iter().all(|log| log.health().is_ok())));
        let held = logs.iter().map(|log| log.usage());
        let (events, bytes) =
            held.fold((0, 0), |sum, usage| (sum.0 + usage.events, sum.1 + usage.bytes));
        metrics.log_events.set(events as i64);
        metrics.log_bytes.set(bytes as i64);
    }
}

/// The time of day, for what is kept. A clock before 1970 is a clock that is not set; nothing is
/// older than its 0 then.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
