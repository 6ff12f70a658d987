//! Figures: what a number means, and the numbers that one run of a case gives.
//! Knows nothing of how they are measured and shown.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a number means.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Figure {
    /// The heading of its column.
    pub title: Cow<'static, str>,
    /// Its unit, as it stands after the number.
    pub unit: Cow<'static, str>,
    /// Digits after the point.
    pub digits: usize,
    /// It is a cost: it is told beside that of the bare loop, and beside that of Tidings.
    pub cost: bool,
}

impl Figure {
    /// A cost: less is better, and the ratio to others is what travels between machines.
    #[must_use]
    pub const fn cost(title: &'static str, unit: &'static str, digits: usize) -> Self {
        Self::new(title, unit, digits, true)
    }

    /// Any other number.
    #[must_use]
    pub const fn plain(title: &'static str, unit: &'static str, digits: usize) -> Self {
        Self::new(title, unit, digits, false)
    }

    const fn new(title: &'static str, unit: &'static str, digits: usize, cost: bool) -> Self {
        Self { title: Cow::Borrowed(title), unit: Cow::Borrowed(unit), digits, cost }
    }

    /// The same with another title.
    #[must_use]
    pub fn titled(&self, title: impl Into<Cow<'static, str>>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }
}

/// What one run of a case gives.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    values: Vec<(Figure, f64)>,
    remarks: Vec<String>,
}

impl Sample {
    /// Adds a number.
    pub fn add(&mut self, figure: &Figure, value: f64) {
        self.values.push((figure.clone(), value));
    }

    /// Adds what a reader has to know beside the numbers, in one sentence.
    pub fn remark(&mut self, sentence: impl Into<String>) {
        self.remarks.push(sentence.into());
    }

    /// Says how many of the expected events came, where it is not all.
    pub fn delivered(&mut self, what: &str, delivered: u64, expected: u64) {
        if delivered != expected {
            let share = 100.0 * delivered as f64 / expected.max(1) as f64;
            self.remark(format!("{what}: {delivered} of {expected} came ({share:.1} %)."));
        }
    }

    /// The numbers, in the order of their columns.
    #[must_use]
    pub fn values(&self) -> &[(Figure, f64)] {
        &self.values
    }

    /// The remarks.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}
