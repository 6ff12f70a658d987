//! Finds out which log the stream holds, makes one where there is none, and tells when one has
//! lost its end. Knows nothing of who asks.
//!
//! Every run names the one before it by its mark, so that two histories can't be taken for one:
//! whoever hears of a run that follows on another one than it knows, or does not find the last run
//! that it knows in the stream, gives the log a new incarnation.

use bytes::Bytes;
use tidings_core::cursor::Incarnation;
use tidings_core::limits::IDEMPOTENCY_TIME_MAX;

use super::compose::{Frame, Kind, compose, first_run};
use super::consumer::{Consumer, Start};
use super::engine::Shared;
use super::link::{Fault, FaultKind, Link, NOT_OURS, Stored};
use super::message::{Part, RunId};
use super::options::NatsOptions;
use super::sizes::STRANGE_MESSAGES_MAX;
use super::tail::Tail;
use crate::memory::{random_incarnation, random_number};

/// Opens the log that the stream holds, or makes one. Gives the stream's last message too, which
/// may be a part of a run that is not done yet.
pub(super) async fn open(link: &Link, options: &NatsOptions) -> Result<(Tail, u64), Fault> {
    loop {
        link.provide(options).await?;
        let extent = link.extent().await?;
        if let Some((part, stored)) = last_run(link, extent.first, extent.last).await? {
            let mut tail = Tail::after(&part, stored.seq);
            read_back(link, &mut tail, &stored).await?;
            return Ok((tail, extent.last));
        }
        let run = RunId { node: random_number(), number: 0 };
        let first = first_run(random_number(), random_incarnation(), run);
        publish(link, first, extent.last).await?;
    }
}

/// The last part of the last run.
async fn last_run(link: &Link, first: u64, last: u64) -> Result<Option<(Part, Stored)>, Fault> {
    let (mut seq, mut strange) = (last, 0);
    while seq >= first.max(1) {
        let Some(stored) = link.get_now(seq).await? else {
            seq -= 1;
            continue;
        };
        let Some(part) = Part::parse(stored.payload.clone()) else {
            strange += 1;
            if strange > STRANGE_MESSAGES_MAX {
                return Err(Fault::refused(NOT_OURS));
            }
            seq -= 1;
            continue;
        };
        if part.head.is_last() {
            return Ok(Some((part, stored)));
        }
        // Before the first part of a run that is not done.
        seq = seq.saturating_sub(u64::from(part.head.part) + 1);
    }
    if strange > 0 { Err(Fault::refused(NOT_OURS)) } else { Ok(None) }
}

/// Learns which keys were used within their window.
async fn read_back(link: &Link, tail: &mut Tail, last: &Stored) -> Result<(), Fault> {
    let window = IDEMPOTENCY_TIME_MAX.as_millis() as u64;
    let start = Start::Time(last.time.0.saturating_sub(window));
    let mut consumer = Consumer::from(link, start, "0.k").await?;
    tail.opened = consumer.made;
    let (mut run, mut uses) = (RunId::default(), Vec::new());
    for _ in 0..consumer.pending {
        let word = consumer.next().await?;
        if word.seq > tail.at {
            break;
        }
        let Some(part) = Part::parse(word.payload) else { continue };
        if part.head.run != run {
            run = part.head.run;
            uses.clear();
        }
        uses.extend(part.keys());
        if part.head.is_last() {
            let print = part.head.print();
            uses.drain(..).for_each(|key_use| tail.remember(&key_use, print));
        }
    }
    consumer.end().await;
    Ok(())
}

/// Publishes what is to be the next message, unless somebody else was faster.
async fn publish(link: &Link, payload: Bytes, after: u64) -> Result<(), Fault> {
    match link.publish(&Kind::Events, payload, after).await?.await {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind == FaultKind::Conflict => Ok(()),
        Err(fault) => Err(fault),
    }
}

impl Shared {
    /// Checks, over a connection that is new, that the stream has still what it had.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        let link = &self.engine.link;
        let (known, last) = {
            let tail = self.engine.tail.lock();
            (tail.known(), tail.seq)
        };
        let found = match link.get_now(known.at).await {
            Ok(found) => found,
            Err(fault) if fault.kind == FaultKind::Missing => {
                let (tail, _) = open(link, &self.engine.options).await?;
                self.become_another(tail);
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        let has_it = match found.and_then(|stored| Part::parse(stored.payload)) {
            Some(part) => part.head.origin == known.origin && part.mark() == known.mark,
            // Somebody has let go of all, and nobody can tell.
            None => link.extent().await?.last >= last,
        };
        if has_it { Ok(()) } else { self.renew(known.origin, known.incarnation).await }
    }

    /// Gives the log a new incarnation, if it has still this one.
    pub(super) async fn renew(&self, origin: u64, incarnation: Incarnation) -> Result<(), Fault> {
        let link = &self.engine.link;
        loop {
            let (mut tail, last) = open(link, &self.engine.options).await?;
            if (tail.origin, tail.incarnation) != (origin, incarnation) {
                self.become_another(tail);
                return Ok(());
            }
            let frame = Frame {
                run: RunId { node: random_number(), number: 0 },
                now: self.engine.clock.lock().latest(),
                cut: None,
                probe: false,
                renew: Some(random_incarnation()),
                message_bytes_max: link.message_bytes_max(),
            };
            let draft = compose(&mut tail, None, frame);
            for message in draft.parts {
                publish(link, message.payload, last).await?;
            }
        }
    }
}
