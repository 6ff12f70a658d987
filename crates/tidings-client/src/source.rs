//! What a program sees of a stream: a `Stream` of events, or each step of it.
//! Knows nothing of how events come; that is the connection's.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{self, Stream};
use reqwest::{Client, Url};
use tokio::sync::Notify;

use crate::connection::{Connection, Step};
use crate::error::Error;
use crate::event::Event;
use crate::options::{Builder, default_client, id_header};

/// What a stream is doing: the standard's `readyState`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It is being opened, or waits for that.
    Connecting,
    /// It is open.
    Open,
    /// It ended for good.
    Closed,
}

/// A stream of events that comes back where it was.
///
/// As a [`Stream`] it gives events; an `Err` is why it ended for good, and nothing follows it.
/// What passes is not told; whoever wants to know asks [`EventSource::next_step`].
///
/// It has no task of its own: it works while it is polled, inside a Tokio runtime with time and
/// I/O. While it is not polled, nothing is read; the server feels it, memory does not. Cancel safe:
/// a `next()` that is dropped loses nothing. Dropping the source closes the connection.
pub struct EventSource {
    steps: Pin<Box<dyn Stream<Item = Step> + Send>>,
    state: State,
    last_event_id: Arc<str>,
    anew: Arc<Notify>,
}

impl EventSource {
    /// The stream at this URL, with all options as they are.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// Options for the stream at this URL.
    pub fn builder(url: &str) -> Builder {
        Builder::new(Url::parse(url).map_err(|error| error.to_string()))
    }

    fn open(url: Url, client: Client, options: Builder) -> Self {
        let anew = Arc::new(Notify::new());
        let last_event_id = options.last_event_id.as_str().into();
        let connection = Connection::new(url, client, options, Arc::clone(&anew));
        let steps = stream::unfold(connection, |mut connection| async {
            let step = connection.step().await?;
            Some((step, connection))
        });
        Self { steps: Box::pin(steps), state: State::Connecting, last_event_id, anew }
    }

    /// What it is doing, as far as it was polled.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The id of the last event that was given: what to go on after.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Opens the stream anew, at once and where it is: with new headers, say.
    pub fn reconnect(&mut self) {
        if self.state != State::Closed {
            self.state = State::Connecting;
            self.anew.notify_one();
        }
    }

    /// What happens next: events, but also that it is open, that it broke and comes back, that it
    /// ended. `None` after the end. Cancel safe.
    pub async fn next_step(&mut self) -> Option<Step> {
        poll_fn(|context| self.poll_step(context)).await
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        if self.state == State::Closed {
            return Poll::Ready(None);
        }
        let step = ready!(self.steps.as_mut().poll_next(context));
        match &step {
            Some(Step::Open { .. }) => self.state = State::Open,
            Some(Step::Event(event)) => self.last_event_id = Arc::clone(&event.id),
            Some(Step::Broken { .. }) => self.state = State::Connecting,
            Some(Step::Closed { .. }) | None => self.state = State::Closed,
        }
        Poll::Ready(step)
    }
}

impl Builder {
    /// The stream. Nothing is sent before it is polled.
    ///
    /// # Errors
    /// [`Error::Url`] where the URL can't be fetched, [`Error::Header`] where the last event id
    /// can't be sent, [`Error::Setup`] where TLS can't be set up.
    pub fn build(mut self) -> Result<EventSource, Error> {
        let url = self.url.clone().map_err(|reason| Error::Url { reason })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Url { reason: format!("{} is another scheme", url.scheme()) });
        }
        id_header(&self.last_event_id)?;
        let client = match self.client.take() {
            Some(client) => client,
            None => default_client()?,
        };
        Ok(EventSource::open(url, client, self))
    }
}

impl Stream for EventSource {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.poll_step(context)) {
                Some(Step::Event(event)) => return Poll::Ready(Some(Ok(event))),
                Some(Step::Open { .. } | Step::Broken { .. }) => {}
                Some(Step::Closed { error }) => return Poll::Ready(error.map(Err)),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("state", &self.state)
            .field("last_event_id", &self.last_event_id)
            .finish_non_exhaustive()
    }
}
