//! `nodes-append`: very many events in streamed requests, into one engine through one, two and
//! three nodes, beside what the engine takes by itself. Knows nothing of the systems.

use std::time::Instant;

use anyhow::{Context, anyhow};

use super::{ENGINE, EVENT_BYTES, NODES, STEP_TIME_MAX, fleet};
use crate::engine::Taken;
use crate::figure::{Figure, Sample};
use crate::measure::OwnThreads;
use crate::publish::Publisher;
use crate::report::grouped;
use crate::subject::{Ability, Fleet, Subject};
use crate::works::ndjson::{HEADERS, PIECE_LINES, piece, post};
use crate::works::{Case, Scale, Work};

pub(in crate::works) const WORK: Work = Work {
    name: "nodes-append",
    about: "500,000 events of 150 bytes as NDJSON, in a request to each node at the same time, into \
            one engine. Before and after, `redis-benchmark -P 64` appends as many entries of 200 \
            bytes (an event with its topic and head) to a stream of the same Redis by 50 \
            connections: what it takes of others who give each entry by itself. Of NATS there is \
            no such tool.",
    cases,
};

const RATE: Figure = Figure::plain("in", "events/s", 0);
const LIMIT: Figure = Figure::plain("`redis-benchmark` XADD", "entries/s", 0);
const SHARE: Figure = Figure::plain("of its rate", "×", 2);
const LIMIT_CPU: Figure = Figure::plain("Redis, CPU per XADD", "µs", 2);

/// What an event of this size is, as it is kept.
const ENTRY_BYTES: usize = 200;
const NODES_MAX: usize = 3;

fn cases(scale: Scale) -> Vec<Case> {
    let events = scale.pick(500_000, 6_000);
    let case = |nodes: usize| Case {
        name: format!("nodes-append-{nodes}"),
        title: match nodes {
            1 => format!("{} events through one node", grouped(events as u64)),
            nodes => format!("{} events through {nodes} nodes", grouped(events as u64)),
        },
        isolated: false,
        needs: &[Ability::Nodes, Ability::Stream],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, nodes, events)),
    };
    (1..=NODES_MAX).map(case).collect()
}

fn run(subject: &mut dyn Subject, nodes: usize, events: usize) -> anyhow::Result<Sample> {
    let fleet = fleet(subject, nodes)?;
    let piece = piece(EVENT_BYTES);
    let times = (events / PIECE_LINES / nodes).max(1);
    let events = (times * PIECE_LINES * nodes) as u64;
    // Once before: everything has been done, and all pages have been read.
    send(fleet, &piece, 1)?;
    let limit_before = limit(fleet, events)?;
    fleet.settle(STEP_TIME_MAX)?;

    let (threads, before) = (OwnThreads::now(), fleet.costs()?);
    let start = Instant::now();
    send(fleet, &piece, times)?;
    let rate = events as f64 / start.elapsed().as_secs_f64();
    let busy = threads.busiest();
    // What is kept is still to be heard by the other nodes.
    fleet.settle(STEP_TIME_MAX)?;
    let costs = fleet.costs()?.since(&before);
    let limit_after = limit(fleet, events)?;

    let mut sample = Sample::default();
    sample.add(&RATE, rate);
    sample.add(&ENGINE, costs.engine_us(events));
    sample.add(&NODES, costs.nodes_us(events));
    if let (Some(before), Some(after)) = (limit_before, limit_after) {
        let limit = f64::midpoint(before.rate, after.rate);
        sample.add(&LIMIT, limit);
        sample.add(&SHARE, rate / limit);
        sample.add(&LIMIT_CPU, f64::midpoint(before.cpu_us, after.cpu_us));
    }
    if let Some(sentence) = busy.sentence("In all") {
        sample.remark(sentence);
    }
    Ok(sample)
}

fn limit(fleet: &Fleet, entries: u64) -> anyhow::Result<Option<Taken>> {
    fleet.engine().take(entries, ENTRY_BYTES)
}

/// The piece goes so many times to each node, by a request each, all at once.
fn send(fleet: &Fleet, piece: &str, times: usize) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let send = |door: crate::subject::Door| {
            scope.spawn(move || {
                let mut publisher = Publisher::connect(door.address(), HEADERS)?;
                post(&mut publisher, piece, times)
            })
        };
        let threads: Vec<_> = fleet.doors()?.into_iter().map(send).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a publisher has panicked"))?.context("NDJSON")?;
        }
        Ok(())
    })
}
