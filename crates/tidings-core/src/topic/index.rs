//! From an event's topics to the subscribers that select them.
//! Knows nothing of subscribers but a number each.
//!
//! Exact topics live in a hash map: a publish costs one look-up and its matches, whatever the
//! number of subscribers. Patterns live in a trie that shares their beginnings, so a publish
//! walks the few branches its topic fits and never the list of subscribers.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::selector::Selector;
use super::sketch::Sketch;
use super::trie::{Place, Trie};
use crate::event::{Topic, Topics};
use crate::few::Few;
use crate::pages::Pages;

/// One subscriber's interest in one selector: what [`Index::remove`] takes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntryId(u32);

/// Subscribers by selector. `K` is how the caller calls a subscriber.
#[derive(Debug)]
pub struct Index<K> {
    // Topics are chosen by strangers: the hasher is seeded at random.
    exact: HashMap<Topic, u32, RandomState>,
    patterns: Trie,
    lists: Pages<List<K>>,
    entries: Pages<Entry>,
    sketch: Arc<Sketch>,
}

/// Who selected one topic or one pattern.
#[derive(Debug)]
struct List<K> {
    home: Home,
    members: Few<Member<K>>,
}

#[derive(Debug)]
enum Home {
    Exact(Topic),
    Pattern(Place),
}

#[derive(Clone, Copy, Debug)]
struct Member<K> {
    key: K,
    entry: u32,
}

/// Where a member stands, so that it leaves without a search.
#[derive(Debug)]
struct Entry {
    list: u32,
    at: u32,
}

impl<K: Copy> Default for Index<K> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            patterns: Trie::default(),
            lists: Pages::default(),
            entries: Pages::default(),
            sketch: Arc::default(),
        }
    }
}

impl<K: Copy> Index<K> {
    /// Adds a subscriber's interest. The same interest twice is two entries.
    pub fn insert(&mut self, selector: &Selector, key: K) -> EntryId {
        let entry = self.entries.next_slot();
        let member = Member { key, entry };
        let found = match selector {
            Selector::Exact(topic) => self.exact.get(topic).copied(),
            Selector::Pattern(pattern) => {
                let place = self.patterns.place(pattern);
                self.patterns.list(&place)
            }
        };
        let (list, at) = match found {
            Some(list) => {
                let members = &mut self.lists[list].members;
                members.push(member);
                (list, members.len() - 1)
            }
            None => (self.add_list(selector, member), 0),
        };
        let at = u32::try_from(at).expect("connections are limited far below 2^32");
        self.entries.put(entry, Entry { list, at });
        EntryId(entry)
    }

    fn add_list(&mut self, selector: &Selector, first: Member<K>) -> u32 {
        let members = Few::One(first);
        match selector {
            Selector::Exact(topic) => {
                self.sketch.add(topic);
                let home = Home::Exact(topic.clone());
                let list = self.lists.insert(List { home, members });
                self.exact.insert(topic.clone(), list);
                list
            }
            Selector::Pattern(pattern) => {
                self.sketch.add_pattern();
                let place = self.patterns.place(pattern);
                let home = Home::Pattern(place.clone());
                let list = self.lists.insert(List { home, members });
                self.patterns.put(&place, list);
                list
            }
        }
    }

    /// Takes an interest back, and frees what only it needed.
    ///
    /// # Panics
    /// Where the entry is not there: each is removed once.
    pub fn remove(&mut self, entry: EntryId) {
        let Entry { list, at } = self.entries.take(entry.0).expect("each is removed once");
        let members = &mut self.lists[list].members;
        if members.swap_remove(at) {
            if let Some(moved) = members.get(at as usize) {
                self.entries[moved.entry].at = at;
            }
            return;
        }
        match self.lists.take(list).expect("its entries know it").home {
            Home::Exact(topic) => {
                self.exact.remove(&topic);
                self.sketch.remove(&topic);
            }
            Home::Pattern(place) => {
                self.patterns.take(&place);
                self.sketch.remove_pattern();
            }
        }
    }

    /// Calls `found` for every entry that selects one of the topics: a subscriber comes once for
    /// each of its entries that does, and the caller sorts out repeats.
    pub fn matches(&self, topics: &Topics, mut found: impl FnMut(K)) {
        let mut each = |list: u32| {
            for member in &*self.lists[list].members {
                found(member.key);
            }
        };
        for topic in topics {
            if let Some(&list) = self.exact.get(topic) {
                each(list);
            }
            self.patterns.matches(topic.as_str(), &mut each);
        }
    }

    /// What other threads may ask of it.
    #[must_use]
    pub fn sketch(&self) -> &Arc<Sketch> {
        &self.sketch
    }

    /// Entries in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody selects anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether nothing is left of all who were here.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_bare(&self) -> bool {
        self.is_empty()
            && self.exact.is_empty()
            && self.lists.is_empty()
            && self.patterns.is_empty()
    }

    /// Gives memory back that a crowd of leavers has left unused.
    pub fn shrink(&mut self) {
        self.exact.shrink_to_fit();
        self.patterns.shrink();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn found(index: &Index<u32>, topic: &str) -> Vec<u32> {
        let mut keys = Vec::new();
        index.matches(&Topic::parse(topic).unwrap().into(), |key| keys.push(key));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    #[test]
    fn leaving_frees_everything() {
        let mut index = Index::default();
        let selectors = ["a", "a/{x}", "a/{x}/b*", "*", "a/*", "a"];
        let entries: Vec<_> = (0..)
            .zip(selectors)
            .map(|(key, text)| index.insert(&Selector::parse(text).unwrap(), key))
            .collect();
        assert_eq!(found(&index, "a"), [0, 3, 5]);
        assert_eq!(found(&index, "a/1"), [1, 3, 4]);
        assert_eq!(found(&index, "a/1/bc/d"), [2, 3, 4]);
        for entry in entries {
            index.remove(entry);
        }
        assert!(index.is_bare());
        assert!(!index.sketch().may_select(&Topic::parse("a").unwrap().into()));
    }

    fn selector() -> impl Strategy<Value = Selector> {
        let segment = prop_oneof![3 => "[ab]{1,2}", 1 => Just("{x}".to_owned())];
        let shape = prop_oneof![Just("%"), Just("%/*"), Just("%a*"), Just("%/a*"), Just("*")];
        (prop::collection::vec(segment, 1..4), shape)
            .prop_map(|(segments, shape)| shape.replace('%', &segments.join("/")))
            .prop_filter_map("a variable with a tail stuck to it", |text| {
                Selector::parse(&text).ok()
            })
    }

    proptest! {
        /// Whatever comes and goes, the index finds whom a scan of all selectors would find.
        #[test]
        fn finds_whom_a_scan_would_find(
            steps in prop::collection::vec((selector(), any::<Option<u8>>()), 1..60),
            topics in prop::collection::vec("[ab]{0,2}(/[ab]{0,2}){0,3}", 1..10),
        ) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, (Selector, EntryId)> = BTreeMap::new();
            for (key, (selector, leaver)) in (0u32..).zip(steps) {
                model.insert(key, (selector.clone(), index.insert(&selector, key)));
                if let Some(leaver) = leaver {
                    let key = *model.keys().nth(leaver as usize % model.len()).unwrap();
                    index.remove(model.remove(&key).unwrap().1);
                }
            }
            prop_assert_eq!(index.len(), model.len());
            for topic in topics.iter().filter_map(|text| Topic::parse(text).ok()) {
                let expected: Vec<u32> = model.iter()
                    .filter(|(_, (selector, _))| selector.matches(&topic))
                    .map(|(key, _)| *key)
                    .collect();
                let may = index.sketch().may_select(&topic.clone().into());
                prop_assert!(may || expected.is_empty(), "{}", topic);
                prop_assert_eq!(found(&index, topic.as_str()), expected, "{}", topic);
            }
        }
    }
}
