//! Very many events through the door of a server to a crowd that is there, and what they cost.
//! Knows nothing of who listens to what.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{STEP_TIME_MAX, arrive};
use crate::crowd::Crowd;
use crate::event::Stamp;
use crate::figure::Sample;
use crate::histogram::Histogram;
use crate::load;
use crate::measure;
use crate::subject::Subject;

/// Publishers that wait for each answer.
const PUBLISHERS: usize = 16;

/// What is published. All publishers together send one event after the other, as fast as each
/// gets its answers.
pub struct Posts<'a> {
    /// How many events.
    pub count: u64,
    /// Data of each, in bytes.
    pub event_bytes: usize,
    /// The topic of each, and its number there.
    pub address: &'a dyn Fn(u64) -> (&'a str, u64),
    /// Deliveries that they make together.
    pub deliveries: u64,
}

/// What came of them.
#[derive(Clone, Debug)]
pub struct Posted {
    /// CPU of the server from the first request to the last delivery.
    pub cpu: Duration,
    /// Publishes that were acknowledged.
    pub accepted: u64,
    /// Events that the crowd got.
    pub received: u64,
    /// From the request to its answer.
    pub answer_times: Histogram,
    /// From the request to the event, of each delivery.
    pub latencies: Histogram,
}

impl Posts<'_> {
    /// Publishes them, and waits for all deliveries. Loss is no error: [`Posted::note`] tells it.
    ///
    /// # Errors
    /// Where the server is gone, or takes no requests.
    pub fn send(&self, subject: &dyn Subject, crowd: &Crowd) -> anyhow::Result<Posted> {
        let door = subject.door().context("it takes no requests")?;
        let process = subject.process();
        measure::settle(process, STEP_TIME_MAX)?;
        drop(crowd.take_latencies());
        let had = crowd.counts().events;
        let before = measure::cpu(process)?;
        let options = load::Options {
            addresses: vec![door.address()],
            connections: usize::try_from(self.count).unwrap_or(PUBLISHERS).min(PUBLISHERS),
            pipeline: 1,
            pace: load::Pace::Free,
            until: load::Until::Requests(self.count),
        };
        let outcome = load::run(&options, |nth| {
            let (topic, number) = (self.address)(nth);
            door.request(topic, &Stamp::now(number).data(self.event_bytes))
        })?;
        ensure!(outcome.accepted > 0, "no publish was taken: {:?}", outcome.refused_with);
        let counts = arrive(crowd, had + self.deliveries);
        measure::settle(process, STEP_TIME_MAX)?;
        Ok(Posted {
            cpu: measure::cpu(process)?.saturating_sub(before),
            accepted: outcome.accepted,
            received: counts.events - had,
            answer_times: outcome.answer_times,
            latencies: crowd.take_latencies(),
        })
    }
}

impl Posted {
    /// CPU of the server for each publish with its deliveries, in microseconds.
    #[must_use]
    pub fn cpu_per_publish_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.accepted.max(1) as f64
    }

    /// CPU of the server for each delivery with its share of a publish, in microseconds.
    #[must_use]
    pub fn cpu_per_delivery_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.received.max(1) as f64
    }

    /// Says what did not go as it should.
    pub fn note(&self, sample: &mut Sample, what: &str, posts: &Posts<'_>, crowd: &Crowd) {
        sample.delivered(&format!("{what}, publishes"), self.accepted, posts.count);
        sample.delivered(&format!("{what}, deliveries"), self.received, posts.deliveries);
        let counts = crowd.counts();
        if counts.faults() > 0 {
            sample.remark(format!("{what}: {}.", counts.what_went_wrong()));
        }
    }
}
