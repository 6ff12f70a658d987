//! Whose turn it is to append, where somebody has asked for it: a node that is far from the server
//! would always come too late otherwise. Knows nothing of connections.
//!
//! It is a courtesy: whoever does not hear of it, or does not keep to it, does no harm.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::sizes::TURN_TIME_MAX;

#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<Option<(u64, Instant)>>);

impl Turn {
    /// A node asks for it; it has it, unless another one has.
    pub(super) fn ask(&self, node: u64) {
        let mut turn = self.0.lock();
        let free = turn.is_none_or(|(holder, until)| holder == node || until <= Instant::now());
        if free {
            *turn = Some((node, Instant::now() + TURN_TIME_MAX));
        }
    }

    /// A node has appended.
    pub(super) fn took(&self, node: u64) {
        let mut turn = self.0.lock();
        if turn.is_some_and(|(holder, _)| holder == node) {
            *turn = None;
        }
    }

    /// Whether it is somebody else's.
    pub(super) fn is_other_s(&self, node: u64) -> bool {
        self.0.lock().is_some_and(|(holder, until)| holder != node && until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_one_node_s_until_it_has_appended_or_takes_too_long() {
        let turn = Turn::default();
        assert!(!turn.is_other_s(1));
        turn.ask(2);
        turn.ask(3);
        assert!(turn.is_other_s(1) && turn.is_other_s(3) && !turn.is_other_s(2));
        turn.took(1);
        assert!(turn.is_other_s(1));
        turn.took(2);
        assert!(!turn.is_other_s(1));
        turn.ask(3);
        assert!(turn.is_other_s(1));
        tokio::time::advance(TURN_TIME_MAX).await;
        assert!(!turn.is_other_s(1));
    }
}
