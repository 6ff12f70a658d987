//! Where a subscription begins: from what a client says it had, to a position and a verdict.
//! Knows nothing of connections.

use tidings_core::cursor::{Cursor, Fingerprint, Incarnation, Position, Timestamp};
use tidings_core::event::EventId;
use tidings_core::sse::Frame;
use tidings_core::topic::Selectors;
use tidings_core::vector;
use tidings_log::{Bounds, Log, Mark, ReadError};

use super::tail::Tail;

/// Where a subscription begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Start {
    /// With the next event.
    Live,
    /// After the event with this id: what a client sends as `Last-Event-ID`.
    After(String),
    /// With the oldest event that is kept.
    Earliest,
    /// With the first event of this time or later.
    Since(Timestamp),
    /// With the last so many events that are selected.
    Last(usize),
}

/// What became of the wish to begin somewhere: the `Tidings-Resume` header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It begins with the next event, as no other place was asked for.
    Live,
    /// It begins where it was asked to, and nothing is missing.
    Resumed,
    /// What was asked for is gone; the stream says so first.
    Reset,
}

impl Verdict {
    /// As the header has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Resumed => "resumed",
            Self::Reset => "reset",
        }
    }
}

/// A position, and what to tell about it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// The log that the position is one of.
    pub(crate) incarnation: Incarnation,
    pub(crate) verdict: Verdict,
    /// The first position to be delivered.
    pub(crate) next: Position,
    /// Of the event right before, if that is known.
    pub(crate) print: Option<Fingerprint>,
    /// The event that says what is gone.
    pub(crate) reset: Option<Frame>,
    /// How many positions are gone, where anybody knows.
    pub(crate) missed: Option<u64>,
}

impl Place {
    /// Right before what is delivered first.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { print: self.print, ..Cursor::before(self.incarnation, self.next) }
    }
}

/// Finds the place of a start.
///
/// # Errors
/// Where the log can't be read.
pub(crate) async fn find(
    log: &dyn Log,
    tail: &Tail,
    start: &Start,
    selectors: &Selectors,
) -> Result<Place, ReadError> {
    let incarnation = log.bounds().incarnation;
    match look(log, tail, start, selectors).await {
        // It became another one on the way, which is known now.
        Err(ReadError::Failed { .. }) if log.bounds().incarnation != incarnation => {
            look(log, tail, start, selectors).await
        }
        found => found,
    }
}

async fn look(
    log: &dyn Log,
    tail: &Tail,
    start: &Start,
    selectors: &Selectors,
) -> Result<Place, ReadError> {
    let bounds = log.bounds();
    let mark = match start {
        Start::Live => {
            let print = end(log, tail, bounds).await;
            return same(log, Place { print, ..at(bounds, Verdict::Live, bounds.next) });
        }
        Start::After(id) => return after(log, tail, bounds, id).await,
        Start::Earliest => return Ok(at(bounds, Verdict::Resumed, bounds.oldest)),
        Start::Since(time) => Mark::Time(*time),
        Start::Last(events) => Mark::Last { events: *events, selectors },
    };
    let found = log.find(mark).await?;
    same(log, at(bounds, Verdict::Resumed, found.unwrap_or(bounds.next)))
}

/// Finds the place after an event.
///
/// An id of our own form tells its position by itself, and which log it belongs to. Any other id
/// is a publisher's and is looked up; one that is not there may have been passed by retention, so
/// all that is kept follows, after the word that something may be missing.
async fn after(
    log: &dyn Log,
    tail: &Tail,
    mut bounds: Bounds,
    id: &str,
) -> Result<Place, ReadError> {
    let cursor = id.parse::<Cursor>().ok();
    if let Some(cursor) = cursor
        && (cursor.incarnation != bounds.incarnation || cursor.position >= bounds.next)
    {
        // Another node may have given it, of what this one has not heard yet.
        bounds = log.bounds_now().await?;
    }
    if let Some(cursor) = cursor
        && cursor.incarnation == bounds.incarnation
    {
        let place = after_position(bounds, id, cursor.position);
        if place.verdict == Verdict::Reset {
            return Ok(place);
        }
        if is_lost(log, tail, cursor).await? {
            let print = end(log, tail, bounds).await;
            return same(log, reset(bounds, id, bounds.next, print, None));
        }
        return same(log, Place { print: cursor.print, ..place });
    }
    if let Ok(chosen) = EventId::parse(id)
        && let Some(position) = log.find(Mark::Id(&chosen)).await?
    {
        return same(log, at(bounds, Verdict::Resumed, position.next()));
    }
    Ok(match cursor {
        Some(_) => reset(bounds, id, bounds.next, end(log, tail, bounds).await, None),
        None => reset(bounds, id, bounds.oldest, None, None),
    })
}

/// Finds the place after one that stands in a vector.
///
/// # Errors
/// Where the log can't be read.
pub(crate) async fn after_mark(
    log: &dyn Log,
    tail: &Tail,
    id: &str,
    mark: vector::Mark,
) -> Result<Place, ReadError> {
    let mut bounds = log.bounds();
    if mark.position >= bounds.next {
        bounds = log.bounds_now().await?;
    }
    let place = after_position(bounds, id, mark.position);
    if place.verdict == Verdict::Reset {
        return Ok(place);
    }
    let cursor = Cursor { incarnation: bounds.incarnation, position: mark.position, print: None };
    let print = known(log, tail, cursor).await?;
    if let (Some(trace), Some(print)) = (mark.trace, print)
        && !trace.is_of(print)
    {
        let print = end(log, tail, bounds).await;
        return same(log, reset(bounds, id, bounds.next, print, None));
    }
    same(log, Place { print, ..place })
}

/// The end, for somebody who may have had anything before.
///
/// # Errors
/// Where the log can't be read.
pub(crate) async fn unknown(log: &dyn Log, tail: &Tail, id: &str) -> Result<Place, ReadError> {
    let bounds = log.bounds();
    same(log, reset(bounds, id, bounds.next, end(log, tail, bounds).await, None))
}

/// The fingerprint of the event at a place.
async fn known(
    log: &dyn Log,
    tail: &Tail,
    cursor: Cursor,
) -> Result<Option<Fingerprint>, ReadError> {
    match tail.cursor(cursor).print {
        None => log.fingerprint(cursor.position).await,
        known => Ok(known),
    }
}

/// Whether the log has another event now at the place of this cursor: what keeps the log has lost
/// its end and given the position again, and nobody knows what else the client had of that end.
async fn is_lost(log: &dyn Log, tail: &Tail, cursor: Cursor) -> Result<bool, ReadError> {
    let Some(print) = cursor.print else { return Ok(false) };
    let known = known(log, tail, Cursor { print: None, ..cursor }).await?;
    Ok(known.is_some_and(|known| known != print))
}

/// The fingerprint of the log's last event, if it is known.
async fn end(log: &dyn Log, tail: &Tail, bounds: Bounds) -> Option<Fingerprint> {
    known(log, tail, Cursor::before(bounds.incarnation, bounds.next)).await.ok().flatten()
}

fn after_position(bounds: Bounds, id: &str, position: Position) -> Place {
    if position >= bounds.next {
        // The log has lost its end, or the client made the cursor up: nobody knows what is gone.
        return reset(bounds, id, bounds.next, None, None);
    }
    let next = position.next();
    if next < bounds.oldest {
        return reset(bounds, id, bounds.oldest, None, Some(bounds.oldest.0 - next.0));
    }
    at(bounds, Verdict::Resumed, next)
}

fn at(bounds: Bounds, verdict: Verdict, next: Position) -> Place {
    Place { incarnation: bounds.incarnation, verdict, next, print: None, reset: None, missed: None }
}

/// The place, if the log is still the one in which it was looked for.
fn same(log: &dyn Log, place: Place) -> Result<Place, ReadError> {
    if log.bounds().incarnation == place.incarnation {
        return Ok(place);
    }
    Err(ReadError::Failed { reason: "the log was replaced by another one meanwhile".to_owned() })
}

fn reset(
    bounds: Bounds,
    from: &str,
    next: Position,
    print: Option<Fingerprint>,
    missed: Option<u64>,
) -> Place {
    let incarnation = bounds.incarnation;
    let before = Cursor { print, ..Cursor::before(incarnation, next) };
    let reset = Some(Frame::reset(from, before, missed));
    Place { incarnation, verdict: Verdict::Reset, next, print, reset, missed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(oldest: u64, next: u64) -> Bounds {
        Bounds {
            incarnation: "k3f9x2ab".parse().unwrap(),
            oldest: Position(oldest),
            next: Position(next),
        }
    }

    #[test]
    fn a_cursor_within_the_log_resumes_and_one_outside_is_told() {
        let check = |position, verdict, next| {
            let place = after_position(bounds(10, 20), "x", Position(position));
            assert_eq!((place.verdict, place.next), (verdict, Position(next)), "{position}");
            assert_eq!(place.reset.is_some(), verdict == Verdict::Reset);
        };
        check(9, Verdict::Resumed, 10);
        check(15, Verdict::Resumed, 16);
        check(19, Verdict::Resumed, 20);
        check(8, Verdict::Reset, 10);
        check(0, Verdict::Reset, 10);
        check(20, Verdict::Reset, 20);
        check(u64::MAX, Verdict::Reset, 20);
    }
}
