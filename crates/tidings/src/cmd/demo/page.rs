//! The demo's page, its files, and the two things that it asks of the server.
//! Knows nothing of the hub's own API, which the page uses as any other page would.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use tidings_server::Hub;
use tidings_server::api::Problem;

use super::task::Tasks;

/// The routes of the demo, to be merged with the hub's own.
pub(crate) fn router(hub: Hub) -> Router {
    let page = || async { file("text/html; charset=utf-8", include_str!("demo.html")) };
    let css = || async { file("text/css; charset=utf-8", include_str!("demo.css")) };
    let js = || async { file("text/javascript; charset=utf-8", include_str!("demo.js")) };
    Router::new()
        .route("/", get(page))
        .route("/demo/demo.css", get(css))
        .route("/demo/demo.js", get(js))
        .route("/demo/task", post(start_task))
        .route("/demo/cut", post(cut))
        .with_state(Demo { tasks: Tasks::new(hub.clone()), hub })
}

#[derive(Clone)]
struct Demo {
    hub: Hub,
    tasks: Tasks,
}

#[derive(Deserialize)]
struct Cut {
    label: Option<String>,
}

async fn start_task(State(demo): State<Demo>) -> impl IntoResponse {
    let answer = serde_json::json!({ "task": demo.tasks.start() });
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], format!("{answer}\n"))
}

/// Ends the connections that carry the label: a page knows only its own.
async fn cut(State(demo): State<Demo>, Query(cut): Query<Cut>) -> Result<StatusCode, Problem> {
    let label = cut.label.filter(|label| !label.is_empty()).ok_or_else(|| {
        let detail = "say whose connections to cut: POST /demo/cut?label=LABEL";
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    demo.hub.cut(&label);
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
