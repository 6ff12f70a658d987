//! How a page of records is filled within its bounds.
//! Knows nothing of where the records come from.

use std::sync::Arc;

use tidings_core::cursor::Position;

use crate::{Page, Record};

/// A page in the making.
#[derive(Debug)]
pub(crate) struct Filling {
    records: Vec<Arc<Record>>,
    events_left: usize,
    bytes_left: usize,
}

impl Filling {
    pub(crate) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self { records: Vec::new(), events_left: events_max.max(1), bytes_left: bytes_max }
    }

    /// Takes a record, if it fits. The first always fits: a page has to get on.
    #[must_use]
    pub(crate) fn push(&mut self, record: Arc<Record>) -> bool {
        let bytes = record.event.weight();
        let fits = self.events_left > 0 && bytes <= self.bytes_left;
        if !fits && !self.records.is_empty() {
            return false;
        }
        self.events_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.records.push(record);
        true
    }

    /// Whether not even the smallest record would fit.
    pub(crate) fn full(&self) -> bool {
        self.events_left == 0
    }

    /// How many records still fit, by number.
    pub(crate) fn room(&self) -> usize {
        self.events_left
    }

    pub(crate) fn finish(self, next: Position) -> Page {
        Page { records: self.records, next }
    }
}

/// Merges ascending lists into one without doubles, where no list was asked for more than
/// `limit`: a list of that length may go on beyond its last value, so that nothing after it is
/// certain to be next.
pub(crate) fn merge<T: Copy + Ord>(lists: Vec<Vec<T>>, limit: usize) -> Vec<T> {
    let horizon = lists.iter().filter(|list| list.len() >= limit).filter_map(|list| list.last());
    let horizon = horizon.min().copied();
    let mut merged: Vec<T> = lists.into_iter().flatten().collect();
    merged.retain(|value| horizon.is_none_or(|horizon| *value <= horizon));
    merged.sort_unstable();
    merged.dedup();
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_merge_up_to_where_the_order_is_certain() {
        assert!(merge::<u32>(vec![], 3).is_empty());
        assert_eq!(merge(vec![vec![1, 5], vec![2, 5]], 3), [1, 2, 5]);
        // The first list may go on with 4.
        assert_eq!(merge(vec![vec![1, 2, 3], vec![2, 5]], 3), [1, 2, 3]);
        assert_eq!(merge(vec![vec![1, 2, 9], vec![3, 4, 5], vec![7]], 3), [1, 2, 3, 4, 5]);
    }
}
