//! Which partitions something concerns, and the lanes that deliver them.
//! Knows nothing of what is done there.

use std::time::Duration;

use tidings_core::event::Topics;
use tidings_core::topic::{Selector, Selectors};
use tidings_log::{ReadError, partition_of};

use super::Hub;
use crate::engine::inbox::Input;
use crate::engine::lane::{Engine, Lane};
use crate::engine::lifetime;
use crate::engine::places::Part;
use crate::engine::terms::PublishError;

impl Hub {
    /// The partition that keeps what is published under these topics.
    pub(super) fn partition_of(&self, topics: &Topics) -> Result<usize, PublishError> {
        let partitions = self.inner.lanes.len();
        if partitions == 1 {
            return Ok(0);
        }
        let first = partition_of(topics.first(), partitions);
        let same = topics.iter().all(|topic| partition_of(topic, partitions) == first);
        if same { Ok(first) } else { Err(PublishError::SeveralPartitions) }
    }

    /// The partitions in which there may be something that is selected, in their order.
    fn partitions_of(&self, selectors: &Selectors) -> Vec<usize> {
        let partitions = self.inner.lanes.len();
        let mut found = Vec::new();
        for selector in selectors.iter() {
            match selector {
                Selector::Exact(topic) => found.push(partition_of(topic, partitions)),
                Selector::Pattern(_) => return (0..partitions).collect(),
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The parts that a subscription to these has, each with what delivers it.
    pub(super) async fn parts(&self, selectors: &Selectors) -> Result<Vec<Part<'_>>, ReadError> {
        let mut parts = Vec::new();
        for partition in self.partitions_of(selectors) {
            let lane = &self.inner.lanes[partition];
            let engine = self.engine(lane).await?;
            parts.push(Part { partition, log: &*lane.log, engine });
        }
        Ok(parts)
    }

    async fn engine<'a>(&self, lane: &'a Lane) -> Result<&'a Engine, ReadError> {
        let begun = |engine: &Engine| {
            if self.is_draining() {
                // It comes too late to be told with the others.
                let retry_ms = lifetime::last_retry(self.config(), Duration::ZERO);
                for shard in &engine.shards {
                    shard.send(Input::Drain(Duration::ZERO, retry_ms.clone()));
                }
            }
        };
        lane.engine(&self.inner.ground, begun).await
    }

    /// What delivers the events of a partition that somebody has subscribed to.
    pub(super) fn running(&self, partition: usize) -> &Engine {
        self.inner.lanes[partition].running().expect("it began before its place was found")
    }

    /// Whether there is more than one.
    pub(super) fn is_partitioned(&self) -> bool {
        self.inner.lanes.len() > 1
    }
}
