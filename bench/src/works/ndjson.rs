//! `ndjson`: very many events in one streamed request.
//! Knows the one way to do so: `POST /events` with a line for each event.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Case, Scale, Work};
use crate::event::Stamp;
use crate::figure::{Figure, Sample};
use crate::measure::{self, OwnThreads};
use crate::publish::Publisher;
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "ndjson",
    about: "500,000 events of 150 bytes for one topic without subscribers, in one request as \
            NDJSON. The time counts from the first byte to the answer, which says how many are \
            kept.",
    cases,
};

const RATE: Figure = Figure::plain("in", "events/s", 0);
const CPU: Figure = Figure::cost("CPU per event", "µs", 2);

const EVENT_BYTES: usize = 150;

/// Lines that are made once and sent again and again: they stay in the processor's cache.
pub(super) const PIECE_LINES: usize = 500;

pub(super) const HEADERS: &str = "Content-Type: application/x-ndjson\r\n";

fn cases(scale: Scale) -> Vec<Case> {
    let events = scale.pick(500_000, 5_000);
    vec![Case {
        name: format!("ndjson-{events}"),
        title: format!("{} events in one request", grouped(events as u64)),
        isolated: false,
        needs: &[Ability::Stream],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, events)),
    }]
}

/// What the answer says.
#[derive(Deserialize)]
struct Summary {
    published: usize,
}

fn run(subject: &mut dyn Subject, events: usize) -> anyhow::Result<Sample> {
    let process = subject.process();
    let door = subject.door().context("it takes no requests")?;
    let mut publisher = Publisher::connect(door.address(), HEADERS)?;
    let piece = piece(EVENT_BYTES);
    post(&mut publisher, &piece, 1)?;
    let (threads, before) = (OwnThreads::now(), measure::cpu(process)?);
    let start = Instant::now();
    post(&mut publisher, &piece, events / PIECE_LINES)?;
    let elapsed = start.elapsed();
    let busy = threads.busiest();
    let cpu = measure::cpu(process)?.saturating_sub(before);

    let mut sample = Sample::default();
    sample.add(&RATE, events as f64 / elapsed.as_secs_f64());
    sample.add(&CPU, cpu.as_secs_f64() * 1e6 / events as f64);
    if let Some(sentence) = busy.sentence("In all") {
        sample.remark(sentence);
    }
    Ok(sample)
}

/// The lines.
pub(super) fn piece(event_bytes: usize) -> String {
    // A stamp and its filling need no escapes.
    let line = |number| {
        let data = Stamp::now(number as u64).data(event_bytes);
        format!("{{\"topic\":\"bench/ndjson\",\"data\":\"{data}\"}}\n")
    };
    (0..PIECE_LINES).map(line).collect()
}

/// Sends them so many times in one request, and makes sure that all are kept.
pub(super) fn post(publisher: &mut Publisher, piece: &str, times: usize) -> anyhow::Result<()> {
    let answer = publisher.post_again_and_again("/events", piece.as_bytes(), times)?;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200, "it was refused with {}: {said}", answer.status);
    let summary: Summary = serde_json::from_str(&said).context("what is the answer?")?;
    let sent = PIECE_LINES * times;
    ensure!(summary.published == sent, "{} of {sent} events are kept", summary.published);
    Ok(())
}
