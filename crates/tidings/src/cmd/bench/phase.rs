//! One phase: events are published in a certain way, and reach all who listen.
//! Knows nothing of how the result is printed.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tidings_bench::crowd::Crowd;
use tidings_bench::histogram::Histogram;
use tidings_bench::load::{self, Options, Outcome, Pace, Until};
use tidings_bench::measure::own_cpu;
use tokio::task;
use tokio::time;

use crate::client::Client;

use super::costs::Costs;
use super::plan::Plan;
use super::progress::{counted, shown};
use super::rounded;

/// What was published is waited for so long, even while some of it still comes.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(120);

/// From here on this program may be what is measured.
const CLIENT_CORES_MAX: f64 = 0.9;

/// What a phase came to.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    /// Events a second that were wanted; `None`: as many as the hub takes.
    pub(super) rate: Option<f64>,
    #[serde(flatten)]
    pub(super) published: Published,
    pub(super) delivered: u64,
    pub(super) expected: u64,
    /// From the first publish to the last delivery, and at least the time that was planned.
    pub(super) delivery_seconds: f64,
    pub(super) deliveries_per_second: f64,
    /// From publishing to receiving.
    pub(super) latency_ms: Quantiles,
    pub(super) hub_cpu_us_per_delivery: Option<f64>,
    /// Processors that the hub and this program kept busy.
    pub(super) hub_cores: Option<f64>,
    pub(super) client_cores: f64,
    pub(super) hub_memory_bytes: Option<f64>,
    /// Streams that ended meanwhile.
    streams_ended: u64,
    /// Events that nobody of us published: by them a hub tells of a gap.
    foreign: u64,
}

/// What publishing came to.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    /// From the first publish to the last answer, and at least the time that was planned.
    seconds: f64,
    pub(super) publishes: u64,
    pub(super) accepted: u64,
    refused: u64,
    refused_with: Option<u16>,
    failed: u64,
    /// Publishes that were due when all publishers were busy.
    late: u64,
    /// Publishes that were due and never had a turn.
    unsent: u64,
    pub(super) events_per_second: f64,
    /// From publishing to the hub's answer.
    pub(super) answer_ms: Quantiles,
}

/// Times that a share of all does not exceed.
#[derive(Debug, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

/// Publishes for as long as is planned, and waits until all is delivered.
///
/// # Errors
/// Where the hub is gone.
pub(super) async fn run(
    client: &Client,
    plan: &Plan,
    crowd: &Crowd,
    pace: Pace,
) -> anyhow::Result<Phase> {
    let before = Costs::read(client).await?;
    let (counts, _) = (crowd.counts(), crowd.take_latencies());
    let (start, cpu) = (Instant::now(), own_cpu());
    let outcome = publish(plan, pace, start).await?;
    let expected = plan.deliveries(outcome.accepted);
    let delivered = || crowd.counts().events - counts.events;
    let all = time::timeout(DELIVERY_TIME_MAX, counted(expected, delivered));
    // Whether it came to that, the counts say.
    let _ = shown("waiting for deliveries", expected, delivered, all).await?;
    // The last of a timetable's publishes is due before its time is over.
    let seconds = start.elapsed().max(plan.time).as_secs_f64();
    let client_cpu = own_cpu().saturating_sub(cpu);
    let after = Costs::read(client).await?;
    let (now, delivered) = (crowd.counts(), delivered());
    let hub_cpu = Option::zip(before.cpu_seconds, after.cpu_seconds);
    let hub_cpu = hub_cpu.map(|(before, after)| after - before);
    Ok(Phase {
        rate: if let Pace::Rate(rate) = pace { Some(rate) } else { None },
        published: Published::new(&outcome, plan.time),
        delivered,
        expected,
        delivery_seconds: rounded(seconds),
        deliveries_per_second: rounded(delivered as f64 / seconds),
        latency_ms: Quantiles::of(&crowd.take_latencies()),
        hub_cpu_us_per_delivery: hub_cpu.map(|cpu| rounded(cpu * 1e6 / delivered.max(1) as f64)),
        hub_cores: hub_cpu.map(|cpu| rounded(cpu / seconds)),
        client_cores: rounded(client_cpu.as_secs_f64() / seconds),
        hub_memory_bytes: after.memory_bytes,
        streams_ended: counts.open.saturating_sub(now.open) as u64,
        foreign: now.foreign - counts.foreign,
    })
}

async fn publish(plan: &Plan, pace: Pace, start: Instant) -> anyhow::Result<Outcome> {
    let options = Options {
        addresses: vec![plan.address],
        connections: usize::from(plan.publishers),
        pipeline: 1,
        pace,
        until: Until::Time(plan.time),
    };
    let work = {
        let plan = plan.clone();
        // It ends with its time, or with the program.
        task::spawn_blocking(move || load::run(&options, |number| plan.publish(number)))
    };
    let what = if pace == Pace::Free { "at full speed, ms" } else { "at the rate, ms" };
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let done = shown(what, ms(plan.time), || ms(start.elapsed()), work).await?;
    done.context("publishing has panicked")?
}

impl Phase {
    /// What makes its figures doubtful.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let name = self.name();
        if self.client_cores >= CLIENT_CORES_MAX {
            remarks.push(format!(
                "{name}: this program used {:.2} processors itself and may be the limit; run it on \
                 another machine, or several of it",
                self.client_cores
            ));
        }
        let Published { late, unsent, .. } = self.published;
        if late + unsent > 0 {
            remarks.push(format!(
                "{name}: {} publishes found all publishers busy, {unsent} never had a turn: the \
                 hub does not answer as fast as the rate wants it",
                late + unsent
            ));
        }
        remarks
    }

    /// What must not be, in a sentence.
    pub(super) fn fault(&self) -> Option<String> {
        let Published { refused, refused_with, failed, publishes, .. } = self.published;
        let name = self.name();
        if let Some(status) = refused_with {
            return Some(format!("{name}: {refused} of {publishes} publishes refused ({status})"));
        }
        if failed > 0 {
            return Some(format!("{name}: {failed} of {publishes} publishes got no answer"));
        }
        let Self { delivered, expected, streams_ended, foreign, .. } = self;
        (delivered != expected || *streams_ended > 0).then(|| {
            format!(
                "{name}: {delivered} of {expected} deliveries came, {streams_ended} streams ended, \
                 {foreign} events told of a gap"
            )
        })
    }

    /// How it is named in the report.
    pub(super) fn name(&self) -> String {
        match self.rate {
            Some(rate) => format!("{rate} events/s"),
            None => "full speed".into(),
        }
    }
}

impl Published {
    fn new(outcome: &Outcome, time: Duration) -> Self {
        let seconds = outcome.elapsed.max(time).as_secs_f64();
        Self {
            seconds: rounded(seconds),
            publishes: outcome.sent,
            accepted: outcome.accepted,
            refused: outcome.refused,
            refused_with: outcome.refused_with,
            failed: outcome.failed,
            late: outcome.late,
            unsent: outcome.unsent,
            events_per_second: rounded(outcome.accepted as f64 / seconds),
            answer_ms: Quantiles::of(&outcome.answer_times),
        }
    }
}

impl Quantiles {
    fn of(times: &Histogram) -> Self {
        let ms = |share: f64| rounded(times.quantile(share).as_secs_f64() * 1e3);
        Self { p50: ms(0.5), p99: ms(0.99), p99_9: ms(0.999), max: ms(1.0) }
    }
}
