//! The report for people: what was measured, aligned.
//! Knows nothing of how it was measured.

use tidings_bench::report::{Report, grouped};

use super::Results;
use super::phase::{Phase, Quantiles};

pub(super) fn text(results: &Results) -> String {
    let mut report = Report::default();
    report.heading(&format!("{}, {} bytes an event", results.url, results.event_bytes));
    report.values(&opened(results));
    let phases = [&results.steady, &results.fastest];
    let topics = match results.topics {
        1 => "1 topic".to_owned(),
        topics => format!("{} topics", grouped(topics)),
    };
    let publishers = grouped(results.publishers.into());
    report.heading(&format!("Publishing to {topics} over {publishers} connections"));
    report.table(&table(phases));
    if !results.remarks.is_empty() {
        report.heading("Remarks");
        results.remarks.iter().for_each(|remark| report.line(remark));
    }
    report.text().to_owned()
}

fn opened(results: &Results) -> Vec<(&'static str, String)> {
    let opened = &results.opened;
    let mut values = vec![(
        "streams open",
        format!("{} in {:.2} s", share(opened.connections, opened.expected), opened.seconds),
    )];
    let memory = Option::zip(opened.memory_bytes_before, opened.memory_bytes);
    if let (Some(each), Some((before, after))) = (opened.memory_bytes_per_connection, memory) {
        let (before, after) = (mib(before), mib(after));
        values.push(("memory of the hub", format!("{before}, with all streams {after}")));
        values.push(("  a stream", format!("{each:.0} bytes")));
    }
    if let Some(us) = opened.cpu_us_per_connection {
        values.push(("CPU of the hub a stream", format!("{us:.0} µs")));
    }
    values
}

fn table(phases: [&Phase; 2]) -> Vec<Vec<String>> {
    let row = |name: &str, value: &dyn Fn(&Phase) -> String| {
        let values = phases.map(value);
        [&[name.to_owned()][..], &values].concat()
    };
    let known = |value: Option<f64>, show: &dyn Fn(f64) -> String| {
        value.map_or_else(|| "not told".to_owned(), show)
    };
    let mut rows = vec![
        row("", &Phase::name),
        row("events accepted", &|phase| share(phase.published.accepted, phase.published.publishes)),
        row("events/s", &|phase| number(phase.published.events_per_second)),
        row("events delivered", &|phase| share(phase.delivered, phase.expected)),
        row("deliveries/s", &|phase| number(phase.deliveries_per_second)),
    ];
    rows.extend(quantiles("publish to receipt, ms", phases, &|phase| &phase.latency_ms));
    rows.extend(quantiles("publish to answer, ms", phases, &|phase| &phase.published.answer_ms));
    rows.extend([
        row("CPU of the hub a delivery, µs", &|phase| {
            known(phase.hub_cpu_us_per_delivery, &|us| format!("{us:.2}"))
        }),
        row("processors busy: the hub", &|phase| {
            known(phase.hub_cores, &|cores| format!("{cores:.2}"))
        }),
        row("processors busy: this program", &|phase| format!("{:.2}", phase.client_cores)),
        row("memory of the hub after it", &|phase| known(phase.hub_memory_bytes, &mib)),
    ]);
    rows
}

fn quantiles(
    what: &str,
    phases: [&Phase; 2],
    of: &dyn Fn(&Phase) -> &Quantiles,
) -> Vec<Vec<String>> {
    let row = |name: String, value: &dyn Fn(&Quantiles) -> f64| {
        let values = phases.map(|phase| format!("{:.2}", value(of(phase))));
        [&[name][..], &values].concat()
    };
    vec![
        row(format!("{what}: p50"), &|times| times.p50),
        row("  p99".into(), &|times| times.p99),
        row("  p99.9".into(), &|times| times.p99_9),
        row("  longest".into(), &|times| times.max),
    ]
}

fn share(part: u64, whole: u64) -> String {
    format!("{} of {}", grouped(part), grouped(whole))
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { grouped(value.round() as u64) }
}

fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}
