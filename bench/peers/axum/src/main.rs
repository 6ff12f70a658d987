//! A hub as one writes it with axum in an afternoon: `Sse` over a `broadcast` channel for each
//! topic. Knows nothing of Tidings; the benchmark compares with it.
//!
//! What is deliberate: each event is made once and shared, `TCP_NODELAY` is set, nothing is sent
//! to keep connections alive, a topic is gone with its last subscriber, and whoever falls behind
//! by more than the channel holds goes on with what is still there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Events that a subscriber may be behind. The channel takes some 50 bytes for each from the
/// beginning, so that more would cost those who have very many topics.
const BEHIND_MAX: usize = 256;

type Topics = Arc<Mutex<HashMap<String, Sender<Arc<str>>>>>;

// The runtime as it comes: a thread for each processor that it may use.
#[tokio::main]
async fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).is_some_and(|argument| argument == "--version") {
        println!("axum {}, tokio {}", locked_version("axum"), locked_version("tokio"));
        return Ok(());
    }
    let router = Router::new()
        .route("/topics/{*topic}", get(subscribe))
        .route("/publish/{*topic}", post(publish))
        .with_state(Topics::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Where it can't be set, events come later, and that is all.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn subscribe(
    State(topics): State<Topics>,
    Path(topic): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(unfold(Subscription::begin(topics, topic), |mut subscription| async {
        let event = subscription.next().await?;
        Some((Ok(event), subscription))
    }))
}

async fn publish(
    State(topics): State<Topics>,
    Path(topic): Path<String>,
    data: String,
) -> StatusCode {
    if let Some(sender) = lock(&topics).get(&topic) {
        // An error says that nobody listens.
        let _ = sender.send(data.into());
    }
    StatusCode::OK
}

/// One subscriber's place in a topic. The last one that is dropped takes the topic along.
struct Subscription {
    topics: Topics,
    topic: String,
    receiver: Receiver<Arc<str>>,
}

impl Subscription {
    fn begin(topics: Topics, topic: String) -> Self {
        let receiver = {
            let mut topics = lock(&topics);
            let new = || broadcast::channel(BEHIND_MAX).0;
            topics.entry(topic.clone()).or_insert_with(new).subscribe()
        };
        Self { topics, topic, receiver }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(data) => return Some(Event::default().data(&data)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = lock(&self.topics);
        // Its own receiver is still there.
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 1) {
            topics.remove(&self.topic);
        }
    }
}

fn lock<T>(topics: &Mutex<T>) -> MutexGuard<'_, T> {
    topics.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The version of a package that this program was built with.
fn locked_version(package: &str) -> &'static str {
    let lock = include_str!("../../../../Cargo.lock");
    let after = lock.split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    after.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}
