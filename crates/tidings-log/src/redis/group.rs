//! What is appended in one step: the batches of several publishers, as the script wants them, and
//! what the script's answer means to each. Knows nothing of connections.

use super::sizes::{ENTRY_BYTES, GROUP_BYTES_MAX, GROUP_EVENTS_MAX};
use crate::keys::fingerprint;
use crate::remote::{EVENT_OVERHEAD_BYTES, Gathering, Waiting, batch_bytes, encode, event_bytes};
use crate::{Append, AppendError, Appended};
use tidings_core::cursor::{Fingerprint, Position};

/// Batches that are appended together.
#[derive(Debug)]
pub(super) struct Group {
    /// By which the server knows it, should it come a second time.
    pub(super) number: u64,
    waiting: Vec<(Waiting, Place)>,
    /// The batches as the script has them: each is a number of items, and the items.
    arguments: Vec<Vec<u8>>,
    /// Batches as the script has them.
    batches: usize,
    /// The script's last batch takes in more events that have neither key nor id.
    run: Option<Run>,
    events: usize,
    bytes: usize,
}

/// Where the answer for a batch of ours stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// It is a batch of the script's own.
    Whole(usize),
    /// It is these many events, so many after the beginning of one of the script's.
    Within { batch: usize, offset: u64, events: u64 },
}

/// Events without key and id, one after the other, whoever published them.
#[derive(Debug)]
struct Run {
    /// Where the number of items stands among the arguments.
    at: usize,
    items: usize,
    events: u64,
    item: Item,
}

#[derive(Debug, Default)]
struct Item {
    events: u64,
    bytes: usize,
    latest: u64,
    body: Vec<u8>,
}

impl Item {
    fn push(&mut self, append: &Append) {
        self.events += 1;
        self.bytes += event_bytes(&append.event) + EVENT_OVERHEAD_BYTES;
        self.latest = self.latest.max(append.time.0);
        encode(&mut self.body, &append.event, append.time);
    }

    fn finish(self, key: &str, print: &str, id: &str, arguments: &mut Vec<Vec<u8>>) {
        arguments.extend([key, print, id].map(|text| text.as_bytes().to_vec()));
        let numbers = [self.events, self.bytes as u64, self.latest];
        arguments.extend(numbers.map(|number| number.to_string().into_bytes()));
        arguments.push(self.body);
    }
}

impl Gathering for Group {
    fn push(&mut self, mut waiting: Waiting) {
        let batch = std::mem::take(&mut waiting.batch);
        self.events += batch.len();
        self.bytes += batch_bytes(&batch) as usize;
        let plain = batch.iter().all(|append| append.key.is_none() && append.event.id.is_none());
        let place = if plain { self.push_plain(&batch) } else { self.push_whole(&batch) };
        self.waiting.push((waiting, place));
    }

    fn is_full(&self) -> bool {
        self.events >= GROUP_EVENTS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

impl Group {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            waiting: Vec::new(),
            arguments: Vec::new(),
            batches: 0,
            run: None,
            events: 0,
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push_plain(&mut self, batch: &[Append]) -> Place {
        if self.run.is_none() {
            let at = self.arguments.len();
            self.arguments.push(Vec::new());
            self.batches += 1;
            self.run = Some(Run { at, items: 0, events: 0, item: Item::default() });
        }
        let run = self.run.as_mut().expect("it was made");
        let (batch_number, offset) = (self.batches - 1, run.events);
        for append in batch {
            run.item.push(append);
            run.events += 1;
            if run.item.bytes >= ENTRY_BYTES {
                std::mem::take(&mut run.item).finish("", "", "", &mut self.arguments);
                run.items += 1;
            }
        }
        Place::Within { batch: batch_number, offset, events: batch.len() as u64 }
    }

    fn push_whole(&mut self, batch: &[Append]) -> Place {
        self.end_run();
        self.arguments.push(batch.len().to_string().into_bytes());
        for append in batch {
            let mut item = Item::default();
            item.push(append);
            let id = append.event.id.as_ref().map_or("", |id| id.as_str());
            match &append.key {
                Some(key) => {
                    let print = fingerprint(&append.event).to_string();
                    item.finish(key.as_str(), &print, id, &mut self.arguments);
                }
                None => item.finish("", "", id, &mut self.arguments),
            }
        }
        self.batches += 1;
        Place::Whole(self.batches - 1)
    }

    fn end_run(&mut self) {
        let Some(Run { at, mut items, item, .. }) = self.run.take() else { return };
        if item.events > 0 {
            item.finish("", "", "", &mut self.arguments);
            items += 1;
        }
        self.arguments[at] = items.to_string().into_bytes();
    }

    /// What the script is told: how many batches, and the batches.
    pub(super) fn finish(&mut self) {
        self.end_run();
        self.arguments.insert(0, self.batches.to_string().into_bytes());
    }

    /// After [`Group::finish`].
    pub(super) fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.arguments.iter().map(Vec::as_slice)
    }

    /// Gives everybody the same answer: nothing was kept.
    pub(super) fn refuse(self, error: &AppendError) {
        for (waiting, _) in self.waiting {
            waiting.answer(Err(error.clone()));
        }
    }

    /// Lets go of those who have stopped waiting, where nobody is left. They were told that it
    /// may have been kept.
    pub(super) fn is_given_up(&self) -> bool {
        self.waiting.iter().all(|(waiting, _)| waiting.is_given_up())
    }

    /// Gives everybody what the script answered.
    pub(super) fn resolve(self, text: &str) {
        let (print, batches) = text.split_once(' ').unwrap_or_default();
        let print = self::print(print);
        let batches: Vec<&str> = batches.split(';').collect();
        for (waiting, place) in self.waiting {
            let answer = match place {
                Place::Whole(batch) => batches.get(batch).and_then(|text| whole(text, print?)),
                Place::Within { batch, offset, events } => {
                    batches.get(batch).and_then(|text| within(text, print?, offset, events))
                }
            };
            let answer = answer.unwrap_or_else(|| {
                let reason = "Redis answered what no script of ours does".to_owned();
                Err(AppendError::Unavailable { reason })
            });
            waiting.answer(answer);
        }
    }
}

fn print(digits: &str) -> Option<Fingerprint> {
    digits.parse().ok().map(Fingerprint::from_bits)
}

/// The answer for a batch of its own: where each of its events stands, `!` before those that were
/// there already, and their fingerprints behind.
fn whole(text: &str, own: Fingerprint) -> Option<Result<Vec<Appended>, AppendError>> {
    if text == "reused" {
        return Some(Err(AppendError::KeyReused));
    }
    let place = |text: &str| {
        let (repeated, digits, print) = match text.strip_prefix('!') {
            Some(text) => {
                let (digits, print) = text.split_once('.')?;
                (true, digits, self::print(print)?)
            }
            None => (false, text, own),
        };
        Some(Appended { position: Position(digits.parse().ok()?), print: Some(print), repeated })
    };
    Some(Ok(text.split(',').map(place).collect::<Option<_>>()?))
}

/// The answer for events within a run, which has no holes.
fn within(
    text: &str,
    print: Fingerprint,
    offset: u64,
    events: u64,
) -> Option<Result<Vec<Appended>, AppendError>> {
    let (first, _) = text.split_once(',').unwrap_or((text, ""));
    let first = first.parse::<u64>().ok()?.checked_add(offset)?;
    let last = first.checked_add(events)?;
    let place =
        |position| Appended { position: Position(position), print: Some(print), repeated: false };
    Some(Ok((first..last).map(place).collect()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings_core::cursor::Timestamp;
    use tidings_core::event::{Data, Event, EventId, IdempotencyKey, Topic};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;

    type Answer = oneshot::Receiver<Result<Vec<Appended>, AppendError>>;

    fn append(data: &str) -> Append {
        let event = Event::new(Topic::parse("t").unwrap(), Data::from(data.to_owned()));
        Append { event, key: None, time: Timestamp(5) }
    }

    fn keyed(key: &str, data: &str) -> Append {
        Append { key: Some(IdempotencyKey::parse(key).unwrap()), ..append(data) }
    }

    fn push(group: &mut Group, batch: Vec<Append>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(60);
        group.push(Waiting { batch, deadline, answer });
        answered
    }

    fn positions(mut answer: Answer) -> Vec<(u64, bool)> {
        let appended = answer.try_recv().unwrap().unwrap();
        for appended in &appended {
            let bits = if appended.repeated { 66 } else { 77 };
            assert_eq!(appended.print, Some(Fingerprint::from_bits(bits)));
        }
        appended.iter().map(|appended| (appended.position.0, appended.repeated)).collect()
    }

    #[tokio::test]
    async fn what_has_neither_key_nor_id_goes_as_one_batch() {
        let mut group = Group::new(1);
        let first = push(&mut group, vec![append("1"), append("2")]);
        let second = push(&mut group, vec![append("3")]);
        let with_key = push(&mut group, vec![keyed("k", "4"), append("5")]);
        let last = push(&mut group, vec![append("6")]);
        group.finish();
        let arguments: Vec<_> =
            group.arguments().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert_eq!(arguments[..2], ["3", "1"], "three batches, of which the first is one item");
        assert_eq!(arguments[2..6], ["", "", "", "3"]);
        assert_eq!(arguments[9..11], ["2", "k"]);
        assert_eq!(arguments.len(), 2 + 7 + 1 + 2 * 7 + 1 + 7);
        group.resolve("77 10;!4.66,13;14");
        assert_eq!(positions(first), [(10, false), (11, false)]);
        assert_eq!(positions(second), [(12, false)]);
        assert_eq!(positions(with_key), [(4, true), (13, false)]);
        assert_eq!(positions(last), [(14, false)]);
    }

    #[tokio::test]
    async fn a_run_is_cut_into_items_and_stays_one_run() {
        let mut group = Group::new(1);
        let large = "x".repeat(ENTRY_BYTES / 2);
        let batch = vec![append(&large); 5];
        let answer = push(&mut group, batch);
        group.finish();
        let items = group.arguments().nth(1).unwrap().to_vec();
        assert_eq!(items, b"3");
        group.resolve("77 7,9,11");
        assert_eq!(positions(answer).last(), Some(&(11, false)));
    }

    #[tokio::test]
    async fn one_publisher_s_mistake_is_his_alone() {
        let mut group = Group::new(1);
        let mut wrong = push(&mut group, vec![keyed("k", "1")]);
        let mut with_id = append("2");
        with_id.event.id = Some(EventId::parse("i").unwrap());
        let right = push(&mut group, vec![with_id]);
        group.finish();
        group.resolve("77 reused;3");
        assert_eq!(wrong.try_recv().unwrap(), Err(AppendError::KeyReused));
        assert_eq!(positions(right), [(3, false)]);
    }

    #[tokio::test]
    async fn an_answer_that_makes_no_sense_is_an_error() {
        for text in ["", "x", "1 ", "1 x", "1 !", "1 reuse", "x 1", "1"] {
            let mut group = Group::new(1);
            let mut answer = push(&mut group, vec![append("1")]);
            group.finish();
            group.resolve(text);
            assert!(matches!(answer.try_recv().unwrap(), Err(AppendError::Unavailable { .. })));
        }
    }
}
