//! The report of `crowd`.
//! Knows nothing of how it was measured.

use std::time::Duration;

use super::crowd::{Block, Result};
use super::round::Round;
use crate::isolate;
use crate::measure::{Machine, Memory};
use crate::report::{Report, grouped};

/// The loop before and the loop after may differ so much; else something else was going on.
const LIMITS_DIFFER_MAX: f64 = 0.10;
/// So much of the machine may go to others.
const STOLEN_MAX: f64 = 0.02;

pub(super) fn print(result: &Result) {
    let mut report = Report::default();
    head(&mut report, result);
    for (at, block) in result.blocks.iter().enumerate() {
        if result.blocks.len() > 1 {
            report.heading(&format!("Block {} of {}", at + 1, result.blocks.len()));
        }
        cpu(&mut report, result, block);
        memory(&mut report, result, block);
        delivery(&mut report, result, block);
    }
    if result.blocks.len() > 1 {
        let mut ratios: Vec<f64> = result.blocks.iter().map(Block::ratio).collect();
        ratios.sort_by(f64::total_cmp);
        report.heading("All blocks");
        report.line(&format!(
            "CPU per delivery beside the loop: median {:.2} ({:.2} to {:.2})",
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1]
        ));
    }
    print!("{}", report.text());
}

fn head(report: &mut Report, result: &Result) {
    let pace = result.options.pace;
    let command: Vec<String> = std::env::args().collect();
    report.heading(&format!("A crowd of {}", grouped(pace.connections as u64)));
    report.values(&[
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("machine", Machine::this().to_string()),
        ("open files", format!("{} at most", grouped(result.open_files))),
        ("command", command.join(" ")),
        (
            "events",
            format!(
                "{} of {} bytes of data, each when all have the one before, at most {} a second",
                pace.events, pace.event_bytes, pace.rate
            ),
        ),
    ]);
}

fn cpu(report: &mut Report, result: &Result, block: &Block) {
    let connections = result.options.pace.connections.max(1) as f64;
    let [before, after] = &block.limits;
    let us = |cpu: Duration| cpu.as_secs_f64() * 1e6;
    let row = |name: &str, value: &dyn Fn(&Round) -> f64| {
        let values = [value(&block.hub.round), value(before), value(after)];
        let mut row = vec![name.to_owned()];
        row.extend(values.iter().map(|value| format!("{value:.2}")));
        row.push(format!("{:.2}", values[0] * 2.0 / (values[1] + values[2])));
        row
    };
    let loopback = "the receiver's TCP work is in it, as always on loopback";
    let isolated = "isolated: without the receiver's TCP work";
    let which = if isolate::is_inside() { isolated } else { loopback };
    report.heading(&format!("CPU of the server, µs ({which})"));
    let title = ["", "Tidings", "loop before", "loop after", "Tidings/loop"];
    report.table(&[
        title.map(str::to_owned).to_vec(),
        row("per delivery", &|round| round.delivered.cpu_per_event_us()),
        row("per connection opened", &|round| us(round.came.cpu) / connections),
    ]);
    report.line(&format!(
        "A publish that nobody listens to takes {:.0} µs: {:.2} µs of each delivery.",
        us(block.hub.publish_cpu),
        us(block.hub.publish_cpu) / connections
    ));
    let differ =
        (before.delivered.cpu_per_event_us() / after.delivered.cpu_per_event_us() - 1.0).abs();
    if differ > LIMITS_DIFFER_MAX || block.hub.round.delivered.stolen > STOLEN_MAX {
        report.line(&format!(
            "Noisy: the loops differ by {:.0} %, {:.1} % of the machine went to others.",
            differ * 100.0,
            block.hub.round.delivered.stolen * 100.0
        ));
    }
    let again =
        [before, &block.hub.round, after].map(|round| round.delivered.sent_again).iter().sum();
    if again > 0 {
        let void = if isolate::is_inside() { "Void: " } else { "On the whole machine, " };
        report.line(&format!("{void}{} TCP segments had to be sent again.", grouped(again)));
    }
}

fn memory(report: &mut Report, result: &Result, block: &Block) {
    let connections = result.options.pace.connections.max(1) as f64;
    let row = |name: &str, memory: Memory, note: String| {
        let Memory { resident, proportional, anonymous } = memory;
        let kib = [resident, proportional, anonymous].map(|bytes| grouped(bytes / 1024));
        [&[name.to_owned()], &kib[..], &[note]].concat()
    };
    let each = |memory: Memory| {
        let more = memory.proportional as f64 - block.hub.start.proportional as f64;
        format!("{:.0} bytes per connection", more / connections)
    };
    let beside = |memory: Memory| {
        let more = memory.resident as f64 / block.hub.start.resident as f64 - 1.0;
        format!("{:+.1} % resident beside the start", more * 100.0)
    };
    report.heading("Memory of Tidings, KiB");
    report.table(&[
        ["", "resident", "proportional", "heap and stacks", ""].map(str::to_owned).to_vec(),
        row("fresh", block.hub.fresh, String::new()),
        row("start: one subscriber came and left", block.hub.start, String::new()),
        row("all there, idle", block.hub.round.came.memory, each(block.hub.round.came.memory)),
        row("after all events", block.hub.round.after_events, each(block.hub.round.after_events)),
        row("all left", block.hub.round.left, beside(block.hub.round.left)),
        row(
            "all there, a second time",
            block.hub.again.came.memory,
            each(block.hub.again.came.memory),
        ),
        row("all left, a second time", block.hub.again.left, beside(block.hub.again.left)),
    ]);
    if let Some(bytes) = block.hub.round.came.socket_bytes {
        report.line(&format!("Buffers of all TCP sockets, idle: {} KiB.", grouped(bytes / 1024)));
    }
}

fn delivery(report: &mut Report, result: &Result, block: &Block) {
    let pace = result.options.pace;
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let row = |name: &str, round: &Round| {
        let counts = &round.counts;
        vec![
            name.to_owned(),
            grouped(counts.events),
            grouped(counts.lost),
            grouped(counts.misplaced),
            ms(round.delivered.latencies.quantile(0.5)),
            ms(round.delivered.latencies.quantile(0.99)),
            ms(round.delivered.last.quantile(0.5)),
            ms(round.delivered.last.max()),
            format!("{:.2}", round.came.time.as_secs_f64()),
        ]
    };
    let expected = pace.connections as u64 * pace.events;
    report.heading(&format!("Delivery of {} (times from publishing, ms)", grouped(expected)));
    let title = [
        "",
        "received",
        "lost",
        "misplaced",
        "p50",
        "p99",
        "to the last p50",
        "max",
        "opened in, s",
    ];
    report.table(&[
        title.map(str::to_owned).to_vec(),
        row("Tidings", &block.hub.round),
        row("loop before", &block.limits[0]),
        row("loop after", &block.limits[1]),
    ]);
    report.line(&format!("Tidings made {} writes for them.", grouped(block.hub.writes)));
}
