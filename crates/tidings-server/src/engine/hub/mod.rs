//! The hub as the rest of the program sees it: publish, subscribe, look back, shut down, a file
//! for each. Knows nothing of HTTP requests, and of sockets only that shards own them.

mod history;
mod publish;
mod shutdown;
mod subscribe;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tidings_log::{Bounds, Log};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::fill::fill;
use super::inbox::{Inbox, Input};
use super::lifetime::UnderWay;
use super::pump::{pump, trim};
use super::reader::Source;
use super::shard_thread;
use super::tail::Tail;
use crate::config::Config;
use crate::gate::{Admissions, Budget, Client, ConnectionGuard, Everywhere, NotAdmitted, Rates};
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
    tail: Arc<Tail>,
    metrics: Arc<Metrics>,
    shards: Vec<Inbox>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tasks: Vec<AbortHandle>,
    admissions: Arc<Admissions>,
    streams: Arc<Everywhere>,
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
        let fill = runtime.spawn(fill(Arc::clone(&log), Arc::clone(&tail)));
        let pump = runtime.spawn(pump(follow, Arc::clone(&tail), shards.clone()));
        let trim = runtime.spawn(trim(Arc::clone(&log), Arc::clone(&metrics)));
        let streams = Arc::new(Everywhere::new(config.streams_per_token_max, Arc::clone(&log)));
        let keeper = Arc::clone(&streams);
        let keep = runtime.spawn(async move { keeper.keep().await });
        let tasks = [fill, pump, trim, keep].map(|task| task.abort_handle()).to_vec();
        let shutdown = watch::Sender::new(None);
        let threads = Mutex::new(threads);
        let inner = Inner {
            admissions: Admissions::new(&config, metrics.connections.clone()),
            streams,
            in_flight: Budget::new(config.publish_bytes_in_flight_max),
            publishes_per_address: Rates::new(config.publishes_per_address),
            publishes_per_key: Rates::new(config.publishes_per_key),
            config,
            log,
            tail,
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

    /// Lets a connection in, if there is room. It counts until the guard is dropped.
    pub(crate) fn admit(&self, client: Option<&Client>) -> Result<ConnectionGuard, NotAdmitted> {
        self.inner.admissions.admit(client)
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

    /// How many event streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.inner.shards.iter().map(Inbox::subscribers).sum()
    }
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
