//! Giving subscribers their place, and their connections to the shards.
//! Knows nothing of what becomes of them there.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{Extensions, Version};
use bytes::Bytes;
use tidings_core::limits::BODY_QUEUE_BYTES_MAX;
use tidings_core::shard::{Filter, Framing, Interest};
use tidings_core::sse::Frame;
use tidings_core::topic::Selectors;
use tidings_log::ReadError;

use super::Hub;
use crate::engine::body::{EventBody, Queue};
use crate::engine::inbox::{Attach, Attached, Inbox, Input};
use crate::engine::lifetime::{self, ConnectionEnds};
use crate::engine::merged::MergedBody;
use crate::engine::place::{self, Place, Start, Verdict};
use crate::engine::places::{self, Places};
use crate::engine::takeover::{StubBody, Takeover};
use crate::engine::terms::{Bookmark, PartInterest, SubscribeError, Subscribed, Subscription};
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
        let begins = self.begin(&start, &selectors).await?;
        let mut first = Vec::from(self.preamble());
        if let Some(reset) = begins.reset {
            self.inner.metrics.resets.inc();
            first.extend_from_slice(&reset.raw());
        }
        let filter = Filter { selectors, private };
        let mut parts = begins.places.into_iter().map(|(partition, place)| {
            let (next, framing) = (place.next, Framing::Raw);
            let interest = Interest { filter: filter.clone(), next, framing, life: None };
            PartInterest { partition, incarnation: place.incarnation, interest }
        });
        let interest = parts.next().expect("something is selected, and somewhere");
        Ok(Subscribed {
            verdict: begins.verdict,
            cursor: begins.bookmark,
            interest,
            others: parts.collect(),
            label: label.map(String::into_boxed_str),
            expires,
            counted,
            arriving: self.inner.arriving.begin(),
            first: first.into(),
        })
    }

    /// Finds where it begins in each partition that it concerns.
    async fn begin(&self, start: &Start, selectors: &Selectors) -> Result<Begins, ReadError> {
        if self.is_partitioned() {
            let parts = self.parts(selectors).await?;
            let places = places::find(&self.inner.lanes, &parts, start, selectors).await?;
            let partitions = parts.iter().map(|part| part.partition);
            let at: Vec<_> = partitions.zip(places.places).collect();
            let bookmark = match &at[..] {
                [(_, only)] => Bookmark::One(only.cursor()),
                _ => Bookmark::Several(places.vector),
            };
            let Places { verdict, reset, .. } = places;
            return Ok(Begins { verdict, reset, bookmark, places: at });
        }
        let (log, tail) = (&*self.inner.lanes[0].log, &self.running(0).tail);
        let mut place = place::find(log, tail, start, selectors).await?;
        Ok(Begins {
            verdict: place.verdict,
            reset: place.reset.take(),
            bookmark: Bookmark::One(place.cursor()),
            places: vec![(0, place)],
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
        // Where there are several parts, the stream ends with the first one.
        let life = lifetime::life(config, subscribed.expires, connection);
        subscribed.interest.interest.life = life;
        if !subscribed.others.is_empty() {
            return Body::new(self.merge(subscribed));
        }
        let first = subscribed.first.clone();
        let takeover = extensions.get::<Takeover>().filter(|_| version < Version::HTTP_2);
        if let Some(takeover) = takeover {
            if version == Version::HTTP_11 {
                subscribed.interest.interest.framing = Framing::Chunked;
            }
            return Body::new(StubBody::new(first, subscribed, takeover.clone()));
        }
        let shard = self.running(subscribed.interest.partition).emptiest_shard();
        let queue = queue(shard, 1);
        let body = EventBody::new(first, Arc::clone(&queue));
        attach(shard, subscribed, Attached::Body(queue), None);
        Body::new(body)
    }

    /// The body of a stream that several partitions have a part in.
    fn merge(&self, mut subscribed: Subscribed) -> MergedBody {
        let Bookmark::Several(had) = subscribed.cursor.clone() else {
            unreachable!("it has a place in each of several")
        };
        let first = subscribed.first.clone();
        let mut bodies = Vec::with_capacity(had.places.len());
        let mut begin = |shard: &Inbox, part: Subscribed| {
            let queue = queue(shard, had.places.len());
            bodies.push(EventBody::part(Arc::clone(&queue)));
            attach(shard, part, Attached::Body(queue), None);
        };
        let others = std::mem::take(&mut subscribed.others);
        let others: Vec<Subscribed> = others
            .into_iter()
            .map(|interest| Subscribed {
                verdict: subscribed.verdict,
                cursor: subscribed.cursor.clone(),
                interest,
                others: Vec::new(),
                label: subscribed.label.clone(),
                expires: None,
                counted: None,
                arriving: self.inner.arriving.begin(),
                first: Bytes::new(),
            })
            .collect();
        for part in [subscribed].into_iter().chain(others) {
            begin(self.running(part.interest.partition).emptiest_shard(), part);
        }
        MergedBody::new(first, had, bodies, &self.inner.metrics)
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
        let shard = self.running(subscribed.interest.partition).emptiest_shard();
        attach(shard, subscribed, socket, Some(guard));
    }

    /// Ends the streams of all subscribers with this label. They come back by themselves.
    pub fn cut(&self, label: &str) {
        let label: Arc<str> = label.into();
        for shard in self.inner.shards() {
            shard.send(Input::Cut(Arc::clone(&label)));
        }
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

/// What stands between a shard and a body that has so many of them.
fn queue(shard: &Inbox, of: usize) -> Arc<Queue> {
    let inbox = shard.clone();
    Queue::new(BODY_QUEUE_BYTES_MAX / of, move |notice| inbox.send(Input::Body(notice)))
}

/// Where a subscription begins.
struct Begins {
    verdict: Verdict,
    reset: Option<Frame>,
    bookmark: Bookmark,
    /// In each partition that it concerns.
    places: Vec<(usize, Place)>,
}

fn attach(
    shard: &Inbox,
    subscribed: Subscribed,
    connection: Attached,
    guard: Option<ConnectionGuard>,
) {
    let Subscribed { interest, label, counted, arriving, .. } = subscribed;
    let PartInterest { incarnation, interest, .. } = interest;
    let attach = Attach { incarnation, interest, label, connection, guard, counted, arriving };
    shard.send(Input::Attach(Box::new(attach)));
}
