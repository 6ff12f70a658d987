//! The newest frames, ready in memory: what shards take as it comes, and what most of those who
//! come back missed. Knows nothing of sessions and sockets.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use tidings_core::cursor::{Cursor, Incarnation, Position};
use tidings_core::limits::{
    PAGE_BYTES_MAX, PAGE_EVENTS_MAX, PAGE_SEARCH_EVENTS_MAX, TAIL_EVENTS_MAX,
};
use tidings_core::shard::{Delivery, Filter, Page};

/// A bounded run of deliveries up to the newest.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes_max: usize,
    ring: RwLock<Ring>,
}

#[derive(Debug)]
struct Ring {
    /// Which log they come from.
    incarnation: Incarnation,
    events: VecDeque<Arc<Delivery>>,
    bytes: usize,
    /// Everything from here up to `next` is in `events`.
    first: Position,
    next: Position,
}

/// What a shard finds when it looks for the next events.
pub(crate) enum Run {
    /// Events that follow on what it had; none where there is nothing new.
    Events,
    /// What follows is no longer here: it has to go on at this position.
    Gap(Position),
    /// The log is another one now, and its next event stands here.
    Replaced(Incarnation, Position),
}

impl Tail {
    pub(crate) fn new(incarnation: Incarnation, next: Position, bytes_max: usize) -> Self {
        let ring = Ring { incarnation, events: VecDeque::new(), bytes: 0, first: next, next };
        Self { bytes_max, ring: RwLock::new(ring) }
    }

    /// The bytes of frames that it holds at most.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Which log the frames come from, and the position after the newest.
    pub(crate) fn head(&self) -> (Incarnation, Position) {
        let ring = self.ring.read();
        (ring.incarnation, ring.next)
    }

    /// The position of the oldest.
    pub(crate) fn first(&self) -> Position {
        self.ring.read().first
    }

    /// The log is another one now, whose next event stands at `next`.
    pub(crate) fn replace(&self, incarnation: Incarnation, next: Position) {
        *self.ring.write() =
            Ring { incarnation, events: VecDeque::new(), bytes: 0, first: next, next };
    }

    /// Adds the events that the log has yielded. A gap before them empties the ring: it must not
    /// look as if it held what it does not.
    pub(crate) fn push(&self, events: impl ExactSizeIterator<Item = Arc<Delivery>>) {
        let mut ring = self.ring.write();
        for delivery in events {
            if delivery.position != ring.next {
                ring.events.clear();
                ring.bytes = 0;
                ring.first = delivery.position;
            }
            ring.next = delivery.position.next();
            ring.bytes += delivery.frame.chunk().len();
            ring.events.push_back(delivery);
        }
        while ring.bytes > self.bytes_max || ring.events.len() > TAIL_EVENTS_MAX {
            let Some(oldest) = ring.events.pop_front() else { break };
            ring.bytes -= oldest.frame.chunk().len();
            ring.first = oldest.position.next();
        }
    }

    /// Adds events of this log that come right before `end`, the newest first. `false`: they do
    /// not all fit, or the oldest one here is another by now.
    pub(crate) fn push_front(
        &self,
        incarnation: Incarnation,
        end: Position,
        events: VecDeque<Arc<Delivery>>,
    ) -> bool {
        let mut ring = self.ring.write();
        if ring.incarnation != incarnation || ring.first != end {
            return false;
        }
        for delivery in events.into_iter().rev() {
            let bytes = ring.bytes + delivery.frame.chunk().len();
            let fits = bytes <= self.bytes_max && ring.events.len() < TAIL_EVENTS_MAX;
            if !fits || delivery.position.next() != ring.first {
                return false;
            }
            ring.bytes = bytes;
            ring.first = delivery.position;
            ring.events.push_front(delivery);
        }
        true
    }

    /// Puts at most `events_max` events of this log from `head` on into `run`.
    pub(crate) fn take(
        &self,
        incarnation: Incarnation,
        head: Position,
        events_max: usize,
        run: &mut Vec<Arc<Delivery>>,
    ) -> Run {
        let ring = self.ring.read();
        if incarnation != ring.incarnation {
            return Run::Replaced(ring.incarnation, ring.first);
        }
        if head < ring.first {
            return Run::Gap(ring.first);
        }
        run.extend(ring.from(head).take(events_max).cloned());
        Run::Events
    }

    /// The cursor with the fingerprint of its event, if that is still here.
    pub(crate) fn cursor(&self, cursor: Cursor) -> Cursor {
        let ring = self.ring.read();
        if cursor.incarnation != ring.incarnation || cursor.position < ring.first {
            return cursor;
        }
        let print = ring.from(cursor.position).next().and_then(|delivery| delivery.print);
        Cursor { print, ..cursor }
    }

    /// A page of this log for one subscriber, if what it wants is still here.
    pub(crate) fn page(
        &self,
        incarnation: Incarnation,
        from: Position,
        filter: &Filter,
    ) -> Option<Page> {
        let ring = self.ring.read();
        if incarnation != ring.incarnation || from < ring.first {
            return None;
        }
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        for delivery in ring.from(from).take(PAGE_SEARCH_EVENTS_MAX) {
            if filter.passes(delivery) {
                bytes += delivery.frame.chunk().len();
                let full = bytes > PAGE_BYTES_MAX || events.len() == PAGE_EVENTS_MAX;
                if full && !events.is_empty() {
                    return Some(Page::Events { events, next });
                }
                events.push(Arc::clone(delivery));
            }
            next = delivery.position.next();
        }
        Some(Page::Events { events, next })
    }
}

impl Ring {
    /// The events from a position on, which is not before the first.
    fn from(&self, position: Position) -> impl Iterator<Item = &Arc<Delivery>> {
        // Positions have no holes, so the place in the ring is a subtraction.
        let skip = usize::try_from(position.0 - self.first.0).unwrap_or(usize::MAX);
        self.events.range(skip.min(self.events.len())..)
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::cursor::Fingerprint;
    use tidings_core::event::{Data, Event, Topic};
    use tidings_core::sse::Frame;
    use tidings_core::topic::{Selector, Selectors};

    use super::*;

    fn incarnation() -> Incarnation {
        "k3f9x2ab".parse().unwrap()
    }

    fn delivery(position: u64, topic: &str) -> Arc<Delivery> {
        let event = Event::new(Topic::parse(topic).unwrap(), Data::from("0123456789"));
        let cursor = Cursor::before(incarnation(), Position(position + 1));
        Arc::new(Delivery {
            position: cursor.position,
            print: Some(Fingerprint::from_bits(position as u32)),
            topics: event.topics.clone(),
            private: position == 7,
            frame: Frame::event(cursor, &event),
        })
    }

    fn tail(positions: std::ops::Range<u64>, bytes_max: usize) -> Tail {
        let tail = Tail::new(incarnation(), Position(positions.start), bytes_max);
        for position in positions {
            let topic = if position % 2 == 0 { "even" } else { "odd" };
            tail.push([delivery(position, topic)].into_iter());
        }
        tail
    }

    fn page(tail: &Tail, from: u64, topic: &str) -> Option<(Vec<u64>, u64)> {
        let selectors = Selectors::from(Selector::parse(topic).unwrap());
        let filter = Filter { selectors, private: None };
        match tail.page(incarnation(), Position(from), &filter)? {
            Page::Events { events, next } => {
                Some((events.iter().map(|event| event.position.0).collect(), next.0))
            }
            Page::Trimmed { .. } | Page::Failed => panic!("the tail has pages or nothing"),
        }
    }

    #[test]
    fn gives_what_is_selected_and_where_to_read_on() {
        let tail = tail(1..10, usize::MAX);
        assert_eq!(page(&tail, 1, "even"), Some((vec![2, 4, 6, 8], 10)));
        assert_eq!(page(&tail, 5, "odd"), Some((vec![5, 9], 10)), "7 is private");
        assert_eq!(page(&tail, 10, "odd"), Some((vec![], 10)));
        assert_eq!(page(&tail, 12, "odd"), Some((vec![], 12)), "ahead of the pump");
    }

    #[test]
    fn private_events_are_for_those_who_may_see_their_topic() {
        let tail = tail(1..10, usize::MAX);
        for (allowed, expected) in [("odd", vec![5, 7, 9]), ("even", vec![5, 9])] {
            let [selectors, allowed] =
                ["odd", allowed].map(|text| Selectors::from(Selector::parse(text).unwrap()));
            let filter = Filter { selectors, private: Some(Arc::new(allowed)) };
            let Some(Page::Events { events, .. }) = tail.page(incarnation(), Position(5), &filter)
            else {
                panic!("it is all there")
            };
            let positions: Vec<u64> = events.iter().map(|event| event.position.0).collect();
            assert_eq!(positions, expected);
        }
    }

    #[test]
    fn drops_the_oldest_beyond_its_bound_and_says_so() {
        let frame = delivery(5, "odd").frame.chunk().len();
        let tail = tail(5..10, 3 * frame);
        assert_eq!(page(&tail, 6, "*"), None);
        assert_eq!(page(&tail, 8, "*"), Some((vec![8, 9], 10)));
        let mut run = Vec::new();
        let take = |head, max, run: &mut _| tail.take(incarnation(), Position(head), max, run);
        assert!(matches!(take(6, 64, &mut run), Run::Gap(Position(7))));
        assert!(matches!(take(7, 2, &mut run), Run::Events));
        assert_eq!(run.len(), 2);
    }

    #[test]
    fn is_filled_from_its_front_as_far_as_there_is_room() {
        let events = |range: std::ops::Range<u64>| range.map(|at| delivery(at, "odd")).collect();
        let frame = delivery(5, "odd").frame.chunk().len();
        let tail = tail(7..9, 5 * frame);
        let fill = |end, range| tail.push_front(incarnation(), Position(end), events(range));
        assert!(fill(7, 5..7), "both fit");
        assert!(!fill(7, 3..7), "the oldest is 5 by now");
        assert!(!fill(5, 2..4), "4 is missing");
        assert!(!fill(5, 2..5), "one has room");
        assert_eq!(tail.first(), Position(4));
        assert_eq!(page(&tail, 4, "*"), Some((vec![4, 5, 6, 8], 9)), "7 is private");
        let other: Incarnation = "00000000".parse().unwrap();
        assert!(!tail.push_front(other, Position(4), events(3..4)), "of another log");
    }

    #[test]
    fn a_gap_in_the_log_is_no_run() {
        let tail = tail(1..4, usize::MAX);
        tail.push([delivery(9, "odd")].into_iter());
        assert_eq!(page(&tail, 3, "*"), None);
        let run = tail.take(incarnation(), Position(4), 64, &mut Vec::new());
        assert!(matches!(run, Run::Gap(Position(9))));
        assert_eq!(page(&tail, 9, "*"), Some((vec![9], 10)));
    }

    #[test]
    fn fingerprints_are_those_of_what_is_here() {
        let tail = tail(5..10, usize::MAX);
        let print = |incarnation, next| tail.cursor(Cursor::before(incarnation, next)).print;
        for (next, expected) in [(5, None), (6, Some(5)), (10, Some(9)), (11, None)] {
            let expected = expected.map(Fingerprint::from_bits);
            assert_eq!(print(incarnation(), Position(next)), expected);
            assert_eq!(print("00000000".parse().unwrap(), Position(next)), None);
        }
    }

    #[test]
    fn what_another_log_holds_is_not_taken_for_its_own() {
        let tail = tail(1..10, usize::MAX);
        let other: Incarnation = "00000000".parse().unwrap();
        tail.replace(other, Position(3));
        assert_eq!(tail.head(), (other, Position(3)));
        assert_eq!(page(&tail, 5, "*"), None);
        let run = tail.take(incarnation(), Position(10), 64, &mut Vec::new());
        assert!(matches!(run, Run::Replaced(log, Position(3)) if log == other));
    }
}
