//! Which subscriber wants which event: selectors, and the index from topics to subscribers.
//! Knows nothing of sessions and sockets; a subscriber is a number here.

mod index;
mod selector;
mod sketch;
mod trie;

pub use index::{EntryId, Index};
pub use selector::{Pattern, Selector, SelectorError, Selectors, SelectorsError};
pub use sketch::Sketch;
