//! Aligned text for people: named values, and tables.
//! Knows nothing of what the numbers mean.

use std::fmt::Write;
use std::time::Duration;

/// A report under way.
#[derive(Debug, Default)]
pub struct Report {
    text: String,
}

impl Report {
    /// A heading.
    pub fn heading(&mut self, text: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{text}");
    }

    /// A line of prose.
    pub fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "  {text}");
    }

    /// Values with their names, one a line, aligned.
    pub fn values(&mut self, values: &[(&str, String)]) {
        let width = values.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        for (name, value) in values {
            let _ = writeln!(self.text, "  {}  {value}", padded(name, width));
        }
    }

    /// A table: the first row names the columns, the first column is text, the others are
    /// aligned to the right.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                rows.iter().filter_map(|row| row.get(at)).map(|c| width(c)).max().unwrap_or(0)
            })
            .collect();
        for row in rows {
            let mut line = String::from("  ");
            for (at, cell) in row.iter().enumerate() {
                if at == 0 {
                    line.push_str(&padded(cell, widths[0]));
                } else {
                    let fill = widths[at] - width(cell);
                    let _ = write!(line, "   {}{cell}", " ".repeat(fill));
                }
            }
            let _ = writeln!(self.text, "{}", line.trim_end());
        }
    }

    /// What has come together.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A duration, with a tenth of a second.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to - width(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut report = Report::default();
        report.heading("One");
        report.values(&[("µs", "1".into()), ("name", "2".into())]);
        report.heading("Two");
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        report.table(&[row(["", "a", "long"]), row(["first", "1,000", "1"])]);
        let expected = "One\n  µs    1\n  name  2\n\nTwo\n              a   long\n  \
                        first   1,000      1\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 12, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
