//! The report as Markdown: a table for each case, and what has to be said beside it.
//! Knows nothing of how the figures were measured.

use std::fmt::Write;

use super::results::{CaseResult, Results, Row, Series, Spread};
use crate::figure::Figure;
use crate::report::grouped;
use crate::subject::SYSTEMS;
use crate::works::WORKS;

/// Beside whom costs are told: the first of these that takes part.
const TIDINGS: [&str; 2] = ["tidings", "tidings-redis"];

pub(super) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    head(&mut text, results);
    for work in WORKS {
        let cases: Vec<&CaseResult> =
            results.cases.iter().filter(|case| case.work == work.name).collect();
        if cases.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {}\n\n{}\n", work.name, work.about);
        for case in cases {
            table(&mut text, case);
        }
    }
    text
}

fn head(text: &mut String, results: &Results) {
    let _ = writeln!(text, "# Benchmark\n");
    let _ = writeln!(text, "- {}", results.date);
    let _ = writeln!(text, "- {}", results.machine);
    for command in &results.commands {
        let _ = writeln!(text, "- `tidings-bench {command}`");
    }
    let _ = writeln!(text, "- {} open files at most\n", grouped(results.open_files));
    let _ = writeln!(text, "| system | version | settings |\n|---|---|---|");
    for system in &results.systems {
        let _ = writeln!(text, "| {} | {} | {} |", system.title, system.version, system.settings);
    }
    let _ = writeln!(
        text,
        "\nEach figure is the median of all rounds, with the least and the largest. `×` is the \
         ratio to the bare loop of the same round, `T` that to Tidings (log in memory; over Redis \
         where that one takes no part)."
    );
}

fn table(text: &mut String, case: &CaseResult) {
    let _ = writeln!(text, "\n### {}\n", case.title);
    if let Some(reason) = &case.missing {
        let _ = writeln!(text, "Not run: {reason}");
        return;
    }
    let figures = figures(case);
    let heads = figures.iter().map(|figure| match figure.unit.as_ref() {
        "" => figure.title.to_string(),
        unit => format!("{}, {unit}", figure.title),
    });
    let heads: Vec<String> = heads.collect();
    let _ = writeln!(text, "| | {} |", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(figures.len()));
    for row in &case.rows {
        let cells = figures.iter().map(|figure| cell(case, row, figure));
        let _ = writeln!(text, "| {} | {} |", row.title, cells.collect::<Vec<_>>().join(" | "));
    }
    let _ = writeln!(text);
    for row in &case.rows {
        for sentence in row.remarks.iter().chain(&row.failures) {
            let _ = writeln!(text, "- {}: {sentence}", row.title);
        }
    }
    if case.noisy_rounds > 0 {
        let _ = writeln!(
            text,
            "- In {} rounds the bare loop before and after differed by more than a tenth.",
            case.noisy_rounds
        );
    }
}

/// All figures of a case, in the order in which they first come.
fn figures(case: &CaseResult) -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    for series in case.rows.iter().flat_map(|row| &row.series) {
        if !figures.iter().any(|figure| figure.title == series.figure.title) {
            figures.push(series.figure.clone());
        }
    }
    figures
}

fn cell(case: &CaseResult, row: &Row, figure: &Figure) -> String {
    let Some(series) = row.series(&figure.title) else { return "–".to_owned() };
    let Some(spread) = series.spread() else { return "–".to_owned() };
    let mut cell = numbers(spread, figure.digits);
    let tidings = TIDINGS.into_iter().find(|name| case.row(name).is_some());
    let others = [(SYSTEMS[0].name, "× "), (tidings.unwrap_or(TIDINGS[0]), "T ")];
    for (system, mark) in
        others.into_iter().filter(|(system, _)| figure.cost && row.system != *system)
    {
        let other = case.row(system).and_then(|row| row.series(&figure.title));
        if let Some(ratio) = other.and_then(|other| Series::beside(series, other)) {
            // The loop beside Tidings says nothing that Tidings beside the loop does not say.
            if row.system != SYSTEMS[0].name {
                let _ = write!(cell, "; {mark}{:.2}", ratio.median);
            }
        }
    }
    cell
}

fn numbers(spread: Spread, digits: usize) -> String {
    let number = |value: f64| {
        if digits == 0 && value >= 0.0 {
            grouped(value.round() as u64)
        } else {
            format!("{value:.digits$}")
        }
    };
    let (min, max) = (number(spread.min), number(spread.max));
    if min == max {
        return number(spread.median);
    }
    format!("{} ({min}–{max})", number(spread.median))
}
