//! `patterns`: subscribers ask for patterns, and events go to very many topics that match.
//! Knows nothing of the systems.

use anyhow::Context;

use super::{Case, Scale, Work};
use crate::compare::{Audience, Posts, come};
use crate::crowd::{Crowd, Target};
use crate::figure::{Figure, Sample};
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "patterns",
    about: "1,000 subscribers ask for patterns over the topics `shop/S/KIND/ITEM` of 100 shops, 10 \
            kinds and 100 items: a fifth for all of a shop (`shop/7/*`), a fifth for the same by \
            names (`shop/7/{kind}/{item}`), a fifth for an item in all shops and kinds \
            (`shop/{shop}/{kind}/7`), a fifth for five pairs of a kind and an item each, and a \
            fifth for five pairs of a shop and a kind (`shop/7/orders/*`). 16 publishers, who wait \
            for each answer, send one event of 150 bytes to each topic; each matches eight \
            subscribers. They send as fast as they are answered: who answers before all have the \
            event may fall behind, and `received` says how far.",
    cases,
};

const CONNECT: Figure = Figure::cost("CPU per connect", "µs", 1);
const PUBLISH: Figure = Figure::cost("CPU per publish", "µs", 1);
const DELIVERY: Figure = Figure::cost("CPU per delivery", "µs", 2);
const ANSWERED: Figure = Figure::plain("publish answered, p50", "ms", 2);
const RECEIVED: Figure = Figure::plain("received, p50", "ms", 2);

const EVENT_BYTES: usize = 150;

/// How many shops, kinds and items there are, and subscribers of each of the five forms.
#[derive(Clone, Copy)]
struct Shape {
    shops: usize,
    kinds: usize,
    items: usize,
    /// A multiple of `shops` and of `items`, and a divisor of their products with `kinds`.
    of_a_form: usize,
}

const FULL: Shape = Shape { shops: 100, kinds: 10, items: 100, of_a_form: 200 };
const SMOKE: Shape = Shape { shops: 5, kinds: 4, items: 5, of_a_form: 10 };

impl Shape {
    fn topics(self) -> Vec<String> {
        let shops = 0..self.shops;
        let kinds = shops.flat_map(|shop| (0..self.kinds).map(move |kind| (shop, kind)));
        let topics = kinds.flat_map(|(shop, kind)| {
            (0..self.items).map(move |item| format!("shop/{shop}/kind-{kind}/{item}"))
        });
        topics.collect()
    }

    /// The selectors of each subscriber.
    fn subscribers(self) -> Vec<Vec<String>> {
        let Self { shops, kinds, items, of_a_form } = self;
        let forms: [(usize, &dyn Fn(usize) -> String); 5] = [
            (of_a_form, &|nth| format!("shop/{}/*", nth % shops)),
            (of_a_form, &|nth| format!("shop/{}/{{kind}}/{{item}}", nth % shops)),
            (of_a_form, &|nth| format!("shop/{{shop}}/{{kind}}/{}", nth % items)),
            (kinds * items, &|nth| format!("shop/{{shop}}/kind-{}/{}", nth % kinds, nth / kinds)),
            (kinds * shops, &|nth| format!("shop/{}/kind-{}/*", nth / kinds, nth % kinds)),
        ];
        let subscribers = forms.into_iter().flat_map(|(count, form)| {
            let selectors: Vec<String> = (0..count).map(form).collect();
            let each = count / of_a_form;
            selectors.chunks(each).map(<[String]>::to_vec).collect::<Vec<_>>()
        });
        subscribers.collect()
    }

    /// Subscribers that each topic matches.
    fn matches(self) -> u64 {
        let Self { shops, items, of_a_form, .. } = self;
        (2 * (of_a_form / shops) + of_a_form / items + 1 + 1) as u64
    }
}

fn cases(scale: Scale) -> Vec<Case> {
    let shape = scale.pick(FULL, SMOKE);
    let (subscribers, topics) = (5 * shape.of_a_form, shape.topics().len());
    vec![Case {
        name: format!("patterns-{topics}"),
        title: format!(
            "{} subscribers of patterns over {} topics",
            grouped(subscribers as u64),
            grouped(topics as u64)
        ),
        isolated: false,
        needs: &[Ability::Publish, Ability::Topics, Ability::Patterns],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, shape)),
    }]
}

fn run(subject: &mut dyn Subject, shape: Shape) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    Audience::warm(subject, EVENT_BYTES)?;
    let crowd = Crowd::start()?;
    let subscribers = shape.subscribers();
    let targets = subscribers.iter().map(|selectors| {
        let target = subject.selector_target(selectors, 0).map(Target::unordered);
        Ok((target.context("it knows no patterns")?, 1))
    });
    let targets = targets.collect::<anyhow::Result<Vec<_>>>()?;
    let came = come(subject.process(), &crowd, targets)?;
    sample.add(&CONNECT, came.cpu.as_secs_f64() * 1e6 / subscribers.len() as f64);

    let topics = shape.topics();
    let count = topics.len() as u64;
    // Not in order: what comes one after the other has nothing in common.
    let address = |nth: u64| (topics[scattered(nth, count) as usize].as_str(), nth);
    let deliveries = count * shape.matches();
    let posts = Posts { count, event_bytes: EVENT_BYTES, address: &address, deliveries };
    let posted = posts.send(subject, &crowd)?;
    sample.add(&PUBLISH, posted.cpu_per_publish_us());
    sample.add(&DELIVERY, posted.cpu_per_delivery_us());
    sample.add(&ANSWERED, posted.answer_times.quantile(0.5).as_secs_f64() * 1e3);
    sample.add(&RECEIVED, posted.latencies.quantile(0.5).as_secs_f64() * 1e3);
    posted.note(&mut sample, "patterns", &posts, &crowd);
    Ok(sample)
}

/// The number that has the turn at `nth` of `count`, each once, as long as `count` is no multiple
/// of the step.
pub(super) fn scattered(nth: u64, count: u64) -> u64 {
    /// A prime far from all sizes that are used.
    const STEP: u64 = 7_368_787;
    nth % count * STEP % count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a selector matches, said as simply as can be.
    fn matches(selector: &str, topic: &str) -> bool {
        let mut parts = topic.split('/');
        for wanted in selector.split('/') {
            match (wanted, parts.next()) {
                ("*", Some(_)) => return true,
                (wanted, Some(part)) if wanted.starts_with('{') || wanted == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    #[test]
    fn every_topic_matches_as_many_subscribers_as_is_said() {
        for shape in [FULL, SMOKE] {
            let subscribers = shape.subscribers();
            assert_eq!(subscribers.len(), 5 * shape.of_a_form);
            let topics = shape.topics();
            for topic in topics.iter().step_by(topics.len() / 50) {
                let matching = subscribers
                    .iter()
                    .filter(|selectors| selectors.iter().any(|selector| matches(selector, topic)));
                assert_eq!(matching.count() as u64, shape.matches(), "{topic}");
            }
        }
    }

    #[test]
    fn scattered_numbers_come_once_each() {
        for count in [1, 10, 100, 100_000] {
            let mut all: Vec<u64> = (0..count).map(|nth| scattered(nth, count)).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }
}
