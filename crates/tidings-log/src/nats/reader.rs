//! Reads pages from the stream and finds places in it.
//! Knows nothing of appending and following.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_core::cursor::{Fingerprint, Position, Timestamp};
use tidings_core::event::EventId;
use tidings_core::topic::Selectors;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::compose::{Cut, Kind};
use super::engine::Shared;
use super::link::{Fault, NOT_OURS};
use super::message::{Head, Part, Run};
use super::runs::Runs;
use super::sizes::READ_BYTES_MAX;
use crate::page::Filling;
use crate::remote::{ANSWER_TIME_MAX, Reading, SCANS_MAX};
use crate::{Page, ReadError, Record};

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    scans: Semaphore,
    /// The oldest event that is kept, and its time: while it is young, nobody has to look.
    oldest: Mutex<Option<(Position, Timestamp)>>,
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
        self.ready()?;
        let filling = Filling::new(events_max, bytes_max);
        self.fill(from, selectors, filling).await.map_err(|fault| self.failed(&fault))?
    }

    async fn find_id(&self, id: &EventId) -> Result<Option<Position>, ReadError> {
        self.ready()?;
        let finding = self.newest_with(id);
        let found = finding.await.map_err(|fault| self.failed(&fault))?;
        let oldest = self.shared.bounds().oldest;
        Ok(found.filter(|position| *position >= oldest))
    }

    async fn since(&self, time: Timestamp) -> Result<Position, ReadError> {
        self.ready()?;
        let finding = self.first_since(time);
        finding.await.map_err(|fault| self.failed(&fault))
    }

    async fn nth_last(&self, events: usize, selectors: &Selectors) -> Result<Position, ReadError> {
        self.ready()?;
        let finding = self.nth_from_end(events, |record| selectors.matches(&record.event.topics));
        let found = finding.await.map_err(|fault| self.failed(&fault))?;
        let oldest = self.shared.bounds().oldest;
        Ok(found.unwrap_or(oldest).max(oldest))
    }

    async fn fingerprint(&self, position: Position) -> Result<Option<Fingerprint>, ReadError> {
        if position < self.shared.bounds().oldest {
            return Ok(None);
        }
        match self.page(position, None, 1, 0).await {
            Ok(page) => Ok(page.records.first().and_then(|record| record.print)),
            Err(ReadError::Trimmed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, scans: Semaphore::new(SCANS_MAX), oldest: Mutex::default() }
    }

    async fn fill(
        &self,
        from: Position,
        selectors: Option<&Selectors>,
        mut filling: Filling,
    ) -> Result<Result<Page, ReadError>, Fault> {
        let mut runs = self.from(from).await?;
        let (mut next, mut bytes) = (from, 0);
        while bytes < READ_BYTES_MAX {
            let Some(run) = runs.next().await? else { break };
            if run.head.end() <= from {
                continue;
            }
            if run.head.first > next {
                if next == from {
                    // Retention has passed what comes before it.
                    return Ok(Err(ReadError::Trimmed { oldest: run.head.first }));
                }
                break;
            }
            bytes += run.head.bytes as usize;
            for record in records(&run)? {
                if record.position < next {
                    continue;
                }
                let position = record.position;
                let wanted = selectors.is_none_or(|all| all.matches(&record.event.topics));
                if filling.full() || wanted && !filling.push(record) {
                    return Ok(Ok(filling.finish(position)));
                }
                next = position.next();
            }
        }
        let held = self.shared.state.lock().held;
        if next == from && from < held.next {
            return Ok(Err(ReadError::Trimmed { oldest: held.oldest.max(from.next()) }));
        }
        Ok(Ok(filling.finish(next)))
    }

    /// The runs from the one on that holds a position, or from an earlier one.
    async fn from(&self, position: Position) -> Result<Runs<'_>, Fault> {
        let (low, high) = self.shared.engine.cache.lock().around(position);
        let last = self.shared.engine.tail.lock().at;
        let first = match low {
            Some(low) => low,
            None => self.shared.engine.link.extent().await?.first.max(1),
        };
        let found = self.first_that(first, high.unwrap_or(last), |h| h.end() > position).await?;
        // What was begun and never ended has the place of what came instead.
        let mut seq = found;
        let mut back = 1;
        while seq > first {
            match self.part(seq).await? {
                Some(part) if part.head.first <= position => {
                    seq = seq.saturating_sub(part.head.part.into()).max(first);
                    break;
                }
                _ => seq = seq.saturating_sub(back).max(first),
            }
            back *= 2;
        }
        Ok(Runs::new(self, seq, last))
    }

    /// The first message between these of which something is true, where it is true of all that
    /// come after it; the one after the last where it is true of none.
    async fn first_that(
        &self,
        mut low: u64,
        high: u64,
        is: impl Fn(&Head) -> bool,
    ) -> Result<u64, Fault> {
        let mut high = high + 1;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.part_from(middle, high).await? {
                // Nothing is there any more up to `high`.
                None => high = middle,
                Some((_, part)) if is(&part.head) => high = middle,
                Some((seq, _)) => low = seq + 1,
            }
        }
        Ok(low)
    }

    /// The first message of these that is there.
    async fn part_from(&self, seq: u64, end: u64) -> Result<Option<(u64, Part)>, Fault> {
        if let Some(part) = self.part(seq).await? {
            return Ok(Some((seq, part)));
        }
        // What retention took is passed over at once; other holes are few and small.
        let first = self.shared.engine.link.extent().await?.first;
        for seq in first.max(seq + 1)..end {
            if let Some(part) = self.part(seq).await? {
                return Ok(Some((seq, part)));
            }
        }
        Ok(None)
    }

    /// A message, from memory where it is there.
    pub(super) async fn part(&self, seq: u64) -> Result<Option<Part>, Fault> {
        let engine = &self.shared.engine;
        if let Some(part) = engine.cache.lock().part(seq) {
            return Ok(Some(part));
        }
        let origin = engine.tail.lock().origin;
        let Some(stored) = engine.link.get(seq).await? else { return Ok(None) };
        let Some(part) = Part::parse(stored.payload) else { return Ok(None) };
        if part.head.origin != origin {
            engine.doubt.send_replace(());
            return Err(Fault::refused("the log has become another one meanwhile"));
        }
        let mut cache = engine.cache.lock();
        cache.insert(seq, &part);
        cache.anchor(&part.head, seq.saturating_sub(part.head.part.into()));
        Ok(Some(part))
    }

    async fn newest_with(&self, id: &EventId) -> Result<Option<Position>, Fault> {
        let link = &self.shared.engine.link;
        let Some(stored) = link.newest(&Kind::of_id(id)).await? else { return Ok(None) };
        let part = Part::parse(stored.payload).ok_or(Fault::refused(NOT_OURS))?;
        let head = part.head;
        // It counts when the run's last part is there.
        let last = stored.seq.saturating_add(u64::from(head.parts - head.part - 1));
        self.heard(last).await;
        let done =
            head.is_last() || self.part(last).await?.is_some_and(|part| part.head.run == head.run);
        if done {
            return Ok(Some(Position(head.first.0.saturating_add(head.begun.into()))));
        }
        // It stands in front of one that counts; who knows where.
        self.nth_from_end(1, |record| record.event.id.as_ref() == Some(id)).await
    }

    /// Waits until a message was heard, or it is clear that it will not come soon.
    async fn heard(&self, seq: u64) {
        let mut changed = self.shared.changed.subscribe();
        let hearing = async {
            while self.shared.engine.tail.lock().seq < seq {
                // Cannot fail: we keep the sender alive.
                let _ = changed.changed().await;
            }
        };
        let _ = timeout(ANSWER_TIME_MAX, hearing).await;
    }

    /// Hears of all that the stream holds now.
    pub(super) async fn look(&self) -> Result<(), ReadError> {
        self.ready()?;
        let extent = self.shared.engine.link.extent().await.map_err(|fault| self.failed(&fault))?;
        self.heard(extent.last).await;
        if self.shared.engine.tail.lock().seq < extent.last {
            return Err(self.failed(&Fault::broken("it does not send what it has")));
        }
        Ok(())
    }

    async fn first_since(&self, time: Timestamp) -> Result<Position, Fault> {
        let bounds = self.shared.bounds();
        let first = self.shared.engine.link.extent().await?.first.max(1);
        let last = self.shared.engine.tail.lock().at;
        let seq = self.first_that(first, last, |head| head.latest >= time).await?;
        let mut runs = Runs::new(self, seq, last);
        while let Some(run) = runs.next().await? {
            let found = records(&run)?.into_iter().find(|record| record.time >= time);
            if let Some(record) = found {
                return Ok(record.position.max(bounds.oldest));
            }
        }
        Ok(bounds.next)
    }

    /// Looks from the tail backwards, since the server knows nothing of topics.
    async fn nth_from_end(
        &self,
        events: usize,
        is: impl Fn(&Record) -> bool,
    ) -> Result<Option<Position>, Fault> {
        let _permit = self.scans.acquire().await.expect("it is never closed");
        let mut left = events;
        let mut end = self.shared.engine.tail.lock().at;
        let first = self.shared.engine.link.extent().await?.first.max(1);
        let oldest = self.shared.bounds().oldest;
        while end >= first {
            let mut start = end.saturating_sub(super::sizes::READ_MESSAGES_MAX - 1).max(first);
            if let Some(part) = self.part(start).await? {
                start = start.saturating_sub(part.head.part.into()).max(first);
            }
            let mut runs = Runs::new(self, start, end);
            let mut found = Vec::new();
            while let Some(run) = runs.next().await? {
                found.push(run);
            }
            for run in found.iter().rev() {
                for record in records(run)?.iter().rev().filter(|record| is(record)) {
                    left -= 1;
                    if left == 0 || record.position < oldest {
                        return Ok(Some(record.position));
                    }
                }
            }
            end = start - 1;
        }
        Ok(None)
    }

    /// How far retention has come at a time.
    pub(super) async fn cut(&self, now: Timestamp) -> Result<Option<Cut>, ReadError> {
        self.ready()?;
        self.cut_at(now).await.map_err(|fault| self.failed(&fault))
    }

    async fn cut_at(&self, now: Timestamp) -> Result<Option<Cut>, Fault> {
        let engine = &self.shared.engine;
        let (origin, held, offset, last) = {
            let tail = engine.tail.lock();
            (tail.origin, tail.held(), tail.offset, tail.at)
        };
        let age = u64::try_from(engine.options.age_max.as_millis()).unwrap_or(u64::MAX);
        let cutoff = Timestamp(now.0.min(engine.clock.lock().latest().0).saturating_sub(age));
        let freed = offset.saturating_sub(engine.options.bytes_max);
        let known = *self.oldest.lock();
        let is_young = known.is_some_and(|(position, time)| {
            position == held.oldest && time >= cutoff && held.bytes <= engine.options.bytes_max
        });
        if is_young || held.oldest >= held.next {
            return Ok(None);
        }
        let extent = engine.link.extent().await?;
        let first = extent.first.max(1);
        let is_kept =
            |head: &Head| head.end() > held.oldest && head.latest >= cutoff && head.offset >= freed;
        let mut runs = Runs::new(self, self.first_that(first, last, is_kept).await?, last);
        while let Some(run) = runs.next().await? {
            if !is_kept(&run.head) {
                continue;
            }
            let young = records(&run)?
                .into_iter()
                .find(|record| record.time >= cutoff && record.position >= held.oldest);
            let oldest = young.as_ref().map_or(run.head.first, |record| record.position);
            if let Some(record) = young {
                *self.oldest.lock() = Some((oldest, record.time));
            }
            let cut = Cut { origin, oldest, freed: run.head.offset };
            return Ok((oldest > held.oldest).then_some(cut));
        }
        Ok(Some(Cut { origin, oldest: held.next, freed: offset }))
    }

    /// The first message that is needed for what is kept.
    pub(super) async fn first_needed(&self) -> Result<u64, ReadError> {
        let oldest = self.shared.bounds().oldest;
        let finding = self.from(oldest);
        let runs = finding.await.map_err(|fault| self.failed(&fault))?;
        Ok(runs.seq())
    }

    /// Somebody else is trying to reach the server already, where it is away.
    pub(super) fn ready(&self) -> Result<(), ReadError> {
        match self.shared.state.lock().deaf.clone() {
            Some(reason) => Err(ReadError::Failed { reason }),
            None => Ok(()),
        }
    }

    pub(super) fn failed(&self, fault: &Fault) -> ReadError {
        ReadError::Failed { reason: self.shared.trouble(&fault.reason) }
    }
}

fn records(run: &Run) -> Result<Vec<Arc<Record>>, Fault> {
    run.entry().records().ok_or(Fault::refused(NOT_OURS))
}
