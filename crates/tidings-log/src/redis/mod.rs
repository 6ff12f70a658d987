//! A log in Redis: a stream that many nodes append to and follow, so that they are one hub.
//! Knows nothing of the nodes; each sees only the server.
//!
//! The keys, for the prefix `tidings` and the first partition, which most often is the only one:
//!
//! | key | |
//! |---|---|
//! | `{tidings:0}:log` | the stream; an entry is a run of events, its id `<position>-<events>` |
//! | `{tidings:0}:meta` | format, incarnation, next and oldest position, bytes, latest time and fingerprint |
//! | `{tidings:0}:ids` | chosen ids and the position of the newest event with each |
//! | `{tidings:0}:keys`, `…:keys-in-order` | idempotency keys and their uses |
//! | `{tidings:0}:claim:<name>` | a name that somebody has claimed for a while: a used ticket |
//! | `{tidings:0}:nodes` | until when each node counts as living |
//! | `{tidings:0}:held:<name>` | how many each node holds of what is limited |
//! | `{tidings:0}:node:<name>` | the last answers to one node, should they get lost on the way |
//!
//! An append goes this way: [`group`] → [`writer`] → `scripts/append.lua`, one atomic step.
//! What any node appends comes in through [`listen`], and followers get it from [`crate::remote`];
//! who is behind reads through [`reader`]. That the server has lost events is noticed in [`meet`].

mod engine;
mod group;
mod link;
mod listen;
mod meet;
mod options;
mod reader;
mod scripts;
mod shares;
mod sizes;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tidings_core::cursor::{Fingerprint, Position, Timestamp};
use tidings_core::limits::IDEMPOTENCY_TIME_MAX;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep};

use self::engine::{Engine, Shared};
use self::link::{Dialer, Fault};
use self::meet::VERSION;
use self::reader::Reader;
use self::scripts::{Keys, Partition};
use self::sizes::TRIM_ENTRIES_MAX;
use self::writer::Writer;
use crate::memory::random_incarnation;
use crate::remote::{
    self, ANSWER_TIME_MAX, Backoff, Door, Follower, Held, OPEN_TIME_MAX, RETRY_PAUSE_MAX,
    RETRY_PAUSE_MIN,
};
use crate::{
    Append, AppendError, Appended, Bounds, Claims, Follow, Log, Mark, Page, Read, ReadError,
    Shares, Usage,
};

pub use self::options::{
    RedisAddress, RedisAddressError, RedisError, RedisOptions, RedisPrefix, RedisPrefixError,
};

/// A log in Redis. Dropping it without [`Log::close`] breaks its connections off.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    door: Door,
    /// From when on somebody follows; if there is only one partition, from the beginning.
    listener: OnceLock<AbortHandle>,
    /// Taken by whoever waits for its end.
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Redis {
    /// Opens the log that the server has, or makes one there. Tries for some seconds where the
    /// server can't be reached: it may be starting too.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub async fn open(options: RedisOptions) -> Result<Self, RedisError> {
        let redis = Self::open_partition(options, Partition::ONLY).await?;
        redis.listen();
        Ok(redis)
    }

    /// The same for a log in so many partitions, each of which keeps its share of the bytes, and is
    /// listened to from when on somebody follows it. How many there are can't be changed.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub async fn open_partitions(
        options: RedisOptions,
        partitions: usize,
    ) -> Result<Vec<Self>, RedisError> {
        if partitions == 1 {
            return Ok(vec![Self::open(options).await?]);
        }
        let bytes_max = options.bytes_max / partitions.max(1) as u64;
        let options = RedisOptions { bytes_max, ..options };
        let mut all = Vec::with_capacity(partitions);
        // One after the other: the first says whether there are as many.
        for number in 0..partitions {
            let partition = Partition { number, of: partitions };
            all.push(Self::open_partition(options.clone(), partition).await?);
        }
        Ok(all)
    }

    async fn open_partition(
        options: RedisOptions,
        partition: Partition,
    ) -> Result<Self, RedisError> {
        // Not secret, only different: two nodes must not take each other's answers for theirs.
        let node = format!("{}{}", random_incarnation(), random_incarnation());
        let keys = Keys::new(&options.prefix, partition, &node);
        let dialer = Dialer::new(&options, &keys)?;
        let (held, format) = first_contact(&dialer, &keys).await.map_err(|fault| {
            RedisError::Unreachable { address: options.address.to_string(), reason: fault.reason }
        })?;
        if format != VERSION.to_string() {
            return Err(RedisError::Version { found: format });
        }
        let place = format!("Redis at {}", dialer.address());
        let engine = Engine {
            dialer,
            keys,
            bytes_max: options.bytes_max,
            age_max: options.age_max,
            wait_replicas: options.wait_replicas,
        };
        let shared = Arc::new(Shared::new(engine, place, held));
        let reader = Arc::new(Reader::new(Arc::clone(&shared)));
        let (door, waiting) = Door::new(options.bytes_max);
        let writer =
            Writer { shared: Arc::clone(&shared), waiting, under_way: VecDeque::new(), number: 1 };
        let writer = tokio::sync::Mutex::new(Some(tokio::spawn(writer.run())));
        Ok(Self { shared, reader, door, listener: OnceLock::new(), writer })
    }

    fn listen(&self) {
        self.listener.get_or_init(|| {
            self.shared.skip_to_end();
            tokio::spawn(listen::listen(Arc::clone(&self.shared))).abort_handle()
        });
    }
}

async fn first_contact(dialer: &Dialer, keys: &Keys) -> Result<(Held, String), Fault> {
    let deadline = Instant::now() + OPEN_TIME_MAX;
    let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
    loop {
        let opened = match dialer.dial(ANSWER_TIME_MAX).await {
            Ok(link) => meet::open(&link, keys).await,
            Err(fault) => Err(fault),
        };
        match opened {
            Err(fault) if fault.broken && Instant::now() < deadline => {
                sleep(backoff.next()).await;
            }
            opened => return opened,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
        if let Some(writer) = self.writer.get_mut().take() {
            writer.abort();
        }
    }
}

#[async_trait]
impl Claims for Redis {
    async fn claim(&self, name: &str, time: Duration) -> Result<bool, ReadError> {
        self.reader.claim(name, time).await
    }
}

#[async_trait]
impl Log for Redis {
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
        self.listen();
        Box::new(Follower::new(Arc::clone(&self.shared), Arc::clone(&self.reader), from))
    }

    async fn trim(&self, now: Timestamp) -> Result<(), String> {
        let numbers = [
            now.0,
            self.shared.engine.bytes_max,
            u64::try_from(self.shared.engine.age_max.as_millis()).unwrap_or(u64::MAX),
            IDEMPOTENCY_TIME_MAX.as_millis() as u64,
            TRIM_ENTRIES_MAX as u64,
        ]
        .map(|number| number.to_string());
        let trimmed = self.reader.trim(&numbers.each_ref().map(String::as_str)).await;
        match trimmed {
            // That the server is away is told by `health`, and once by who follows.
            Err(_) if self.shared.state.lock().deaf.is_some() => Ok(()),
            Err(ReadError::Failed { reason }) => {
                // Told once; `health` goes on saying it.
                let told = self.shared.state.lock().mute.replace(reason.clone());
                if told.is_some() { Ok(()) } else { Err(reason) }
            }
            Ok(()) | Err(ReadError::Trimmed { .. }) => {
                // It has just written something.
                self.shared.state.lock().mute = None;
                Ok(())
            }
        }
    }

    fn health(&self) -> Result<(), String> {
        self.shared.health()
    }

    fn usage(&self) -> Usage {
        self.shared.usage()
    }

    fn shares(&self) -> Option<&dyn Shares> {
        Some(self)
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
