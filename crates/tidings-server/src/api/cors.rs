//! What pages of other origins may do: read without credentials, or, where origins are listed,
//! what pages of this one may. Knows nothing of what there is to read.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::{Access, Origins, Standing};

use super::problem::Problem;

/// The methods of the addresses that this layer stands in front of.
pub(crate) const METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// What pages of other origins may use.
const READING_METHODS: &str = "GET, HEAD";

/// What pages of listed origins may use.
const LISTED_METHODS: &str = "GET, HEAD, POST";

/// `*` stands for all headers but `Authorization`; browsers older than it know the names.
const ALLOWED_HEADERS: &str =
    "Accept, Authorization, Cache-Control, Content-Type, Last-Event-ID, X-Requested-With, *";

/// With credentials, `*` is a header's name like any other.
const LISTED_HEADERS: &str = "Accept, Authorization, Cache-Control, Content-Type, \
    Idempotency-Key, Last-Event-ID, Tidings-Event, Tidings-Id, Tidings-Private, Tidings-Retry, \
    X-Requested-With";

/// The headers of answers that pages may read beside those that all may.
const EXPOSED_HEADERS: &str = "Idempotent-Replayed, Retry-After, Tidings-Cursor, Tidings-Heartbeat, Tidings-Resume, \
     WWW-Authenticate";

/// How long a browser may remember the answer to a preflight, in seconds: two hours, more than
/// which Chromium does not keep.
const MAX_AGE_S: &str = "7200";

/// Answers preflights, refuses to publish for pages of other origins before their body is read,
/// and lets pages of the origins that may read the rest, problems included.
pub(crate) async fn layer(State(access): State<Access>, request: Request, next: Next) -> Response {
    let origins = access.origins();
    let standing = origins.standing(request.uri(), request.headers());
    let leave = Leave::of(origins, standing, request.headers());
    let mut response = match *request.method() {
        Method::OPTIONS => options(leave, request.headers()),
        Method::POST if standing == Standing::Foreign => {
            with(leave, Problem::cross_origin().into_response())
        }
        _ => with(leave, next.run(request).await),
    };
    if matches!(origins, Origins::Listed(_)) {
        // What a cache keeps for one origin is not what another gets.
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// What a page of another origin may do.
enum Leave {
    /// Read, without credentials.
    Read,
    /// All that pages of this origin may.
    All(HeaderValue),
}

impl Leave {
    fn of(origins: &Origins, standing: Standing, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(header::ORIGIN)?;
        match (origins, standing) {
            (Origins::Any, _) => Some(Self::Read),
            (Origins::Listed(_), Standing::Listed) => Some(Self::All(origin.clone())),
            (Origins::Listed(_), Standing::Foreign | Standing::Own | Standing::Unsaid) => None,
        }
    }

    /// Never credentials with `*`: that would be leave for everybody to act for everybody.
    fn tell(self, headers: &mut HeaderMap) {
        match self {
            Self::Read => set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            Self::All(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            }
        }
    }
}

fn with(leave: Option<Leave>, mut response: Response) -> Response {
    if let Some(leave) = leave {
        leave.tell(response.headers_mut());
        set(response.headers_mut(), header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
    response
}

/// The answer to `OPTIONS`, which mostly is a browser's preflight.
fn options(leave: Option<Leave>, headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
    let (methods, allowed) = match (asked, &leave) {
        (None, _) => {
            set(answer, header::ALLOW, METHODS);
            return response;
        }
        (Some(b"GET" | b"HEAD"), Some(Leave::Read)) => (READING_METHODS, ALLOWED_HEADERS),
        (Some(b"GET" | b"HEAD" | b"POST"), Some(Leave::All(_))) => (LISTED_METHODS, LISTED_HEADERS),
        // Not even an allowed origin: a browser may POST without finding it among the methods.
        (Some(_), _) => return Problem::cross_origin().into_response(),
    };
    if let Some(leave) = leave {
        leave.tell(answer);
    }
    set(answer, header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    set(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    set(answer, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
