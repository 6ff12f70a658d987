//! How the log stands after the last message that this node has heard: all that is needed to write
//! the next one. Knows nothing of connections.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::cursor::{Fingerprint, Incarnation, Position, Timestamp};
use tokio::time::Instant;

use super::message::{Head, Joining, KeyUse, Part, Run, RunId};
use crate::Record;
use crate::keys::{Keys, Use};
use crate::remote::Held;

#[derive(Debug)]
pub(super) struct Tail {
    /// Which stream it is.
    pub(super) origin: u64,
    pub(super) incarnation: Incarnation,
    /// The last message that was heard, whether it belongs to a run or not.
    pub(super) seq: u64,
    /// The last part of the last run.
    pub(super) at: u64,
    pub(super) mark: u64,
    pub(super) next: Position,
    /// Of the last event, where it is known.
    print: Option<Fingerprint>,
    pub(super) oldest: Position,
    /// Bytes of all before `oldest`, since the log's beginning.
    pub(super) freed: u64,
    /// Bytes of all, since the log's beginning.
    pub(super) offset: u64,
    /// Of the last event.
    pub(super) latest: Timestamp,
    pub(super) keys: Keys,
    /// The last run of each node of ours: whether what was sent has become part of the log.
    pub(super) own: RunId,
    /// The server's time when this was first known.
    pub(super) opened: Timestamp,
    joining: Joining,
    /// When `joining` was last added to.
    joined: Instant,
}

/// By what the log is known again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) origin: u64,
    pub(super) incarnation: Incarnation,
    /// The last part of the last run, and its mark.
    pub(super) at: u64,
    pub(super) mark: u64,
}

/// What a message means.
#[derive(Debug)]
pub(super) enum Heard {
    /// It completes no run.
    Nothing,
    /// These events come next.
    Run { head: Head, first_seq: u64, records: Vec<Arc<Record>> },
    /// The same, and the log has another incarnation from here on.
    Renewed,
    /// Whoever wrote it knows another log than we do: one of the two is lost.
    Strange,
    /// It is none of ours.
    NotOurs,
}

impl Tail {
    /// Right after a run, of which this is the last part.
    pub(super) fn after(last: &Part, seq: u64) -> Self {
        let head = last.head;
        Self {
            origin: head.origin,
            incarnation: head.incarnation,
            seq,
            at: seq,
            mark: last.mark(),
            next: head.end(),
            print: (head.count > 0).then(|| head.print()),
            oldest: head.oldest,
            freed: head.freed,
            offset: head.offset.saturating_add(head.bytes),
            latest: head.latest,
            keys: Keys::default(),
            own: RunId::default(),
            opened: Timestamp(0),
            joining: Joining::default(),
            joined: Instant::now(),
        }
    }

    pub(super) fn known(&self) -> Known {
        let Self { origin, incarnation, at, mark, .. } = *self;
        Known { origin, incarnation, at, mark }
    }

    pub(super) fn held(&self) -> Held {
        Held {
            incarnation: self.incarnation,
            next: self.next,
            print: self.print,
            oldest: self.oldest,
            bytes: self.offset.saturating_sub(self.freed),
        }
    }

    /// Whether a run of somebody else's has begun and may still go on: whoever comes between now
    /// makes it begin anew.
    pub(super) fn is_taken(&self, node: u64, patience: Duration) -> bool {
        let by_other = self.joining.open().is_some_and(|run| run.node != node);
        by_other && self.joined.elapsed() < patience
    }

    /// Takes the next message of the stream.
    pub(super) fn hear(&mut self, seq: u64, payload: bytes::Bytes, node: u64) -> Heard {
        if seq <= self.seq {
            return Heard::Nothing;
        }
        self.seq = seq;
        // Whoever else may publish there must not be able to stop the log.
        let Some(part) = Part::parse(payload) else { return Heard::Nothing };
        if part.head.origin != self.origin {
            return Heard::Strange;
        }
        self.joined = Instant::now();
        match self.joining.push(seq, part) {
            None => Heard::Nothing,
            Some(run) => self.take(&run, node),
        }
    }

    fn take(&mut self, run: &Run, node: u64) -> Heard {
        let head = run.head;
        if head.after != self.mark || head.first != self.next {
            return Heard::Strange;
        }
        let Some(records) = run.entry().records() else { return Heard::NotOurs };
        let renewed = head.incarnation != self.incarnation;
        self.incarnation = head.incarnation;
        self.at = run.seq;
        self.mark = run.mark;
        self.next = head.end();
        if head.count > 0 {
            self.print = Some(head.print());
        }
        self.oldest = self.oldest.max(head.oldest);
        self.freed = self.freed.max(head.freed);
        self.offset = head.offset.saturating_add(head.bytes);
        self.latest = head.latest;
        for key_use in run.keys() {
            self.remember(key_use, head.print());
        }
        if head.run.node == node {
            self.own = head.run;
        }
        if renewed {
            return Heard::Renewed;
        }
        Heard::Run { head, first_seq: run.first_seq(), records }
    }

    pub(super) fn remember(&mut self, key_use: &KeyUse, print: Fingerprint) {
        let KeyUse { ref key, position, time, fingerprint } = *key_use;
        self.keys.remember_use(key, Use { position, print: Some(print), time, fingerprint });
    }
}
