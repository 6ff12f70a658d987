//! What is measured of each system: the works, each in its own file, and what they give.
//! Knows nothing of how often they run and how the figures are shown.
//!
//! A [`Work`] has cases, such as one for each size of a crowd. A case is run against a fresh
//! process of each system that can do it, and gives a [`Sample`].

pub(crate) mod crowd;
mod flood;
pub(crate) mod growth;
mod latency;
mod ndjson;
mod nodes;
mod patterns;
mod publish;
mod resume;
mod stalled;
mod topics;

use crate::figure::Sample;
use crate::subject::{Ability, Subject};

/// How much is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scale {
    /// What the figures are made of.
    Full,
    /// Next to nothing: shows that everything works. Its figures mean nothing.
    Smoke,
}

impl Scale {
    /// One or the other.
    pub fn pick<T>(self, full: T, smoke: T) -> T {
        match self {
            Self::Full => full,
            Self::Smoke => smoke,
        }
    }
}

/// Something that servers of this kind are used for.
pub struct Work {
    /// One word, for the command line.
    pub name: &'static str,
    /// What is done and what the figures mean, in a few sentences for the report.
    pub about: &'static str,
    /// Its cases.
    pub cases: fn(Scale) -> Vec<Case>,
}

/// One size or shape of a work.
pub struct Case {
    /// One word that begins with the work's name.
    pub name: String,
    /// The heading of its table.
    pub title: String,
    /// It runs in a network of its own: see [`crate::isolate`].
    pub isolated: bool,
    /// What a system must be able to do.
    pub needs: &'static [Ability],
    /// The bare loop takes part, before and after the others.
    pub beside_limit: bool,
    /// Does it with a fresh system.
    pub run: Run,
}

/// Does a case with a system that has just been started.
pub type Run = Box<dyn Fn(&mut dyn Subject) -> anyhow::Result<Sample>>;

/// All works, in the order of the report.
pub const WORKS: &[Work] = &[
    crowd::WORK,
    flood::WORK,
    latency::WORK,
    topics::WORK,
    patterns::WORK,
    resume::WORK,
    publish::WORK,
    ndjson::WORK,
    stalled::WORK,
    growth::WORK,
    nodes::publish::WORK,
    nodes::append::WORK,
    nodes::fanout::WORK,
    nodes::latency::WORK,
    nodes::resume::WORK,
];
