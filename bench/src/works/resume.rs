//! `resume`: very many clients come back at once and get all that they missed.
//! Knows nothing of the systems.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Case, Scale, Work};
use crate::compare::Audience;
use crate::crowd::{Counts, Crowd, Probe, Target};
use crate::event::Stamp;
use crate::figure::{Figure, Sample};
use crate::measure;
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "resume",
    about: "1,000 events of 150 bytes are published on one topic while nobody listens. Then 10,000 \
            clients come back, each with the `Last-Event-ID` of the event before, and each must \
            get all 1,000 in order. CPU and time are from the first connection to the last event. \
            The bare loop keeps nothing: its clients connect, and then it sends each of them the \
            same 1,000 events, joined.",
    cases,
};

const CLIENT: Figure = Figure::cost("CPU per client", "µs", 0);
const EVENT: Figure = Figure::cost("CPU per event", "µs", 3);
const MEGABYTE: Figure = Figure::cost("CPU per MB", "ms", 2);
const TIME: Figure = Figure::plain("until the last has all", "s", 2);
const PEAK: Figure = Figure::plain("memory at most, more", "MB", 1);

const TOPIC: &str = "bench/resume";
const EVENT_BYTES: usize = 150;
/// Events that are published in one go, before the clients come back.
const TOGETHER: u64 = 50;

/// A crowd that is not there by then will not come.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(60);
/// How often memory is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Nothing has come for so long: nothing more will.
const SILENCE: Duration = Duration::from_secs(10);

fn cases(scale: Scale) -> Vec<Case> {
    let (clients, events) = scale.pick((10_000, 1_000), (20, 1_000));
    vec![Case {
        name: format!("resume-{clients}"),
        title: format!(
            "{} clients come back for {} events each",
            grouped(clients as u64),
            grouped(events)
        ),
        isolated: false,
        needs: &[Ability::Resume],
        beside_limit: true,
        run: Box::new(move |subject| run(subject, clients, events)),
    }]
}

fn run(subject: &mut dyn Subject, clients: usize, events: u64) -> anyhow::Result<Sample> {
    let process = subject.process();
    let start = Audience::warm(subject, EVENT_BYTES)?;
    let had = had(subject)?;
    if subject.keeps() {
        publish(subject, events, TOGETHER)?;
    }
    let crowd = Crowd::start()?;
    measure::settle(process, SILENCE)?;

    let (began, before) = (Instant::now(), measure::cpu(process)?);
    crowd.connect(had, clients);
    if !subject.keeps() {
        let here = crowd.wait(CONNECT_TIME_MAX, |counts| counts.open >= clients);
        ensure!(here, "not all streams are open ({})", crowd.counts().what_went_wrong());
        publish(subject, events, events)?;
    }
    let expected = events * clients as u64;
    let mut peak = start.proportional;
    let time = storm(&crowd, expected, began, || {
        peak = peak.max(measure::memory(process)?.proportional);
        Ok(())
    })?;
    measure::settle(process, SILENCE)?;
    let cpu = measure::cpu(process)?.saturating_sub(before).as_secs_f64();

    let counts = crowd.counts();
    let mut sample = Sample::default();
    sample.add(&CLIENT, cpu * 1e6 / clients as f64);
    sample.add(&EVENT, cpu * 1e6 / counts.events.max(1) as f64);
    sample.add(&MEGABYTE, cpu * 1e3 / (counts.bytes.max(1) as f64 / 1e6));
    sample.add(&TIME, time.as_secs_f64());
    sample.add(&PEAK, (peak - start.proportional) as f64 / 1e6);
    sample.delivered("events", counts.events, expected);
    if counts.faults() > 0 {
        sample.remark(format!("{}.", counts.what_went_wrong()));
    }
    Ok(sample)
}

/// What somebody asks for who had event 0 and missed those that follow.
fn had(subject: &mut dyn Subject) -> anyhow::Result<Target> {
    let target = subject.target(TOPIC, 1);
    if !subject.keeps() {
        return Ok(target);
    }
    let mut probe = Probe::open(&target).context("nobody can listen")?;
    subject.publish(TOPIC, &[Stamp::now(0).data(EVENT_BYTES)])?;
    let id = probe.id().context("the first event did not come")?;
    Ok(target.after(&id))
}

/// Publishes events 1, 2, … so many in each go.
fn publish(subject: &mut dyn Subject, events: u64, together: u64) -> anyhow::Result<()> {
    let mut next = 1;
    while next <= events {
        let end = (next + together).min(events + 1);
        let data = |number| Stamp::now(number).data(EVENT_BYTES);
        let go: Vec<String> = (next..end).map(data).collect();
        subject.publish(TOPIC, &go)?;
        next = end;
    }
    Ok(())
}

/// Waits until all have all, or nothing more comes; gives how long that took, by the last event.
pub(super) fn storm(
    crowd: &Crowd,
    expected: u64,
    began: Instant,
    mut look: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let mut seen = Counts::default();
    let mut last = began;
    loop {
        let whole = crowd.wait(LOOK_INTERVAL, |counts| counts.events >= expected);
        let counts = crowd.counts();
        if counts != seen {
            (seen, last) = (counts, Instant::now());
        }
        if whole || last.elapsed() > SILENCE {
            return Ok(last - began);
        }
        look()?;
    }
}
