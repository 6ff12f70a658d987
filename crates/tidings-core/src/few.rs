//! A list that mostly has one entry, and needs no memory of its own then.
//! Knows nothing of what is in it.

use std::ops::{Deref, DerefMut};

/// One, or many. The order is of no matter.
#[derive(Debug)]
pub(crate) enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy> Few<T> {
    pub(crate) fn push(&mut self, entry: T) {
        match self {
            Self::One(one) => *self = Self::Many(vec![*one, entry]),
            Self::Many(many) => many.push(entry),
        }
    }

    /// Takes an entry out; the last one takes its place. `false`: there is none left, and the
    /// list is of no use any more.
    #[must_use]
    pub(crate) fn swap_remove(&mut self, at: u32) -> bool {
        let Self::Many(many) = self else { return false };
        many.swap_remove(at as usize);
        match **many {
            [] => return false,
            [one] => *self = Self::One(one),
            // A quarter is in use: what a crowd that has left needed is given back.
            _ if many.len() < many.capacity() / 4 => many.shrink_to(many.len() * 2),
            _ => {}
        }
        true
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut entries = entries.into_iter();
        match (entries.next(), entries.next()) {
            (Some(one), None) => Self::One(one),
            (one, two) => Self::Many(one.into_iter().chain(two).chain(entries).collect()),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_memory_only_for_the_second() {
        let mut few = Few::from_iter([1]);
        assert!(matches!(few, Few::One(1)));
        few.push(2);
        few.push(3);
        assert!(few.swap_remove(0));
        assert_eq!(*few, [3, 2]);
        assert!(few.swap_remove(0));
        assert!(matches!(few, Few::One(2)));
        assert!(!few.swap_remove(0));
        assert_eq!(*Few::from_iter([1, 2, 3]), [1, 2, 3]);
    }

    #[test]
    fn gives_back_what_a_crowd_needed() {
        let mut few: Few<u32> = (0..10_000).collect();
        for _ in 0..9_990 {
            assert!(few.swap_remove(0));
        }
        assert!(matches!(&few, Few::Many(many) if many.capacity() < 100));
    }
}
