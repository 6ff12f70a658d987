//! One partition of the log, and what serves its subscribers: tail, pump and shards.
//! Knows nothing of other partitions; most hubs have only one.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tidings_core::limits::LOG_READS_MAX;
use tidings_log::{Bounds, Log, ReadError};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::AbortHandle;

use super::fill::fill;
use super::inbox::{Inbox, Input};
use super::pump::pump;
use super::reader::Source;
use super::shard_thread;
use super::tail::Tail;
use crate::config::Config;
use crate::metrics::Metrics;

/// A partition. It is followed from when on somebody subscribes to it or looks back in it.
pub(crate) struct Lane {
    pub(crate) log: Arc<dyn Log>,
    engine: OnceCell<Engine>,
}

/// What delivers a partition's events.
pub(crate) struct Engine {
    pub(crate) tail: Arc<Tail>,
    pub(crate) shards: Vec<Inbox>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: [AbortHandle; 2],
}

/// What the lanes of a hub share.
pub(crate) struct Ground {
    /// With each lane's part of what the hub may have.
    config: Config,
    metrics: Arc<Metrics>,
    reads: Arc<Semaphore>,
    runtime: Handle,
    /// There are several lanes, of which one stream may be made.
    several: bool,
}

impl Ground {
    /// For so many lanes, on the current runtime.
    pub(crate) fn new(config: &Config, metrics: Arc<Metrics>, lanes: usize) -> Self {
        let mut config = config.clone();
        let shards = config.shards.get().div_ceil(lanes);
        config.shards = NonZero::new(shards).expect("a part of at least one");
        config.tail_bytes_max /= lanes;
        Self {
            config,
            metrics,
            reads: Arc::new(Semaphore::new(LOG_READS_MAX)),
            runtime: Handle::current(),
            several: lanes > 1,
        }
    }
}

impl Lane {
    /// One that nobody follows yet.
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, engine: OnceCell::new() }
    }

    /// One that runs.
    ///
    /// # Errors
    /// Where the system gives no threads or epoll sets.
    pub(crate) fn start(log: Arc<dyn Log>, ground: &Ground) -> io::Result<Self> {
        let engine = Engine::start(&log, ground)?;
        Ok(Self { log, engine: OnceCell::new_with(Some(engine)) })
    }

    /// What delivers its events, if somebody wanted any so far.
    pub(crate) fn running(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// What delivers its events, from now on at the latest. Cancel safe.
    ///
    /// # Errors
    /// Where the log does not answer, or the system gives no threads or epoll sets.
    pub(crate) async fn engine(
        &self,
        ground: &Ground,
        begun: impl FnOnce(&Engine),
    ) -> Result<&Engine, ReadError> {
        let start = async || {
            // Nobody has listened to it, so nobody knows how far it is.
            self.log.bounds_now().await?;
            let engine = Engine::start(&self.log, ground).map_err(|error| ReadError::Failed {
                reason: format!("there is nobody to deliver what it has ({error})"),
            })?;
            begun(&engine);
            Ok(engine)
        };
        self.engine.get_or_try_init(start).await
    }
}

impl Engine {
    fn start(log: &Arc<dyn Log>, ground: &Ground) -> io::Result<Self> {
        let Ground { config, metrics, reads, runtime, several } = ground;
        let Bounds { incarnation, next, .. } = log.bounds();
        let tail = Arc::new(Tail::new(incarnation, next, config.tail_bytes_max));
        let (log_read, reads) = (Arc::clone(log), Arc::clone(reads));
        let source = Source::new(log_read, Arc::clone(metrics), runtime.clone(), reads, *several);
        let mut shards = Vec::new();
        let mut threads = Vec::new();
        for number in 0..config.shards.get() {
            let (inbox, thread) = shard_thread::spawn(number, config, &tail, &source)?;
            shards.push(inbox);
            threads.push(thread);
        }
        let pump = pump(log.follow(next), Arc::clone(&tail), shards.clone(), *several);
        let fill = fill(Arc::clone(log), Arc::clone(&tail), *several);
        let tasks = [runtime.spawn(fill), runtime.spawn(pump)].map(|task| task.abort_handle());
        Ok(Self { tail, shards, threads: Mutex::new(threads), tasks })
    }

    pub(crate) fn emptiest_shard(&self) -> &Inbox {
        self.shards
            .iter()
            .min_by_key(|shard| shard.subscribers())
            .expect("there is at least one shard")
    }

    pub(crate) fn stop(&self) {
        for shard in &self.shards {
            shard.send(Input::Stop);
        }
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    /// The threads, for whoever waits for their end.
    pub(crate) fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock())
    }
}
