//! `GET /topics/{topic}` and `GET /events`: an event stream, a page of history, or a page for
//! people, as the client likes. Knows nothing of what the three look like.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tidings_core::topic::Selectors;

use crate::auth::Access;
use crate::engine::{Filter, Hub};

use super::accept::{self, Representation};
use super::history;
use super::page;
use super::problem::Problem;
use super::select;
use super::subscriber::Subscriber;

/// Answers `GET /topics/{topic}`, where the topic can be a pattern too.
pub(crate) async fn topic(
    State(hub): State<Hub>,
    State(access): State<Access>,
    request: Request,
) -> Response {
    use Representation::{EventStream, History, Page};
    let (parts, _body) = request.into_parts();
    let selectors = select::from_path(&parts.uri).map_err(Problem::from);
    answer((&hub, &access), &parts, selectors, &[EventStream, History, Page]).await
}

/// Answers `GET /events?topic=…`. Its address has no topic of its own, so it has no page.
pub(crate) async fn topics(
    State(hub): State<Hub>,
    State(access): State<Access>,
    request: Request,
) -> Response {
    use Representation::{EventStream, History};
    let (parts, _body) = request.into_parts();
    let selectors = select::from_query(&parts.uri, hub.config()).map_err(Problem::from);
    answer((&hub, &access), &parts, selectors, &[EventStream, History]).await
}

async fn answer(
    shared: (&Hub, &Access),
    parts: &Parts,
    selectors: Result<Selectors, Problem>,
    offers: &[Representation],
) -> Response {
    let answer = match selectors {
        Ok(selectors) => choose(shared, parts, selectors, offers).await,
        Err(problem) => Err(problem),
    };
    let mut response = answer.into_response();
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    response
}

async fn choose(
    (hub, access): (&Hub, &Access),
    parts: &Parts,
    selectors: Selectors,
    offers: &[Representation],
) -> Result<Response, Problem> {
    let representation = accept::choose(&parts.headers, offers)?;
    let subscriber = Subscriber::from_parts(parts)?;
    if representation == Representation::Page {
        // It is the same for all; what it shows, it asks for as its reader.
        return Ok(page::topic());
    }
    let caller = access.identify(&parts.method, &parts.uri, &parts.headers).await?;
    let private = access.may_subscribe(&caller, &selectors)?;
    if representation == Representation::History {
        let filter = Filter { selectors, private };
        let start = subscriber.start().cloned();
        return history::page(hub, &filter, start, parts.uri.query()).await;
    }
    let subscriber = subscriber
        .with_private(private)
        .with_end(caller.ends())
        .with_subject(caller.subject().cloned());
    Ok(subscriber.stream(hub, selectors).await?.into_response())
}
