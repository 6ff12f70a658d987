//! A log in NATS JetStream: a stream that many nodes append to and follow, so that they are one
//! hub. Knows nothing of the nodes; each sees only the servers.
//!
//! For the stream `tidings` (see [`message`] for what a message holds):
//!
//! | subject | |
//! |---|---|
//! | `tidings.0.e` | a part of a run of events |
//! | `tidings.0.k` | the same, and the idempotency keys that were used in the run |
//! | `tidings.0.i.<id>` | the same, beginning with the event that has this id, as base64url |
//! | `tidings-claims.<name>` | in a stream of its own: a name that somebody has claimed: a used ticket |
//!
//! And `tidings-turn`, which no stream keeps: by it a node asks the others for a turn.
//!
//! The server takes a message only where the stream ends as its writer knows it
//! (`Nats-Expected-Last-Sequence`), so each run is written for its place, with its positions, by
//! who knows all keys that were used before; and no other node has to be asked for anything.
//!
//! An append goes this way: [`writer`] → [`compose`] → [`link`]. What any node appends, this one
//! too, comes in through [`listen`] into the [`tail`], by which publishers are answered, and on to
//! [`crate::remote`], where followers get it; who is behind reads through [`reader`]. That the
//! stream has lost its end is noticed in [`meet`].

mod cache;
mod compose;
mod consumer;
mod engine;
mod link;
mod listen;
mod meet;
mod message;
mod options;
mod reader;
mod runs;
mod sizes;
mod tail;
#[cfg(test)]
mod tests;
mod turn;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidings_core::cursor::{Fingerprint, Position, Timestamp};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use self::compose::Cut;
use self::engine::{Engine, Shared};
use self::link::{Fault, FaultKind, Link};
use self::reader::Reader;
use self::sizes::CLAIM_TIME_MAX;
use self::tail::Tail;
use self::writer::Writer;
use crate::memory::random_number;
use crate::remote::{
    self, ANSWER_TIME_MAX, Backoff, Door, Follower, OPEN_TIME_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN,
};
use crate::{
    Append, AppendError, Appended, Bounds, Claims, Follow, Log, Mark, Page, Read, ReadError, Usage,
};

pub use self::options::{
    NatsAddress, NatsAddressError, NatsCredentials, NatsDomain, NatsError, NatsNameError,
    NatsOptions, NatsStream,
};

/// A log in NATS JetStream. Dropping it without [`Log::close`] breaks its connection off.
#[derive(Debug)]
pub struct Nats {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    door: Door,
    listener: AbortHandle,
    /// Taken by whoever waits for its end.
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Nats {
    /// Opens the log that the stream holds, or makes one there. Tries for some seconds where the
    /// servers can't be reached: they may be starting too.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn open(options: NatsOptions) -> Result<Self, NatsError> {
        let (link, tail) = first_contact(&options).await.map_err(|fault| {
            NatsError::Unreachable { address: options.address.to_string(), reason: fault.reason }
        })?;
        let place = format!("NATS at {}", options.address);
        let (door, waiting) = Door::new(options.bytes_max);
        let held = tail.held();
        let engine = Engine::new(link, options, random_number(), tail);
        let shared = Arc::new(Shared::new(engine, place, held));
        let reader = Arc::new(Reader::new(Arc::clone(&shared)));
        let listener = tokio::spawn(listen::listen(Arc::clone(&shared))).abort_handle();
        let writer = Writer { shared: Arc::clone(&shared), waiting, number: 0 };
        let writer = tokio::sync::Mutex::new(Some(tokio::spawn(writer.run())));
        Ok(Self { shared, reader, door, listener, writer })
    }

    /// Has the log let go of what is before a cut, and then the stream.
    async fn let_go(&self, cut: Cut) -> Result<(), ReadError> {
        let mut changed = self.shared.changed.subscribe();
        self.shared.engine.cut.send_replace(Some(cut));
        let waiting = async {
            while self.shared.bounds().oldest < cut.oldest {
                // Cannot fail: we keep the sender alive.
                let _ = changed.changed().await;
            }
        };
        if timeout(ANSWER_TIME_MAX, waiting).await.is_err() {
            return Err(self.reader.failed(&Fault::broken("it does not take what is let go of")));
        }
        let first = self.reader.first_needed().await?;
        let purging = self.shared.engine.link.purge_before(first).await;
        purging.map_err(|fault| self.reader.failed(&fault))
    }
}

async fn first_contact(options: &NatsOptions) -> Result<(Link, Tail), Fault> {
    let deadline = Instant::now() + OPEN_TIME_MAX;
    let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
    loop {
        let opened = match Link::connect(options).await {
            Ok(link) => meet::open(&link, options).await.map(|(tail, _)| (link, tail)),
            Err(fault) => Err(fault),
        };
        match opened {
            Err(fault) if fault.kind != FaultKind::Refused && Instant::now() < deadline => {
                sleep(backoff.next()).await;
            }
            opened => return opened,
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.listener.abort();
        if let Some(writer) = self.writer.get_mut().take() {
            writer.abort();
        }
    }
}

#[async_trait]
impl Claims for Nats {
    async fn claim(&self, name: &str, time: Duration) -> Result<bool, ReadError> {
        if time > CLAIM_TIME_MAX {
            let reason = format!("a name can be claimed for {CLAIM_TIME_MAX:?} at most");
            return Err(ReadError::Failed { reason });
        }
        self.reader.ready()?;
        let link = &self.shared.engine.link;
        let name = URL_SAFE_NO_PAD.encode(name);
        let id = format!("{:x}{:x}", random_number(), random_number());
        let mut answer = link.claim(&name, &id).await;
        if matches!(&answer, Err(fault) if fault.kind == FaultKind::Missing) {
            let providing = link.provide(&self.shared.engine.options).await;
            providing.map_err(|fault| self.reader.failed(&fault))?;
        }
        if matches!(&answer, Err(fault) if fault.kind != FaultKind::Refused) {
            // The server knows by the id whether the first one has got there all the same.
            answer = link.claim(&name, &id).await;
        }
        answer.map_err(|fault| self.reader.failed(&fault))
    }
}

#[async_trait]
impl Log for Nats {
    fn bounds(&self) -> Bounds {
        self.shared.bounds()
    }

    async fn bounds_now(&self) -> Result<Bounds, ReadError> {
        self.reader.look().await?;
        Ok(self.shared.bounds())
    }

    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        self.door.append(&self.shared, batch).await
    }

    async fn read(&self, read: Read<'_>) -> Result<Page, ReadError> {
        remote::read(&self.shared, &*self.reader, read).await
    }

    async fn find(&self, mark: Mark<'_>) -> Result<Option<Position>, ReadError> {
        remote::find(&self.shared, &*self.reader, mark).await
    }

    async fn fingerprint(&self, position: Position) -> Result<Option<Fingerprint>, ReadError> {
        remote::fingerprint(&self.shared, &*self.reader, position).await
    }

    fn follow(&self, from: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(Arc::clone(&self.shared), Arc::clone(&self.reader), from))
    }

    async fn trim(&self, now: Timestamp) -> Result<(), String> {
        let engine = &self.shared.engine;
        engine.tail.lock().keys.expire(now);
        if self.shared.state.lock().mute.is_some() {
            // Nobody may publish to a node that says it is not ready, so it has to try by itself.
            engine.cut.send_modify(|_| {});
        }
        let trimming = async {
            match self.reader.cut(now).await? {
                Some(cut) => self.let_go(cut).await,
                None => Ok(()),
            }
        };
        match trimming.await {
            // That the server is away is told by `health`, and once by who follows.
            Err(_) if self.shared.health().is_err() => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(()) => Ok(()),
        }
    }

    fn health(&self) -> Result<(), String> {
        self.shared.health()
    }

    fn usage(&self) -> Usage {
        self.shared.usage()
    }

    async fn close(&self) {
        self.door.close();
        if let Some(writer) = self.writer.lock().await.take() {
            // Were it to panic, then everybody was told already.
            let _ = writer.await;
        }
        self.shared.change(|state| state.closed = true);
    }
}
