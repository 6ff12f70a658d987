//! The works about several nodes that share an engine: what they have in common.
//! Knows nothing of the systems, but that each part of a fleet has a price of its own.

pub(super) mod append;
pub(super) mod fanout;
pub(super) mod latency;
pub(super) mod publish;
pub(super) mod resume;

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::crowd::{Crowd, Target};
use crate::figure::{Figure, Sample};
use crate::load::Outcome;
use crate::report::grouped;
use crate::subject::{Fleet, Subject};

const ENGINE: Figure = Figure::cost("engine, CPU per event", "µs", 2);
const NODES: Figure = Figure::cost("all nodes, CPU per event", "µs", 1);

const TOPIC: &str = "bench/nodes";
const EVENT_BYTES: usize = 150;

/// Nothing takes longer on a machine that works.
const STEP_TIME_MAX: Duration = Duration::from_secs(60);

/// What a subscriber may take to be known to the engine too.
const JOIN_TIME: Duration = Duration::from_millis(500);

/// The fleet of a subject, with so many nodes at least.
fn fleet(subject: &mut dyn Subject, nodes: usize) -> anyhow::Result<&mut Fleet> {
    let fleet = subject.fleet().context("it is alone")?;
    fleet.grow(nodes)?;
    Ok(fleet)
}

/// So many streams of each target come, and nothing else happens any more.
fn gather(crowd: &Crowd, streams: &[(Target, usize)]) -> anyhow::Result<()> {
    let mut wanted = crowd.counts().open;
    for (target, count) in streams {
        wanted += count;
        crowd.connect(target.clone(), *count);
    }
    let here = crowd.wait(STEP_TIME_MAX, |counts| counts.open + counts.refused >= wanted);
    let counts = crowd.counts();
    ensure!(
        here && counts.refused == 0,
        "of {wanted} streams {} are open ({})",
        counts.open,
        counts.what_went_wrong()
    );
    joined();
    Ok(())
}

/// Leaves nodes the time to tell their engine of a subscriber: some answer it before.
fn joined() {
    std::thread::sleep(JOIN_TIME);
}

/// Says which publishes got no answer, or a wrong one.
fn note_refused(sample: &mut Sample, outcome: &Outcome) {
    let unanswered = outcome.refused + outcome.failed;
    if unanswered > 0 {
        let status = outcome.refused_with.map_or(String::new(), |status| format!(" ({status})"));
        let (unanswered, sent) = (grouped(unanswered), grouped(outcome.sent));
        sample.remark(format!("{unanswered} of {sent} publishes failed{status}."));
    }
}
