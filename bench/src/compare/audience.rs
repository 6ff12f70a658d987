//! A crowd at one server, step by step: it comes, it gets events, it leaves; and what each step
//! cost the server. Knows nothing of who that is.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::STEP_TIME_MAX;
use super::streams::{Came, come, left};
use crate::crowd::{Counts, Crowd};
use crate::event::{Stamp, now_ns};
use crate::histogram::Histogram;
use crate::measure::{self, Memory};
use crate::subject::Subject;

/// How events come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Streams.
    pub connections: usize,
    /// Events of all goes together.
    pub events: u64,
    /// Events that are published in one go. The next ones follow when all have these, so that no
    /// more than these are joined.
    pub together: u64,
    /// Data of each, in bytes.
    pub event_bytes: usize,
    /// At most so many goes a second.
    pub rate: f64,
}

/// What it took to get events.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// CPU of the server from the first publish to the last delivery.
    pub cpu: Duration,
    /// Events that were received.
    pub events: u64,
    /// From publishing to receiving, of each event on each stream.
    pub latencies: Histogram,
    /// From publishing until the last of the crowd has it, of each go.
    pub last: Histogram,
    /// TCP segments that had to be sent again meanwhile.
    pub sent_again: u64,
    /// The share of the machine that the hypervisor took meanwhile.
    pub stolen: f64,
}

/// A crowd that has come to a server. Dropping it lets it leave.
pub struct Audience<'a> {
    pub(super) subject: &'a mut dyn Subject,
    pub(super) crowd: Crowd,
    pub(super) process: u32,
    pub(super) connections: usize,
    /// Open files of the server before the crowd came.
    files: usize,
    /// The number that the next event has.
    next: u64,
    /// Events that all together should have got so far.
    expected: u64,
}

/// All streams are of this topic.
pub(crate) const TOPIC: &str = "bench/crowd";

/// What a server may take to notice that a crowd has left and to give its memory back.
const GIVE_BACK_TIME: Duration = Duration::from_secs(3);

impl Delivered {
    /// CPU of the server for each event received, in microseconds.
    #[must_use]
    pub fn cpu_per_event_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events.max(1) as f64
    }
}

impl<'a> Audience<'a> {
    /// One subscriber comes, gets an event and leaves: the server has done everything once, and
    /// the pages of its program that it needs have been read. Gives its memory then.
    ///
    /// # Errors
    /// Where the server is gone, or the event does not come.
    pub fn warm(subject: &'a mut dyn Subject, event_bytes: usize) -> anyhow::Result<Memory> {
        let process = subject.process();
        let (mut audience, _) = Audience::gather(subject, 1)?;
        let one = Pace { connections: 1, events: 1, together: 1, event_bytes, rate: 1.0 };
        let delivered = audience.get(one)?;
        ensure!(delivered.events == 1, "no event came: {:?}", audience.counts());
        drop(audience);
        measure::settle(process, STEP_TIME_MAX)?;
        measure::memory(process)
    }

    /// So many streams of one topic come.
    ///
    /// # Errors
    /// Where the server is gone, or does not let them in.
    pub fn gather(
        subject: &'a mut dyn Subject,
        connections: usize,
    ) -> anyhow::Result<(Self, Came)> {
        let process = subject.process();
        let files = measure::files_of(process)?;
        let crowd = Crowd::start()?;
        let mut audience =
            Self { subject, crowd, process, connections: 0, files, next: 0, expected: 0 };
        let came = audience.grow(connections)?;
        Ok((audience, came))
    }

    /// So many more come.
    ///
    /// # Errors
    /// Where the server is gone, or does not let them in.
    pub fn grow(&mut self, connections: usize) -> anyhow::Result<Came> {
        self.connections += connections;
        let target = self.subject.target(TOPIC, self.next);
        come(self.process, &self.crowd, [(target, connections)])
    }

    /// CPU of the server while nothing happens for so long.
    ///
    /// # Errors
    /// Where the server is gone.
    pub fn idle(&self, time: Duration) -> anyhow::Result<Duration> {
        let before = measure::cpu(self.process)?;
        std::thread::sleep(time);
        Ok(measure::cpu(self.process)?.saturating_sub(before))
    }

    /// The crowd gets events. Those that do not come are no error here: they are in the counts.
    ///
    /// # Errors
    /// Where the server is gone.
    pub fn get(&mut self, pace: Pace) -> anyhow::Result<Delivered> {
        let process = self.process;
        let (_, ticks) = measure::stolen_share(None);
        let again = measure::segments_sent_again().unwrap_or(0);
        let events = self.crowd.counts().events;
        drop(self.crowd.take_latencies());
        let before = measure::cpu(process)?;
        let last = self.publish(pace)?;
        measure::settle(process, STEP_TIME_MAX)?;
        let cpu = measure::cpu(process)?.saturating_sub(before);
        let (stolen, _) = measure::stolen_share(Some(ticks));
        Ok(Delivered {
            cpu,
            events: self.crowd.counts().events - events,
            latencies: self.crowd.take_latencies(),
            last,
            sent_again: measure::segments_sent_again().unwrap_or(0) - again,
            stolen,
        })
    }

    /// Publishes the events; gives for each go how long it took to the last of the crowd.
    fn publish(&mut self, pace: Pace) -> anyhow::Result<Histogram> {
        let mut last = Histogram::default();
        let interval = Duration::from_secs_f64(1.0 / pace.rate);
        let mut due = Instant::now();
        let end = self.next + pace.events;
        while self.next < end {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = due.max(Instant::now()) + interval;
            let first = Stamp::now(self.next);
            let together = pace.together.min(end - self.next);
            let data = |number| Stamp { number, ..first }.data(pace.event_bytes);
            let events: Vec<String> = (self.next..self.next + together).map(data).collect();
            self.subject.publish(TOPIC, &events)?;
            self.next += together;
            self.expected += together * self.connections as u64;
            let expected = self.expected;
            let whole = |counts: &Counts| counts.events >= expected || counts.faults() > 0;
            if !self.crowd.wait(STEP_TIME_MAX, whole) || self.crowd.counts().faults() > 0 {
                // There is no use in going on: the counts say what is missing.
                break;
            }
            last.record(now_ns().saturating_sub(first.time_ns));
        }
        Ok(last)
    }

    /// What the crowd has counted since it came.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.crowd.counts()
    }

    /// The memory of the server now.
    ///
    /// # Errors
    /// Where the server is gone.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        measure::memory(self.process)
    }

    /// All leave; gives the memory of the server when it has had time to give it back.
    ///
    /// # Errors
    /// Where the server is gone.
    pub fn leave(self) -> anyhow::Result<Memory> {
        drop(self.crowd);
        left(self.process, self.files)?;
        std::thread::sleep(GIVE_BACK_TIME);
        measure::memory(self.process)
    }
}
