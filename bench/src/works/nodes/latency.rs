//! `nodes-latency`: how long an event takes with an engine between, and without.
//! Knows nothing of the systems.

use std::time::Duration;

use anyhow::Context;

use super::{EVENT_BYTES, STEP_TIME_MAX, TOPIC, gather, note_refused};
use crate::compare::arrive;
use crate::crowd::{Crowd, Target};
use crate::event::{Stamp, now_ns};
use crate::figure::{Figure, Sample};
use crate::histogram::Histogram;
use crate::load::{self, Pace, Until};
use crate::measure;
use crate::subject::{Ability, Door, Subject};
use crate::works::{Case, Scale, Work};

pub(in crate::works) const WORK: Work = Work {
    name: "nodes-latency",
    about: "From publishing to receiving, of each event of 150 bytes on each of 100 streams, 200 \
            events a second by a timetable of 10 seconds; an event that could not be published in \
            time counts from when it was due. Without an engine (one server, in memory) and with \
            one: at the node that was published to, and at another one.",
    cases,
};

const P50: Figure = Figure::cost("at the same node, p50", "ms", 2);
const P99: Figure = Figure::cost("at the same node, p99", "ms", 2);
const OTHER_P50: Figure = Figure::cost("at another node, p50", "ms", 2);
const OTHER_P99: Figure = Figure::cost("at another node, p99", "ms", 2);
const ANSWERED: Figure = Figure::cost("publish answered, p50", "ms", 2);

const STREAMS: usize = 100;
const RATE: f64 = 200.0;
/// Connections that events are published on: enough for those that are due meanwhile.
const PUBLISHERS: usize = 4;

fn cases(scale: Scale) -> Vec<Case> {
    vec![Case {
        name: "nodes-latency".to_owned(),
        title: format!("{STREAMS} streams, {RATE:.0} events a second"),
        isolated: false,
        needs: &[Ability::Twin, Ability::Publish],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, scale)),
    }]
}

fn run(subject: &mut dyn Subject, scale: Scale) -> anyhow::Result<Sample> {
    let door = subject.door().context("it takes no requests")?;
    let here = subject.target(TOPIC, 0).unordered();
    let mut processes = vec![subject.process()];
    let mut there = None;
    if let Some(fleet) = subject.fleet() {
        fleet.grow(2)?;
        there = Some(fleet.nodes()[1].target(TOPIC, 0).unordered());
        processes = fleet.nodes().iter().map(|node| node.process()).collect();
        processes.push(fleet.engine().process());
    }
    let mut sample = Sample::default();
    let (latencies, answers) = travel(&door, &here, &processes, scale, &mut sample)?;
    add(&mut sample, [&P50, &P99], &latencies);
    if let Some(there) = there {
        let (latencies, _) = travel(&door, &there, &processes, scale, &mut sample)?;
        add(&mut sample, [&OTHER_P50, &OTHER_P99], &latencies);
    }
    sample.add(&ANSWERED, ms(&answers, 0.5));
    Ok(sample)
}

fn add(sample: &mut Sample, [p50, p99]: [&Figure; 2], latencies: &Histogram) {
    sample.add(p50, ms(latencies, 0.5));
    sample.add(p99, ms(latencies, 0.99));
}

fn ms(times: &Histogram, share: f64) -> f64 {
    times.quantile(share).as_secs_f64() * 1e3
}

/// Events go in by the door and come out at the target: the times to there, and to the answer.
fn travel(
    door: &Door,
    target: &Target,
    processes: &[u32],
    scale: Scale,
    sample: &mut Sample,
) -> anyhow::Result<(Histogram, Histogram)> {
    let crowd = Crowd::start()?;
    gather(&crowd, &[(target.clone(), STREAMS)])?;
    let options = |time| load::Options {
        addresses: vec![door.address()],
        connections: PUBLISHERS,
        pipeline: 1,
        pace: Pace::Rate(RATE),
        until: Until::Time(time),
    };
    let run = |time| {
        let start_ns = now_ns();
        load::run(&options(time), |number| {
            let due_ns = start_ns + (number as f64 / RATE * 1e9) as u64;
            // The connections were opened meanwhile: nothing is due before it is sent.
            let stamp = Stamp { number, time_ns: due_ns.max(start_ns).min(now_ns()) };
            door.request(TOPIC, &stamp.data(EVENT_BYTES))
        })
    };
    let first = run(scale.pick(Duration::from_secs(1), Duration::from_millis(50)))?;
    let had = arrive(&crowd, first.accepted * STREAMS as u64).events;
    for process in processes {
        measure::settle(*process, STEP_TIME_MAX)?;
    }
    drop(crowd.take_latencies());
    let outcome = run(scale.pick(Duration::from_secs(10), Duration::from_millis(200)))?;
    let expected = outcome.accepted * STREAMS as u64;
    let counts = arrive(&crowd, had + expected);
    sample.delivered("deliveries", counts.events - had, expected);
    note_refused(sample, &outcome);
    Ok((crowd.take_latencies(), outcome.answer_times))
}
