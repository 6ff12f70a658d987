//! One round: a crowd comes, gets its events, and leaves; what it cost whom it came to.
//! Knows nothing of who that is.

use super::audience::{Audience, Delivered, Pace};
use super::streams::Came;
use crate::crowd::Counts;
use crate::measure::Memory;
use crate::subject::Subject;

/// What came out.
#[derive(Debug)]
pub struct Round {
    /// What it took to come.
    pub came: Came,
    /// What it took to get the events.
    pub delivered: Delivered,
    /// After all events.
    pub after_events: Memory,
    /// What the crowd counted.
    pub counts: Counts,
    /// When all had left.
    pub left: Memory,
}

/// Runs a round. Events that do not come are no error here, they are in the counts.
///
/// # Errors
/// Where the subject is gone, or does not let the crowd in or go.
pub fn round(subject: &mut dyn Subject, pace: Pace) -> anyhow::Result<Round> {
    let (mut audience, came) = Audience::gather(subject, pace.connections)?;
    let delivered = audience.get(pace)?;
    let after_events = audience.memory()?;
    let counts = audience.counts();
    let left = audience.leave()?;
    Ok(Round { came, delivered, after_events, counts, left })
}
