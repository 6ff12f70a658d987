//! `flood`: one topic for a crowd, as fast as it gets the events and at fixed rates.
//! Knows nothing of the systems.

use std::time::Duration;

use super::{Case, Scale, Work};
use crate::compare::{Audience, Flow, Flowed};
use crate::figure::{Figure, Sample};
use crate::load::Pace;
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "flood",
    about: "Events of 150 bytes on one topic for all, published for 3 seconds on 64 connections, \
            each waiting for its answers. As fast as possible: publishers are held back only \
            where they are more than 64 events ahead of the crowd. At a rate: each event is due \
            at a fixed time, and its time to arrive counts from then, however late it could be \
            published. CPU is that of the server for publishing and delivering; the client is one \
            thread for publishing and one for the crowd, on the same machine.",
    cases,
};

const RATE: Figure = Figure::plain("deliveries", "/s", 0);
const CPU: Figure = Figure::cost("CPU per delivery", "µs", 2);
const LOST: Figure = Figure::plain("lost", "%", 2);
pub(super) const P50: Figure = Figure::cost("p50", "ms", 2);
pub(super) const P99: Figure = Figure::cost("p99", "ms", 2);

pub(super) const EVENT_BYTES: usize = 150;

fn cases(scale: Scale) -> Vec<Case> {
    let free = scale.pick([1_000, 10_000], [20, 50]).map(|connections: usize| Case {
        name: format!("flood-{connections}"),
        title: format!("{} connections, as fast as possible", grouped(connections as u64)),
        isolated: false,
        needs: &[Ability::Publish],
        // It joins nothing by itself: `crowd` has what it costs then.
        beside_limit: false,
        run: Box::new(move |subject| run(subject, connections, Pace::Free, scale)),
    });
    let connections = scale.pick(1_000, 20);
    let rates = scale.pick([200_000, 500_000, 1_000_000], [2_000, 4_000, 8_000]);
    let offered = rates.map(|rate: u64| Case {
        name: format!("flood-{connections}-at-{rate}"),
        title: format!(
            "{} connections, {} deliveries a second offered",
            grouped(connections as u64),
            grouped(rate)
        ),
        isolated: false,
        needs: &[Ability::Publish],
        beside_limit: false,
        run: Box::new(move |subject| {
            run(subject, connections, Pace::Rate(rate as f64 / connections as f64), scale)
        }),
    });
    free.into_iter().chain(offered).collect()
}

fn run(
    subject: &mut dyn Subject,
    connections: usize,
    pace: Pace,
    scale: Scale,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let flowed = flow(subject, connections, pace, scale)?;
    sample.add(&RATE, flowed.deliveries_per_second());
    sample.add(&CPU, flowed.cpu_per_event_us());
    sample.add(&P50, flowed.latency_ms(0.5));
    sample.add(&P99, flowed.latency_ms(0.99));
    sample.add(&LOST, flowed.lost_percent());
    flowed.note("In all", &mut sample);
    Ok(sample)
}

/// A crowd comes, gets events at this pace, and leaves.
pub(super) fn flow(
    subject: &mut dyn Subject,
    connections: usize,
    pace: Pace,
    scale: Scale,
) -> anyhow::Result<Flowed> {
    Audience::warm(subject, EVENT_BYTES)?;
    let (mut audience, _) = Audience::gather(subject, connections)?;
    let time = scale.pick(Duration::from_secs(3), Duration::from_millis(200));
    audience.flow(&Flow { pace, time, event_bytes: EVENT_BYTES, first: 0 })
}
