//! `publish`: how fast events are acknowledged, one at a time and many at once.
//! Knows nothing of the systems.

use std::time::Duration;

use anyhow::Context;

use super::{Case, Scale, Work};
use crate::event::Stamp;
use crate::figure::{Figure, Sample};
use crate::load::{self, Outcome, Pace, Until};
use crate::measure::{self, OwnThreads};
use crate::report::grouped;
use crate::subject::{Ability, Door, Subject};

pub(super) const WORK: Work = Work {
    name: "publish",
    about: "Events of 150 bytes are published on one topic without subscribers, one a request, for \
            3 seconds on kept-alive connections: by one publisher that waits for each answer, by \
            many at once, and with several requests on their way on each connection. What counts \
            is the answer; with the log on disk it comes after the fsync.",
    cases,
};

const RATE: Figure = Figure::plain("acknowledged", "events/s", 0);
const CPU: Figure = Figure::cost("CPU per publish", "µs", 1);
const P50: Figure = Figure::cost("p50", "ms", 3);
const P99: Figure = Figure::cost("p99", "ms", 3);

const EVENT_BYTES: usize = 150;
const TOPIC: &str = "bench/publish";

/// How publishers come.
#[derive(Clone, Copy)]
struct Publishers {
    connections: usize,
    /// Requests on their way on each.
    pipeline: usize,
}

fn cases(scale: Scale) -> Vec<Case> {
    let publishers = |connections, pipeline| Publishers { connections, pipeline };
    let all = scale.pick(
        [publishers(1, 1), publishers(64, 1), publishers(1_024, 1), publishers(64, 16)],
        [publishers(1, 1), publishers(4, 1), publishers(16, 1), publishers(4, 4)],
    );
    let case = |publishers: Publishers| Case {
        name: publishers.name(),
        title: publishers.title(),
        isolated: false,
        needs: &[Ability::Publish],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, publishers, scale)),
    };
    all.into_iter().map(case).collect()
}

impl Publishers {
    fn name(self) -> String {
        match self {
            Self { connections, pipeline: 1 } => format!("publish-{connections}"),
            Self { connections, pipeline } => format!("publish-{connections}x{pipeline}"),
        }
    }

    fn title(self) -> String {
        match self {
            Self { connections: 1, .. } => "One publisher".to_owned(),
            Self { connections, pipeline: 1 } => {
                format!("{} in flight, each on its connection", grouped(connections as u64))
            }
            Self { connections, pipeline } => format!(
                "{} in flight, {pipeline} on each of {connections} connections",
                grouped((connections * pipeline) as u64)
            ),
        }
    }
}

fn run(subject: &mut dyn Subject, publishers: Publishers, scale: Scale) -> anyhow::Result<Sample> {
    let process = subject.process();
    let door = subject.door().context("it takes no requests")?;
    // Once before: interpreters compile what they have run often.
    load(&door, publishers, scale.pick(Duration::from_millis(500), Duration::from_millis(20)))?;
    let (threads, before) = (OwnThreads::now(), measure::cpu(process)?);
    let time = scale.pick(Duration::from_secs(3), Duration::from_millis(100));
    let outcome = load(&door, publishers, time)?;
    let busy = threads.busiest();
    let cpu = measure::cpu(process)?.saturating_sub(before);

    let mut sample = Sample::default();
    let answered = (outcome.accepted + outcome.refused).max(1) as f64;
    sample.add(&RATE, outcome.accepted as f64 / outcome.elapsed.as_secs_f64());
    sample.add(&CPU, cpu.as_secs_f64() * 1e6 / answered);
    sample.add(&P50, outcome.answer_times.quantile(0.5).as_secs_f64() * 1e3);
    sample.add(&P99, outcome.answer_times.quantile(0.99).as_secs_f64() * 1e3);
    let unanswered = outcome.refused + outcome.failed;
    if unanswered > 0 {
        let status = outcome.refused_with.map_or(String::new(), |status| format!(" ({status})"));
        let (unanswered, sent) = (grouped(unanswered), grouped(outcome.sent));
        sample.remark(format!("{unanswered} of {sent} publishes failed{status}."));
    }
    // One publisher that waits is the limit by its nature.
    if publishers.connections > 1
        && let Some(sentence) = busy.sentence("In all")
    {
        sample.remark(sentence);
    }
    Ok(sample)
}

fn load(door: &Door, publishers: Publishers, time: Duration) -> anyhow::Result<Outcome> {
    let options = load::Options {
        addresses: vec![door.address()],
        connections: publishers.connections,
        pipeline: publishers.pipeline,
        pace: Pace::Free,
        until: Until::Time(time),
    };
    load::run(&options, |number| door.request(TOPIC, &Stamp::now(number).data(EVENT_BYTES)))
}
