//! One subscriber's state: replay → live → lagging → closed.
//! Knows nothing of topics, bytes on the wire or other subscribers.
//!
//! A session is a position in the log, never a queue. While it is behind it reads pages from the
//! log; it goes live only when the next position it wants is the tail; when its connection takes
//! no more, it keeps its position (and the rest of the one frame that was cut) and is behind
//! again. So its memory does not grow however slow it is, and it sees every position in order,
//! once.

use bytes::Bytes;

use crate::cursor::Position;

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It has not caught up with the tail yet since it began.
    Replay,
    /// It has all there is, and gets events as they come.
    Live,
    /// Its connection took no more; it will read on from the log.
    Lagging,
    /// It ends as soon as the frame that was cut is whole.
    Closing,
}

/// One subscriber's place.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    /// The connection took less than it was offered: nothing is written until it is writable.
    blocked: bool,
    /// A page was asked for and has not come.
    reading: bool,
    /// The first position that it may still get. Behind, it is exact; live, every selected event
    /// from here on is new to it.
    next: Position,
    /// The rest of the one frame that was written in part. Boxed, because almost nobody has one.
    rest: Option<Box<Bytes>>,
}

impl Session {
    /// A session that wants everything from `next` on.
    #[must_use]
    pub fn new(next: Position) -> Self {
        Self { phase: Phase::Replay, blocked: false, reading: false, next, rest: None }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether an event at this position goes straight to it.
    #[must_use]
    pub fn takes(&self, position: Position) -> bool {
        self.phase == Phase::Live && position >= self.next
    }

    /// The position it wants a page from, if it is behind and could write it.
    #[must_use]
    pub fn wants(&self) -> Option<Position> {
        let behind = matches!(self.phase, Phase::Replay | Phase::Lagging);
        (behind && !self.blocked && !self.reading).then_some(self.next)
    }

    /// Whether bytes may be written now.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.blocked
    }

    /// A page is on its way.
    pub fn handle_asked(&mut self) {
        self.reading = true;
    }

    /// The page that was asked for came. `false`: it is of no use any more, because the
    /// connection has stopped taking or the session ends.
    #[must_use]
    pub fn handle_answered(&mut self) -> bool {
        self.reading = false;
        self.wants().is_some()
    }

    /// All selected events before `next` are written; `head` is where live events begin.
    pub fn handle_reached(&mut self, next: Position, head: Position) {
        assert!(next >= self.next, "a session never goes back");
        self.next = next;
        if matches!(self.phase, Phase::Replay | Phase::Lagging) && next >= head {
            self.phase = Phase::Live;
        }
    }

    /// The connection took no more: all selected events before `next` are written, and of one
    /// frame all but `rest`.
    pub fn handle_blocked(&mut self, next: Position, rest: Option<Bytes>) {
        assert!(next >= self.next, "a session never goes back");
        assert!(self.rest.is_none(), "one frame is cut at a time");
        self.next = next;
        self.blocked = true;
        self.rest = rest.map(Box::new);
        if self.phase == Phase::Live {
            self.phase = Phase::Lagging;
        }
    }

    /// Events from `head` on were passed over. `true`: it was live and has to read them.
    #[must_use]
    pub fn handle_gap(&mut self, head: Position) -> bool {
        let live = self.phase == Phase::Live;
        if live {
            self.next = self.next.max(head);
            self.phase = Phase::Lagging;
        }
        live
    }

    /// The connection takes bytes again; the rest of the cut frame has to go first.
    #[must_use]
    pub fn handle_writable(&mut self) -> Option<Bytes> {
        self.blocked = false;
        self.rest.take().map(|rest| *rest)
    }

    /// It has to end. `true`: it can end now; else once the cut frame is whole.
    #[must_use]
    pub fn handle_close(&mut self) -> bool {
        self.phase = Phase::Closing;
        !self.blocked
    }

    /// How much of a cut frame it keeps, in bytes.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn rest_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// The first position that is not written, where live events begin at `head`.
    #[must_use]
    pub fn position(&self, head: Position) -> Position {
        match self.phase {
            Phase::Live => self.next.max(head),
            Phase::Replay | Phase::Lagging | Phase::Closing => self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_live_only_at_the_tail() {
        let mut session = Session::new(Position(3));
        assert_eq!(session.wants(), Some(Position(3)));
        session.handle_asked();
        assert_eq!(session.wants(), None, "one page at a time");
        assert!(session.handle_answered());
        session.handle_reached(Position(7), Position(9));
        assert_eq!(session.phase(), Phase::Replay);
        assert!(!session.takes(Position(9)), "two positions are missing");
        session.handle_reached(Position(9), Position(9));
        assert_eq!(session.phase(), Phase::Live);
        assert!(session.takes(Position(9)));
    }

    #[test]
    fn a_page_may_run_ahead_of_the_live_events() {
        let mut session = Session::new(Position(1));
        session.handle_reached(Position(12), Position(9));
        assert_eq!(session.phase(), Phase::Live);
        assert!(!session.takes(Position(11)), "it had that one in the page");
        assert!(session.takes(Position(12)));
        assert_eq!(session.position(Position(9)), Position(12));
        assert_eq!(session.position(Position(15)), Position(15));
    }

    #[test]
    fn a_full_connection_is_a_position_and_the_rest_of_one_frame() {
        let mut session = Session::new(Position(1));
        session.handle_reached(Position(5), Position(5));
        session.handle_blocked(Position(6), Some(Bytes::from_static(b"est")));
        assert_eq!(session.phase(), Phase::Lagging);
        assert!(!session.takes(Position(6)) && session.wants().is_none());
        assert_eq!(session.handle_writable().as_deref(), Some(&b"est"[..]));
        assert_eq!(session.wants(), Some(Position(6)));
    }

    #[test]
    fn ends_after_the_cut_frame() {
        let mut session = Session::new(Position(1));
        assert!(session.handle_close());
        let mut session = Session::new(Position(1));
        session.handle_blocked(Position(2), Some(Bytes::from_static(b"rest")));
        assert!(!session.handle_close());
        assert_eq!(session.wants(), None);
        assert_eq!(session.handle_writable().as_deref(), Some(&b"rest"[..]));
        assert_eq!(session.phase(), Phase::Closing);
    }

    #[test]
    fn a_page_that_comes_too_late_is_dropped() {
        let mut session = Session::new(Position(1));
        session.handle_asked();
        session.handle_blocked(Position(1), None);
        assert!(!session.handle_answered());
        assert_eq!(session.handle_writable(), None);
        assert_eq!(session.wants(), Some(Position(1)), "it asks again");
    }
}
