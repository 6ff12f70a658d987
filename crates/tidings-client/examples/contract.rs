//! A service that lets the suite `sse-contract-tests` drive this client: it is told which streams
//! to open and calls back with what comes. `cargo run -p tidings-client --example contract PORT`,
//! then `sse-contract-tests --url http://localhost:8000`.

#![allow(clippy::unwrap_used, reason = "a wrong order ends with 400, all else is the suite's end")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_client::reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tidings_client::reqwest::{Client, Method, StatusCode};
use tidings_client::{BoxError, EventSource, Step};
use tokio::sync::{Notify, mpsc};

const CAPABILITIES: &[&str] = &[
    "204",
    "bom",
    "headers",
    "last-event-id",
    "payload-size-stress-testable",
    "post",
    "read-timeout",
    "report",
    "restart",
];

/// The streams that are open, by number; dropping a sender closes one.
#[derive(Clone, Default)]
struct Service {
    streams: Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<()>>>>,
    created: Arc<Mutex<u64>>,
    ended: Arc<Notify>,
}

/// What the suite wants a stream to be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    stream_url: String,
    callback_url: String,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    last_event_id: Option<String>,
    headers: Option<HashMap<String, String>>,
    method: Option<String>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct Command {
    command: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "8000".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let service = Service::default();
    let ended = Arc::clone(&service.ended);
    let router = Router::new()
        .route("/", get(capabilities).post(open).delete(end))
        .route("/streams/{stream}", post(command).delete(close))
        .with_state(service);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { ended.notified().await })
        .await
}

async fn capabilities() -> Json<Value> {
    Json(json!({ "capabilities": CAPABILITIES }))
}

async fn end(State(service): State<Service>) -> StatusCode {
    service.streams.lock().unwrap().clear();
    service.ended.notify_one();
    StatusCode::NO_CONTENT
}

async fn open(State(service): State<Service>, body: Bytes) -> Response {
    let opened = serde_json::from_slice(&body).map_err(BoxError::from).and_then(|order: Order| {
        let callback = order.callback_url.clone();
        Ok((source(order)?, callback))
    });
    let (source, callback) = match opened {
        Ok(opened) => opened,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let (restart, restarts) = mpsc::unbounded_channel();
    let number = {
        let mut created = service.created.lock().unwrap();
        *created += 1;
        *created
    };
    service.streams.lock().unwrap().insert(number, restart);
    tokio::spawn(tell(source, callback, restarts));
    (StatusCode::CREATED, [(LOCATION, format!("/streams/{number}"))]).into_response()
}

fn source(order: Order) -> Result<EventSource, BoxError> {
    let mut headers = HeaderMap::new();
    for (name, value) in order.headers.iter().flatten() {
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let mut builder = EventSource::builder(&order.stream_url).headers(headers);
    if let Some(delay) = order.initial_delay_ms.map(Duration::from_millis) {
        builder = builder.retry(delay).max_delay(delay);
    }
    if let Some(timeout) = order.read_timeout_ms {
        builder = builder.heartbeat_timeout(Duration::from_millis(timeout));
    }
    if let Some(method) = order.method {
        builder = builder.method(Method::try_from(method.as_str())?);
    }
    if let Some(body) = order.body {
        builder = builder.body(body);
    }
    Ok(builder.last_event_id(order.last_event_id.unwrap_or_default()).build()?)
}

/// One after the other: the suite goes by the order in which they come.
async fn tell(mut source: EventSource, callback: String, mut restart: mpsc::UnboundedReceiver<()>) {
    let client = Client::new();
    let mut count = 0;
    loop {
        let step = tokio::select! {
            step = source.next_step() => step,
            asked = restart.recv() => {
                if asked.is_none() {
                    return;
                }
                source.reconnect();
                continue;
            }
        };
        let message = match step {
            Some(Step::Event(event)) => json!({ "kind": "event", "event": {
                "type": event.event_type, "data": event.data, "id": &*event.id,
            }}),
            Some(Step::Broken { error, .. } | Step::Closed { error: Some(error) }) => {
                json!({ "kind": "error", "comment": error.to_string() })
            }
            Some(_) => continue,
            None => return,
        };
        count += 1;
        // The suite may have ended meanwhile.
        let _ = client.post(format!("{callback}/{count}")).json(&message).send().await;
    }
}

async fn command(
    State(service): State<Service>,
    Path(stream): Path<u64>,
    body: Bytes,
) -> StatusCode {
    let streams = service.streams.lock().unwrap();
    let Some(stream) = streams.get(&stream) else { return StatusCode::NOT_FOUND };
    let command = serde_json::from_slice(&body).map(|Command { command }| command);
    match command.as_deref() {
        Ok("listen") => StatusCode::ACCEPTED,
        Ok("restart") => {
            // Whoever has come to its end does not begin again.
            let _ = stream.send(());
            StatusCode::ACCEPTED
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

async fn close(State(service): State<Service>, Path(stream): Path<u64>) -> StatusCode {
    match service.streams.lock().unwrap().remove(&stream) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}
