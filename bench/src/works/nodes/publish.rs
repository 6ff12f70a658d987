//! `nodes-publish`: events one a request on one, two and three nodes, and what each part of it
//! costs. Knows nothing of the systems.

use std::time::Duration;

use super::{ENGINE, EVENT_BYTES, NODES, STEP_TIME_MAX, TOPIC, fleet, gather, note_refused};
use crate::compare::arrive;
use crate::crowd::Crowd;
use crate::event::Stamp;
use crate::figure::{Figure, Sample};
use crate::load::{self, Outcome, Pace, Until};
use crate::measure::OwnThreads;
use crate::subject::{Ability, Fleet, Subject};
use crate::works::{Case, Scale, Work};

pub(in crate::works) const WORK: Work = Work {
    name: "nodes-publish",
    about: "One, two and three nodes over one engine, with one stream at each. 64 publishers, dealt \
            out among the nodes, publish events of 150 bytes on one topic, one a request, for 3 \
            seconds: as fast as they are answered. All parts share one machine: what travels is \
            the CPU of each, not the events a second.",
    cases,
};

const RATE: Figure = Figure::plain("acknowledged", "events/s", 0);
const SENT: Figure = Figure::plain("engine sends per event", "B", 0);
const ANSWERED: Figure = Figure::plain("publish answered, p50", "ms", 2);
const RECEIVED: Figure = Figure::plain("received, p50", "ms", 2);

const PUBLISHERS: usize = 64;
const NODES_MAX: usize = 3;

fn cases(scale: Scale) -> Vec<Case> {
    let case = |nodes: usize| Case {
        name: format!("nodes-publish-{nodes}"),
        title: match nodes {
            1 => "64 publishers on one node".to_owned(),
            nodes => format!("64 publishers on {nodes} nodes"),
        },
        isolated: false,
        needs: &[Ability::Nodes, Ability::Publish],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, nodes, scale)),
    };
    (1..=NODES_MAX).map(case).collect()
}

fn run(subject: &mut dyn Subject, nodes: usize, scale: Scale) -> anyhow::Result<Sample> {
    let fleet = fleet(subject, nodes)?;
    let crowd = Crowd::start()?;
    let streams = fleet.nodes().iter().map(|node| (node.target(TOPIC, 0).unordered(), 1));
    gather(&crowd, &streams.collect::<Vec<_>>())?;
    // Once before: everything has been done, and all pages have been read.
    let first = load(fleet, scale.pick(Duration::from_millis(500), Duration::from_millis(50)))?;
    let had = arrive(&crowd, first.accepted * nodes as u64).events;
    fleet.settle(STEP_TIME_MAX)?;
    drop(crowd.take_latencies());

    let (threads, before) = (OwnThreads::now(), fleet.costs()?);
    let time = scale.pick(Duration::from_secs(3), Duration::from_millis(100));
    let outcome = load(fleet, time)?;
    let expected = outcome.accepted * nodes as u64;
    let counts = arrive(&crowd, had + expected);
    let busy = threads.busiest();
    let costs = fleet.costs()?.since(&before);

    let mut sample = Sample::default();
    let events = outcome.accepted;
    sample.add(&RATE, events as f64 / outcome.elapsed.as_secs_f64());
    sample.add(&ENGINE, costs.engine_us(events));
    sample.add(&NODES, costs.nodes_us(events));
    sample.add(&SENT, costs.engine_sent as f64 / events.max(1) as f64);
    sample.add(&ANSWERED, outcome.answer_times.quantile(0.5).as_secs_f64() * 1e3);
    sample.add(&RECEIVED, crowd.take_latencies().quantile(0.5).as_secs_f64() * 1e3);
    sample.delivered("deliveries", counts.events - had, expected);
    note_refused(&mut sample, &outcome);
    if let Some(sentence) = busy.sentence("In all") {
        sample.remark(sentence);
    }
    Ok(sample)
}

fn load(fleet: &Fleet, time: Duration) -> anyhow::Result<Outcome> {
    let doors = fleet.doors()?;
    let options = load::Options {
        addresses: doors.iter().map(|door| door.address()).collect(),
        connections: PUBLISHERS,
        pipeline: 1,
        pace: Pace::Free,
        until: Until::Time(time),
    };
    // All nodes are asked in the same words.
    load::run(&options, |number| doors[0].request(TOPIC, &Stamp::now(number).data(EVENT_BYTES)))
}
