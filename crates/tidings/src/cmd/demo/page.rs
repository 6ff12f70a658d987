//! The demo's page, its files, and what it asks of the server.
//! Knows nothing of the hub's own API, which the page uses as any other page would.

use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tidings_server::Hub;
use tidings_server::api::Problem;

use super::task::Tasks;

/// The routes of the demo, to be merged with those of a hub or of several.
pub(crate) fn router(hub: Hub) -> Router {
    let page = || async { file("text/html; charset=utf-8", include_str!("demo.html")) };
    let css = || async { file("text/css; charset=utf-8", include_str!("demo.css")) };
    let js = || async { file("text/javascript; charset=utf-8", include_str!("demo.js")) };
    Router::new()
        .route("/", get(page))
        .route("/demo/demo.css", get(css))
        .route("/demo/demo.js", get(js))
        .route("/demo/task", post(start_task))
        .with_state(Tasks::new(hub))
}

/// The routes of a demo whose page talks to the hub itself.
pub(crate) fn alone(hub: Hub) -> Router {
    let no_nodes = serde_json::json!({ "nodes": [] });
    Router::new()
        .route("/demo/nodes", get(async || Json(no_nodes)))
        .route("/demo/cut", post(cut))
        .with_state(hub)
}

#[derive(Deserialize)]
struct Cut {
    label: Option<String>,
}

async fn start_task(State(tasks): State<Tasks>) -> impl IntoResponse {
    (StatusCode::ACCEPTED, Json(serde_json::json!({ "task": tasks.start() })))
}

/// Ends the connections that carry the label: a page knows only its own.
async fn cut(State(hub): State<Hub>, Query(cut): Query<Cut>) -> Result<StatusCode, Problem> {
    let label = cut.label.filter(|label| !label.is_empty()).ok_or_else(|| {
        let detail = "say whose connections to cut: POST /demo/cut?label=LABEL";
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    hub.cut(&label);
    Ok(StatusCode::NO_CONTENT)
}

/// Everything on the page comes from here, and nothing may frame it. What is published is
/// anybody's: if the page ever took it for HTML, this would still keep its scripts from running.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file of the program's: asked for again each time, since another program may follow this one.
fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}
