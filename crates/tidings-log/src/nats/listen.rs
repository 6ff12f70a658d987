//! Listens to the server, as long as the log is open: what any node appends comes in here.
//! Knows nothing of who follows.

use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::sleep;

use super::consumer::{Consumer, Start, Word};
use super::engine::Shared;
use super::link::{Fault, FaultKind, NOT_OURS};
use super::tail::Heard;
use crate::remote::{Backoff, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};

/// Why listening was broken off although nothing is wrong.
enum End {
    /// The log is closed, and all that it is known to hold has been heard.
    Closed,
    /// The connection is another one, or somebody doubts that the log is the one we know.
    Anew,
}

/// Runs until the log is closed and all that it holds has been heard of.
///
/// Cancel safe: it may be aborted at any time.
pub(super) async fn listen(shared: Arc<Shared>) {
    let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
    loop {
        let fault = match hear_out(&shared, &mut backoff).await {
            Ok(End::Closed) => break,
            Ok(End::Anew) => continue,
            Err(fault) => fault,
        };
        if shared.state.lock().closed {
            break;
        }
        shared.set_deaf(Some(fault.reason));
        if fault.kind == FaultKind::Broken {
            // It may lead nowhere without having been closed.
            shared.engine.link.reconnect().await;
        }
        sleep(backoff.next()).await;
    }
    shared.change(|state| state.ended = true);
}

async fn hear_out(shared: &Shared, backoff: &mut Backoff) -> Result<End, Fault> {
    let engine = &shared.engine;
    let mut changed = shared.changed.subscribe();
    let mut doubt = engine.doubt.subscribe();
    // Seen before checking: what comes after the check wakes the wait below.
    let mut epoch = engine.link.events.epoch.subscribe();
    epoch.borrow_and_update();
    shared.check().await?;
    let seq = engine.tail.lock().seq;
    let mut consumer = Consumer::from(&engine.link, Start::Seq(seq + 1), ">").await?;
    engine.clock.lock().hear(consumer.made);
    if shared.state.lock().deaf.is_some() {
        shared.set_deaf(None);
    }
    let mut turns = engine.link.hear_of_turns().await?;
    loop {
        if done(shared) {
            consumer.end().await;
            return Ok(End::Closed);
        }
        let word = tokio::select! {
            biased;
            _ = epoch.changed() => return Ok(End::Anew),
            _ = doubt.changed() => return Ok(End::Anew),
            _ = changed.changed() => continue,
            Some(message) = turns.next() => {
                if let Ok(node) = <[u8; 8]>::try_from(&message.payload[..]) {
                    engine.turn.ask(u64::from_le_bytes(node));
                }
                continue;
            }
            word = consumer.next() => word?,
        };
        backoff.reset();
        if take(shared, word)? {
            let (origin, incarnation) = {
                let tail = engine.tail.lock();
                (tail.origin, tail.incarnation)
            };
            shared.renew(origin, incarnation).await?;
            return Ok(End::Anew);
        }
    }
}

/// Takes a message in. `true`: it belongs to another log than the one we know.
fn take(shared: &Shared, word: Word) -> Result<bool, Fault> {
    let engine = &shared.engine;
    engine.clock.lock().hear(word.time);
    // Until the end: whoever sees that a run is part of the log has to see its events too.
    let mut tail = engine.tail.lock();
    let generation = shared.state.lock().generation;
    match tail.hear(word.seq, word.payload, engine.node) {
        Heard::Nothing => shared.change(|_| {}),
        Heard::Run { head, first_seq, records } => {
            engine.turn.took(head.run.node);
            let mut cache = engine.cache.lock();
            cache.anchor(&head, first_seq);
            cache.forget_before(tail.oldest);
            drop(cache);
            shared.hear(tail.held());
            // That they follow on what was heard before is known by now.
            let _ = shared.push(generation, None, records);
        }
        Heard::Renewed => shared.replace(tail.held()),
        Heard::Strange => return Ok(true),
        Heard::NotOurs => return Err(Fault::refused(NOT_OURS)),
    }
    Ok(false)
}

/// Whether the log is closed, and all that it is known to hold has been heard of.
fn done(shared: &Shared) -> bool {
    let state = shared.state.lock();
    state.closed && state.followed >= state.held.next
}
