//! What became of each step, in words.
//! Knows nothing of how a step is run.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

/// One step's outcome.
pub(crate) struct Report {
    pub(crate) name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Report {
    pub(crate) fn new(name: &'static str, took: Duration, outcome: Result<()>) -> Self {
        Self { name, took, failure: outcome.err().map(|error| format!("{error:#}")) }
    }

    pub(crate) fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = duration(self.took);
        match &self.failure {
            None => write!(f, "{} passed in {took}", self.name),
            Some(failure) => write!(f, "{} FAILED after {took}: {failure}", self.name),
        }
    }
}

/// All outcomes, the failures once more, and the counts alone on the last line.
///
/// A step that was planned but never began, because somebody interrupted us, counts as neither.
pub(crate) fn summary(reports: &[Report], planned: usize) -> String {
    let mut text = String::from("\nSummary\n");
    for report in reports {
        let word = if report.passed() { "passed" } else { "FAILED" };
        text.push_str(&format!("  {word}  {:<12} {:>12}\n", report.name, duration(report.took)));
    }
    if reports.len() < planned {
        text.push_str(&format!("  interrupted: {} not run\n", planned - reports.len()));
    }
    for (name, failure) in reports.iter().filter_map(|r| Some((r.name, r.failure.as_ref()?))) {
        text.push_str(&format!("\n`{name}` failed:\n"));
        for line in failure.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text.push_str(&format!("Run it alone with: cargo xtask test --only {name}\n"));
    }
    let passed = reports.iter().filter(|report| report.passed()).count();
    text.push_str(&format!("\n{passed} passed, {} failed\n", reports.len() - passed));
    text
}

fn duration(took: Duration) -> String {
    let minutes = took.as_secs() / 60;
    if minutes == 0 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{minutes} min {:02} s", took.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_last_line_is_the_counts() {
        let reports = [
            Report::new("fmt", Duration::from_millis(1_234), Ok(())),
            Report::new("clippy", Duration::from_secs(75), Err(anyhow!("`cargo clippy` ended"))),
            Report::new("unit", Duration::ZERO, Err(anyhow!("later"))),
        ];
        let text = summary(&reports, 3);
        assert_eq!(text.lines().last(), Some("1 passed, 2 failed"));
        assert!(text.contains("`clippy` failed:\n  `cargo clippy` ended"));
        assert!(text.contains("`unit` failed:\n  later"));
        assert!(text.contains("1.2 s") && text.contains("1 min 15 s"), "{text}");
        assert!(!text.contains("interrupted"));
    }

    #[test]
    fn what_was_never_begun_is_said() {
        let reports = [Report::new("fmt", Duration::ZERO, Ok(()))];
        let text = summary(&reports, 12);
        assert!(text.contains("interrupted: 11 not run"));
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed"));
        assert!(!text.contains("failed:"));
    }
}
