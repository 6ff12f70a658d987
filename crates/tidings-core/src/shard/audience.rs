//! Who gets the same: subscribers gathered by what they ask for.
//! Knows nothing of sessions; a subscriber is the number of its slot.
//!
//! Ten thousand subscribers of one topic are one audience with one filter and one entry in the
//! index; each of them costs a number in its list.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::port::{Delivery, Filter};
use crate::few::Few;
use crate::pages::Pages;
use crate::topic::{EntryId, Index, Sketch};

/// A subscriber's place in its audience.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    audience: u32,
    at: u32,
}

impl Seat {
    /// Whether the other one is of the same audience.
    pub(super) fn is_beside(self, other: Self) -> bool {
        self.audience == other.audience
    }
}

#[derive(Debug, Default)]
pub(super) struct Audiences {
    audiences: Pages<Audience>,
    /// Audiences by the hash of their filter. Should two filters have the same, then the second
    /// is not found here, and whoever asks for it is an audience of their own.
    by_hash: HashMap<u64, u32, RandomState>,
    index: Index<u32>,
}

#[derive(Debug)]
struct Audience {
    filter: Filter,
    /// Its entries in the index, one for each selector.
    entries: Few<EntryId>,
    /// Who is in it: slots.
    members: Few<u32>,
}

const _: () = assert!(size_of::<Audience>() <= 80, "each subscriber may be one of its own");

impl Audiences {
    /// Takes a subscriber in.
    pub(super) fn join(&mut self, filter: &Filter, slot: u32) -> Seat {
        let hash = self.by_hash.hasher().hash_one(filter);
        let known = self.by_hash.get(&hash).copied();
        if let Some(audience) = known.filter(|&known| self.audiences[known].filter == *filter) {
            let members = &mut self.audiences[audience].members;
            members.push(slot);
            let at = u32::try_from(members.len() - 1).expect("there are no more than slots");
            return Seat { audience, at };
        }
        let audience = self.audiences.next_slot();
        let filter = filter.unshared();
        let entries = filter.selectors.iter().map(|s| self.index.insert(s, audience)).collect();
        self.audiences.put(audience, Audience { filter, entries, members: Few::One(slot) });
        self.by_hash.entry(hash).or_insert(audience);
        Seat { audience, at: 0 }
    }

    /// Lets a subscriber go, and frees what only it needed. Somebody else may have to move to its
    /// seat: the slot of that one.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<u32> {
        let members = &mut self.audiences[seat.audience].members;
        if members.swap_remove(seat.at) {
            return members.get(seat.at as usize).copied();
        }
        let Audience { filter, entries, .. } =
            self.audiences.take(seat.audience).expect("its members know it");
        for entry in &*entries {
            self.index.remove(*entry);
        }
        let hash = self.by_hash.hasher().hash_one(&filter);
        if self.by_hash.get(&hash) == Some(&seat.audience) {
            self.by_hash.remove(&hash);
        }
        if self.audiences.is_empty() {
            self.by_hash.shrink_to_fit();
            self.index.shrink();
        }
        None
    }

    /// What the audience of this seat asks for.
    pub(super) fn filter(&self, seat: Seat) -> &Filter {
        &self.audiences[seat.audience].filter
    }

    /// Calls `found` for everybody whose filter the event passes; it may come more than once for
    /// the same subscriber.
    pub(super) fn find(&self, delivery: &Delivery, mut found: impl FnMut(u32)) {
        self.index.matches(&delivery.topics, |audience| {
            let audience = &self.audiences[audience];
            if audience.filter.may_see(delivery.private, &delivery.topics) {
                audience.members.iter().copied().for_each(&mut found);
            }
        });
    }

    /// What other threads may ask of the index.
    pub(super) fn sketch(&self) -> &Arc<Sketch> {
        self.index.sketch()
    }

    /// Entries in the index.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn entries(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is left of all who were here.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn is_bare(&self) -> bool {
        self.audiences.is_empty() && self.by_hash.is_empty() && self.index.is_bare()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{Cursor, Position};
    use crate::event::{Data, Event, Topic, Topics};
    use crate::sse::Frame;
    use crate::topic::{Selector, Selectors};

    fn selectors(texts: &[&str]) -> Selectors {
        let selectors = texts.iter().map(|text| Selector::parse(text).unwrap()).collect();
        Selectors::parse(selectors, 10).unwrap()
    }

    fn filter(topics: &[&str], private: &[&str]) -> Filter {
        let allowed = (!private.is_empty()).then(|| Arc::new(selectors(private)));
        Filter { selectors: selectors(topics), private: allowed }
    }

    fn found(audiences: &Audiences, topics: &[&str], private: bool) -> Vec<u32> {
        let topics = topics.iter().map(|topic| Topic::parse(topic).unwrap()).collect();
        let event = Event::new(Topics::parse(topics).unwrap(), Data::from("x"));
        let cursor = Cursor::before("k3f9x2ab".parse().unwrap(), Position(2));
        let frame = Frame::event(cursor, &event);
        let delivery =
            Delivery { position: Position(1), print: None, topics: event.topics, private, frame };
        let mut slots = Vec::new();
        audiences.find(&delivery, |slot| slots.push(slot));
        slots.sort_unstable();
        slots
    }

    #[test]
    fn those_who_ask_for_the_same_share_it() {
        let mut audiences = Audiences::default();
        let mut seats: Vec<Seat> =
            (0..1000).map(|slot| audiences.join(&filter(&["a", "b/*"], &[]), slot)).collect();
        let one = audiences.join(&filter(&["a", "b/*"], &["b/1"]), 1000);
        assert_eq!(audiences.audiences.len(), 2, "private events make a difference");
        assert_eq!(audiences.entries(), 4);
        assert_eq!(found(&audiences, &["a"], false).len(), 1001);
        assert_eq!(found(&audiences, &["b/1"], true), [1000]);
        assert_eq!(found(&audiences, &["a", "b/1"], true), [1000; 2], "once for each entry");
        assert!(found(&audiences, &["a", "b/2"], true).is_empty(), "neither topic is allowed");

        while let Some(seat) = seats.pop() {
            if let Some(moved) = audiences.leave(seat) {
                seats[moved as usize] = seat;
            }
        }
        assert_eq!(found(&audiences, &["a"], false), [1000]);
        assert_eq!(audiences.leave(one), None);
        assert!(audiences.is_bare());
    }

    #[test]
    fn who_leaves_from_the_middle_gives_its_seat_to_the_last() {
        let mut audiences = Audiences::default();
        let seats = [7, 8, 9].map(|slot| audiences.join(&filter(&["a"], &[]), slot));
        assert_eq!(audiences.leave(seats[0]), Some(9));
        assert_eq!(found(&audiences, &["a"], false), [8, 9]);
        assert_eq!(audiences.leave(seats[0]), Some(8));
        assert_eq!(audiences.leave(seats[0]), None);
        assert!(audiences.is_bare());
    }

    #[test]
    fn the_filter_is_a_copy_of_its_own() {
        let mut audiences = Audiences::default();
        let theirs = filter(&["a"], &["b"]);
        let seat = audiences.join(&theirs, 0);
        let address = |selectors: &Selectors| match selectors.iter().next() {
            Some(Selector::Exact(topic)) => topic.as_str().as_ptr(),
            _ => unreachable!("it is a topic"),
        };
        let ours = audiences.filter(seat);
        assert_eq!(ours, &theirs);
        assert_ne!(address(&ours.selectors), address(&theirs.selectors));
        let [ours, theirs] = [ours, &theirs].map(|filter| filter.private.as_ref().unwrap());
        assert_ne!(address(ours), address(theirs));
    }
}
