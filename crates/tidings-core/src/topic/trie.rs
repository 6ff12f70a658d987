//! Patterns in a tree of path segments, so that those with the same beginning share it.
//! Knows nothing of subscribers: a place holds the number of a list.

use std::collections::HashMap;

use foldhash::quality::RandomState;
use slab::Slab;

use super::selector::{Pattern, split};

/// Where a pattern ends: a node, and its tail where it has one.
#[derive(Clone, Debug)]
pub(super) struct Place {
    node: usize,
    tail: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) struct Trie {
    nodes: Slab<Node>,
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<(usize, Option<Box<str>>)>,
    literals: HashMap<Box<str>, usize, RandomState>,
    variable: Option<usize>,
    /// The list of the pattern that ends here.
    here: Option<u32>,
    /// The lists of patterns with a `*` here, by what the rest has to begin with.
    tails: HashMap<Box<str>, u32, RandomState>,
    /// How many tails there are of each length: the beginnings worth a look.
    tail_lengths: Vec<(usize, usize)>,
}

const ROOT: usize = 0;

impl Default for Trie {
    fn default() -> Self {
        let mut nodes = Slab::new();
        assert_eq!(nodes.insert(Node::default()), ROOT);
        Self { nodes }
    }
}

impl Trie {
    /// The pattern's place, made if it was not there. Whoever asks puts a list into it.
    pub(super) fn place(&mut self, pattern: &Pattern) -> Place {
        let mut node = ROOT;
        for segment in &pattern.parts().segments {
            node = match self.child(node, segment.as_deref()) {
                Some(child) => child,
                None => {
                    let parent = Some((node, segment.clone()));
                    let child = self.nodes.insert(Node { parent, ..Node::default() });
                    match segment {
                        Some(literal) => {
                            self.nodes[node].literals.insert(literal.clone(), child);
                        }
                        None => self.nodes[node].variable = Some(child),
                    }
                    child
                }
            };
        }
        Place { node, tail: pattern.parts().tail.clone() }
    }

    /// The list at a place.
    pub(super) fn list(&self, place: &Place) -> Option<u32> {
        let node = &self.nodes[place.node];
        match &place.tail {
            Some(tail) => node.tails.get(tail).copied(),
            None => node.here,
        }
    }

    /// Puts a list into a place that has none.
    pub(super) fn put(&mut self, place: &Place, list: u32) {
        let node = &mut self.nodes[place.node];
        let Some(tail) = &place.tail else {
            assert!(node.here.replace(list).is_none(), "a place holds one list");
            return;
        };
        assert!(node.tails.insert(tail.clone(), list).is_none(), "a place holds one list");
        match node.tail_lengths.iter_mut().find(|(length, _)| *length == tail.len()) {
            Some((_, count)) => *count += 1,
            None => node.tail_lengths.push((tail.len(), 1)),
        }
    }

    /// Takes the list out of a place, and with it the nodes that nothing needs any more.
    pub(super) fn take(&mut self, place: &Place) {
        let node = &mut self.nodes[place.node];
        match &place.tail {
            None => node.here = None,
            Some(tail) => {
                node.tails.remove(tail);
                let lengths = &mut node.tail_lengths;
                let at = lengths
                    .iter()
                    .position(|(length, _)| *length == tail.len())
                    .expect("put() counted it");
                lengths[at].1 -= 1;
                if lengths[at].1 == 0 {
                    lengths.swap_remove(at);
                }
            }
        }
        let mut at = place.node;
        while self.nodes[at].is_bare() {
            let Some((parent, segment)) = self.nodes[at].parent.clone() else { return };
            self.nodes.remove(at);
            match segment {
                Some(literal) => {
                    self.nodes[parent].literals.remove(&literal);
                }
                None => self.nodes[parent].variable = None,
            }
            at = parent;
        }
    }

    /// Calls `found` with the list of each pattern that the topic matches.
    pub(super) fn matches(&self, topic: &str, found: &mut impl FnMut(u32)) {
        if self.nodes[ROOT].is_bare() {
            return;
        }
        // At most one literal and one variable branch per node, PATTERN_SEGMENTS_MAX deep: the
        // recursion is as deep as the patterns are long.
        self.descend(ROOT, Some(topic), found);
    }

    fn descend(&self, at: usize, rest: Option<&str>, found: &mut impl FnMut(u32)) {
        let node = &self.nodes[at];
        let Some(rest) = rest else {
            if let Some(list) = node.here {
                found(list);
            }
            return;
        };
        for &(length, _) in &node.tail_lengths {
            if let Some(&list) = rest.get(..length).and_then(|start| node.tails.get(start)) {
                found(list);
            }
        }
        let (head, next) = split(rest);
        if let Some(&child) = node.literals.get(head) {
            self.descend(child, next, found);
        }
        if let Some(child) = node.variable
            && !head.is_empty()
        {
            self.descend(child, next, found);
        }
    }

    fn child(&self, node: usize, segment: Option<&str>) -> Option<usize> {
        let node = &self.nodes[node];
        match segment {
            Some(literal) => node.literals.get(literal).copied(),
            None => node.variable,
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[ROOT].is_bare()
    }

    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
    }
}

impl Node {
    fn is_bare(&self) -> bool {
        self.literals.is_empty()
            && self.variable.is_none()
            && self.here.is_none()
            && self.tails.is_empty()
    }
}
