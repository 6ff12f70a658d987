//! `POST /tickets`: a ticket for whoever shows a token.
//! Knows nothing of what a ticket is made of.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::auth::Access;

use super::body;
use super::history::rfc3339;
use super::problem::Problem;

#[derive(Serialize)]
struct Document {
    ticket: String,
    expires: String,
}

/// Answers with a ticket that has the token's rights, once and for a short time.
pub(crate) async fn issue(
    State(access): State<Access>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // There is nothing to say in it, but some clients always send one.
    body::discard(body);
    let caller = access.identify(&parts.method, &parts.uri, &parts.headers).await?;
    let ticket = access.issue_ticket(&caller)?;
    let document = Document { ticket: ticket.text, expires: rfc3339(ticket.expires) };
    let mut text = serde_json::to_string(&document).expect("texts are JSON");
    text.push('\n');
    let json = HeaderValue::from_static("application/json");
    let no_store = HeaderValue::from_static("no-store");
    Ok(([(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, no_store)], text).into_response())
}
