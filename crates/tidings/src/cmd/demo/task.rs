//! The long task: twenty seconds of pretended work, which says how far it is on a topic.
//! Knows nothing of HTTP; whoever reads the topic's last event knows the true progress.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tidings_core::event::{Data, Event, EventType, Topic};
use tidings_log::AppendError;
use tidings_server::Hub;
use tidings_server::engine::PublishError;
use tokio::time::{self, Instant, MissedTickBehavior};

/// Starts the task, and one at a time only. Cheap to clone; all clones know of the same one.
#[derive(Clone)]
pub(crate) struct Tasks {
    hub: Hub,
    /// The one that runs. Held for a line at a time.
    running: Arc<Mutex<Option<String>>>,
}

/// The topic on which the progress is published.
const TOPIC: &str = "demo/task";

/// How long it takes.
const DURATION: Duration = Duration::from_secs(20);

/// How often it says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// When it gives up to say that it is done, where the hub takes nothing.
const REPORT_TIME_MAX: Duration = Duration::from_secs(60);

/// What is done, and from which percentage on.
const STEPS: [(u64, &str); 5] = [
    (0, "Collect the orders"),
    (15, "Pack them"),
    (55, "Send them to the archive"),
    (90, "Check the archive"),
    (100, "Finished"),
];

/// The data of a `progress`.
#[derive(Debug, Serialize)]
struct Progress<'a> {
    task: &'a str,
    percent: u64,
    step: &'static str,
    done: bool,
}

impl Tasks {
    /// None is running yet.
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub, running: Arc::default() }
    }

    /// Starts a task and gives its id; where one runs already, gives that one's.
    ///
    /// The task runs on by itself: nobody has to wait for it.
    pub(crate) fn start(&self) -> String {
        let mut running = self.running();
        if let Some(id) = &*running {
            return id.clone();
        }
        let id = new_id();
        *running = Some(id.clone());
        let (tasks, task) = (self.clone(), id.clone());
        tokio::spawn(async move {
            report(&tasks.hub, &task).await;
            *tasks.running() = None;
        });
        id
    }

    fn running(&self) -> MutexGuard<'_, Option<String>> {
        // Nothing can panic while it is held, and an id is never half written.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes the progress until it is done.
async fn report(hub: &Hub, id: &str) {
    let start = Instant::now();
    let mut interval = time::interval(REPORT_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while start.elapsed() < REPORT_TIME_MAX {
        interval.tick().await;
        let progress = progress(id, start.elapsed());
        match hub.publish(event(&progress)).await {
            Ok(_) if progress.done => return,
            Ok(_) => {}
            Err(PublishError::Append(AppendError::Closed)) => return,
            // The next report says all that this one would have said.
            Err(error) => tracing::warn!(task = id, %error, "the demo's task could not report"),
        }
    }
}

fn progress(task: &str, elapsed: Duration) -> Progress<'_> {
    let percent = (elapsed.as_millis() * 100 / DURATION.as_millis()).min(100) as u64;
    let (_, step) = STEPS.iter().rfind(|(from, _)| *from <= percent).expect("the first is from 0");
    Progress { task, percent, step, done: percent == 100 }
}

fn event(progress: &Progress<'_>) -> Event {
    let topic = Topic::parse(TOPIC).expect("plain words are a topic");
    let data = serde_json::to_string(progress).expect("texts and numbers are JSON");
    let mut event = Event::new(topic, Data::from(data));
    event.event_type = Some(EventType::parse("progress").expect("a plain word is a type"));
    event
}

/// The time of its start tells a task from those before it, after a restart too.
fn new_id() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("task-{:x}", since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(elapsed_ms: u64, expected: &str) {
        let event = event(&progress("task-1", Duration::from_millis(elapsed_ms)));
        assert_eq!(event.event_type.as_ref().map(EventType::as_str), Some("progress"));
        assert_eq!(event.topics.first().as_str(), TOPIC);
        assert_eq!(event.data.as_str(), expected);
    }

    #[test]
    fn says_how_far_it_is_until_it_is_done() {
        let collect = r#"{"task":"task-1","percent":0,"step":"Collect the orders","done":false}"#;
        check(0, collect);
        check(199, collect);
        check(
            11_000,
            r#"{"task":"task-1","percent":55,"step":"Send them to the archive","done":false}"#,
        );
        check(19_999, r#"{"task":"task-1","percent":99,"step":"Check the archive","done":false}"#);
        for late in [20_000, 500_000] {
            check(late, r#"{"task":"task-1","percent":100,"step":"Finished","done":true}"#);
        }
    }
}
