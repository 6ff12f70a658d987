//! The hub as the rest of the program sees it: publish, subscribe, look back, shut down, a file
//! for each. Knows nothing of HTTP requests, and of sockets only that shards own them.

mod history;
mod partitions;
mod publish;
mod shutdown;
mod subscribe;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidings_core::limits::PARTITIONS_MAX;
use tidings_log::{Bounds, Log};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::inbox::Inbox;
use super::lane::{Engine, Ground, Lane};
use super::lifetime::UnderWay;
use super::pump::trim;
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
    /// A lane for each partition of the log.
    lanes: Vec<Lane>,
    ground: Ground,
    metrics: Arc<Metrics>,
    tasks: [AbortHandle; 2],
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
        Self::start_partitioned(vec![log], config)
    }

    /// The same over the logs of all partitions, in their order: a topic is kept in one of them
    /// ([`tidings_log::partition_of`]), each of which is delivered from when on somebody
    /// subscribes to something in it.
    ///
    /// # Errors
    /// Where the system gives no threads or epoll sets.
    ///
    /// # Panics
    /// Outside a tokio runtime; without a log, or with more than [`PARTITIONS_MAX`].
    pub fn start_partitioned(logs: Vec<Arc<dyn Log>>, config: Config) -> io::Result<Self> {
        assert!((1..=PARTITIONS_MAX).contains(&logs.len()), "there are 1 to 16 partitions");
        let metrics = Arc::new(Metrics::default());
        let ground = Ground::new(&config, Arc::clone(&metrics), logs.len());
        let first = Arc::clone(&logs[0]);
        let streams = Arc::new(Everywhere::new(config.streams_per_token_max, first));
        let lanes = if logs.len() == 1 {
            let log = Arc::clone(&logs[0]);
            vec![Lane::start(log, &ground)?]
        } else {
            logs.iter().map(Arc::clone).map(Lane::new).collect()
        };
        let trim = tokio::spawn(trim(logs, Arc::clone(&metrics)));
        let keeper = Arc::clone(&streams);
        let keep = tokio::spawn(async move { keeper.keep().await });
        let tasks = [trim.abort_handle(), keep.abort_handle()];
        let shutdown = watch::Sender::new(None);
        let inner = Inner {
            admissions: Admissions::new(&config, metrics.connections.clone()),
            streams,
            in_flight: Budget::new(config.publish_bytes_in_flight_max),
            publishes_per_address: Rates::new(config.publishes_per_address),
            publishes_per_key: Rates::new(config.publishes_per_key),
            config,
            lanes,
            ground,
            metrics,
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

    /// Which positions the log holds; of several partitions, the first.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.inner.lanes[0].log.bounds()
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
        self.inner.lanes.iter().try_for_each(|lane| lane.log.health())
    }

    /// Waits until a connection comes or goes, if none has since the last call. For one task: of
    /// several that wait, one is told. Cancel safe.
    pub async fn connections_moving(&self) {
        self.inner.admissions.moving().await;
    }

    /// How many event streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.inner.shards().map(Inbox::subscribers).sum()
    }
}

impl Inner {
    /// What delivers events now.
    fn engines(&self) -> impl Iterator<Item = &Engine> {
        self.lanes.iter().filter_map(Lane::running)
    }

    fn shards(&self) -> impl Iterator<Item = &Inbox> {
        self.engines().flat_map(|engine| &engine.shards)
    }

    fn stop(&self) {
        self.engines().for_each(Engine::stop);
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
