//! What came out, as it is kept in `results.json` after each case.
//! Knows nothing of how it is shown.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::figure::{Figure, Sample};
use crate::subject::SYSTEMS;

/// Everything of one run.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Results {
    pub(super) date: String,
    pub(super) machine: String,
    /// More than one where results were added.
    pub(super) commands: Vec<String>,
    pub(super) open_files: u64,
    pub(super) systems: Vec<Described>,
    pub(super) cases: Vec<CaseResult>,
}

/// A system, as the report describes it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) version: String,
    pub(super) settings: String,
}

/// What a case gave.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct CaseResult {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) work: String,
    pub(super) rows: Vec<Row>,
    /// Why it was not run.
    pub(super) missing: Option<String>,
    /// Rounds in which the bare loop before and after differed by more than they may.
    pub(super) noisy_rounds: usize,
}

/// What a case gave with one system.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Row {
    pub(super) system: String,
    pub(super) title: String,
    pub(super) series: Vec<Series>,
    pub(super) remarks: Vec<String>,
    pub(super) failures: Vec<String>,
}

/// One figure over all rounds.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Series {
    pub(super) figure: Figure,
    /// One for each round; the bare loop, which runs twice, has the mean of both.
    pub(super) rounds: Vec<Option<f64>>,
}

/// The least, the middle and the largest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Results {
    /// Reads those of an earlier run; none are there: there are none.
    pub(super) fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let parsed = serde_json::from_slice(&text);
        Ok(Some(parsed.with_context(|| format!("{} is not of this version", path.display()))?))
    }

    pub(super) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// Adds what is said of a system, in the order of all systems.
    pub(super) fn describe(&mut self, system: Described) {
        self.systems.retain(|had| had.name != system.name);
        self.systems.push(system);
        let place = |name: &str| SYSTEMS.iter().position(|system| system.name == name);
        self.systems.sort_by_key(|system| place(&system.name));
    }

    /// Adds a case; the one of the same name is replaced in its place.
    pub(super) fn put(&mut self, case: CaseResult) {
        match self.cases.iter_mut().find(|had| had.name == case.name) {
            Some(had) => *had = case,
            None => self.cases.push(case),
        }
    }

    pub(super) fn case(&self, name: &str) -> Option<&CaseResult> {
        self.cases.iter().find(|case| case.name == name)
    }
}

impl CaseResult {
    pub(super) fn row(&self, system: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.system == system)
    }

    pub(super) fn failed(&self) -> bool {
        self.rows.iter().any(|row| !row.failures.is_empty())
    }
}

impl Row {
    /// Takes what a round gave.
    pub(super) fn add(&mut self, round: usize, outcome: &anyhow::Result<Sample>) {
        match outcome {
            Ok(sample) => {
                for (figure, value) in sample.values() {
                    self.set(round, figure, *value);
                }
                for remark in sample.remarks() {
                    if !self.remarks.contains(remark) {
                        self.remarks.push(remark.clone());
                    }
                }
            }
            Err(error) => self.failures.push(format!("round {}: {error:#}", round + 1)),
        }
    }

    fn set(&mut self, round: usize, figure: &Figure, value: f64) {
        let at = self.series.iter().position(|series| series.figure.title == figure.title);
        let at = at.unwrap_or_else(|| {
            self.series.push(Series { figure: figure.clone(), rounds: Vec::new() });
            self.series.len() - 1
        });
        let rounds = &mut self.series[at].rounds;
        if rounds.len() <= round {
            rounds.resize(round + 1, None);
        }
        rounds[round] = Some(rounds[round].map_or(value, |before| f64::midpoint(before, value)));
    }

    pub(super) fn series(&self, title: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.figure.title == title)
    }
}

impl Series {
    pub(super) fn spread(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().copied().flatten())
    }

    /// Beside another one, round by round.
    pub(super) fn beside(&self, other: &Self) -> Option<Spread> {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.filter_map(|(mine, theirs)| Some((*mine)? / (*theirs)?)))
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => return None,
            length if length.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { min: values[0], median, max: values[values.len() - 1] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rounds: &[&[f64]]) -> Row {
        let figure = Figure::cost("CPU", "µs", 2);
        let mut row = Row {
            system: "a".into(),
            title: "A".into(),
            series: Vec::new(),
            remarks: Vec::new(),
            failures: Vec::new(),
        };
        for (round, values) in rounds.iter().enumerate() {
            for value in *values {
                let mut sample = Sample::default();
                sample.add(&figure, *value);
                sample.remark("noted");
                row.add(round, &Ok(sample));
            }
        }
        row
    }

    #[test]
    fn a_figure_is_told_by_its_least_middle_and_largest() {
        let row = row(&[&[3.0], &[1.0], &[2.0]]);
        let spread = row.series("CPU").unwrap().spread();
        assert_eq!(spread, Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(row.remarks, ["noted"]);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let limit = row(&[&[1.0, 3.0], &[8.0, 8.0]]);
        let mut mine = row(&[&[4.0], &[8.0]]);
        mine.add(2, &Err(anyhow::anyhow!("gone")));
        let ratio = mine.series("CPU").unwrap().beside(limit.series("CPU").unwrap());
        assert_eq!(ratio, Some(Spread { min: 1.0, median: 1.5, max: 2.0 }));
        assert_eq!(mine.failures, ["round 3: gone"]);
    }
}
