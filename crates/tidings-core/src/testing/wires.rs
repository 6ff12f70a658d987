//! What a shard of a world acts on: the log, and its clients' connections.
//! Knows nothing of what happens next.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cursor::Position;
use crate::shard::{Answer, Filter, Page, Port, SubscriberId, Written};

use super::history::PageBounds;
use super::{Client, History, Reads};

/// A page that a shard was promised.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: SubscriberId,
    pub(super) from: Position,
    pub(super) filter: Filter,
    /// The page as it was when it was asked for, where it is not to be looked up later.
    pub(super) page: Option<Page>,
}

/// The port of one shard, for the time of one call.
pub(super) struct Wires<'a> {
    pub(super) now: Instant,
    pub(super) heartbeat: Duration,
    pub(super) history: &'a History,
    pub(super) reads: &'a mut Reads,
    pub(super) bounds: PageBounds,
    pub(super) asked: &'a mut VecDeque<Asked>,
    /// Whose the shard's subscribers are.
    pub(super) owners: &'a mut HashMap<SubscriberId, usize>,
    pub(super) clients: &'a mut [Client],
    /// Clients who have been written to.
    pub(super) touched: &'a mut Vec<usize>,
}

impl Port for Wires<'_> {
    fn write(&mut self, id: SubscriberId, bytes: &Bytes) -> Written {
        let owner = self.owners[&id];
        self.touched.push(owner);
        let connection = self.clients[owner].connection.as_mut().expect("owners are connected");
        assert_eq!(connection.id, id, "a slot's new owner never gets what was for the old one");
        connection.offer(bytes, self.now, self.heartbeat)
    }

    fn read(&mut self, id: SubscriberId, from: Position, filter: &Filter) -> Answer {
        assert!(self.owners.contains_key(&id), "only who is there reads");
        let page = match *self.reads {
            Reads::Prompt => return Answer::Page(self.history.read(from, filter, self.bounds)),
            Reads::Failed => {
                *self.reads = Reads::Prompt;
                return Answer::Page(Page::Failed);
            }
            Reads::Early => Some(self.history.read(from, filter, self.bounds)),
            Reads::Late => None,
        };
        self.asked.push_back(Asked { id, from, filter: filter.clone(), page });
        Answer::Later
    }

    fn close(&mut self, id: SubscriberId) {
        let owner = self.owners.remove(&id).expect("who is closed was there");
        let client = &mut self.clients[owner];
        if !client.connection().expect("owners are connected").is_broken() {
            // What the connection had taken still arrives.
            client.read(usize::MAX, self.history);
        }
        client.connection = None;
    }
}
