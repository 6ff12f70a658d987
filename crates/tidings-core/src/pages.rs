//! A table that grows and shrinks by pages: what a shard keeps for each of very many.
//! Knows nothing of what is in it.
//!
//! A vector that has to grow moves all it holds and takes twice the room for it. Here 64 entries
//! are a page, which comes with the first of them and goes with the last. The lowest free slot
//! is the next one taken, so those who stay gather in few pages when a crowd has left.

use std::ops::{Index, IndexMut};

/// Values by slot. A slot is free again once its value is taken.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Page<T>>,
    /// No page before this one has a free slot.
    open: usize,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    /// A bit for each slot that is taken.
    taken: u64,
    /// All slots, or none while nothing is taken.
    slots: Box<[Option<T>]>,
}

const PAGE_SLOTS: usize = u64::BITS as usize;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), open: 0, len: 0 }
    }
}

impl<T> Pages<T> {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot that the next [`Pages::insert`] takes.
    ///
    /// # Panics
    /// Where there are more than 2^32 values.
    #[must_use]
    pub fn next_slot(&mut self) -> u32 {
        while self.pages.get(self.open).is_some_and(|page| page.taken == u64::MAX) {
            self.open += 1;
        }
        let taken = self.pages.get(self.open).map_or(0, |page| page.taken);
        let slot = self.open * PAGE_SLOTS + taken.trailing_ones() as usize;
        u32::try_from(slot).expect("connections are limited far below 2^32")
    }

    /// Puts a value into the lowest free slot.
    pub fn insert(&mut self, value: T) -> u32 {
        let slot = self.next_slot();
        self.put(slot, value);
        slot
    }

    /// Puts a value into a slot that somebody else has chosen.
    ///
    /// # Panics
    /// Where the slot is taken.
    pub fn put(&mut self, slot: u32, value: T) {
        let (page, at) = place(slot);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Page::default);
        }
        let page = &mut self.pages[page];
        if page.taken == 0 {
            page.slots = std::iter::repeat_with(|| None).take(PAGE_SLOTS).collect();
        }
        let before = page.slots[at].replace(value);
        assert!(before.is_none(), "a slot holds one value");
        page.taken |= 1 << at;
        self.len += 1;
    }

    /// Takes a value out, and frees what only it needed.
    pub fn take(&mut self, slot: u32) -> Option<T> {
        let (number, at) = place(slot);
        let page = self.pages.get_mut(number)?;
        let value = page.slots.get_mut(at)?.take()?;
        page.taken &= !(1 << at);
        if page.taken == 0 {
            page.slots = Box::default();
        }
        self.open = self.open.min(number);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
        Some(value)
    }

    /// The value in a slot.
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&T> {
        let (page, at) = place(slot);
        self.pages.get(page)?.slots.get(at)?.as_ref()
    }

    /// The value in a slot.
    #[must_use]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (page, at) = place(slot);
        self.pages.get_mut(page)?.slots.get_mut(at)?.as_mut()
    }

    /// The slots that are taken, lowest first.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.pages).flat_map(|(page, Page { taken, .. })| {
            let slots = PAGE_SLOTS as u32;
            (0..slots).filter(move |at| taken & (1 << at) != 0).map(move |at| page * slots + at)
        })
    }

    /// The values, by slot.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.slots.iter().flatten())
    }
}

impl<T> Index<u32> for Pages<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        self.get(slot).expect("the slot is taken")
    }
}

impl<T> IndexMut<u32> for Pages<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        self.get_mut(slot).expect("the slot is taken")
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { taken: 0, slots: Box::default() }
    }
}

fn place(slot: u32) -> (usize, usize) {
    (slot as usize / PAGE_SLOTS, slot as usize % PAGE_SLOTS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_goes_with_its_last_value() {
        let mut pages = Pages::default();
        for value in 0..200 {
            assert_eq!(pages.insert(value), value);
        }
        let held = |pages: &Pages<u32>| pages.pages.iter().filter(|p| !p.slots.is_empty()).count();
        assert_eq!(held(&pages), 4);
        for slot in 0..130 {
            assert_eq!(pages.take(slot), Some(slot));
        }
        assert_eq!((pages.len(), held(&pages)), (70, 2));
        assert_eq!(pages.insert(7), 0, "the lowest slot first");
        for slot in pages.slots().collect::<Vec<_>>() {
            pages.take(slot).unwrap();
        }
        assert!(pages.is_empty() && pages.pages.capacity() == 0);
    }

    proptest! {
        /// Whatever comes and goes, it is a map whose next slot is the lowest that is free.
        #[test]
        fn is_a_map_that_fills_from_below(
            steps in prop::collection::vec((0u32..300, 0u8..4), 1..400),
        ) {
            let mut pages = Pages::default();
            let mut model = BTreeMap::new();
            for (slot, step) in steps {
                match step {
                    0 => prop_assert_eq!(pages.take(slot), model.remove(&slot)),
                    1 if !model.contains_key(&slot) => {
                        pages.put(slot, slot);
                        model.insert(slot, slot);
                    }
                    _ => {
                        let lowest = (0..).find(|slot| !model.contains_key(slot)).unwrap();
                        prop_assert_eq!(pages.insert(lowest), lowest);
                        model.insert(lowest, lowest);
                    }
                }
                prop_assert_eq!(pages.get(slot), model.get(&slot));
            }
            prop_assert_eq!(pages.len(), model.len());
            prop_assert!(pages.slots().eq(model.keys().copied()));
            prop_assert!(pages.values().eq(model.values()));
        }
    }
}
