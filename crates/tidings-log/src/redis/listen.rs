//! Listens to the server, as long as the log is open: what any node appends comes in here.
//! Knows nothing of who follows.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};
use tidings_core::cursor::Position;
use tokio::time::sleep;

use super::engine::Shared;
use super::link::{Fault, Link};
use super::scripts::{self, NOT_OURS};
use super::sizes::{FOLLOW_ENTRIES_MAX, FOLLOW_TIME};
use crate::remote::{ANSWER_TIME_MAX, Backoff, Entry, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};

/// Runs until the log is closed and all that it holds has been heard of.
///
/// Cancel safe: it may be aborted at any time.
pub(super) async fn listen(shared: Arc<Shared>) {
    let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
    loop {
        let fault = match connect(&shared).await {
            Ok(link) => match hear_out(&shared, &link, &mut backoff).await {
                Ok(()) if done(&shared) => break,
                // The log is another one, or closed with something left to hear: begin anew, on a
                // connection that waits for nothing.
                Ok(()) => continue,
                Err(fault) => fault,
            },
            Err(fault) => fault,
        };
        if shared.state.lock().closed {
            break;
        }
        shared.set_deaf(Some(fault.reason));
        sleep(backoff.next()).await;
    }
    shared.change(|state| state.ended = true);
}

async fn connect(shared: &Shared) -> Result<Link, Fault> {
    let link = shared.engine.dialer.dial(FOLLOW_TIME + ANSWER_TIME_MAX).await?;
    shared.check(&link).await?;
    if shared.state.lock().deaf.is_some() {
        shared.set_deaf(None);
    }
    Ok(link)
}

/// Listens over one connection: `Ok` where the log is closed, or is another one now.
async fn hear_out(shared: &Shared, link: &Link, backoff: &mut Backoff) -> Result<(), Fault> {
    let mut changed = shared.changed.subscribe();
    let generation = shared.state.lock().generation;
    loop {
        let (followed, ends, missing) = {
            let state = shared.state.lock();
            if state.generation != generation {
                return Ok(());
            }
            let kept = state.held.oldest..state.held.next;
            (state.followed, state.closed, kept.contains(&state.followed))
        };
        if ends && done(shared) {
            return Ok(());
        }
        let command = next(shared, followed, ends);
        let asking = link.command(&command);
        let mut asking = std::pin::pin!(asking);
        let answer = loop {
            tokio::select! {
                answer = &mut asking => break answer?,
                _ = changed.changed() => {
                    let state = shared.state.lock();
                    if state.generation != generation || state.closed != ends {
                        // The server still waits on this connection, so it is left to itself.
                        return Ok(());
                    }
                }
            }
        };
        let entries = found(answer)?;
        if entries.is_empty() && missing {
            // Behind the address is another server by now, to which others have been led already.
            return Err(Fault::broken("it does not have what was appended"));
        }
        for entry in entries {
            let records = entry.records().ok_or_else(|| Fault::refused(NOT_OURS))?;
            if !shared.push(generation, entry.before, records) {
                // The server has taken over another history without breaking the connection off.
                return shared.renew(link, shared.incarnation()).await;
            }
        }
        backoff.reset();
    }
}

/// Whether the log is closed, and all that it is known to hold has been heard of.
fn done(shared: &Shared) -> bool {
    let state = shared.state.lock();
    state.closed && state.followed >= state.held.next
}

/// Asks for what comes from a position on, and to wait for it where there is nothing yet.
fn next(shared: &Shared, followed: Position, ends: bool) -> Cmd {
    let wait = if ends { Duration::from_millis(1) } else { FOLLOW_TIME };
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(FOLLOW_ENTRIES_MAX).arg("BLOCK").arg(wait.as_millis() as u64);
    // An entry's id is its first position and its number of events.
    let after = format!("{}-{}", followed.0.saturating_sub(1), u64::MAX);
    command.arg("STREAMS").arg(&shared.engine.keys.log).arg(after);
    command
}

/// The entries in the answer: of one stream, or nothing where nothing came.
fn found(answer: Value) -> Result<Vec<Entry>, Fault> {
    let mut streams = scripts::array(answer).unwrap_or_default().into_iter();
    let Some(stream) = streams.next() else { return Ok(Vec::new()) };
    let mut parts = scripts::array(stream).unwrap_or_default().into_iter();
    let (_, entries) = (parts.next(), parts.next());
    scripts::entries(entries.unwrap_or_default())
}
