//! What `tidings demo` adds to a hub: a stream that never ends, a long task, and the page that
//! shows them. Knows nothing of how the hub is started or stopped.

#[cfg(feature = "redis")]
pub(crate) mod nodes;
mod page;
mod stream;
mod task;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_core::cursor::Timestamp;
use tidings_core::event::{Event, IdempotencyKey, Topic};
use tidings_core::topic::{Selector, Selectors};
use tidings_log::{AppendError, ReadError};
use tidings_server::Hub;
use tidings_server::engine::{Publish, PublishError};
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

pub(crate) use page::{alone, router};

use stream::Stream;

/// The topic of the demo's stream: what `GET /events` gives who names no topic.
pub(crate) const TOPIC: &str = "demo";

/// How often the stream says something.
const TICK: Duration = Duration::from_secs(1);

/// How long to wait before the same tick is tried again, where the hub did not take it.
const RETRY: Duration = Duration::from_secs(1);

/// Of the topic's last events, those that are looked through for where an earlier stream ended.
/// Three would do, if nobody else published to it.
const EVENTS_READ: usize = 64;

/// Publishes the stream until `stop` says `true`, or its sender is gone.
///
/// The number of the last tick is read from the log, so that a log that is kept has one stream
/// without holes over all restarts. Cancel safe: a tick that was under way is published or not,
/// and the next stream goes on from what the log says.
pub(crate) async fn drive(hub: Hub, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = publish_stream(&hub) => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

async fn publish_stream(hub: &Hub) {
    let Some(mut stream) = go_on(hub).await else { return };
    let run = now().0;
    let mut interval = time::interval(TICK);
    // After a sleep of the machine it goes on as before, not with a burst of what was slept over.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let events = stream.tick(now());
        let key = IdempotencyKey::parse(&format!("demo-{run}-{}", stream.last_tick()))
            .expect("digits and letters are visible");
        if publish_tick(hub, &events, &key).await.is_break() {
            return;
        }
    }
}

/// The stream after what the log holds of it; `None` where the log has been closed.
async fn go_on(hub: &Hub) -> Option<Stream> {
    let topic = Topic::parse(TOPIC).expect("a plain word is a topic");
    let selectors = Selectors::from(Selector::Exact(topic));
    loop {
        match hub.last(&selectors, EVENTS_READ).await {
            Ok(records) => {
                return Some(Stream::after(now().0, records.iter().map(|record| &record.event)));
            }
            // Retention was faster than the look: what is there now is there the next time.
            Err(ReadError::Trimmed { .. }) => {}
            Err(error @ ReadError::Failed { .. }) => {
                tracing::warn!(%error, "the demo waits for the log");
                time::sleep(RETRY).await;
            }
        }
    }
}

/// Publishes a tick until it is kept, for the stream has no holes. The key keeps it from being
/// there twice, should a publish have failed only on the way back.
async fn publish_tick(
    hub: &Hub,
    events: &[Event],
    key: &IdempotencyKey,
) -> std::ops::ControlFlow<()> {
    use std::ops::ControlFlow::{Break, Continue};

    loop {
        let batch = events
            .iter()
            .enumerate()
            .map(|(at, event)| Publish { event: event.clone(), key: Some(key.nth(at)) })
            .collect();
        match hub.publish_many(batch).await {
            Ok(_) => return Continue(()),
            Err(PublishError::Append(AppendError::Closed)) => return Break(()),
            Err(error) => {
                tracing::warn!(%error, "the demo could not publish: trying again");
                time::sleep(RETRY).await;
            }
        }
    }
}

/// The clock. One before 1970 gives 0, which hurts only the timestamps of the demo's users.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
