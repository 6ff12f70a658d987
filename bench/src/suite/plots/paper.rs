//! What plots are drawn on: lines, boxes and words in pixels, on white, and a colour for each
//! system. Knows nothing of what they mean.

use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::subject::SYSTEMS;

pub(super) const PAPER: RGBColor = WHITE;
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const FAINT: RGBColor = RGBColor(0x6a, 0x6a, 0x6a);
pub(super) const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Colours that stand for the same wherever they are, also for those who see few of them.
const COLOURS: &[(&str, RGBColor)] = &[
    ("limit", RGBColor(0x8c, 0x8c, 0x8c)),
    ("tidings", RGBColor(0x1a, 0x5f, 0xd0)),
    ("nchan", RGBColor(0x2b, 0x9d, 0x5c)),
    ("pushpin", RGBColor(0x8a, 0x5a, 0x2b)),
    ("express", RGBColor(0xe5, 0xa9, 0x12)),
    ("better-sse", RGBColor(0xdd, 0x6b, 0x20)),
    ("axum", RGBColor(0x94, 0x4f, 0xc4)),
];
const MORE: &[RGBColor] = &[
    RGBColor(0xc2, 0x2f, 0x5b),
    RGBColor(0x1d, 0x9a, 0xa8),
    RGBColor(0x5f, 0x6b, 0x16),
    RGBColor(0x4b, 0x42, 0x8f),
];

/// The colour of a system; a variant of one (`tidings-disk`) has it paler.
pub(super) fn colour(system: &str) -> RGBColor {
    let known = |(name, _): &&(&str, RGBColor)| system.starts_with(name);
    if let Some((name, colour)) = COLOURS.iter().find(known) {
        return if system == *name { *colour } else { pale(*colour) };
    }
    let at = SYSTEMS.iter().position(|other| other.name == system).unwrap_or(0);
    MORE[at % MORE.len()]
}

/// Half way to white, almost.
fn pale(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let mixed = |part: u8| part + (u8::MAX - part) / 5 * 2;
    RGBColor(mixed(red), mixed(green), mixed(blue))
}

/// Where words stand, seen from the point that they are drawn at.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// Draws on a sheet of this size in pixels, and gives its SVG.
pub(super) fn sheet(width: i32, height: i32, draw: impl FnOnce(&Paper<'_, '_>)) -> String {
    let mut svg = String::new();
    let size = (width.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let paper = Paper { area: &area };
    paper.fill((0, 0), (width, height), PAPER);
    draw(&paper);
    area.present().expect("a string takes everything");
    drop(area);
    svg
}

/// A sheet.
pub(super) struct Paper<'a, 'b> {
    area: &'a DrawingArea<SVGBackend<'b>, plotters::coord::Shift>,
}

impl<'b> Paper<'_, 'b> {
    pub(super) fn fill(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) {
        self.put(&Rectangle::new([from, to], colour.filled()));
    }

    pub(super) fn line(&self, points: &[(i32, i32)], colour: RGBColor, width: u32) {
        self.put(&PathElement::new(points.to_vec(), colour.stroke_width(width)));
    }

    pub(super) fn dot(&self, at: (i32, i32), colour: RGBColor) {
        self.put(&Circle::new(at, 4, colour.filled()));
    }

    pub(super) fn words(&self, at: (i32, i32), text: &str, size: i32, ink: RGBColor, side: Side) {
        // A word to the left of a point ends there.
        let across = match side {
            Side::Left => HPos::Right,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Left,
        };
        let style = ("sans-serif", size).into_font().color(&ink);
        let style = style.pos(Pos::new(across, VPos::Center));
        self.put(&Text::new(text.to_owned(), at, style));
    }

    /// The heading, and below it what the numbers are.
    pub(super) fn heading(&self, title: &str, subtitle: &str) {
        self.words((MARGIN, 26), title, 23, INK, Side::Right);
        self.words((MARGIN, 50), subtitle, 16, FAINT, Side::Right);
    }

    fn put<'e, E>(&self, element: &'e E)
    where
        &'e E: PointCollection<'e, (i32, i32)>,
        E: Drawable<SVGBackend<'b>>,
    {
        self.area.draw(element).expect("a string takes everything");
    }
}

pub(super) const MARGIN: i32 = 20;
/// The height of the heading.
pub(super) const HEAD: i32 = 70;
