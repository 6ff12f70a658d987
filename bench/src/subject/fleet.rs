//! Several servers that are one hub by an engine that they share: its nodes.
//! Knows nothing of what a node is beyond that it is a [`Subject`].

use std::time::Duration;

use anyhow::Context;

use super::{Door, Subject};
use crate::crowd::Target;
use crate::engine::Engine;
use crate::measure;

/// An engine and its nodes. Where nothing else is said, the first node is meant.
pub struct Fleet {
    // Ended in this order.
    nodes: Vec<Box<dyn Subject>>,
    engine: Box<dyn Engine>,
    start: Box<StartNode>,
}

/// Starts the node of this number, from 0 on.
type StartNode = dyn Fn(&dyn Engine, usize) -> anyhow::Result<Box<dyn Subject>>;

/// What the parts of a fleet have run so far, or from one moment to another.
#[derive(Clone, Debug)]
pub struct Costs {
    /// CPU of the engine.
    pub engine: Duration,
    /// CPU of each node.
    pub nodes: Vec<Duration>,
    /// Bytes that the engine has sent to its nodes.
    pub engine_sent: u64,
}

impl Fleet {
    /// One node over this engine.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(engine: Box<dyn Engine>, start: Box<StartNode>) -> anyhow::Result<Self> {
        let mut fleet = Self { nodes: Vec::new(), engine, start };
        fleet.grow(1)?;
        Ok(fleet)
    }

    /// Starts nodes until there are so many.
    ///
    /// # Errors
    /// Where one can't be started.
    pub fn grow(&mut self, nodes: usize) -> anyhow::Result<()> {
        while self.nodes.len() < nodes {
            let node = (self.start)(&*self.engine, self.nodes.len())?;
            self.nodes.push(node);
        }
        Ok(())
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Box<dyn Subject>] {
        &self.nodes
    }

    /// What they share.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// What all have run so far.
    ///
    /// # Errors
    /// Where one of them is gone.
    pub fn costs(&self) -> anyhow::Result<Costs> {
        let nodes = self.nodes.iter().map(|node| measure::cpu(node.process()));
        Ok(Costs {
            engine: measure::cpu(self.engine.process())?,
            nodes: nodes.collect::<anyhow::Result<_>>()?,
            engine_sent: self.engine.sent()?,
        })
    }

    /// Waits until all do next to nothing.
    ///
    /// # Errors
    /// Where one of them is gone.
    pub fn settle(&self, time_max: Duration) -> anyhow::Result<()> {
        for node in &self.nodes {
            measure::settle(node.process(), time_max)?;
        }
        measure::settle(self.engine.process(), time_max)?;
        Ok(())
    }

    /// Where each node is published to.
    ///
    /// # Errors
    /// Where one takes no requests.
    pub fn doors(&self) -> anyhow::Result<Vec<Door>> {
        let doors = self.nodes.iter().map(|node| node.door().context("it takes no requests"));
        doors.collect()
    }
}

impl Costs {
    /// What has come on top since an earlier moment; a node that was not there then had none.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let nodes = self.nodes.iter().enumerate().map(|(at, now)| {
            let before = before.nodes.get(at).copied().unwrap_or_default();
            now.saturating_sub(before)
        });
        Self {
            engine: self.engine.saturating_sub(before.engine),
            nodes: nodes.collect(),
            engine_sent: self.engine_sent.saturating_sub(before.engine_sent),
        }
    }

    /// CPU of the engine for each of so many, in microseconds.
    #[must_use]
    pub fn engine_us(&self, events: u64) -> f64 {
        us(self.engine, events)
    }

    /// CPU of all nodes together for each of so many, in microseconds.
    #[must_use]
    pub fn nodes_us(&self, events: u64) -> f64 {
        us(self.nodes.iter().sum(), events)
    }
}

fn us(time: Duration, events: u64) -> f64 {
    time.as_secs_f64() * 1e6 / events.max(1) as f64
}

impl Subject for Fleet {
    fn process(&self) -> u32 {
        self.nodes[0].process()
    }

    fn target(&self, topic: &str, first: u64) -> Target {
        self.nodes[0].target(topic, first)
    }

    fn keeps(&self) -> bool {
        self.nodes[0].keeps()
    }

    fn publish(&mut self, topic: &str, events: &[String]) -> anyhow::Result<()> {
        self.nodes[0].publish(topic, events)
    }

    fn door(&self) -> Option<Door> {
        self.nodes[0].door()
    }

    fn fleet(&mut self) -> Option<&mut Fleet> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_came_later_had_run_nothing_before() {
        let ms = Duration::from_millis;
        let before = Costs { engine: ms(1), nodes: vec![ms(5)], engine_sent: 10 };
        let after = Costs { engine: ms(3), nodes: vec![ms(7), ms(4)], engine_sent: 30 };
        let since = after.since(&before);
        assert_eq!((since.nodes.clone(), since.engine_sent), (vec![ms(2), ms(4)], 20));
        assert_eq!((since.engine_us(2), since.nodes_us(2)), (1_000.0, 3_000.0));
    }
}
