//! What the parts of a log on a server know together: which log it is, what it holds, its newest
//! records, and whether the server is there. Knows nothing of connections.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::cursor::{Fingerprint, Incarnation, Position};
use tokio::sync::watch;

use super::sizes::RECENT_BYTES_MAX;
use crate::{AppendError, Bounds, Record, Usage};

/// What the server says of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Held {
    pub(crate) incarnation: Incarnation,
    pub(crate) next: Position,
    /// The fingerprint of the event right before `next`, where events have them.
    pub(crate) print: Option<Fingerprint>,
    pub(crate) oldest: Position,
    pub(crate) bytes: u64,
}

/// `E` is what only this kind of server needs.
#[derive(Debug)]
pub(crate) struct Shared<E> {
    pub(crate) engine: E,
    /// Which server it is, for the operator; without a password.
    pub(crate) place: String,
    /// A leaf: locked for a few lines, never across an await.
    pub(crate) state: Mutex<State>,
    /// Says that `state` has changed.
    pub(crate) changed: watch::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// What the log holds, as far as this node has heard.
    pub(crate) held: Held,
    /// How often the log became another one.
    pub(crate) generation: u64,
    /// The records right before `followed`, as many as there is room for.
    recent: VecDeque<Arc<Record>>,
    recent_bytes: usize,
    /// The position after the last record that the server has told us of. It may be behind
    /// `held.next`: an append is answered before its events come back to be delivered.
    pub(crate) followed: Position,
    /// The fingerprint of the event right before `followed`.
    followed_print: Option<Fingerprint>,
    /// The last event that the log held when it answered an append of ours.
    appended: Option<(Position, Fingerprint)>,
    /// Why nothing can be followed now.
    pub(crate) deaf: Option<String>,
    /// Why nothing can be appended now.
    pub(crate) mute: Option<String>,
    /// Nothing is appended any more.
    pub(crate) closed: bool,
    /// Nothing is followed any more.
    pub(crate) ended: bool,
}

impl State {
    fn new(held: Held) -> Self {
        Self {
            held,
            generation: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            followed: held.next,
            followed_print: held.print,
            appended: None,
            deaf: None,
            mute: None,
            closed: false,
            ended: false,
        }
    }

    /// Events that were told to others, in the order of time: the log has them as long as its
    /// history is the one that this node knows.
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "only Redis needs it"))]
    pub(crate) fn told(&self) -> impl Iterator<Item = (Position, Fingerprint)> {
        let last = Position(self.followed.0 - 1);
        let followed = self.followed_print.map(|print| (last, print));
        followed.into_iter().chain(self.appended)
    }

    /// The fingerprint of the event at a position, if it is in memory.
    pub(crate) fn print(&self, position: Position) -> Option<Fingerprint> {
        if position.next() == self.followed {
            return self.followed_print;
        }
        if position.next() == self.held.next {
            return self.held.print;
        }
        self.recent_from(position, 1)?.first()?.print
    }

    /// At most `max` records from a position on; `None` where it is before the first one here.
    pub(crate) fn recent_from(&self, from: Position, max: usize) -> Option<Vec<Arc<Record>>> {
        let first = self.followed.0 - self.recent.len() as u64;
        let skip = usize::try_from(from.0.checked_sub(first)?).ok()?;
        let skip = skip.min(self.recent.len());
        let end = skip.saturating_add(max).min(self.recent.len());
        Some(self.recent.range(skip..end).cloned().collect())
    }

    fn forget_recent(&mut self, followed: Position, print: Option<Fingerprint>) {
        self.recent.clear();
        self.recent_bytes = 0;
        self.followed = followed;
        self.followed_print = print;
    }
}

impl<E> Shared<E> {
    pub(crate) fn new(engine: E, place: String, held: Held) -> Self {
        let (changed, _) = watch::channel(());
        Self { engine, place, state: Mutex::new(State::new(held)), changed }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let Held { incarnation, oldest, next, .. } = self.state.lock().held;
        Bounds { incarnation, oldest, next }
    }

    /// The fingerprint of the event at a position, if it is in memory, or there is none.
    pub(crate) fn print(&self, position: Position) -> Option<Option<Fingerprint>> {
        let state = self.state.lock();
        if position >= state.held.next {
            return Some(None);
        }
        state.print(position).map(Some)
    }

    pub(crate) fn usage(&self) -> Usage {
        let held = self.state.lock().held;
        Usage { events: held.next.0.saturating_sub(held.oldest.0), bytes: held.bytes }
    }

    /// Whether the log takes appends and hears of them; if not, why.
    pub(crate) fn health(&self) -> Result<(), String> {
        let state = self.state.lock();
        match state.deaf.as_ref().or(state.mute.as_ref()) {
            Some(reason) => Err(reason.clone()),
            None if state.closed => Err(AppendError::Closed.to_string()),
            None => Ok(()),
        }
    }

    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "only Redis needs it"))]
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.state.lock().held.incarnation
    }

    /// Takes over what an answer says of the log, unless a later one has said more. Answers of
    /// several connections come in any order, but positions only grow. `false`: it is another
    /// log than the one we know.
    pub(crate) fn hear(&self, held: Held) -> bool {
        let mut state = self.state.lock();
        if state.held.incarnation != held.incarnation {
            return false;
        }
        if held.next > state.held.next || held.oldest >= state.held.oldest {
            state.held.bytes = held.bytes;
        }
        if held.next > state.held.next {
            state.held.next = held.next;
            state.held.print = held.print;
        }
        state.held.oldest = state.held.oldest.max(held.oldest);
        true
    }

    /// The same, of the answer to an append.
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "only Redis needs it"))]
    pub(crate) fn hear_appended(&self, held: Held) {
        if self.hear(held)
            && let Some(print) = held.print
        {
            self.state.lock().appended = Some((Position(held.next.0 - 1), print));
        }
    }

    /// The log is another one now: followers go on at its end.
    pub(crate) fn replace(&self, held: Held) {
        {
            let mut state = self.state.lock();
            if state.held.incarnation == held.incarnation {
                return;
            }
            state.held = held;
            state.generation += 1;
            state.forget_recent(held.next, held.print);
            state.appended = None;
        }
        self.changed.send_replace(());
    }

    /// Nobody has listened so far: what was appended meanwhile is read by those who want it.
    pub(crate) fn skip_to_end(&self) {
        let mut state = self.state.lock();
        let held = state.held;
        state.forget_recent(held.next, held.print);
    }

    /// Adds records that the server has told us of, which were asked for in this generation, and
    /// come right after an event with the fingerprint `before`, where that is known. `false`: it is
    /// not the one that was heard before them.
    #[must_use]
    pub(crate) fn push(
        &self,
        generation: u64,
        before: Option<Fingerprint>,
        records: Vec<Arc<Record>>,
    ) -> bool {
        {
            let mut state = self.state.lock();
            if state.generation != generation {
                return true;
            }
            let follows = records.first().is_some_and(|first| first.position == state.followed);
            if follows && before.is_some() && before != state.followed_print {
                return false;
            }
            for record in records {
                if record.position < state.followed {
                    continue;
                }
                if record.position > state.followed {
                    // Retention was faster than we are.
                    state.forget_recent(record.position, None);
                }
                state.followed = record.position.next();
                state.followed_print = record.print;
                state.recent_bytes += record.event.weight();
                state.recent.push_back(record);
            }
            while state.recent_bytes > RECENT_BYTES_MAX && state.recent.len() > 1 {
                let Some(oldest) = state.recent.pop_front() else { break };
                state.recent_bytes -= oldest.event.weight();
            }
            if state.followed > state.held.next {
                state.held.next = state.followed;
                state.held.print = state.followed_print;
            }
        }
        self.changed.send_replace(());
        true
    }

    /// Nothing can be followed, and why; or it can again.
    pub(crate) fn set_deaf(&self, reason: Option<String>) {
        let reason = reason.map(|reason| self.trouble(&reason));
        self.state.lock().deaf = reason;
        self.changed.send_replace(());
    }

    /// Nothing can be appended, and why; or it can again.
    pub(crate) fn set_mute(&self, reason: Option<String>) {
        let reason = reason.map(|reason| self.trouble(&reason));
        self.state.lock().mute = reason;
    }

    /// A sentence for the operator.
    pub(crate) fn trouble(&self, reason: &str) -> String {
        format!("{}: {reason}", self.place)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.send_replace(());
    }
}
