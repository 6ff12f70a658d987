//! Which requests do not say plainly whom they are for.
//! Knows nothing of who would answer them.

use axum::body::Body;
use axum::http::{Request, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};

use crate::api::Problem;

/// The refusal of a request that names no host, or more than one: a proxy in front may have read
/// another one than we would (RFC 9112, section 3.2).
pub(super) fn refusal(request: &Request<Body>) -> Option<Response> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let plain = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => false,
        (None, _) => request.version() != Version::HTTP_11,
        (Some(_), None) => true,
    };
    if plain {
        return None;
    }
    let detail = "send one Host header, and no more, with each request";
    let mut response = Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    let close = axum::http::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Some(response)
}
