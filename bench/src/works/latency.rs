//! `latency`: how long an event takes at half of what a system can, and at one rate for all.
//! Knows nothing of the systems.

use super::flood::{self, P50, P99};
use super::{Case, Scale, Work};
use crate::figure::{Figure, Sample};
use crate::load::Pace;
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "latency",
    about: "From publishing to receiving, of each event of 150 bytes on each of 1,000 connections, \
            by a timetable of 3 seconds: an event that could not be published in time counts from \
            when it was due. At half load: a flood of the same server, just before, says what its \
            highest rate is. At one rate: the same for all.",
    cases,
};

const HIGHEST: Figure = Figure::plain("highest rate", "deliveries/s", 0);
const P999: Figure = Figure::cost("p99.9", "ms", 2);

/// Events a second that every system can take.
const RATE: f64 = 50.0;

/// Fewer say little of one in a thousand.
const SAMPLES_MIN: u64 = 10_000;

fn cases(scale: Scale) -> Vec<Case> {
    let connections = scale.pick(1_000, 20);
    let case = |name: &str, title: String, half: bool| Case {
        name: format!("latency-{name}"),
        title,
        isolated: false,
        needs: if half { &[Ability::Publish] } else { &[] },
        beside_limit: !half,
        run: Box::new(move |subject| run(subject, connections, half, scale)),
    };
    let crowd = format!("{} connections", grouped(connections as u64));
    vec![
        case("half", format!("{crowd}, at half of each system's highest rate"), true),
        case("50", format!("{crowd}, {RATE:.0} events a second"), false),
    ]
}

fn run(
    subject: &mut dyn Subject,
    connections: usize,
    half: bool,
    scale: Scale,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let mut rate = RATE;
    if half {
        let flowed = flood::flow(subject, connections, Pace::Free, scale)?;
        let highest = flowed.deliveries_per_second();
        sample.add(&HIGHEST, highest);
        flowed.note("Before, at the highest rate", &mut sample);
        rate = highest / connections as f64 / 2.0;
    }
    let flowed = flood::flow(subject, connections, Pace::Rate(rate), scale)?;
    sample.add(&P50, flowed.latency_ms(0.5));
    sample.add(&P99, flowed.latency_ms(0.99));
    sample.add(&P999, flowed.latency_ms(0.999));
    flowed.note("At its rate", &mut sample);
    if flowed.latencies.count() < SAMPLES_MIN && scale == Scale::Full {
        sample.remark(format!("Only {} events came.", grouped(flowed.latencies.count())));
    }
    Ok(sample)
}
