//! The hub as the rest of the program sees it: publish, subscribe, look back.
//! Knows nothing of HTTP requests, and of sockets only that shards own them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{self, Duration};

use axum::body::Body;
use axum::http::{Extensions, Version};
use bytes::Bytes;
use parking_lot::Mutex;
use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::event::Event;
use tidings_core::limits::{HISTORY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::shard::{Filter, Framing, Interest};
use tidings_core::sse::Frame;
use tidings_core::topic::Selectors;
use tidings_log::{Append, Bounds, Log, Read, ReadError, Record};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::body::{EventBody, Queue};
use super::inbox::{Attach, Attached, Inbox, Input};
use super::lifetime::{self, ConnectionEnds, UnderWay, UnderWayGuard};
use super::place::{self, Start};
use super::pump::{now, pump, trim};
use super::reader::Source;
use super::shard_thread;
use super::tail::Tail;
use super::takeover::{StubBody, Takeover};
use super::terms::{
    History, Id, Publish, PublishError, Published, SubscribeError, Subscribed, Subscription,
    TooFast,
};
use crate::config::Config;
use crate::gate::{
    self, Admissions, Budget, Client, ConnectionGuard, Counts, Full, NotAdmitted, Rates, Share,
};
use crate::metrics::Metrics;

/// A running hub. Cheap to clone; all clones are the same hub. When the last one goes, its
/// threads end.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    log: Arc<dyn Log>,
    metrics: Arc<Metrics>,
    shards: Vec<Inbox>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: Vec<AbortHandle>,
    admissions: Arc<Admissions>,
    streams: Arc<Counts>,
    in_flight: Budget,
    publishes_per_address: Rates,
    publishes_per_key: Rates,
    /// Requests that are being answered.
    requests: UnderWay,
    /// Subscribers on their way to a shard.
    arriving: UnderWay,
    /// Once the hub shuts down: until when it waits for what is being written.
    shutdown: watch::Sender<Option<Instant>>,
    /// Streams end, and nothing new begins.
    draining: AtomicBool,
}

impl Hub {
    /// Starts the engine over a log: a thread for each shard, and tasks on the current runtime.
    ///
    /// # Errors
    /// Where the system gives no threads or epoll sets.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(log: Arc<dyn Log>, config: Config) -> io::Result<Self> {
        let runtime = Handle::current();
        let metrics = Arc::new(Metrics::default());
        let Bounds { incarnation, next, .. } = log.bounds();
        let tail = Arc::new(Tail::new(incarnation, next, config.tail_bytes_max));
        let source = Source::new(Arc::clone(&log), Arc::clone(&metrics), runtime.clone());
        let mut shards = Vec::new();
        let mut threads = Vec::new();
        for number in 0..config.shards.get() {
            let (inbox, thread) = shard_thread::spawn(number, &config, &tail, &source)?;
            shards.push(inbox);
            threads.push(thread);
        }
        let follow = log.follow(next);
        let pump = runtime.spawn(pump(follow, tail, shards.clone()));
        let trim = runtime.spawn(trim(Arc::clone(&log), Arc::clone(&metrics)));
        let tasks = vec![pump.abort_handle(), trim.abort_handle()];
        let shutdown = watch::Sender::new(None);
        let threads = Mutex::new(threads);
        let inner = Inner {
            admissions: Admissions::new(&config, metrics.connections.clone()),
            streams: Counts::new(config.streams_per_token_max),
            in_flight: Budget::new(config.publish_bytes_in_flight_max),
            publishes_per_address: Rates::new(config.publishes_per_address),
            publishes_per_key: Rates::new(config.publishes_per_key),
            config,
            log,
            metrics,
            shards,
            threads,
            tasks,
            requests: UnderWay::default(),
            arriving: UnderWay::default(),
            shutdown,
            draining: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Which positions the log holds.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.inner.log.bounds()
    }

    /// The id of an event: its publisher's, or the cursor.
    #[must_use]
    pub fn id(&self, position: Position, event: &Event) -> Id {
        match &event.id {
            Some(id) => Id::Chosen(id.clone()),
            None => Id::Own(Cursor { incarnation: self.bounds().incarnation, position }),
        }
    }

    /// Publishes one event and answers when it is kept.
    ///
    /// Dropping the future does not take the event back: it may be kept all the same.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing was published then.
    pub async fn publish(&self, event: Event) -> Result<Published, PublishError> {
        let mut published = self.publish_many(vec![Publish { event, key: None }]).await?;
        Ok(published.pop().expect("one event gives one answer"))
    }

    /// Publishes several events in one step, in their order: all are kept, or none.
    ///
    /// Dropping the future does not take them back: they may be kept all the same.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_many(&self, batch: Vec<Publish>) -> Result<Vec<Published>, PublishError> {
        let incarnation = self.bounds().incarnation;
        let time = now();
        let mut ids = Vec::with_capacity(batch.len());
        let mut appends = Vec::with_capacity(batch.len());
        for Publish { event, key } in batch {
            let id = event.id.clone();
            if let Some(id) = &id
                && id.as_str().parse::<Cursor>().is_ok_and(|own| own.incarnation == incarnation)
            {
                return Err(PublishError::OwnId { id: id.as_str().to_owned() });
            }
            ids.push(id);
            appends.push(Append { event, key, time });
        }
        let appended = self.inner.log.append(appends).await?;
        let kept = appended.iter().filter(|appended| !appended.repeated).count();
        self.inner.metrics.published.inc_by(kept as u64);
        let published = ids.into_iter().zip(appended).map(|(id, appended)| Published {
            id: match id {
                Some(id) => Id::Chosen(id),
                None => Id::Own(Cursor { incarnation, position: appended.position }),
            },
            position: appended.position,
            repeated: appended.repeated,
        });
        Ok(published.collect())
    }

    /// What a publish may hold of the bytes for all of them; nothing yet. It is to be kept until
    /// the publish is answered.
    pub(crate) fn in_flight(&self) -> Share {
        self.inner.in_flight.share()
    }

    /// Takes `events` from what `client` may still publish now.
    ///
    /// # Errors
    /// Where that is less; nothing was taken then.
    pub fn allow_publish(&self, client: &Client, events: usize) -> Result<(), TooFast> {
        let (rates, limit) = match client {
            Client::Address(_) => (&self.inner.publishes_per_address, "publishes_per_address"),
            Client::Subject(_) => (&self.inner.publishes_per_key, "publishes_per_key"),
        };
        let Err(gate::TooFast { wait, rate }) = rates.take(client, events) else { return Ok(()) };
        Err(TooFast { limit, rate, wait })
    }

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
                .map_err(|Full { max }| SubscribeError::TooMany { streams_max: max })?,
        };
        let place = place::find(&*self.inner.log, &start, &selectors).await?;
        let mut first = Vec::from(self.preamble());
        if let Some(reset) = place.reset {
            self.inner.metrics.resets.inc();
            first.extend_from_slice(&reset.raw());
        }
        let filter = Filter { selectors, private };
        let (next, framing) = (place.next, Framing::Raw);
        let interest = Interest { filter, next, framing, life: None };
        let cursor = cursor_before(place.incarnation, place.next);
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
            None => lifetime::connection_ends(config, time::Instant::now()),
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

    /// Lets a connection in, if there is room. It counts until the guard is dropped.
    pub(crate) fn admit(&self, client: Option<&Client>) -> Result<ConnectionGuard, NotAdmitted> {
        self.inner.admissions.admit(client)
    }

    /// When a connection that begins now has to end, if it has to.
    pub(crate) fn connection_ends(&self) -> Option<ConnectionEnds> {
        let ends = lifetime::connection_ends(&self.inner.config, time::Instant::now());
        ends.map(ConnectionEnds)
    }

    /// Waits until a connection has to end: at its time, or because the hub shuts down. Cancel
    /// safe.
    pub(crate) async fn connection_over(&self, ends: Option<ConnectionEnds>) {
        let aged = async {
            match ends {
                Some(ConnectionEnds(ends)) => tokio::time::sleep_until(ends.into()).await,
                None => std::future::pending().await,
            }
            self.inner.metrics.limit_hit("connection_life_max");
        };
        tokio::select! {
            () = self.shutting_down() => {}
            () = aged => {}
        }
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

    /// A page of what was published before: at most `events` events from `start` on (fewer where
    /// they are large: [`HISTORY_BYTES_MAX`]); for [`Start::Live`], the last ones. Cancel safe.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn history(
        &self,
        filter: &Filter,
        start: Start,
        events: usize,
    ) -> Result<History, ReadError> {
        let log = &*self.inner.log;
        let selectors = &filter.selectors;
        let start = if start == Start::Live { Start::Last(events) } else { start };
        let place = place::find(log, &start, selectors).await?;
        let mut next = place.next;
        let mut records: Vec<Arc<Record>> = Vec::new();
        let mut bytes = 0;
        while records.len() < events && bytes < HISTORY_BYTES_MAX {
            let read = Read {
                from: next,
                selectors,
                events_max: (events - records.len()).min(PAGE_EVENTS_MAX),
                bytes_max: PAGE_BYTES_MAX,
            };
            let page = match log.read(read).await {
                // It was passed between the look and the read.
                Err(ReadError::Trimmed { oldest }) => {
                    next = oldest;
                    continue;
                }
                page => page?,
            };
            let seen = page
                .records
                .into_iter()
                .filter(|record| filter.may_see(record.event.private, &record.event.topics));
            records.extend(seen.inspect(|record| bytes += record.event.weight()));
            if page.next == next {
                break;
            }
            next = page.next;
        }
        if self.bounds().incarnation != place.incarnation {
            // Nobody knows of which of the two logs these are.
            let reason = "the log was replaced by another one meanwhile".to_owned();
            return Err(ReadError::Failed { reason });
        }
        let next = cursor_before(place.incarnation, next);
        Ok(History { records, next, verdict: place.verdict })
    }

    /// The last events that are selected and not private, oldest first.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn last(
        &self,
        selectors: &Selectors,
        events: usize,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let filter = Filter { selectors: selectors.clone(), private: None };
        Ok(self.history(&filter, Start::Last(events), events).await?.records)
    }

    /// Ends the streams of all subscribers with this label. They come back by themselves.
    pub fn cut(&self, label: &str) {
        let label: Arc<str> = label.into();
        for shard in &self.inner.shards {
            shard.send(Input::Cut(Arc::clone(&label)));
        }
    }

    /// Whether the hub takes events and subscribers; if not, a sentence for the operator.
    ///
    /// # Errors
    /// While it shuts down, and while the log can't keep events.
    pub fn ready(&self) -> Result<(), String> {
        if self.is_shutting_down() {
            return Err("the hub is shutting down".to_owned());
        }
        self.inner.log.health()
    }

    /// Waits until a connection comes or goes, if none has since the last call. For one task: of
    /// several that wait, one is told. Cancel safe.
    pub async fn connections_moving(&self) {
        self.inner.admissions.moving().await;
    }

    /// Begins to shut down by [`Hub::begin_drain`], in the time of the settings.
    pub fn begin_shutdown(&self) {
        self.begin_drain(self.inner.config.drain);
    }

    /// Begins to shut down: [`Hub::ready`] says so, [`crate::serve`] stops accepting, requests are
    /// refused, and all streams end within `time`, evenly spread, each once what is being written
    /// is whole. Whoever calls it again can only shorten it.
    pub fn begin_drain(&self, time: Duration) {
        self.shut_down_by(Instant::now() + time + self.inner.config.shutdown_time_max);
        self.inner.draining.store(true, Ordering::Relaxed);
        let retry_ms = lifetime::last_retry(&self.inner.config, time);
        for shard in &self.inner.shards {
            shard.send(Input::Drain(time, retry_ms.clone()));
        }
    }

    /// Begins to shut down without ending the streams: [`crate::serve`] stops accepting, each
    /// connection has its last request, and [`Hub::begin_drain`] is to follow.
    pub fn stop_accepting(&self) {
        self.shut_down_by(Instant::now() + self.inner.config.shutdown_time_max);
    }

    /// Waits until no request is under way, after [`Hub::stop_accepting`] and within the time of
    /// the settings. Cancel safe.
    pub async fn finish_requests(&self) {
        let is_late = || self.shutdown_deadline().is_some_and(|at| Instant::now() >= at);
        while self.inner.requests.count() > 0 && !is_late() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn shut_down_by(&self, deadline: Instant) {
        self.inner.shutdown.send_modify(|shutdown| {
            *shutdown = Some(shutdown.map_or(deadline, |before| before.min(deadline)));
        });
        self.inner.metrics.draining.set(1);
    }

    /// A request is being answered until the guard is dropped.
    pub(crate) fn begin_request(&self) -> UnderWayGuard {
        self.inner.requests.begin()
    }

    /// How many event streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.inner.shards.iter().map(Inbox::subscribers).sum()
    }

    /// Whether the hub shuts down.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown_deadline().is_some()
    }

    /// Whether requests are refused, because [`Hub::begin_drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }

    /// Until when a shutdown that has begun waits for what is being written.
    pub(crate) fn shutdown_deadline(&self) -> Option<Instant> {
        *self.inner.shutdown.borrow()
    }

    /// Waits until the hub begins to shut down. Cancel safe.
    pub async fn shutting_down(&self) {
        let mut shutdown = self.inner.shutdown.subscribe();
        // The sender lives as long as this handle.
        let _ = shutdown.wait_for(Option::is_some).await;
    }

    /// Waits until the hub has been shutting down for this time. Cancel safe.
    pub(crate) async fn shutting_down_for(&self, time: Duration) {
        self.shutting_down().await;
        tokio::time::sleep(time).await;
    }

    /// Shuts down, waits for the streams to end (until the settings' time is up, counted from
    /// when that began), then stops the engine and closes the log.
    pub async fn close(&self) {
        if !self.is_draining() {
            self.begin_shutdown();
        }
        let deadline = self.shutdown_deadline().expect("it has begun");
        while self.streams() > 0 || self.inner.arriving.count() > 0 {
            if Instant::now() >= deadline {
                tracing::warn!("some subscribers took no more: they are cut off");
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.inner.stop();
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("a shard's thread has panicked");
        }
        self.inner.log.close().await;
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

/// The cursor after which `next` is the first position.
fn cursor_before(incarnation: Incarnation, next: Position) -> Cursor {
    Cursor { incarnation, position: Position(next.0.saturating_sub(1)) }
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

impl Inner {
    fn stop(&self) {
        for shard in &self.shards {
            shard.send(Input::Stop);
        }
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
