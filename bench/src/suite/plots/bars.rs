//! Bars that lie side by side, with their values at their ends.
//! Knows nothing of what they stand for.

use super::paper::{FAINT, GRID, HEAD, INK, MARGIN, PAPER, Paper, Side, colour, sheet};
use crate::suite::results::Spread;

/// A plot.
pub(super) struct Bars {
    title: &'static str,
    subtitle: &'static str,
    panels: Vec<Panel>,
    logarithmic: bool,
    /// A value with a line of its own.
    mark: Option<f64>,
}

/// Bars that belong together.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

/// One bar.
pub(super) struct Bar {
    /// It decides the colour.
    pub(super) system: String,
    pub(super) title: String,
    pub(super) spread: Spread,
    /// What stands at its end.
    pub(super) text: String,
}

const WIDTH: i32 = 900;
/// Where bars begin, and where the longest ends.
const LEFT: i32 = 240;
const RIGHT: i32 = 710;
const ROW: i32 = 30;
const BAR: i32 = 20;
const PANEL_HEAD: i32 = 34;
const PANEL_FOOT: i32 = 30;

/// Where logarithmic bars begin, unless one is shorter than ten times this.
const LEAST: f64 = 10.0;

/// From values to pixels.
struct Scale {
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Bars {
    pub(super) fn new(title: &'static str, subtitle: &'static str, panels: Vec<Panel>) -> Self {
        Self { title, subtitle, panels, logarithmic: false, mark: None }
    }

    pub(super) fn logarithmic(self) -> Self {
        Self { logarithmic: true, ..self }
    }

    pub(super) fn marked(self, value: f64) -> Self {
        Self { mark: Some(value), ..self }
    }

    pub(super) fn svg(&self) -> String {
        let panels = self.panels.iter();
        let heights = panels.map(|panel| PANEL_HEAD + ROW * panel.bars.len() as i32 + PANEL_FOOT);
        let height = HEAD + heights.sum::<i32>();
        sheet(WIDTH, height, |paper| {
            paper.heading(self.title, self.subtitle);
            let scale = self.scale();
            let mut top = HEAD;
            for panel in &self.panels {
                top = self.panel(paper, panel, &scale, top);
            }
        })
    }

    /// The same for all panels, so that they can be compared.
    fn scale(&self) -> Scale {
        let spreads = || self.panels.iter().flat_map(|panel| &panel.bars).map(|bar| bar.spread);
        let most = spreads().map(|spread| spread.max).fold(f64::MIN_POSITIVE, f64::max);
        if !self.logarithmic {
            return Scale { logarithmic: false, from: 0.0, to: most.max(self.mark.unwrap_or(0.0)) };
        }
        let to = most.max(LEAST * 10.0);
        Scale { logarithmic: true, from: 1.0, to }
    }

    /// Draws a panel; gives where the next one begins.
    fn panel(&self, paper: &Paper<'_, '_>, panel: &Panel, scale: &Scale, top: i32) -> i32 {
        paper.words((MARGIN, top + 16), &panel.title, 18, INK, Side::Right);
        let first = top + PANEL_HEAD;
        let end = first + ROW * panel.bars.len() as i32;
        for tick in scale.ticks() {
            let x = scale.pixel(tick);
            paper.line(&[(x, first), (x, end)], GRID, 1);
            paper.words((x, end + 10), &label(tick), 14, FAINT, Side::Middle);
        }
        for (at, bar) in panel.bars.iter().enumerate() {
            let middle = first + ROW * at as i32 + ROW / 2;
            let Spread { min, median, max } = bar.spread;
            paper.words((LEFT - 10, middle), &bar.title, 16, INK, Side::Left);
            let (from, to) = ((LEFT, middle - BAR / 2), (scale.pixel(median), middle + BAR / 2));
            paper.fill(from, to, colour(&bar.system));
            let (least, most) = (scale.pixel(min), scale.pixel(max));
            if most > least + 1 {
                whisker(paper, least, most, middle);
            }
            paper.words((most.max(to.0) + 8, middle), &bar.text, 16, INK, Side::Right);
        }
        if let Some(mark) = self.mark {
            let x = scale.pixel(mark);
            paper.line(&[(x, first), (x, end)], INK, 1);
        }
        end + PANEL_FOOT
    }
}

/// From the least to the largest; the white around it tells it from any bar.
fn whisker(paper: &Paper<'_, '_>, least: i32, most: i32, middle: i32) {
    for (colour, width) in [(PAPER, 3), (INK, 1)] {
        paper.line(&[(least, middle), (most, middle)], colour, width);
        for x in [least, most] {
            paper.line(&[(x, middle - 4), (x, middle + 4)], colour, width);
        }
    }
}

impl Scale {
    fn pixel(&self, value: f64) -> i32 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value.max(self.from) - self.from) / (self.to - self.from)
        };
        LEFT + (share * f64::from(RIGHT - LEFT)).round() as i32
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let powers = (0..=12).map(|power| 10_f64.powi(power));
            return powers.filter(|value| (self.from..=self.to).contains(value)).collect();
        }
        ticks(self.to)
    }
}

/// Round numbers from 0 up to this: four to ten of them.
pub(super) fn ticks(to: f64) -> Vec<f64> {
    let power = 10_f64.powf((to / 4.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|times| times * power);
    let step = steps.into_iter().find(|step| to / step >= 4.0).unwrap_or(power);
    (0..=(to / step) as u32).map(|at| f64::from(at) * step).collect()
}

/// A number of an axis: short.
pub(super) fn label(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{} M", value / 1e6),
        1_000.0.. => format!("{} k", value / 1e3),
        _ => format!("{}", (value * 1e3).round() / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_round() {
        assert_eq!(ticks(9.3), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(4.0), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(ticks(350.0), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0]);
        let labels = [0.25, 7.0, 10_000.0, 2_500_000.0].map(label);
        assert_eq!(labels, ["0.25", "7", "10 k", "2.5 M"]);
    }
}
