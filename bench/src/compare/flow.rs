//! Events for a crowd without waiting for it one by one: as fast as it gets them, or by a
//! timetable. Knows nothing of who serves them.
//!
//! As fast as it gets them means: so many publishers, each waiting for its answers, and none of
//! them further ahead of the crowd than so many events. Without that bound a server that
//! acknowledges before it delivers would be measured by the length of its queue.

use std::time::{Duration, Instant};

use super::audience::{Audience, TOPIC};
use crate::crowd::{Counts, Crowd, Target};
use crate::event::{Stamp, now_ns};
use crate::figure::Sample;
use crate::histogram::Histogram;
use crate::load::{self, Outcome, Pace, Until};
use crate::measure::{self, Busy, OwnThreads};
use crate::report::grouped;
use crate::subject::Door;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// As fast as the crowd gets them, or so many events a second.
    pub pace: Pace,
    /// How long events are published.
    pub time: Duration,
    /// Data of each, in bytes.
    pub event_bytes: usize,
    /// The number of the first: how many the crowd had before.
    pub first: u64,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Flowed {
    /// What became of the publishing.
    pub sent: Outcome,
    /// Events a second that were wanted.
    pub offered: Option<f64>,
    /// What each stream should get of what was acknowledged, of all streams together.
    pub expected: u64,
    /// What they got.
    pub received: u64,
    /// What went wrong with the streams meanwhile.
    pub counts: Counts,
    /// From the first publish to the last delivery.
    pub elapsed: Duration,
    /// CPU of the server meanwhile.
    pub cpu: Duration,
    /// From when an event was published, or was due by the timetable, to when it was received.
    pub latencies: Histogram,
    /// The busiest thread of this program.
    pub busy: Busy,
}

/// Connections that events are published on, each waiting for its answers.
const PUBLISHERS: usize = 64;

/// Events that may be published and not be received by all yet, where the pace is free.
const AHEAD_MAX: u64 = 64;

/// A rate that was reached by so much was reached: the last answers take their time.
const REACHED_MIN: f64 = 0.98;

/// Nothing has come for so long: nothing will.
const SILENCE_TIME: Duration = Duration::from_secs(2);

/// Where the crowd gets nothing for so long, what is missing is taken for lost.
const STALL_TIME: Duration = Duration::from_millis(500);

/// What is under way after the time must come within this time.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(60);

impl Audience<'_> {
    /// What the streams of the crowd ask for, and whom.
    #[must_use]
    pub fn target(&self) -> Target {
        self.subject.target(TOPIC, 0)
    }

    /// Publishes for the crowd, and waits until it has everything, or nothing comes any more.
    ///
    /// # Errors
    /// Where the server is gone, or takes no connections.
    pub fn flow(&mut self, flow: &Flow) -> anyhow::Result<Flowed> {
        let had = self.crowd.counts().events;
        drop(self.crowd.take_latencies());
        let (threads, before) = (OwnThreads::now(), measure::cpu(self.process)?);
        let start = Instant::now();
        let sent = match self.subject.door() {
            Some(door) => self.by_requests(flow, &door)?,
            None => self.by_hand(flow)?,
        };
        let expected = sent.accepted * self.connections as u64;
        let end = drain(&self.crowd, had + expected, start + flow.time);
        let busy = threads.busiest();
        let after = measure::cpu(self.process)?;
        let counts = self.crowd.counts();
        Ok(Flowed {
            sent,
            offered: match flow.pace {
                Pace::Free => None,
                Pace::Rate(rate) => Some(rate),
            },
            expected,
            received: counts.events - had,
            counts,
            elapsed: end.saturating_duration_since(start),
            cpu: after.saturating_sub(before),
            latencies: self.crowd.take_latencies(),
            busy,
        })
    }

    fn by_requests(&self, flow: &Flow, door: &Door) -> anyhow::Result<Outcome> {
        let options = load::Options {
            addresses: vec![door.address()],
            connections: PUBLISHERS,
            pipeline: 1,
            pace: flow.pace,
            until: Until::Time(flow.time),
        };
        let mut clock = Clock::new(flow, &self.crowd, self.connections);
        load::run(&options, |number| {
            door.request(TOPIC, &clock.stamp(number).data(flow.event_bytes))
        })
    }

    /// The same where there is no door: one after the other.
    fn by_hand(&mut self, flow: &Flow) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut clock = Clock::new(flow, &self.crowd, self.connections);
        let mut sent = 0;
        loop {
            if let Pace::Rate(rate) = flow.pace {
                let due = start + Duration::from_secs_f64(sent as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            if start.elapsed() >= flow.time {
                break;
            }
            let data = clock.stamp(sent).data(flow.event_bytes);
            self.subject.publish(TOPIC, &[data])?;
            sent += 1;
        }
        Ok(Outcome { sent, accepted: sent, elapsed: start.elapsed(), ..Outcome::default() })
    }
}

/// Says when an event counts as published, and holds those back that are too far ahead.
struct Clock<'a> {
    flow: &'a Flow,
    crowd: &'a Crowd,
    connections: u64,
    start_ns: u64,
    /// How far the crowd was at the beginning.
    passed: u64,
    /// What was missing when nothing came any more.
    missing: u64,
}

impl<'a> Clock<'a> {
    fn new(flow: &'a Flow, crowd: &'a Crowd, connections: usize) -> Self {
        let passed = crowd.counts().passed();
        let connections = connections as u64;
        Self { flow, crowd, connections, start_ns: now_ns(), passed, missing: 0 }
    }

    /// The stamp of the event that is published now; they come in order, from 0 on.
    fn stamp(&mut self, number: u64) -> Stamp {
        let first = self.flow.first;
        match self.flow.pace {
            Pace::Free => {
                let behind = number.saturating_sub(AHEAD_MAX) * self.connections;
                self.hold_back(self.passed + behind);
                Stamp::now(first + number)
            }
            Pace::Rate(rate) => {
                if number == 0 {
                    self.start_ns = now_ns();
                }
                let due_ns = self.start_ns + (number as f64 / rate * 1e9) as u64;
                Stamp { number: first + number, time_ns: due_ns.min(now_ns()) }
            }
        }
    }

    /// Waits until the crowd has come so far, however long that takes; but not where it stalls.
    fn hold_back(&mut self, wanted: u64) {
        loop {
            let before = self.crowd.counts().passed();
            let wanted = wanted.saturating_sub(self.missing);
            if before >= wanted || self.crowd.wait(STALL_TIME, |now| now.passed() >= wanted) {
                return;
            }
            let now = self.crowd.counts().passed();
            if now == before {
                self.missing += wanted - now;
                return;
            }
        }
    }
}

/// Waits for the rest; gives when the last of it came.
fn drain(crowd: &Crowd, expected: u64, published_until: Instant) -> Instant {
    let deadline = published_until.max(Instant::now()) + DRAIN_TIME_MAX;
    let mut last = (Instant::now(), crowd.counts().events);
    loop {
        let all = crowd.wait(STALL_TIME / 10, |counts| counts.events >= expected);
        let (now, events) = (Instant::now(), crowd.counts().events);
        if events > last.1 || all {
            last = (now, events);
        }
        if all || now >= deadline || now - last.0 >= SILENCE_TIME {
            return last.0;
        }
    }
}

impl Flowed {
    /// Events that were received a second, of all streams together.
    #[must_use]
    pub fn deliveries_per_second(&self) -> f64 {
        self.received as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// CPU of the server for each event received, in microseconds, publishing included.
    #[must_use]
    pub fn cpu_per_event_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.received.max(1) as f64
    }

    /// The time that this share of the deliveries (0 to 1) did not exceed, in milliseconds.
    #[must_use]
    pub fn latency_ms(&self, share: f64) -> f64 {
        self.latencies.quantile(share).as_secs_f64() * 1e3
    }

    /// The share of the expected events that did not come, in percent.
    #[must_use]
    pub fn lost_percent(&self) -> f64 {
        let lost = self.expected.saturating_sub(self.received);
        100.0 * lost as f64 / self.expected.max(1) as f64
    }

    /// Says what a reader has to know: what was lost or refused, and who was the limit.
    pub fn note(&self, what: &str, sample: &mut Sample) {
        let Self { sent, counts, .. } = self;
        sample.delivered(what, self.received, self.expected);
        let failed = sent.refused + sent.failed;
        if failed > 0 {
            let status = sent.refused_with.map_or(String::new(), |status| format!(" ({status})"));
            let (failed, sent) = (grouped(failed), grouped(sent.sent));
            sample.remark(format!("{what}: {failed} of {sent} publishes failed{status}."));
        }
        if let Some(offered) = self.offered
            && let reached = sent.sent as f64 / sent.elapsed.as_secs_f64().max(1e-9)
            && reached < offered * REACHED_MIN
        {
            sample.remark(format!("{what}: of {offered:.0} events a second it took {reached:.0}."));
        }
        let ended = counts.ended + counts.cut + counts.malformed;
        if ended > 0 {
            sample.remark(format!("{what}: {ended} streams were ended."));
        }
        if counts.foreign > 0 {
            let foreign = grouped(counts.foreign);
            sample.remark(format!("{what}: {foreign} times a stream was told of a gap."));
        }
        if let Some(sentence) = self.busy.sentence(what) {
            sample.remark(sentence);
        }
    }
}
