//! Joins the frames that one subscriber gets in one pass into one buffer, once for all who get
//! the same. Knows nothing of sessions and sockets.
//!
//! Sixteen events in one write cost a fourteenth of sixteen writes, and a copy of small frames
//! costs next to nothing beside one write; for large ones it is the other way round, so they stay
//! alone.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::port::{Delivery, Framing, Placed};
use crate::cursor::Position;
use crate::limits::JOIN_BYTES_MAX;

/// A run of frames for one write.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    /// Their bytes.
    pub(super) bytes: Bytes,
    /// How many of the pass's selected frames it holds.
    pub(super) frames: usize,
}

/// The runs that were joined in this pass: subscribers of the same topics want the same.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    made: Vec<(u64, Framing, Joined)>,
}

/// Runs kept at once, at 64 KiB each. Those who listen to many topics in many mixtures make more;
/// then a run is joined again, which costs a copy.
const RUNS_MAX: usize = 16;

impl Joiner {
    /// Forgets the events of the pass before.
    pub(super) fn clear(&mut self) {
        self.made.clear();
    }

    /// How many runs are kept.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }

    /// The first run of those events whose bits `mask` has, in order: at least one of them.
    pub(super) fn first(
        &mut self,
        events: &[Arc<Delivery>],
        mask: u64,
        framing: Framing,
    ) -> &Joined {
        assert_ne!(mask, 0, "a write has something to write");
        let made = self.made.iter().rposition(|(m, f, _)| *m == mask && *f == framing);
        let at = made.unwrap_or_else(|| {
            if self.made.len() == RUNS_MAX {
                self.made.clear();
            }
            let joined = join(bits(mask).map(|bit| events[bit].place()), framing);
            self.made.push((mask, framing, joined));
            self.made.len() - 1
        });
        &self.made[at].2
    }
}

/// Joins the first frames, up to [`JOIN_BYTES_MAX`].
pub(super) fn join<'a>(mut run: impl Iterator<Item = Placed<'a>>, framing: Framing) -> Joined {
    let Some((_, first)) = run.next() else {
        return Joined { bytes: Bytes::new(), frames: 0 };
    };
    let first = framing.bytes(first);
    let mut frames = 1;
    let mut buffer = BytesMut::new();
    for (_, frame) in run {
        let bytes = framing.bytes(frame);
        let so_far = if frames == 1 { first.len() } else { buffer.len() };
        if so_far + bytes.len() > JOIN_BYTES_MAX {
            break;
        }
        if frames == 1 {
            buffer.extend_from_slice(&first);
        }
        buffer.extend_from_slice(&bytes);
        frames += 1;
    }
    // A frame that stays alone is not copied.
    let bytes = if frames == 1 { first } else { buffer.freeze() };
    Joined { bytes, frames }
}

/// A page in the form in which it is written: its events, joined into few writes. Made once for
/// all who come back to the same place at the same time.
#[derive(Debug)]
pub(super) struct Replay {
    events: Vec<Arc<Delivery>>,
    writes: Vec<Joined>,
    /// Where to read on.
    pub(super) next: Position,
}

impl Replay {
    pub(super) fn new(events: Vec<Arc<Delivery>>, next: Position, framing: Framing) -> Self {
        let mut writes = Vec::new();
        let mut run = events.iter().map(|event| event.place());
        loop {
            let joined = join(run.clone(), framing);
            if joined.frames == 0 {
                break;
            }
            run.nth(joined.frames - 1);
            writes.push(joined);
        }
        Self { events, writes, next }
    }

    /// Each write, with the frames that are in it and after it.
    pub(super) fn writes(
        &self,
    ) -> impl Iterator<Item = (&Joined, impl Iterator<Item = Placed<'_>>)> {
        let mut written = 0;
        self.writes.iter().map(move |joined| {
            let run = self.events[written..].iter().map(|event| event.place());
            written += joined.frames;
            (joined, run)
        })
    }
}

/// The set bits, lowest first.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(bit)
    })
}
