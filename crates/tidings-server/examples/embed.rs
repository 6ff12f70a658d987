//! A first tutorial's server for Server-Sent Events, in an axum application of one's own.
//! Run it with `cargo run -p tidings-server --example embed`, then `curl -N localhost:3000/events`.

use std::sync::Arc;
use std::time::Duration;

use axum::{Router, extract::State, response::Html, routing::get};
use tidings_server::event::{Data, Event, Topic};
use tidings_server::log::{Memory, MemoryOptions};
use tidings_server::{Config, EventStream, Hub, Problem, Subscriber};
use tokio::net::TcpListener;

const PAGE: &str = "<p id=out></p><script>new EventSource('/events').onmessage = \
                    event => { out.textContent = event.data }</script>";

async fn events(State(hub): State<Hub>, subscriber: Subscriber) -> Result<EventStream, Problem> {
    subscriber.to(&hub, ["counter"]).await
}

async fn count(hub: Hub) {
    let topic = Topic::parse("counter").expect("a plain word");
    for number in 1.. {
        let data = Data::from(format!("Counter: {number}"));
        if let Err(error) = hub.publish(Event::new(topic.clone(), data)).await {
            eprintln!("not published: {error}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::start(Arc::new(Memory::new(MemoryOptions::default())), Config::default())?;
    tokio::spawn(count(hub.clone()));
    let page = get(|| async { Html(PAGE) });
    let router = Router::new().route("/", page).route("/events", get(events));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    tidings_server::serve(listener, router.with_state(hub.clone()), hub).await
}
