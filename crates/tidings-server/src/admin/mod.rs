//! For the people who run the hub: is it alive, is it ready, what does it count.
//! Knows nothing of events.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::engine::Hub;

/// The content type of the metrics, as OpenMetrics has it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /healthz`, `/readyz` and `/metrics`.
pub fn routes() -> Router<Hub> {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// A page of plain text that says what this is, with commands to try, for `GET /`.
pub async fn index(headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = format!("http://{}", host.unwrap_or("localhost:3000"));
    let text = format!(
        "This is Tidings, an event hub for Server-Sent Events.\n\
         \n\
         Listen:       curl -N {base}/topics/demo\n\
         Publish:      curl -d 'Hello' {base}/topics/demo\n\
         Look back:    curl -H 'Accept: application/json' '{base}/topics/demo?last=10'\n\
         Several:      curl -N '{base}/events?topic=demo&topic=orders/*'\n\
         In a browser: {base}/topics/demo\n"
    );
    plain(StatusCode::OK, text)
}

async fn health() -> Response {
    plain(StatusCode::OK, "ok\n".to_owned())
}

async fn ready(State(hub): State<Hub>) -> Response {
    match hub.ready() {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(hub): State<Hub>) -> Response {
    let content_type = HeaderValue::from_static(OPEN_METRICS);
    let no_store = HeaderValue::from_static("no-store");
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, no_store)];
    (headers, hub.metrics().encode()).into_response()
}

fn plain(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text).into_response()
}
