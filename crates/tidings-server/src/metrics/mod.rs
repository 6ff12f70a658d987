//! What the hub counts, for the people who run it.
//! Knows nothing of who counts; handles are kept in structs, so that counting is one atomic add.

mod process;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tidings_core::shard::EndReason;

use process::Process;

/// All metrics of one hub. Topics never become labels: they are strangers' text without bound.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Open connections of any kind.
    pub connections: Gauge,
    /// Event streams that are open.
    pub subscribers: Gauge,
    /// Events taken from publishers and kept.
    pub published: Counter,
    /// Publishes that were refused, by what the client was told.
    pub refused: Family<Refusal, Counter>,
    /// Events handed to subscribers' sockets.
    pub delivered: Counter,
    /// Bytes handed to subscribers' sockets, chunk framing included.
    pub delivered_bytes: Counter,
    /// Writes to subscribers' sockets: events joined in one write count once.
    pub writes: Counter,
    /// Times a subscriber's socket took no more and it became a lagging cursor.
    pub lagged: Counter,
    /// Times a subscriber was told that events are gone.
    pub resets: Counter,
    /// Pages that were read from the log because a subscriber was behind the frames in memory.
    pub log_reads: Counter,
    /// Heartbeats written.
    pub heartbeats: Counter,
    /// Times a subscriber was told that the right to its stream will end.
    pub renewals: Counter,
    /// Streams that the hub has ended, by the reason.
    pub ended: Family<Ended, Counter>,
    /// 1 once the hub shuts down.
    pub draining: Gauge,
    /// Times a limit was hit, by its name.
    pub limits_hit: Family<Limit, Counter>,
    /// Requests that were refused for want of a right, by the rule that did.
    pub unauthorized: Family<Rule, Counter>,
    /// 1 while the log takes appends and can be followed, else 0.
    pub log_available: Gauge,
    /// Events that the log holds.
    pub log_events: Gauge,
    /// Bytes that the log holds.
    pub log_bytes: Gauge,
}

/// Why a publish was refused.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Refusal {
    /// The status code of the answer.
    pub status: u16,
}

/// Why a stream was ended.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Ended {
    /// `aged`, `drained` or `expired`.
    pub reason: &'static str,
}

/// Which limit was hit.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Limit {
    /// Its name, as `tidings_core::limits` and the errors have it, in lower case.
    pub limit: &'static str,
}

/// Which rule refused somebody.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Rule {
    /// Its name, as its refusal has it.
    pub rule: &'static str,
}

impl Metrics {
    /// The metrics as a scraper reads them: OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing into a String can't fail");
        text
    }

    /// Counts a hit of the limit of this name.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limits_hit.get_or_create(&Limit { limit }).inc();
    }

    /// Counts streams that were ended.
    pub(crate) fn streams_ended(&self, reason: EndReason, streams: u64) {
        if streams == 0 {
            return;
        }
        let reason = match reason {
            EndReason::Aged => {
                let limit = "connection_life_max";
                self.limits_hit.get_or_create(&Limit { limit }).inc_by(streams);
                "aged"
            }
            EndReason::Drained => "drained",
            EndReason::Expired => "expired",
        };
        self.ended.get_or_create(&Ended { reason }).inc_by(streams);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            connections: Gauge::default(),
            subscribers: Gauge::default(),
            published: Counter::default(),
            refused: Family::default(),
            delivered: Counter::default(),
            delivered_bytes: Counter::default(),
            writes: Counter::default(),
            lagged: Counter::default(),
            resets: Counter::default(),
            log_reads: Counter::default(),
            heartbeats: Counter::default(),
            renewals: Counter::default(),
            ended: Family::default(),
            draining: Gauge::default(),
            limits_hit: Family::default(),
            unauthorized: Family::default(),
            log_available: Gauge::default(),
            log_events: Gauge::default(),
            log_bytes: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        self.registry.register_collector(Box::new(Process::new()));
        let registry = self.registry.sub_registry_with_prefix("tidings");
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("subscribers", "Open event streams", self.subscribers.clone());
        registry.register("events_published", "Events kept", self.published.clone());
        registry.register("publishes_refused", "Publishes refused", self.refused.clone());
        registry.register(
            "events_delivered",
            "Events handed to subscribers' sockets",
            self.delivered.clone(),
        );
        registry.register_with_unit(
            "delivered",
            "Bytes handed to subscribers' sockets",
            Unit::Bytes,
            self.delivered_bytes.clone(),
        );
        registry.register("writes", "Writes to subscribers' sockets", self.writes.clone());
        registry.register("lagged", "Times a socket took no more", self.lagged.clone());
        registry.register("resets", "Times a subscriber was told of a gap", self.resets.clone());
        registry.register("log_reads", "Pages read for those behind", self.log_reads.clone());
        registry.register("heartbeats", "Heartbeats written", self.heartbeats.clone());
        registry.register("renewals", "Times a token's end was told", self.renewals.clone());
        registry.register("streams_ended", "Streams the hub ended", self.ended.clone());
        registry.register("draining", "Whether the hub shuts down", self.draining.clone());
        registry.register("limits_hit", "Times a limit was hit", self.limits_hit.clone());
        registry.register(
            "unauthorized",
            "Requests refused for want of a right, by rule",
            self.unauthorized.clone(),
        );
        registry.register(
            "log_available",
            "Whether the log takes events and can be followed",
            self.log_available.clone(),
        );
        registry.register("log_events", "Events the log holds", self.log_events.clone());
        registry.register_with_unit(
            "log",
            "Bytes the log holds",
            Unit::Bytes,
            self.log_bytes.clone(),
        );
    }
}
