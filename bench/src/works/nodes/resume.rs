//! `nodes-resume`: very many clients come back at once to a node that has just started, and get
//! all that they missed. Knows nothing of the systems.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{EVENT_BYTES, STEP_TIME_MAX, TOPIC, fleet, joined};
use crate::crowd::{Crowd, Probe, Target};
use crate::event::Stamp;
use crate::figure::{Figure, Sample};
use crate::measure;
use crate::report::grouped;
use crate::subject::{Ability, Fleet, Subject};
use crate::works::resume::storm;
use crate::works::{Case, Scale, Work};

pub(in crate::works) const WORK: Work = Work {
    name: "nodes-resume",
    about: "1,000 events of 150 bytes are published at one node while nobody listens. Then 5,000 \
            clients come back, each with the `Last-Event-ID` of the event before, and each must get \
            all 1,000 in order: at the same node, and at one that has just started. CPU and \
            time are from the first connection to the last event.",
    cases,
};

const ENGINE: Figure = Figure::cost("engine, CPU per client", "µs", 0);
const NODE: Figure = Figure::cost("node, CPU per client", "µs", 0);
const SENT: Figure = Figure::plain("engine sends", "MB", 1);
const TIME: Figure = Figure::plain("until the last has all", "s", 2);
const PEAK: Figure = Figure::plain("memory of the node at most", "MB", 0);

/// Events that are published in one go, before the clients come back.
const TOGETHER: u64 = 50;
/// The largest number of the events that are missed.
const EVENTS: u64 = 1_000;

fn cases(scale: Scale) -> Vec<Case> {
    let clients = scale.pick(5_000, 20);
    let case = |name: &str, at: &str, fresh| Case {
        name: format!("nodes-resume-{name}"),
        title: format!(
            "{} clients come back to {at} for {} events each",
            grouped(clients as u64),
            grouped(EVENTS)
        ),
        isolated: false,
        needs: &[Ability::Nodes, Ability::Resume],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, clients, fresh)),
    };
    vec![case("same", "the same node", false), case("fresh", "a node that has just started", true)]
}

fn run(subject: &mut dyn Subject, clients: usize, fresh: bool) -> anyhow::Result<Sample> {
    let fleet = fleet(subject, 1)?;
    let id = published(fleet)?;
    if fresh {
        fleet.grow(2)?;
    }
    let node = fleet.nodes().last().context("it has nodes")?;
    let (target, process) = (node.target(TOPIC, 1).after(&id), node.process());
    let crowd = Crowd::start()?;
    fleet.settle(STEP_TIME_MAX)?;

    let (began, before) = (Instant::now(), fleet.costs()?);
    crowd.connect(target, clients);
    let expected = EVENTS * clients as u64;
    let mut peak = 0;
    let time = storm(&crowd, expected, began, || {
        peak = peak.max(measure::memory(process)?.proportional);
        Ok(())
    })?;
    fleet.settle(Duration::from_secs(10))?;
    let costs = fleet.costs()?.since(&before);

    let counts = crowd.counts();
    let mut sample = Sample::default();
    sample.add(&ENGINE, costs.engine_us(clients as u64));
    sample.add(&NODE, costs.nodes_us(clients as u64));
    sample.add(&SENT, costs.engine_sent as f64 / 1e6);
    sample.add(&TIME, time.as_secs_f64());
    sample.add(&PEAK, peak.max(measure::memory(process)?.proportional) as f64 / 1e6);
    sample.delivered("events", counts.events, expected);
    if counts.faults() > 0 {
        sample.remark(format!("{}.", counts.what_went_wrong()));
    }
    Ok(sample)
}

/// Publishes event 0, which somebody gets, and those that all will have missed; gives the id of
/// the first.
fn published(fleet: &mut Fleet) -> anyhow::Result<String> {
    let target: Target = fleet.target(TOPIC, 0);
    let mut probe = Probe::open(&target).context("nobody can listen")?;
    joined();
    fleet.publish(TOPIC, &[Stamp::now(0).data(EVENT_BYTES)])?;
    let id = probe.id().context("the first event did not come")?;
    let mut next = 1;
    while next <= EVENTS {
        let end = (next + TOGETHER).min(EVENTS + 1);
        let data = |number| Stamp::now(number).data(EVENT_BYTES);
        let go: Vec<String> = (next..end).map(data).collect();
        fleet.publish(TOPIC, &go)?;
        next = end;
    }
    Ok(id)
}
