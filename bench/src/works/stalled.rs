//! `stalled`: readers that read nothing, beside others: what each of them holds, and what the
//! others notice. Knows nothing of the systems.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Case, Scale, Work};
use crate::compare::{Audience, Flow, Flowed};
use crate::crowd::Target;
use crate::figure::{Figure, Sample};
use crate::load::Pace;
use crate::measure;
use crate::report::grouped;
use crate::subject::{Ability, Subject};

pub(super) const WORK: Work = Work {
    name: "stalled",
    about: "1,000 subscribers get events of 10 KB, 40 a second; then 100 more come, of the same \
            topic, that read nothing behind their head, and 10 MB more are published. Kernel: \
            what it holds for the server's end of each of those (`ss`: received, queued and set \
            aside). Process: how much more it grew (PSS) than by as many events before. The p99 \
            is that of the 1,000.",
    cases,
};

const KERNEL: Figure = Figure::plain("kernel, per stalled reader", "KB", 1);
const PROCESS: Figure = Figure::plain("process, per stalled reader", "KB", 1);
const CUT: Figure = Figure::plain("stalled readers cut", "", 0);
const P99_BEFORE: Figure = Figure::plain("p99 before", "ms", 2);
const P99_BESIDE: Figure = Figure::plain("p99 beside them", "ms", 2);

const EVENT_BYTES: usize = 10_000;
/// Events a second: 400 MB a second for all, which leaves a small machine room to breathe.
const RATE: f64 = 40.0;

/// A server that takes longer for a head is not there.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 * 1024;

const SETTLE_TIME_MAX: Duration = Duration::from_secs(20);

fn cases(scale: Scale) -> Vec<Case> {
    let (readers, stalled) = scale.pick((1_000, 100), (20, 5));
    vec![Case {
        name: format!("stalled-{stalled}"),
        title: format!("{stalled} stalled readers beside {}", grouped(readers as u64)),
        isolated: false,
        needs: &[Ability::Publish],
        beside_limit: false,
        run: Box::new(move |subject| run(subject, readers, stalled, scale)),
    }]
}

fn run(
    subject: &mut dyn Subject,
    readers: usize,
    stalled: usize,
    scale: Scale,
) -> anyhow::Result<Sample> {
    // What grows only once has grown after the first.
    let [first, before, beside] = scale.pick([25, 250, 1_000], [4, 4, 16]);
    let process = subject.process();
    Audience::warm(subject, EVENT_BYTES)?;
    let (mut audience, _) = Audience::gather(subject, readers)?;
    let target = audience.target();
    let memory = || -> anyhow::Result<f64> {
        measure::settle(process, SETTLE_TIME_MAX)?;
        Ok(measure::memory(process)?.proportional as f64)
    };
    let mut sample = Sample::default();
    let published = flow(&mut audience, 0, first)?.sent.sent;
    let memory_first = memory()?;
    let flowed = flow(&mut audience, published, before)?;
    sample.add(&P99_BEFORE, flowed.latency_ms(0.99));
    flowed.note("Before", &mut sample);
    let memory_before = memory()?;
    let streams: Vec<TcpStream> =
        (0..stalled).map(|_| stall(&target)).collect::<anyhow::Result<_>>()?;
    let flowed = flow(&mut audience, published + flowed.sent.sent, beside)?;
    sample.add(&P99_BESIDE, flowed.latency_ms(0.99));
    flowed.note("Beside them", &mut sample);
    let memory_beside = memory()?;

    let (held, open) = held(&target, &streams)?;
    let by_events = (memory_before - memory_first) * beside as f64 / before as f64;
    let grown = (memory_beside - memory_before - by_events).max(0.0);
    sample.add(&KERNEL, held as f64 / stalled as f64 / 1e3);
    sample.add(&PROCESS, grown / stalled as f64 / 1e3);
    sample.add(&CUT, (stalled - open) as f64);
    Ok(sample)
}

fn flow(audience: &mut Audience<'_>, first: u64, events: u64) -> anyhow::Result<Flowed> {
    let time = Duration::from_secs_f64(events as f64 / RATE);
    audience.flow(&Flow { pace: Pace::Rate(RATE), time, event_bytes: EVENT_BYTES, first })
}

/// Asks for the stream, reads its head to the last byte, and no further.
fn stall(target: &Target) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(target.address()).context("can't connect")?;
    stream.set_read_timeout(Some(HEAD_TIME_MAX))?;
    stream.write_all(target.request())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).context("no head came")?;
        head.push(byte[0]);
        ensure!(head.len() <= HEAD_BYTES_MAX, "the head has no end");
    }
    let said = String::from_utf8_lossy(&head).into_owned();
    ensure!(said.starts_with("HTTP/1.1 200"), "a reader was refused: {said}");
    Ok(stream)
}

/// What the kernel holds for the server's ends of these, in bytes; and how many are still open.
fn held(target: &Target, streams: &[TcpStream]) -> anyhow::Result<(u64, usize)> {
    let ports = streams.iter().map(|stream| Ok(stream.local_addr()?.port()));
    let ports: HashSet<u16> = ports.collect::<anyhow::Result<_>>()?;
    let sockets = measure::server_sockets(target.address().port())?;
    let theirs = sockets.iter().filter(|socket| ports.contains(&socket.peer_port));
    let open = theirs.clone().filter(|socket| socket.established).count();
    Ok((theirs.map(|socket| socket.bytes).sum(), open))
}
