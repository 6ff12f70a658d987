//! `topics`: each subscriber has a topic of its own, and events go to one after the other.
//! Knows nothing of the systems.

use super::{Case, Scale, Work};
use crate::compare::{Audience, Posts, come};
use crate::crowd::Crowd;
use crate::figure::{Figure, Sample};
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "topics",
    about: "Each subscriber has a topic of its own. 16 publishers, who wait for each answer, send \
            events of 150 bytes to all topics in turn, so that each publish makes one delivery; \
            who answers before the subscriber has the event may fall behind. Memory is the \
            proportional set size (PSS) beyond that after one subscriber came and left.",
    cases,
};

const CONNECT: Figure = Figure::cost("CPU per connect", "µs", 1);
const IDLE_BYTES: Figure = Figure::plain("memory per idle connection", "B", 0);
const PUBLISH: Figure = Figure::cost("CPU per publish and delivery", "µs", 1);
const ANSWERED: Figure = Figure::plain("publish answered, p50", "ms", 2);
const RECEIVED: Figure = Figure::plain("received, p50", "ms", 2);

const EVENT_BYTES: usize = 150;
/// Events for each topic, unless that were more than these together.
const ROUNDS: u64 = 2;
const EVENTS_MAX: u64 = 40_000;
/// Few topics get more, so that there is enough to measure.
const EVENTS_MIN: u64 = 10_000;

fn cases(scale: Scale) -> Vec<Case> {
    let sizes: &[usize] = scale.pick(&[1_000, 10_000, 19_000], &[50]);
    let case = |topics: usize| Case {
        name: format!("topics-{topics}"),
        title: format!("{} topics of one subscriber each", grouped(topics as u64)),
        isolated: false,
        needs: &[Ability::Publish, Ability::Topics],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, topics, scale)),
    };
    sizes.iter().copied().map(case).collect()
}

fn run(subject: &mut dyn Subject, topics: usize, scale: Scale) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let start = Audience::warm(subject, EVENT_BYTES)?;
    let crowd = Crowd::start()?;
    let names: Vec<String> = (0..topics).map(|at| format!("bench/own/{at}")).collect();
    let targets = names.iter().map(|name| (subject.target(name, 0), 1));
    let came = come(subject.process(), &crowd, targets)?;
    let each = |value: f64| value / topics as f64;
    sample.add(&CONNECT, each(came.cpu.as_secs_f64() * 1e6));
    let bytes = came.memory.proportional as f64 - start.proportional as f64;
    sample.add(&IDLE_BYTES, each(bytes));

    let topics = topics as u64;
    let count = (topics * ROUNDS).clamp(scale.pick(EVENTS_MIN, 0), EVENTS_MAX);
    let address = |nth: u64| (names[(nth % topics) as usize].as_str(), nth / topics);
    let posts = Posts { count, event_bytes: EVENT_BYTES, address: &address, deliveries: count };
    let posted = posts.send(subject, &crowd)?;
    sample.add(&PUBLISH, posted.cpu_per_publish_us());
    sample.add(&ANSWERED, posted.answer_times.quantile(0.5).as_secs_f64() * 1e3);
    sample.add(&RECEIVED, posted.latencies.quantile(0.5).as_secs_f64() * 1e3);
    posted.note(&mut sample, "topics", &posts, &crowd);
    Ok(sample)
}
