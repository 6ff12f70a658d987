//! The plots of the report, as SVG: which figures are worth one, and what they are called.
//! Knows neither how the figures were measured nor how a plot is drawn.

mod bars;
mod lines;
mod paper;

use std::fs;
use std::path::Path;

use anyhow::Context;
use bars::{Bar, Bars, Panel};
use lines::{Line, Lines};

use super::results::{CaseResult, Results, Row, Spread};
use crate::figure::Figure;
use crate::report::grouped;
use crate::subject::SYSTEMS;
use crate::works::{crowd, growth};

/// Draws what the results hold, and names the files. What was not measured has no plot.
pub(super) fn draw(results: &Results, out: &Path) -> anyhow::Result<Vec<String>> {
    let crowds = crowds(results);
    let largest: Vec<&CaseResult> =
        crowds.iter().rev().find(|case| !is_isolated(case)).copied().into_iter().collect();
    let plots = [
        ("delivery.svg", delivery(&crowds)),
        ("memory.svg", memory(&largest)),
        ("connect.svg", connect(&largest)),
        ("growth-connections.svg", growth_over(results, &CONNECTIONS)),
        ("growth-topics.svg", growth_over(results, &TOPICS)),
    ];
    let mut names = Vec::new();
    for (name, plot) in plots {
        if let Some(svg) = plot {
            fs::write(out.join(name), svg).with_context(|| format!("can't write {name}"))?;
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The crowds that came: the isolated first, then from the smallest to the largest, as they ran.
fn crowds(results: &Results) -> Vec<&CaseResult> {
    let mut crowds: Vec<&CaseResult> =
        results.cases.iter().filter(|case| case.work == "crowd").collect();
    crowds.sort_by_key(|case| !is_isolated(case));
    crowds
}

fn is_isolated(case: &CaseResult) -> bool {
    case.name.ends_with("-isolated")
}

fn delivery(crowds: &[&CaseResult]) -> Option<String> {
    let limit = SYSTEMS[0].name;
    bars(
        "CPU of the server for each delivery, beside a bare send loop",
        "× the loop; one event of 150 bytes at a time to the whole crowd",
        crowds,
        &|case, row| {
            let title = &crowd::DELIVERY.title;
            let series = row.series(title)?;
            let ratio = series.beside(case.row(limit)?.series(title)?)?;
            let us = series.spread()?.median;
            Some((ratio, format!("{:.2} ×  ({us:.2} µs)", ratio.median)))
        },
    )
    .map(|bars| bars.marked(1.0).svg())
}

fn memory(largest: &[&CaseResult]) -> Option<String> {
    bars(
        "Memory of the server for each idle connection",
        "bytes in user space (PSS), logarithmic; the kernel's 4 KB for each socket come on top",
        largest,
        &|_, row| {
            let bytes = row.series(&crowd::IDLE_BYTES.title)?.spread()?;
            Some((bytes, format!("{} B", whole(bytes.median))))
        },
    )
    .map(|bars| bars.logarithmic().svg())
}

fn connect(largest: &[&CaseResult]) -> Option<String> {
    bars(
        "CPU of the server for each connection that is opened",
        "µs, from the TCP connection to the head of the stream",
        largest,
        &|_, row| {
            let us = row.series(&crowd::CONNECT.title)?.spread()?;
            Some((us, format!("{:.1} µs", us.median)))
        },
    )
    .map(|bars| bars.svg())
}

/// How long a system's bar is, and what stands at its end.
type Value<'a> = dyn Fn(&CaseResult, &Row) -> Option<(Spread, String)> + 'a;

/// A bar of each system that has the value, in a panel for each case.
fn bars(
    title: &'static str,
    subtitle: &'static str,
    cases: &[&CaseResult],
    value: &Value<'_>,
) -> Option<Bars> {
    let bar = |case: &CaseResult, row: &Row| {
        let (spread, text) = value(case, row)?;
        Some(Bar { system: row.system.clone(), title: plain(&row.title), spread, text })
    };
    let panels = cases.iter().map(|case| Panel {
        title: case.title.clone(),
        bars: case.rows.iter().filter_map(|row| bar(case, row)).collect(),
    });
    let panels: Vec<Panel> = panels.filter(|panel| !panel.bars.is_empty()).collect();
    (!panels.is_empty()).then(|| Bars::new(title, subtitle, panels))
}

/// One of the plots of growth.
struct Growth {
    case: &'static str,
    title: &'static str,
    figure: &'static Figure,
    what: &'static str,
}

const CONNECTIONS: Growth = Growth {
    case: growth::CONNECTIONS,
    title: "CPU of the server for each delivery, as connections become more",
    figure: &growth::DELIVERY,
    what: "connections",
};

const TOPICS: Growth = Growth {
    case: growth::TOPICS,
    title: "CPU of the server for a publish and its delivery, as topics become more",
    figure: &growth::PUBLISH,
    what: "topics",
};

fn growth_over(results: &Results, growth: &Growth) -> Option<String> {
    let case = results.case(growth.case)?;
    let lines = case.rows.iter().map(|row| {
        let points = row.series.iter().filter_map(|series| {
            Some((growth::number(&series.figure.title, growth.what)? as f64, series.spread()?))
        });
        Line { system: row.system.clone(), title: plain(&row.title), points: points.collect() }
    });
    let lines: Vec<Line> = lines.filter(|line| line.points.len() > 1).collect();
    if lines.is_empty() {
        return None;
    }
    let Growth { title, figure, what, .. } = growth;
    Some(Lines { title, across: what, up: &figure.unit, lines }.svg())
}

/// A title without the marks of Markdown.
fn plain(title: &str) -> String {
    title.replace('`', "")
}

fn whole(value: f64) -> String {
    if value < 0.0 { format!("{value:.0}") } else { grouped(value.round() as u64) }
}

#[cfg(test)]
mod tests;
