//! `crowd`: connecting, being idle, and getting one topic's events, one at a time and in bursts.
//! Knows nothing of the systems.

use std::time::Duration;

use super::{Case, Scale, Work};
use crate::compare::{Audience, Delivered, Pace};
use crate::figure::{Figure, Sample};
use crate::report::grouped;
use crate::subject::Subject;

pub(super) const WORK: Work = Work {
    name: "crowd",
    about: "A crowd connects, is idle, and gets events of 150 bytes on one topic: one at a time, \
            and 4, 16 and 64 published in one go. The next ones are published when all have these, \
            so the server is never behind. Memory is the proportional set size (PSS) beyond that \
            after one subscriber came and left. Isolated: the receiver's TCP work is done by the \
            other processor, as by another machine.",
    cases,
};

pub(crate) const CONNECT: Figure = Figure::cost("CPU per connect", "µs", 1);
pub(crate) const IDLE_BYTES: Figure = Figure::plain("memory per idle connection", "B", 0);
const USED_BYTES: Figure = Figure::plain("after events", "B", 0);
pub(crate) const DELIVERY: Figure = Figure::cost("CPU per delivery", "µs", 2);
const IDLE_CPU: Figure = Figure::plain("idle CPU", "ms/s", 2);
const LATENCY: Figure = Figure::plain("to the last, p50", "ms", 1);

/// Events of one go, and the figure of its cost.
const GOES: [(u64, Figure); 4] = [
    (1, DELIVERY),
    (4, Figure::cost("4 in a go", "µs", 2)),
    (16, Figure::cost("16 in a go", "µs", 3)),
    (64, Figure::cost("64 in a go", "µs", 3)),
];

const EVENT_BYTES: usize = 150;
/// Goes a second, at most: fewer where that were more deliveries than leave any machine room.
const RATE: f64 = 20.0;
const DELIVERIES_PER_SECOND: f64 = 50_000.0;

fn cases(scale: Scale) -> Vec<Case> {
    let plain = scale.pick([1_000, 10_000], [20, 50]);
    let isolated = scale.pick([1_000], [20]);
    let case = |connections: usize, isolated: bool| Case {
        name: format!("crowd-{connections}{}", if isolated { "-isolated" } else { "" }),
        title: format!(
            "A crowd of {}{}",
            grouped(connections as u64),
            if isolated { ", isolated" } else { "" }
        ),
        isolated,
        needs: &[],
        beside_limit: true,
        run: Box::new(move |subject| run(subject, connections, scale)),
    };
    let plain = plain.map(|connections| case(connections, false));
    plain.into_iter().chain(isolated.map(|connections| case(connections, true))).collect()
}

fn run(subject: &mut dyn Subject, connections: usize, scale: Scale) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let start = Audience::warm(subject, EVENT_BYTES)?;
    let (mut audience, came) = Audience::gather(subject, connections)?;
    let each = |value: f64| value / connections as f64;
    let bytes = |now: u64| each(now as f64 - start.proportional as f64);
    sample.add(&CONNECT, each(came.cpu.as_secs_f64() * 1e6));
    sample.add(&IDLE_BYTES, bytes(came.memory.proportional));
    let idle = Duration::from_secs(scale.pick(3, 0)) + Duration::from_millis(100);
    sample.add(&IDLE_CPU, audience.idle(idle)?.as_secs_f64() * 1e3 / idle.as_secs_f64());

    for (together, figure) in GOES {
        // Large goes are many events: fewer of them tell as much.
        let goes = scale.pick(if connections > 1_000 { 12 } else { 40 }, 2);
        let goes = (goes / together.isqrt()).max(2);
        let pace = Pace {
            connections,
            events: goes * together,
            together,
            event_bytes: EVENT_BYTES,
            rate: RATE.min(DELIVERIES_PER_SECOND / connections as f64),
        };
        let delivered = audience.get(pace)?;
        sample.add(&figure, delivered.cpu_per_event_us());
        if together == 1 {
            sample.add(&LATENCY, delivered.last.quantile(0.5).as_secs_f64() * 1e3);
        }
        note(&mut sample, &figure, pace, &delivered);
    }
    sample.add(&USED_BYTES, bytes(audience.memory()?.proportional));
    Ok(sample)
}

fn note(sample: &mut Sample, figure: &Figure, pace: Pace, delivered: &Delivered) {
    let expected = pace.events * pace.connections as u64;
    sample.delivered(&figure.title, delivered.events, expected);
    if crate::isolate::is_inside() && delivered.sent_again > 0 {
        sample.remark(format!(
            "{}: void, {} TCP segments had to be sent again.",
            figure.title, delivered.sent_again
        ));
    }
}
