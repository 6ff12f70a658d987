//! Lines over a logarithmic axis, with whiskers from the least to the largest of each point.
//! Knows nothing of what they stand for.

use super::bars::{label, ticks};
use super::paper::{FAINT, GRID, HEAD, INK, MARGIN, Paper, Side, colour, sheet};
use crate::report::grouped;
use crate::suite::results::Spread;

/// A plot.
pub(super) struct Lines<'a> {
    pub(super) title: &'a str,
    /// What there is more of to the right.
    pub(super) across: &'a str,
    /// The unit of what is measured.
    pub(super) up: &'a str,
    pub(super) lines: Vec<Line>,
}

/// One line.
pub(super) struct Line {
    /// It decides the colour.
    pub(super) system: String,
    pub(super) title: String,
    /// From left to right.
    pub(super) points: Vec<(f64, Spread)>,
}

const WIDTH: i32 = 900;
const HEIGHT: i32 = 460;
const LEFT: i32 = 70;
const RIGHT: i32 = WIDTH - 50;
const LEGEND: i32 = 30;
const TOP: i32 = HEAD + LEGEND + 10;
const BOTTOM: i32 = HEIGHT - 60;

/// Lines that say the same are drawn side by side, so that no whisker hides another.
const ASIDE: i32 = 6;

/// From values to pixels.
struct Scale {
    from: f64,
    to: f64,
    high: f64,
}

impl Lines<'_> {
    pub(super) fn svg(&self) -> String {
        sheet(WIDTH, HEIGHT, |paper| {
            let subtitle = format!("{}; the whiskers are the least and the largest", self.up);
            paper.heading(self.title, &subtitle);
            let scale = self.scale();
            self.axes(paper, &scale);
            let mut legend = MARGIN;
            for (at, line) in self.lines.iter().enumerate() {
                let aside = ASIDE * (2 * at as i32 + 1 - self.lines.len() as i32) / 2;
                draw(paper, line, &scale, aside);
                let colour = colour(&line.system);
                let y = HEAD + LEGEND / 2 - 6;
                paper.line(&[(legend, y), (legend + 24, y)], colour, 3);
                paper.words((legend + 30, y), &line.title, 16, INK, Side::Right);
                legend += 60 + 9 * line.title.chars().count() as i32;
            }
        })
    }

    fn scale(&self) -> Scale {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let across = || points().map(|(number, _)| *number);
        let high = points().map(|(_, spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
        let (from, to) = (across().fold(f64::MAX, f64::min), across().fold(1.0, f64::max));
        Scale { from, to, high: high * 1.08 }
    }

    fn axes(&self, paper: &Paper<'_, '_>, scale: &Scale) {
        for tick in ticks(scale.high) {
            let y = scale.y(tick);
            paper.line(&[(LEFT, y), (RIGHT, y)], GRID, 1);
            paper.words((LEFT - 10, y), &label(tick), 15, FAINT, Side::Left);
        }
        let longest = self.lines.iter().max_by_key(|line| line.points.len());
        for (number, _) in longest.into_iter().flat_map(|line| &line.points) {
            let x = scale.x(*number);
            paper.line(&[(x, BOTTOM), (x, BOTTOM + 5)], FAINT, 1);
            paper.words((x, BOTTOM + 17), &grouped(*number as u64), 15, FAINT, Side::Middle);
        }
        paper.line(&[(LEFT, BOTTOM), (RIGHT, BOTTOM)], FAINT, 1);
        let middle = i32::midpoint(LEFT, RIGHT);
        paper.words((middle, BOTTOM + 42), self.across, 16, INK, Side::Middle);
    }
}

fn draw(paper: &Paper<'_, '_>, line: &Line, scale: &Scale, aside: i32) {
    let colour = colour(&line.system);
    let at = |number: f64, value: f64| (scale.x(number) + aside, scale.y(value));
    let path: Vec<(i32, i32)> =
        line.points.iter().map(|(number, spread)| at(*number, spread.median)).collect();
    paper.line(&path, colour, 2);
    for (number, spread) in &line.points {
        let (low, high) = (at(*number, spread.min), at(*number, spread.max));
        paper.line(&[low, high], colour, 2);
        for (x, y) in [low, high] {
            paper.line(&[(x - 5, y), (x + 5, y)], colour, 2);
        }
        paper.dot(at(*number, spread.median), colour);
    }
}

impl Scale {
    fn x(&self, number: f64) -> i32 {
        let share = (number / self.from).ln() / (self.to / self.from).ln();
        LEFT + 30 + (share * f64::from(RIGHT - LEFT - 60)).round() as i32
    }

    fn y(&self, value: f64) -> i32 {
        BOTTOM - (value.max(0.0) / self.high * f64::from(BOTTOM - TOP)).round() as i32
    }
}
