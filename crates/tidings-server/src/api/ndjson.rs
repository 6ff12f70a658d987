//! Publishes NDJSON as it streams in: one event a line, kept in batches, in order.
//! Knows nothing of how the log keeps them.

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tidings_core::event::{IdempotencyKey, Topics};
use tidings_core::limits::{
    ESCAPED_BYTES_MAX, LINE_OVERHEAD_BYTES_MAX, NDJSON_BATCH_BYTES_MAX, NDJSON_BATCH_EVENTS_MAX,
};
use tokio::time;

use crate::auth::{Access, Caller};
use crate::engine::{Hub, Id, Publish, PublishError, Published};
use crate::gate::Client;

use super::body;
use super::item::{self, ItemError};
use super::lines::{LineTooLong, Lines};
use super::problem::Problem;

/// What became of a stream, as its answer has it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Events that are kept, those that were there already included.
    pub(crate) published: u64,
    /// How many of them were there already, under the same idempotency key.
    #[serde(skip)]
    pub(crate) repeated: u64,
    /// The id of the last.
    pub(crate) last_id: Option<Id>,
}

/// Publishes the lines of a body.
///
/// One append is under way at a time, and what comes in meanwhile is gathered for the next: a
/// slow log gets larger batches, a fast one gets events at once. So the memory is bounded by two
/// batches, one piece of the body and one line; and when an append fails, nothing that follows
/// it is kept, so the client knows where to go on.
///
/// Each event is held against the rights of its publisher, whose token may end on the way.
///
/// # Errors
/// The first line that is wrong or not allowed, or could not be kept. The lines before it are
/// published.
///
/// Cancel safe in so far as the events of the append under way are kept in full or not at all.
pub(crate) async fn publish(
    hub: &Hub,
    access: &Access,
    caller: &Caller,
    mut body: Body,
    key: Option<IdempotencyKey>,
    client: Option<Client>,
) -> Result<Summary, Problem> {
    let may = |topics: &Topics| Ok(access.may_publish(caller, topics)?);
    let mut gather = Gather::new(hub.config().data_bytes_max, key, may);
    let mut append: Option<Append> = None;
    let mut summary = Summary::default();
    loop {
        gather.take_lines();
        if append.is_none() {
            append = gather.batch().map(|batch| Append::start(hub, batch, client.clone()));
        }
        let reading = gather.wants_more();
        let Some(under_way) = append.as_mut() else {
            if reading {
                gather.push(body::next(&mut body).await);
                continue;
            }
            break;
        };
        let kept = tokio::select! {
            kept = &mut under_way.future => kept,
            piece = body::next(&mut body), if reading => {
                gather.push(piece);
                continue;
            }
        };
        match kept {
            Ok(kept) => summary.add(kept),
            Err(error) => {
                let problem = Problem::from(error);
                body::discard(body);
                return Err(problem.at_line(under_way.first_line, summary.published));
            }
        }
        append = None;
    }
    match gather.failed {
        None => Ok(summary),
        Some((line, problem)) => {
            body::discard(body);
            Err(problem.at_line(line, summary.published))
        }
    }
}

impl Summary {
    fn add(&mut self, kept: Vec<Published>) {
        self.published += kept.len() as u64;
        self.repeated += kept.iter().filter(|kept| kept.repeated).count() as u64;
        if let Some(last) = kept.into_iter().next_back() {
            self.last_id = Some(last.id);
        }
    }
}

/// An append that is under way.
struct Append {
    future: BoxFuture<'static, Result<Vec<Published>, PublishError>>,
    /// The line of its first event.
    first_line: u64,
}

impl Append {
    /// Whoever publishes too fast is held back, by their own connection: a stream that is refused
    /// in its middle would have to be begun anew.
    fn start(hub: &Hub, batch: Batch, client: Option<Client>) -> Self {
        let hub = hub.clone();
        let future = Box::pin(async move {
            if let Some(client) = client {
                while let Err(too_fast) = hub.allow_publish(&client, batch.events.len()) {
                    hub.metrics().limit_hit(too_fast.limit);
                    time::sleep(too_fast.wait).await;
                }
            }
            hub.publish_many(batch.events).await
        });
        Self { future, first_line: batch.first_line }
    }
}

/// Events that wait for their append.
#[derive(Default)]
struct Batch {
    events: Vec<Publish>,
    bytes: usize,
    first_line: u64,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.events.len() >= NDJSON_BATCH_EVENTS_MAX || self.bytes >= NDJSON_BATCH_BYTES_MAX
    }
}

/// Turns pieces of a body into batches; pure but for what it was made with: the hub's settings, and
/// `M`, which says whether an event with these topics may be published.
struct Gather<M> {
    may_publish: M,
    lines: Lines,
    batch: Batch,
    /// Events that were read: the number of the next, by which its key is made.
    events: usize,
    key: Option<IdempotencyKey>,
    data_bytes_max: usize,
    /// Nothing more comes.
    ended: bool,
    /// The line that stopped it, and why.
    failed: Option<(u64, Problem)>,
}

impl<M: Fn(&Topics) -> Result<(), Problem>> Gather<M> {
    fn new(data_bytes_max: usize, key: Option<IdempotencyKey>, may_publish: M) -> Self {
        let line_bytes_max = data_bytes_max
            .saturating_mul(ESCAPED_BYTES_MAX)
            .saturating_add(LINE_OVERHEAD_BYTES_MAX);
        Self {
            may_publish,
            lines: Lines::new(line_bytes_max),
            batch: Batch::default(),
            events: 0,
            key,
            data_bytes_max,
            ended: false,
            failed: None,
        }
    }

    /// Puts in the next piece of the body, or its end.
    fn push(&mut self, piece: Option<Result<Bytes, body::BodyError>>) {
        match piece {
            Some(Ok(piece)) => self.lines.push(&piece),
            Some(Err(error)) => self.failed = Some((self.lines.taken() + 1, error.into())),
            None => self.ended = true,
        }
    }

    /// Whether another piece of the body would be of use now.
    fn wants_more(&self) -> bool {
        !self.ended && self.failed.is_none() && !self.batch.is_full()
    }

    /// The events that were gathered, if there are any.
    fn batch(&mut self) -> Option<Batch> {
        (!self.batch.events.is_empty()).then(|| std::mem::take(&mut self.batch))
    }

    /// Reads lines that are there, until the batch is full or one is wrong.
    fn take_lines(&mut self) {
        while self.failed.is_none() && !self.batch.is_full() {
            let line = match self.lines.next() {
                Ok(Some(line)) => Some(line),
                Ok(None) if self.ended => self.lines.last(),
                Ok(None) => None,
                Err(LineTooLong) => {
                    let error = ItemError::LineTooLong { max: self.data_bytes_max };
                    self.failed = Some((self.lines.taken() + 1, error.into()));
                    return;
                }
            };
            let Some(line) = line else { return };
            self.take(&line);
        }
    }

    fn take(&mut self, line: &Bytes) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let number = self.lines.taken();
        let before = self.batch.events.last().map(|publish| &publish.event.topics);
        let parsed = item::parse(line, self.data_bytes_max, before).map_err(Problem::from);
        let allowed = parsed.and_then(|event| (self.may_publish)(&event.topics).map(|()| event));
        match allowed {
            Ok(event) => {
                if self.batch.events.is_empty() {
                    self.batch.first_line = number;
                }
                self.batch.bytes += event.weight();
                let key = self.key.as_ref().map(|key| key.nth(self.events));
                self.batch.events.push(Publish { event, key });
                self.events += 1;
            }
            Err(problem) => self.failed = Some((number, problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All batches of a body that comes in these pieces, and the line that stopped it.
    fn gather(pieces: &[&[u8]], key: Option<&str>) -> (Vec<Batch>, Option<(u64, Problem)>) {
        let key = key.map(|key| IdempotencyKey::parse(key).unwrap());
        let mut gather = Gather::new(1000, key, |_: &Topics| Ok(()));
        let mut batches = Vec::new();
        let ends = pieces.iter().map(|piece| Some(Ok(Bytes::copy_from_slice(piece))));
        for piece in ends.chain([None]) {
            gather.push(piece);
            loop {
                gather.take_lines();
                match gather.batch() {
                    Some(batch) => batches.push(batch),
                    None => break,
                }
            }
        }
        (batches, gather.failed)
    }

    fn data(batches: &[Batch]) -> Vec<String> {
        batches
            .iter()
            .flat_map(|batch| &batch.events)
            .map(|publish| publish.event.data.as_str().to_owned())
            .collect()
    }

    fn body(events: usize) -> String {
        (0..events).map(|n| format!("{{\"topic\":\"t\",\"data\":{n}}}\n")).collect()
    }

    #[test]
    fn a_batch_is_what_came_at_once_up_to_its_bounds() {
        let text = body(1200);
        let (batches, failed) = gather(&[text.as_bytes()], None);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.events.len()).collect();
        assert_eq!((sizes, failed), (vec![512, 512, 176], None));
        assert_eq!(batches[1].first_line, 513);
        let large = format!("{{\"topic\":\"t\",\"data\":\"{}\"}}\n", "x".repeat(900)).repeat(500);
        let (batches, _) = gather(&[large.as_bytes()], None);
        assert!(batches.len() > 1);
        assert!(batches.iter().all(|batch| batch.bytes < NDJSON_BATCH_BYTES_MAX + 2000));
    }

    #[test]
    fn blank_lines_count_as_lines_but_are_no_events() {
        let text = "\n  \r\n{\"topic\":\"t\",\"data\":1}\r\n\n{\"topic\":\"t\",\"data\":2}";
        let (batches, failed) = gather(&[text.as_bytes()], Some("k"));
        assert_eq!((data(&batches), failed), (vec!["1".into(), "2".into()], None));
        assert_eq!(batches[0].first_line, 3);
        let keys: Vec<&str> = batches
            .iter()
            .flat_map(|batch| &batch.events)
            .map(|publish| publish.key.as_ref().unwrap().as_str())
            .collect();
        assert_eq!(keys, ["k#0", "k#1"]);
    }

    #[test]
    fn the_first_wrong_line_ends_it_and_is_named() {
        let text = body(2) + "{\"topic\":\"t\"}\n" + &body(1);
        let (batches, failed) = gather(&[text.as_bytes()], None);
        assert_eq!(data(&batches), ["0", "1"]);
        assert_eq!(failed.unwrap().0, 3);
        let endless = "x".repeat(1000 * ESCAPED_BYTES_MAX + LINE_OVERHEAD_BYTES_MAX + 1);
        let text = body(1) + &endless;
        let (batches, failed) = gather(&[text.as_bytes()], None);
        let (line, problem) = failed.unwrap();
        assert_eq!((data(&batches).len(), line), (1, 2));
        assert_eq!(problem.limit(), Some("data_bytes_max"));
    }

    proptest! {
        #[test]
        fn where_the_body_was_cut_does_not_matter(
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let text = body(12) + "{\"topic\":\"ü\",\"data\":\"\u{1F600}\"}\n{\"oops\":1}\n";
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let (batches, failed) = gather(&pieces, Some("k"));
            let (whole, whole_failed) = gather(&[text.as_bytes()], Some("k"));
            prop_assert_eq!(data(&batches), data(&whole));
            prop_assert_eq!(failed, whole_failed);
        }
    }
}
