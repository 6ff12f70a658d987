//! The hub over HTTP: a file per endpoint, `error` for what goes wrong, `problem` for its form.
//! Knows nothing of connections, of the engine only [`Hub`], and of tokens only [`Access`].
//!
//! A publish walks: [`router`] → `cors` (which pages may) → [`Access`] (who may) → `publish` (one)
//! or `events` (many: an array, or `ndjson` → `lines` → `item`) → [`Hub::publish_many`]. A
//! subscription walks: `subscribe` → `select` (what) → `accept` (in which form) → [`Access`] (who
//! may) → [`Subscriber`] → `start` (from where) → [`Hub::subscribe`].

mod accept;
mod body;
mod client;
mod cors;
mod error;
mod events;
mod history;
mod item;
mod lines;
mod ndjson;
mod page;
mod path;
mod problem;
mod publish;
mod query;
mod select;
mod start;
mod subscribe;
mod subscriber;
mod tickets;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::admin;
use crate::auth::Access;
use crate::engine::Hub;
use crate::metrics::{Refusal, Rule};

pub use problem::Problem;
pub use subscriber::{EventStream, Subscriber};

use path::PathError;
use problem::{LimitHit, Refused};

/// What the handlers work with.
#[derive(Clone)]
struct Shared {
    access: Access,
    hub: Hub,
}

impl FromRef<Shared> for Access {
    fn from_ref(shared: &Shared) -> Self {
        shared.access.clone()
    }
}

impl FromRef<Shared> for Hub {
    fn from_ref(shared: &Shared) -> Self {
        shared.hub.clone()
    }
}

/// The hub's whole API but for `/`, which is free for an application's own page.
///
/// | call | what it does |
/// |---|---|
/// | `POST /topics/{topic}` | publishes the body |
/// | `POST /events` | publishes many events, as JSON or NDJSON |
/// | `GET /topics/{topic}`, `GET /events?topic=…` | an event stream; by `Accept`, a page of history as JSON, or (of one topic) a page for people |
/// | `POST /tickets` | a ticket for a token, for clients that can't send it |
/// | `GET /healthz`, `/readyz`, `/metrics` | for the people who run it |
///
/// `access` says who may what: [`Access::open`] lets everybody who reaches it publish and listen.
///
/// Errors are `application/problem+json` ([`Problem`]), those for unknown addresses included:
/// so merge it into another router before that one gets a fallback, or nest it.
pub fn router(hub: Hub, access: Access) -> Router {
    let shared = Shared { access: access.clone(), hub: hub.clone() };
    let topic = get(subscribe::topic).post(publish::publish).fallback(method_not_allowed);
    let events = get(subscribe::topics).post(events::publish).fallback(method_not_allowed);
    Router::new()
        .route("/topics/{*topic}", topic)
        .route("/topics/", axum::routing::any(no_topic))
        .route("/topics", axum::routing::any(no_topic))
        .route("/events", events)
        .route("/tickets", post(tickets::issue).fallback(only_post))
        .layer(middleware::from_fn_with_state(access, cors::layer))
        .merge(page::files())
        .merge(admin::routes().with_state(hub.clone()))
        .method_not_allowed_fallback(only_get)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(hub, observe))
        .with_state(shared)
}

/// [`router`] with a page of plain text at `/` that says what this is and how to use it.
pub fn router_with_index(hub: Hub, access: Access) -> Router {
    router(hub, access).route("/", get(admin::index))
}

/// Counts what is refused, and sets the headers that all answers have.
async fn observe(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let publishes = request.method() == Method::POST;
    let mut response = next.run(request).await;
    let status = response.status();
    if publishes && (status.is_client_error() || status.is_server_error()) {
        hub.metrics().refused.get_or_create(&Refusal { status: status.as_u16() }).inc();
    }
    if let Some(limit) = response.extensions().get::<LimitHit>() {
        hub.metrics().limit_hit(limit.name);
    }
    if let Some(Refused(rule)) = response.extensions().get() {
        hub.metrics().unauthorized.get_or_create(&Rule { rule }).inc();
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if publishes {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

async fn no_topic() -> Problem {
    PathError::Empty.into()
}

async fn method_not_allowed(method: Method) -> Response {
    let detail = format!("{method} does nothing here: publish with POST, subscribe with GET");
    let mut response = Problem::method_not_allowed(&detail).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(cors::METHODS));
    response
}

/// For the address of tickets; a preflight is answered before it comes here.
async fn only_post(method: Method) -> Response {
    let detail = format!("{method} does nothing here: get a ticket with POST, and a token");
    let mut response = Problem::method_not_allowed(&detail).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    response
}

/// For the addresses that can only be read; axum adds `Allow`.
async fn only_get(method: Method) -> Problem {
    Problem::method_not_allowed(&format!("{method} does nothing here: use GET"))
}

async fn not_found(uri: Uri) -> Problem {
    const KNOWN: [&str; 6] = ["events", "healthz", "metrics", "readyz", "tickets", "topics"];
    let name = uri.path().split('/').nth(1).unwrap_or_default();
    let meant = query::nearest(name, &KNOWN)
        .map(|known| format!("did you mean /{known}? "))
        .unwrap_or_default();
    Problem::not_found(&format!(
        "there is nothing at this address: {meant}Publish with POST /topics/{{topic}} or POST \
         /events, subscribe with GET /topics/{{topic}} or GET /events?topic=a&topic=b"
    ))
}
