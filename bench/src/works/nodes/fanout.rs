//! `nodes-fanout`: what an event costs the engine as subscribers become more; it must be flat.
//! Knows nothing of the systems.

use std::time::{Duration, Instant};

use super::{EVENT_BYTES, STEP_TIME_MAX, TOPIC, fleet, gather};
use crate::compare::arrive;
use crate::crowd::Crowd;
use crate::event::Stamp;
use crate::figure::{Figure, Sample};
use crate::report::grouped;
use crate::subject::{Ability, Costs, Fleet, Subject};
use crate::works::{Case, Scale, Work};

pub(in crate::works) const WORK: Work = Work {
    name: "nodes-fanout",
    about: "Two nodes over one engine, half of the subscribers at each, all on one topic; events of \
            150 bytes are published at one of them, one at a time, ten a second. What an idle engine \
            does by itself is measured before, and taken off.",
    cases,
};

/// Of each point; the title says how many subscribers.
const ENGINE: Figure = Figure::cost("engine, CPU per event", "µs", 0);
const SENT: Figure = Figure::plain("engine sends per event", "B", 0);
const NODES: Figure = Figure::cost("nodes, CPU per delivery", "µs", 2);

const NODES_EACH: usize = 2;
const INTERVAL: Duration = Duration::from_millis(100);

fn cases(scale: Scale) -> Vec<Case> {
    let points: &'static [usize] = scale.pick(&[2, 100, 1_000, 10_000], &[2, 20]);
    vec![Case {
        name: "nodes-fanout".to_owned(),
        title: "One event at a time, by subscribers at two nodes".to_owned(),
        isolated: false,
        needs: &[Ability::Nodes],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, points, scale)),
    }]
}

fn run(subject: &mut dyn Subject, points: &[usize], scale: Scale) -> anyhow::Result<Sample> {
    let fleet = fleet(subject, NODES_EACH)?;
    let crowd = Crowd::start()?;
    let mut sample = Sample::default();
    let events = scale.pick(100, 2);
    let (mut here, mut next) = (0, 0);
    let mut measured = Vec::new();
    for &subscribers in points {
        let more = (subscribers - here) / NODES_EACH;
        here = subscribers;
        let targets = fleet.nodes().iter().map(|node| (node.target(TOPIC, next), more));
        gather(&crowd, &targets.collect::<Vec<_>>())?;
        // The first event finds what was needed for connecting in the caches.
        publish(fleet, &crowd, &mut next, 1)?;
        let costs = beyond_idle(fleet, |fleet| publish(fleet, &crowd, &mut next, events))?;
        measured.push((subscribers, costs));
    }
    let columns: [(Figure, &Price<'_>); 3] = [
        (ENGINE, &|costs, _| costs.engine_us(events)),
        (SENT, &|costs, _| costs.engine_sent as f64 / events as f64),
        (NODES, &|costs, subscribers| costs.nodes_us(events * subscribers as u64)),
    ];
    for (figure, price) in &columns {
        for (subscribers, costs) in &measured {
            let title = format!("{}, {} subscribers", figure.title, grouped(*subscribers as u64));
            sample.add(&figure.titled(title), price(costs, *subscribers));
        }
    }
    let counts = crowd.counts();
    if counts.faults() > 0 {
        sample.remark(format!("{}.", counts.what_went_wrong()));
    }
    Ok(sample)
}

/// A figure of a point, from what all parts ran and the number of subscribers.
type Price<'a> = dyn Fn(&Costs, usize) -> f64 + 'a;

/// What all parts ran while this was done, without what they run when nothing is.
fn beyond_idle(
    fleet: &mut Fleet,
    work: impl FnOnce(&mut Fleet) -> anyhow::Result<()>,
) -> anyhow::Result<Costs> {
    fleet.settle(STEP_TIME_MAX)?;
    // What is done once, as after a start, is not what is done all the time.
    let (one, other) = (idle(fleet)?, idle(fleet)?);
    let (idle_time, idle) = if one.1.engine < other.1.engine { one } else { other };
    let (start, before) = (Instant::now(), fleet.costs()?);
    work(fleet)?;
    let (time, all) = (start.elapsed(), fleet.costs()?.since(&before));
    let share = time.as_secs_f64() / idle_time.as_secs_f64();
    let less = |all: Duration, idle: Duration| all.saturating_sub(idle.mul_f64(share));
    Ok(Costs {
        engine: less(all.engine, idle.engine),
        nodes: all.nodes.iter().zip(&idle.nodes).map(|(all, idle)| less(*all, *idle)).collect(),
        engine_sent: all.engine_sent.saturating_sub((idle.engine_sent as f64 * share) as u64),
    })
}

/// What all parts run while nothing is published, and for how long that was.
fn idle(fleet: &Fleet) -> anyhow::Result<(Duration, Costs)> {
    let (start, before) = (Instant::now(), fleet.costs()?);
    std::thread::sleep(INTERVAL * 30);
    Ok((start.elapsed(), fleet.costs()?.since(&before)))
}

/// Publishes at the first node, one event at a time, each when all have the one before.
fn publish(fleet: &mut Fleet, crowd: &Crowd, next: &mut u64, events: u64) -> anyhow::Result<()> {
    let counts = crowd.counts();
    let mut expected = counts.events;
    let mut due = Instant::now();
    for _ in 0..events {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due = due.max(Instant::now()) + INTERVAL;
        fleet.publish(TOPIC, &[Stamp::now(*next).data(EVENT_BYTES)])?;
        *next += 1;
        expected += counts.open as u64;
        if arrive(crowd, expected).events < expected {
            // There is no use in going on: the counts say what is missing.
            break;
        }
    }
    Ok(())
}
