//! `growth`: what a delivery costs as connections and topics become more; it must be flat.
//! Knows nothing of the systems.

use anyhow::Context;

use super::patterns::scattered;
use super::{Case, Scale, Work};
use crate::compare::{Audience, Pace, Posts, come, left};
use crate::crowd::{Crowd, Target};
use crate::figure::{Figure, Sample};
use crate::measure;
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "growth",
    about: "What is to stay flat as a hub grows. Connections: CPU per delivery of one topic's \
            events of 150 bytes, one at a time, to a crowd that becomes larger; each delivery bears \
            its share of the publish, which weighs most where they are few. Topics: 1,000 \
            subscribers hold all topics among them (up to 100 each; where there are fewer topics, \
            the other subscribers have one that nothing is published on), 16 publishers send \
            events to topics in a scattered order, and each makes one delivery.",
    cases,
};

/// Of the connections' case; each column says how many there are.
pub(crate) const DELIVERY: Figure = Figure::cost("CPU per delivery", "µs", 2);
/// Of the topics' case.
pub(crate) const PUBLISH: Figure = Figure::cost("CPU per publish and delivery", "µs", 1);
const TOPIC_BYTES: Figure = Figure::plain("memory per topic", "B", 0);

/// The cases' names begin so.
pub(crate) const CONNECTIONS: &str = "growth-connections";
pub(crate) const TOPICS: &str = "growth-topics";

const EVENT_BYTES: usize = 150;
const RATE: f64 = 100.0;
const DELIVERIES_PER_SECOND: f64 = 50_000.0;
/// Deliveries that are enough to measure, and events where they are many.
const DELIVERIES: usize = 30_000;
const EVENTS_MIN: usize = 10;

const SUBSCRIBERS: usize = 1_000;
const SELECTORS_MAX: usize = 100;
/// Nobody publishes here.
const SILENT: &str = "bench/silent";

fn cases(scale: Scale) -> Vec<Case> {
    let connections: &'static [usize] =
        scale.pick(&[100, 300, 1_000, 3_000, 10_000, 19_000], &[10, 50]);
    let topics: &'static [usize] = scale.pick(&[1, 10, 100, 1_000, 10_000, 100_000], &[1, 100]);
    // Of the others it is known that they grow: `crowd` and `topics` tell their figures.
    let needs: &[Ability] = &[Ability::Publish, Ability::Patterns];
    vec![
        Case {
            name: CONNECTIONS.to_owned(),
            title: "CPU per delivery, by connections".to_owned(),
            isolated: false,
            needs,
            beside_limit: true,
            run: Box::new(move |subject| over_connections(subject, connections, scale)),
        },
        Case {
            name: TOPICS.to_owned(),
            title: "CPU per publish and delivery, by topics".to_owned(),
            isolated: false,
            needs,
            beside_limit: false,
            run: Box::new(move |subject| over_topics(subject, topics, scale)),
        },
    ]
}

/// The figure of one point; its title says how many there are of what.
pub(crate) fn point(figure: &Figure, number: usize, what: &str) -> Figure {
    let name = if number == 1 { what.trim_end_matches('s') } else { what };
    figure.titled(format!("{} {name}", grouped(number as u64)))
}

/// How many a point's title says that there are; `None` where it is of something else.
pub(crate) fn number(title: &str, what: &str) -> Option<u64> {
    let (number, of) = title.split_once(' ')?;
    let one = what.trim_end_matches('s');
    (of == what || of == one).then(|| number.replace(',', "").parse().ok())?
}

fn over_connections(
    subject: &mut dyn Subject,
    points: &[usize],
    scale: Scale,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    Audience::warm(subject, EVENT_BYTES)?;
    let (mut audience, _) = Audience::gather(subject, 0)?;
    let mut here = 0;
    for &connections in points {
        audience.grow(connections - here)?;
        here = connections;
        let events = scale.pick((DELIVERIES / connections).max(EVENTS_MIN), 2) as u64;
        let pace = Pace {
            connections,
            events,
            together: 1,
            event_bytes: EVENT_BYTES,
            rate: RATE.min(DELIVERIES_PER_SECOND / connections as f64),
        };
        // The first event finds what was needed for connecting in the caches.
        audience.get(Pace { events: 1, ..pace })?;
        let delivered = audience.get(pace)?;
        let figure = point(&DELIVERY, connections, "connections");
        sample.add(&figure, delivered.cpu_per_event_us());
        sample.delivered(&figure.title, delivered.events, events * connections as u64);
    }
    Ok(sample)
}

fn over_topics(
    subject: &mut dyn Subject,
    points: &[usize],
    scale: Scale,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let process = subject.process();
    Audience::warm(subject, EVENT_BYTES)?;
    let files = measure::files_of(process)?;
    let mut memory = Vec::new();
    for &topics in points {
        let names: Vec<String> = (0..topics).map(|at| format!("bench/many/{at}")).collect();
        let crowd = Crowd::start()?;
        let subscribers = scale.pick(SUBSCRIBERS, 20);
        let came = come(process, &crowd, streams(subject, &names, subscribers)?)?;
        memory.push(came.memory.proportional as f64);

        let count = scale.pick(40_000, 200);
        let all = topics as u64;
        let address = |nth: u64| (names[scattered(nth, all) as usize].as_str(), nth);
        let posts = Posts { count, event_bytes: EVENT_BYTES, address: &address, deliveries: count };
        let posted = posts.send(subject, &crowd)?;
        let figure = point(&PUBLISH, topics, "topics");
        sample.add(&figure, posted.cpu_per_publish_us());
        posted.note(&mut sample, &figure.title, &posts, &crowd);
        drop(crowd);
        left(process, files)?;
    }
    if let ([.., few, many], [.., fewer, more]) = (&memory[..], points) {
        sample.add(&TOPIC_BYTES, (many - few) / (more - fewer) as f64);
    }
    Ok(sample)
}

/// So many subscribers among whom all topics are dealt out.
fn streams(
    subject: &dyn Subject,
    names: &[String],
    subscribers: usize,
) -> anyhow::Result<Vec<(Target, usize)>> {
    let each = names.len().div_ceil(subscribers);
    assert!(each <= SELECTORS_MAX, "a subscriber may have {SELECTORS_MAX} selectors");
    let mut streams = Vec::new();
    for selectors in names.chunks(each) {
        let target = subject.selector_target(selectors, 0).map(Target::unordered);
        streams.push((target.context("it takes no list of topics")?, 1));
    }
    let silent = subscribers - streams.len();
    streams.push((subject.target(SILENT, 0), silent));
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_found_by_its_title() {
        for points in [1, 10, 19_000] {
            let title = point(&PUBLISH, points, "topics").title;
            assert_eq!(number(&title, "topics"), Some(points as u64), "{title}");
            assert_eq!(number(&title, "connections"), None);
        }
        assert_eq!(number(&TOPIC_BYTES.title, "topics"), None);
    }
}
