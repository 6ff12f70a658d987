//! Reads pages from the server and finds places in the log.
//! Knows nothing of appending and following.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use tidings_core::cursor::{Fingerprint, Incarnation, Position, Timestamp};
use tidings_core::event::EventId;
use tidings_core::topic::Selectors;
use tokio::sync::{Mutex, Semaphore};

use super::engine::Shared;
use super::link::{Fault, Link};
use super::scripts::{self, Answer, NOT_OURS, Script};
use super::sizes::{READ_BYTES_MAX, SCAN_BYTES};
use crate::page::Filling;
use crate::remote::{ANSWER_TIME_MAX, Entry, Held, Reading, SCANS_MAX};
use crate::{Page, ReadError, Record};

/// One connection for all that is read. It is made anew by whoever finds it broken.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    link: Mutex<Option<Link>>,
    scans: Semaphore,
}

/// Why nothing was read, inside.
#[derive(Debug)]
enum Refusal {
    Fault(Fault),
    /// The log is another one than we know.
    Replaced,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[async_trait]
impl Reading for Reader {
    async fn page(
        &self,
        from: Position,
        selectors: Option<&Selectors>,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, ReadError> {
        let (held, entries) = self.entries(from, READ_BYTES_MAX, "forward").await?;
        let mut filling = Filling::new(events_max, bytes_max);
        let mut next = from;
        for entry in entries.iter().filter(|entry| entry.end() > from) {
            if entry.first > next {
                // At the first entry: retention has passed what comes before it. Later there are
                // no holes, unless somebody has cut them; then it is told as the next page.
                break;
            }
            for record in self.records(entry)? {
                if record.position < from {
                    continue;
                }
                let position = record.position;
                let wanted = selectors.is_none_or(|all| all.matches(&record.event.topics));
                if filling.full() || wanted && !filling.push(record) {
                    return Ok(filling.finish(position));
                }
                next = position.next();
            }
        }
        if next == from && from < held.next {
            let oldest = entries.iter().map(|entry| entry.first).find(|first| *first > from);
            return Err(ReadError::Trimmed { oldest: oldest.unwrap_or(held.next) });
        }
        Ok(filling.finish(next))
    }

    async fn find_id(&self, id: &EventId) -> Result<Option<Position>, ReadError> {
        let (held, found) = self.find("id", id.as_str()).await?;
        let position = found.parse().ok().map(Position);
        Ok(position.filter(|position| *position >= held.oldest))
    }

    async fn since(&self, time: Timestamp) -> Result<Position, ReadError> {
        let (held, found) = self.find("time", &time.0.to_string()).await?;
        let from = found.parse().map_or(held.next, Position);
        let (_, entries) = self.entries(from, 1, "forward").await?;
        for entry in entries.iter().filter(|entry| entry.first >= from) {
            let first = self.records(entry)?.into_iter().find(|record| record.time >= time);
            if let Some(record) = first {
                return Ok(record.position);
            }
        }
        Ok(held.next)
    }

    // From the tail backwards, since the server knows nothing of topics.
    async fn nth_last(&self, events: usize, selectors: &Selectors) -> Result<Position, ReadError> {
        let _permit = self.scans.acquire().await.expect("it is never closed");
        let mut left = events;
        let mut before = self.shared.bounds().next;
        loop {
            let last = Position(before.0.saturating_sub(1));
            let (held, entries) = self.entries(last, SCAN_BYTES, "back").await?;
            for entry in &entries {
                let records = self.records(entry)?;
                let selected = records.iter().rev().filter(|record| {
                    record.position < before && selectors.matches(&record.event.topics)
                });
                for record in selected {
                    left -= 1;
                    if left == 0 {
                        return Ok(record.position);
                    }
                }
            }
            match entries.last() {
                Some(entry) if entry.first > held.oldest => before = entry.first,
                _ => return Ok(held.oldest),
            }
        }
    }

    async fn fingerprint(&self, position: Position) -> Result<Option<Fingerprint>, ReadError> {
        let incarnation = self.shared.incarnation();
        let (_, found) = self.ask(&scripts::LOOK, incarnation, &[&position.to_string()]).await?;
        let prints = found.map_or(Ok(Vec::new()), scripts::prints);
        let prints = prints.map_err(|fault| self.failed(&fault))?;
        Ok(prints.into_iter().next().flatten())
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, link: Mutex::new(None), scans: Semaphore::new(SCANS_MAX) }
    }

    /// Asks the server what the log holds now.
    pub(super) async fn look(&self) -> Result<(), ReadError> {
        self.ask(&scripts::LOOK, self.shared.incarnation(), &[]).await.map(drop)
    }

    /// Has the server let go of what retention does not cover.
    pub(super) async fn trim(&self, numbers: &[&str]) -> Result<(), ReadError> {
        let incarnation = self.shared.incarnation();
        let arguments: Vec<&str> =
            [incarnation.as_str()].into_iter().chain(numbers.iter().copied()).collect();
        self.ask(&scripts::TRIM, incarnation, &arguments).await.map(drop)
    }

    /// Claims a name for a time, if nobody has.
    pub(super) async fn claim(&self, name: &str, time: Duration) -> Result<bool, ReadError> {
        let mut command = redis::cmd("SET");
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg(self.shared.engine.keys.claim(name)).arg("").arg("NX").arg("PX").arg(ms);
        let claim = async || self.link().await?.command(&command).await;
        let mut answer = claim().await;
        if matches!(&answer, Err(fault) if fault.broken) {
            // Should the first one have got there all the same, then this one comes too late, and
            // the name counts as claimed by somebody else: twice it is claimed by nobody.
            *self.link.lock().await = None;
            answer = claim().await;
        }
        match answer {
            Ok(value) => Ok(value != Value::Nil),
            Err(fault) => Err(self.failed(&fault)),
        }
    }

    /// Runs a script of shares, which does no harm when it is run twice.
    pub(super) async fn evaluate(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Value, ReadError> {
        self.unless_deaf()?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(|text| text.as_bytes()).collect();
        let evaluate = async || self.link().await?.evaluate(script, &keys, &arguments).await;
        let mut answer = evaluate().await;
        if matches!(&answer, Err(fault) if fault.broken) {
            *self.link.lock().await = None;
            answer = evaluate().await;
        }
        answer.map_err(|fault| self.failed(&fault))
    }

    /// Fails where somebody else is trying to reach the server already.
    fn unless_deaf(&self) -> Result<(), ReadError> {
        match &self.shared.state.lock().deaf {
            Some(reason) => Err(ReadError::Failed { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    async fn entries(
        &self,
        from: Position,
        bytes: usize,
        direction: &str,
    ) -> Result<(Held, Vec<Entry>), ReadError> {
        let (from, bytes) = (from.to_string(), bytes.to_string());
        let incarnation = self.shared.incarnation();
        let arguments = [incarnation.as_str(), &from, &bytes, direction];
        let (held, found) = self.ask(&scripts::READ, incarnation, &arguments).await?;
        let entries = found.map_or(Ok(Vec::new()), scripts::entries);
        Ok((held, entries.map_err(|fault| self.failed(&fault))?))
    }

    async fn find(&self, what: &str, which: &str) -> Result<(Held, String), ReadError> {
        let incarnation = self.shared.incarnation();
        let arguments = [incarnation.as_str(), what, which];
        let (held, found) = self.ask(&scripts::FIND, incarnation, &arguments).await?;
        Ok((held, found.and_then(scripts::text).unwrap_or_default()))
    }

    fn records(&self, entry: &Entry) -> Result<Vec<Arc<Record>>, ReadError> {
        entry.records().ok_or_else(|| self.failed(&Fault::refused(NOT_OURS)))
    }

    fn failed(&self, fault: &Fault) -> ReadError {
        ReadError::Failed { reason: self.shared.trouble(&fault.reason) }
    }

    /// Asks the server something, a second time where the connection turns out to be broken: it
    /// may have been idle for hours. Nothing that is asked here does harm when it is done twice.
    async fn ask(
        &self,
        script: &'static Script,
        incarnation: Incarnation,
        arguments: &[&str],
    ) -> Result<(Held, Option<Value>), ReadError> {
        self.unless_deaf()?;
        let arguments: Vec<&[u8]> = arguments.iter().map(|text| text.as_bytes()).collect();
        let mut answer = self.ask_once(script, incarnation, &arguments).await;
        if matches!(&answer, Err(Refusal::Fault(fault)) if fault.broken) {
            answer = self.ask_once(script, incarnation, &arguments).await;
        }
        answer.map_err(|refusal| match refusal {
            Refusal::Fault(fault) => self.failed(&fault),
            Refusal::Replaced => {
                let reason = self.shared.trouble("the log has become another one meanwhile");
                ReadError::Failed { reason }
            }
        })
    }

    async fn ask_once(
        &self,
        script: &'static Script,
        incarnation: Incarnation,
        arguments: &[&[u8]],
    ) -> Result<(Held, Option<Value>), Refusal> {
        let link = self.link().await?;
        match link.run(script, &self.shared.engine.keys, arguments).await {
            Ok(Answer::Done(held, more)) if held.incarnation == incarnation => {
                let same = self.shared.hear(held);
                if same { Ok((held, more)) } else { Err(Refusal::Replaced) }
            }
            Ok(_) => {
                self.shared.meet(&link).await?;
                Err(Refusal::Replaced)
            }
            Err(fault) => {
                if fault.broken {
                    *self.link.lock().await = None;
                }
                Err(fault.into())
            }
        }
    }

    async fn link(&self) -> Result<Link, Fault> {
        let mut link = self.link.lock().await;
        if let Some(link) = &*link {
            return Ok(link.clone());
        }
        let made = self.shared.engine.dialer.dial(ANSWER_TIME_MAX).await?;
        self.shared.check(&made).await?;
        *link = Some(made.clone());
        Ok(made)
    }
}
