//! One round: a crowd comes, gets its events, and leaves; what it cost whom it came to.
//! Knows nothing of who that is.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::subject::Subject;
use crate::crowd::{Counts, Crowd};
use crate::event::{Stamp, now_ns};
use crate::histogram::Histogram;
use crate::measure::{self, Memory};

/// How the crowd and its events come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Streams.
    pub connections: usize,
    /// Events, one after the other: each when all have the one before, so that none are joined.
    pub events: u64,
    /// Data of each, in bytes.
    pub event_bytes: usize,
    /// At most so many a second.
    pub rate: f64,
}

/// What came out.
#[derive(Debug)]
pub struct Round {
    /// From the first connection to the last head.
    pub connect_time: Duration,
    /// CPU that connecting took.
    pub connect_cpu: Duration,
    /// When all were there and idle.
    pub idle: Memory,
    /// CPU from the first publish to the last delivery.
    pub delivery_cpu: Duration,
    /// After all events.
    pub after_events: Memory,
    /// Buffers of all TCP sockets while the crowd was idle, in bytes.
    pub socket_bytes: Option<u64>,
    /// From publishing to receiving, of each event on each stream.
    pub latencies: Histogram,
    /// From publishing until the last of the crowd has it, of each event.
    pub last: Histogram,
    /// What the crowd counted.
    pub counts: Counts,
    /// When all had left.
    pub left: Memory,
    /// TCP segments that had to be sent again meanwhile.
    pub sent_again: u64,
    /// The share of the machine that the hypervisor took while events were delivered.
    pub stolen: f64,
}

/// Nothing takes longer on a machine that works.
const STEP_TIME_MAX: Duration = Duration::from_secs(120);

/// Runs a round. Events that do not come are no error here, they are in the counts.
///
/// # Errors
/// Where the subject is gone, or does not let the crowd in or go.
pub fn round(subject: &mut impl Subject, pace: Pace) -> anyhow::Result<Round> {
    let process = subject.process();
    let files = measure::files_of(process)?;
    let crowd = Crowd::start()?;
    measure::settle(process, STEP_TIME_MAX)?;

    let (start, before) = (Instant::now(), measure::cpu(process)?);
    crowd.connect(subject.target(0), pace.connections);
    let here = |counts: &Counts| counts.open + counts.refused >= pace.connections;
    let came = crowd.wait(STEP_TIME_MAX, here);
    let connect_time = start.elapsed();
    let counts = crowd.counts();
    ensure!(came && counts.refused == 0, "not all streams could be opened: {counts:?}");
    measure::settle(process, STEP_TIME_MAX)?;
    let connect_cpu = measure::cpu(process)?.saturating_sub(before);
    let idle = measure::memory(process)?;
    let socket_bytes = measure::socket_bytes();

    let (_, ticks) = measure::stolen_share(None);
    let again = measure::segments_sent_again().unwrap_or(0);
    let before = measure::cpu(process)?;
    let last = publish(subject, &crowd, pace)?;
    measure::settle(process, STEP_TIME_MAX)?;
    let delivery_cpu = measure::cpu(process)?.saturating_sub(before);
    let (stolen, _) = measure::stolen_share(Some(ticks));
    let sent_again = measure::segments_sent_again().unwrap_or(0) - again;
    let after_events = measure::memory(process)?;
    let (counts, latencies) = (crowd.counts(), crowd.take_latencies());

    crowd.leave();
    drop(crowd);
    wait_for_files(process, files)?;
    measure::settle(process, STEP_TIME_MAX)?;
    std::thread::sleep(GIVE_BACK_TIME);
    let left = measure::memory(process)?;
    Ok(Round {
        connect_time,
        connect_cpu,
        idle,
        delivery_cpu,
        after_events,
        socket_bytes,
        latencies,
        last,
        counts,
        left,
        sent_again,
        stolen,
    })
}

/// What a server may take to notice that a crowd has left and to give its memory back.
const GIVE_BACK_TIME: Duration = Duration::from_secs(3);

/// Publishes the events; gives for each how long it took to the last of the crowd.
fn publish(subject: &mut impl Subject, crowd: &Crowd, pace: Pace) -> anyhow::Result<Histogram> {
    let mut last = Histogram::default();
    let interval = Duration::from_secs_f64(1.0 / pace.rate);
    let mut due = Instant::now();
    for number in 0..pace.events {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due = due.max(Instant::now()) + interval;
        let stamp = Stamp::now(number);
        subject.publish(stamp, pace.event_bytes)?;
        let expected = (number + 1) * pace.connections as u64;
        let whole = |counts: &Counts| counts.events >= expected || counts.faults() > 0;
        if !crowd.wait(STEP_TIME_MAX, whole) || crowd.counts().faults() > 0 {
            // There is no use in going on: the counts say what is missing.
            break;
        }
        last.record(now_ns().saturating_sub(stamp.time_ns));
    }
    Ok(last)
}

/// Waits until the subject has closed what the crowd had opened. The loop notices only when it
/// writes again, so that one may keep them.
fn wait_for_files(process: u32, files: usize) -> anyhow::Result<()> {
    const TIME_MAX: Duration = Duration::from_secs(10);
    let deadline = Instant::now() + TIME_MAX;
    while measure::files_of(process)? > files && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
