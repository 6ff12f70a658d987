//! Finds out which log the server has, makes one where there is none, and tells when one has lost
//! its end. Knows nothing of who asks.
//!
//! A server loses what it held when it restarts without having written it down, or when a replica
//! takes over that had not heard all. Positions that were given once would then be given again,
//! for other events, and cursors would point to what their subscribers never saw. So the log gets
//! a new incarnation as soon as anybody notices, and every cursor of the old one is told `reset`.
//!
//! By its position alone an event can't be told from one that got its place later. So each append
//! gives its events a random fingerprint, which stands in the log, in the cursors of these events,
//! and in front of what is appended next.

use tidings_core::cursor::Incarnation;

use super::engine::Shared;
use super::link::{Fault, Link};
use super::scripts::{self, Answer, Keys};
use crate::memory::random_incarnation;
use crate::remote::Held;

/// The only format of a log in Redis so far.
pub(super) const VERSION: u32 = 1;

/// Opens the log that the server has, or makes one. Gives its format too.
pub(super) async fn open(link: &Link, keys: &Keys) -> Result<(Held, String), Fault> {
    let incarnation = random_incarnation();
    let (version, partitions) = (VERSION.to_string(), keys.partitions.to_string());
    let arguments = [incarnation.as_str(), &version, &partitions].map(str::as_bytes);
    match link.run(&scripts::OPEN, keys, &arguments).await? {
        Answer::Done(held, about) => {
            let about = about.and_then(scripts::text).unwrap_or_default();
            let (format, of) = about.split_once(' ').unwrap_or((&about, ""));
            if format == version && of != partitions {
                return Err(Fault::refused(format!(
                    "the log was made with redis-partitions = {of}, and this node has \
                     {partitions}: give all nodes the same, or take another redis-prefix for a \
                     log with another number"
                )));
            }
            Ok((held, format.to_owned()))
        }
        Answer::Other | Answer::Back => {
            Err(Fault::refused("it answers what no script of ours does"))
        }
    }
}

impl Shared {
    /// Learns which log the server has, after it has turned out to be another one than we knew.
    pub(super) async fn meet(&self, link: &Link) -> Result<(), Fault> {
        let (held, _) = open(link, &self.engine.keys).await?;
        if !self.hear(held) {
            self.replace(held);
        }
        Ok(())
    }

    /// Gives the log a new incarnation, if it has still this one.
    pub(super) async fn renew(&self, link: &Link, known: Incarnation) -> Result<(), Fault> {
        let fresh = random_incarnation();
        let arguments = [known.as_str().as_bytes(), fresh.as_str().as_bytes()];
        link.run(&scripts::RENEW, &self.engine.keys, &arguments).await?;
        self.meet(link).await
    }

    /// Checks, over a connection that is new, that the server has still what it had: the log's
    /// incarnation, its end, and the last events that this node has told others of. To be done
    /// before anything else goes over it, lest what comes from two histories is mixed.
    pub(super) async fn check(&self, link: &Link) -> Result<(), Fault> {
        let (known, told) = {
            let state = self.state.lock();
            (state.held, state.told().collect::<Vec<_>>())
        };
        let positions: Vec<String> = told.iter().map(|(at, _)| at.to_string()).collect();
        let positions: Vec<&[u8]> = positions.iter().map(String::as_bytes).collect();
        let (held, found) = match link.run(&scripts::LOOK, &self.engine.keys, &positions).await? {
            Answer::Done(held, found) if held.incarnation == known.incarnation => (held, found),
            Answer::Done(..) | Answer::Other | Answer::Back => return self.meet(link).await,
        };
        let found = found.map_or(Ok(Vec::new()), scripts::prints)?;
        let lost = told.iter().zip(&found).any(|((position, print), found)| match found {
            Some(found) => found != print,
            // Where retention has passed it, nobody can tell.
            None => *position >= held.oldest,
        });
        if held.next < known.next || lost {
            return self.renew(link, known.incarnation).await;
        }
        self.hear(held);
        Ok(())
    }
}
