//! Giving subscribers their place, and their connections to the shards.
//! Knows nothing of what becomes of them there.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{Extensions, Version};
use bytes::Bytes;
use tidings_core::cursor::Cursor;
use tidings_core::shard::{Filter, Framing, Interest};
use tidings_core::sse::Frame;

use super::Hub;
use crate::engine::body::{EventBody, Queue};
use crate::engine::inbox::{Attach, Attached, Inbox, Input};
use crate::engine::lifetime::{self, ConnectionEnds};
use crate::engine::place;
use crate::engine::takeover::{StubBody, Takeover};
use crate::engine::terms::{SubscribeError, Subscribed, Subscription};
use crate::gate::{Client, ConnectionGuard, Full};

impl Hub {
    /// Finds the place where a subscription begins. Cancel safe.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe(
        &self,
        subscription: Subscription,
    ) -> Result<Subscribed, SubscribeError> {
        let Subscription { selectors, private, start, label, client, expires } = subscription;
        let counted = match &client {
            None => None,
            Some(client @ Client::Address(_)) => self.inner.admissions.enter(client)?,
            Some(client @ Client::Subject(_)) => self
                .inner
                .streams
                .enter(client)
                .await
                .map_err(|Full { max }| SubscribeError::TooMany { streams_max: max })?,
        };
        let place = place::find(&*self.inner.log, &self.inner.tail, &start, &selectors).await?;
        let mut first = Vec::from(self.preamble());
        if let Some(reset) = place.reset {
            self.inner.metrics.resets.inc();
            first.extend_from_slice(&reset.raw());
        }
        let filter = Filter { selectors, private };
        let (next, framing) = (place.next, Framing::Raw);
        let interest = Interest { filter, next, framing, life: None };
        let before = Cursor::before(place.incarnation, place.next);
        let cursor = Cursor { print: place.print, ..before };
        Ok(Subscribed {
            verdict: place.verdict,
            cursor,
            interest,
            label: label.map(String::into_boxed_str),
            expires,
            counted,
            arriving: self.inner.arriving.begin(),
            first: first.into(),
        })
    }

    /// The body of the response to a subscriber, fed by the engine. `version` and `extensions`
    /// are the request's: where [`crate::serve`] runs the connection and it speaks HTTP/1, the
    /// extensions hold the means to take its socket over.
    pub fn stream(
        &self,
        mut subscribed: Subscribed,
        version: Version,
        extensions: &Extensions,
    ) -> Body {
        let config = &self.inner.config;
        // Where somebody else runs the connection, nobody knows when it began.
        let connection = match extensions.get::<ConnectionEnds>() {
            Some(ends) => Some(ends.0),
            None => lifetime::connection_ends(config, Instant::now()),
        };
        subscribed.interest.life = lifetime::life(config, subscribed.expires, connection);
        let first = subscribed.first.clone();
        let takeover = extensions.get::<Takeover>().filter(|_| version < Version::HTTP_2);
        if let Some(takeover) = takeover {
            if version == Version::HTTP_11 {
                subscribed.interest.framing = Framing::Chunked;
            }
            return Body::new(StubBody::new(first, subscribed, takeover.clone()));
        }
        let shard = self.emptiest_shard();
        let inbox = shard.clone();
        let queue = Queue::new(move |notice| inbox.send(Input::Body(notice)));
        let body = EventBody::new(first, Arc::clone(&queue));
        attach(shard, subscribed, Attached::Body(queue), None);
        Body::new(body)
    }

    /// What a stream begins with, for one client.
    pub(crate) fn preamble(&self) -> Bytes {
        Frame::preamble(self.retry_ms()).raw()
    }

    /// Hands a subscriber's socket to a shard, after hyper has written the response's head and
    /// the first bytes of the stream to it. The guard is dropped when the connection ends.
    pub(crate) fn attach_socket(
        &self,
        subscribed: Subscribed,
        socket: Attached,
        guard: ConnectionGuard,
    ) {
        attach(self.emptiest_shard(), subscribed, socket, Some(guard));
    }

    /// Ends the streams of all subscribers with this label. They come back by themselves.
    pub fn cut(&self, label: &str) {
        let label: Arc<str> = label.into();
        for shard in &self.inner.shards {
            shard.send(Input::Cut(Arc::clone(&label)));
        }
    }

    fn emptiest_shard(&self) -> &Inbox {
        self.inner
            .shards
            .iter()
            .min_by_key(|shard| shard.subscribers())
            .expect("there is at least one shard")
    }

    /// The reconnection time for one client: the setting ± 20 %, so that a crowd that was cut off
    /// together comes back spread out (S17).
    fn retry_ms(&self) -> u32 {
        let retry = u32::try_from(self.inner.config.retry.as_millis()).unwrap_or(u32::MAX);
        let spread = retry / 5;
        let random = getrandom::u32().unwrap_or_default();
        retry - spread + random % spread.saturating_mul(2).saturating_add(1)
    }
}

fn attach(
    shard: &Inbox,
    subscribed: Subscribed,
    connection: Attached,
    guard: Option<ConnectionGuard>,
) {
    let Subscribed { interest, label, cursor, counted, arriving, .. } = subscribed;
    let Cursor { incarnation, .. } = cursor;
    let attach = Attach { incarnation, interest, label, connection, guard, counted, arriving };
    shard.send(Input::Attach(Box::new(attach)));
}
