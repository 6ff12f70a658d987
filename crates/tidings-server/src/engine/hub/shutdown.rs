//! How connections end by their age, and all of it when the hub shuts down.
//! Knows nothing of signals: the program does.

use std::sync::atomic::Ordering;
use std::time::{self, Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Hub;
use crate::engine::inbox::Input;
use crate::engine::lane::Engine;
use crate::engine::lifetime::{self, ConnectionEnds, UnderWayGuard};

impl Hub {
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
        for shard in self.inner.shards() {
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
        // In this order: what no longer arrives is a stream by now.
        while self.inner.arriving.count() > 0 || self.streams() > 0 {
            if Instant::now() >= deadline {
                tracing::warn!("some subscribers took no more: they are cut off");
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.inner.stop();
        let threads: Vec<_> = self.inner.engines().flat_map(Engine::take_threads).collect();
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("a shard's thread has panicked");
        }
        self.inner.streams.leave().await;
        join_all(self.inner.lanes.iter().map(|lane| lane.log.close())).await;
    }
}
