//! What is appended in one step: the batches of several publishers as one run, written for the
//! place where the log ends now. Knows nothing of connections.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tidings_core::cursor::{Incarnation, Position, Timestamp};
use tidings_core::event::EventId;

use super::message::{HEAD_BYTES, Head, KeyUse, RunId};
use super::sizes::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX, MESSAGE_OVERHEAD_BYTES};
use super::tail::{Known, Tail};
use crate::keys::fingerprint;
use crate::remote::{EVENT_OVERHEAD_BYTES, Gathering, Waiting, batch_bytes, encode, event_bytes};
use crate::{Append, AppendError, Appended};

/// Batches that are appended together.
#[derive(Debug, Default)]
pub(super) struct Group {
    waiting: Vec<Waiting>,
    events: usize,
    bytes: usize,
}

impl Gathering for Group {
    fn push(&mut self, waiting: Waiting) {
        self.events += waiting.batch.len();
        self.bytes += batch_bytes(&waiting.batch) as usize;
        self.waiting.push(waiting);
    }

    fn is_full(&self) -> bool {
        self.events >= GROUP_EVENTS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there were publishers, and none of them waits any more.
    pub(super) fn is_given_up(&self) -> bool {
        !self.waiting.is_empty() && self.waiting.iter().all(Waiting::is_given_up)
    }

    /// Gives everybody the same answer: nothing was kept.
    pub(super) fn refuse(self, error: &AppendError) {
        for waiting in self.waiting {
            waiting.answer(Err(error.clone()));
        }
    }

    /// Gives everybody what a draft promised, which is part of the log now.
    pub(super) fn resolve(self, draft: Draft) {
        for (waiting, answer) in self.waiting.into_iter().zip(draft.answers) {
            waiting.answer(answer);
        }
    }
}

/// How far retention has come: the events before `oldest`, of so many bytes, are let go of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cut {
    /// Of which stream.
    pub(super) origin: u64,
    pub(super) oldest: Position,
    pub(super) freed: u64,
}

/// What a run is to be besides its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) run: RunId,
    /// The server's time of day: a node whose clock is ahead must not take all others along.
    pub(super) now: Timestamp,
    pub(super) cut: Option<Cut>,
    /// Appended even where there is nothing to be said, to see whether the server takes it.
    pub(super) probe: bool,
    /// Gives the log a new incarnation.
    pub(super) renew: Option<Incarnation>,
    /// Largest message.
    pub(super) message_bytes_max: usize,
}

/// A run, written for one place in the log.
#[derive(Debug)]
pub(super) struct Draft {
    /// The message that it has to follow.
    pub(super) after: u64,
    /// The mark of the run that it has to follow.
    mark: u64,
    /// None where there is nothing to be appended.
    pub(super) parts: Vec<Message>,
    answers: Vec<Result<Vec<Appended>, AppendError>>,
}

impl Draft {
    /// Whether the log ends where it was written for.
    pub(super) fn fits(&self, known: Known, seq: u64) -> bool {
        (self.after, self.mark) == (seq, known.mark)
    }
}

/// A message to be published.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) payload: Bytes,
}

/// By which a message is found: part of its subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Events, or nothing but how the log stands.
    Events,
    /// It ends a run in which keys were used, or holds some of them.
    Keys,
    /// It begins with the event that has this id.
    Id(String),
}

impl Kind {
    /// An id is a name in a subject by letters that may stand there.
    pub(super) fn of_id(id: &EventId) -> Self {
        Self::Id(URL_SAFE_NO_PAD.encode(id.as_str()))
    }
}

/// Writes a group as it has to be where the log ends now.
pub(super) fn compose(tail: &mut Tail, group: Option<&Group>, frame: Frame) -> Draft {
    let base = tail.next;
    let cut = frame
        .cut
        .filter(|cut| cut.origin == tail.origin && cut.oldest > tail.oldest && cut.oldest <= base);
    let (oldest, freed) = cut.map_or((tail.oldest, tail.freed), |cut| (cut.oldest, cut.freed));
    let head = Head {
        part: 0,
        parts: 0,
        count: 0,
        begun: 0,
        origin: tail.origin,
        incarnation: frame.renew.unwrap_or(tail.incarnation),
        run: frame.run,
        after: tail.mark,
        first: base,
        oldest,
        freed,
        offset: tail.offset,
        bytes: 0,
        earliest: tail.latest,
        latest: tail.latest,
    };
    let slice_bytes_max = frame.message_bytes_max.saturating_sub(HEAD_BYTES).max(1);
    let (parts, uses) = (Vec::new(), Vec::new());
    let mut writing = Writing { slice_bytes_max, head, parts, uses, next: base };
    let batches = group.map_or(&[][..], |group| &group.waiting[..]);
    let answers = batches.iter().map(|waiting| writing.push(tail, &waiting.batch, frame.now));
    let answers = answers.collect();
    // What is not appended yet must not be known yet.
    tail.keys.forget_from(base);
    let is_needed =
        !writing.parts.is_empty() || cut.is_some() || frame.probe || frame.renew.is_some();
    let parts = if is_needed { writing.finish() } else { Vec::new() };
    Draft { after: tail.seq, mark: tail.mark, parts, answers }
}

/// The first run of a log, which holds nothing.
pub(super) fn first_run(origin: u64, incarnation: Incarnation, run: RunId) -> Bytes {
    let head = Head {
        part: 0,
        parts: 1,
        count: 0,
        begun: 0,
        origin,
        incarnation,
        run,
        after: 0,
        first: Position::FIRST,
        oldest: Position::FIRST,
        freed: 0,
        offset: 0,
        bytes: 0,
        earliest: Timestamp(0),
        latest: Timestamp(0),
    };
    head.encode(&[], &[])
}

/// A run in the making.
struct Writing {
    slice_bytes_max: usize,
    head: Head,
    parts: Vec<Slice>,
    uses: Vec<KeyUse>,
    next: Position,
}

struct Slice {
    kind: Kind,
    begun: u64,
    events: Vec<u8>,
    keys: Vec<u8>,
}

impl Writing {
    fn push(
        &mut self,
        tail: &mut Tail,
        batch: &[Append],
        now: Timestamp,
    ) -> Result<Vec<Appended>, AppendError> {
        let mut places = tail.keys.admit(batch, self.next)?;
        let print = self.head.print();
        for place in places.iter_mut().filter(|place| place.position >= self.head.first) {
            place.print = Some(print);
        }
        for (append, place) in batch.iter().zip(&places).filter(|(_, place)| !place.repeated) {
            let time = append.time.min(now);
            self.head.latest = self.head.latest.max(time);
            if let Some(key) = &append.key {
                let key_use = KeyUse {
                    key: key.clone(),
                    position: place.position,
                    time: self.head.latest,
                    fingerprint: fingerprint(&append.event),
                };
                tail.remember(&key_use, print);
                self.uses.push(key_use);
            }
            self.push_event(append, time);
        }
        Ok(places)
    }

    fn push_event(&mut self, append: &Append, time: Timestamp) {
        let begun = self.next.0 - self.head.first.0;
        let mut bytes = Vec::with_capacity(event_bytes(&append.event));
        encode(&mut bytes, &append.event, time);
        self.head.bytes += (bytes.len() + EVENT_OVERHEAD_BYTES) as u64;
        self.next = self.next.next();
        let mut rest = &bytes[..];
        match &append.event.id {
            Some(id) => {
                let kind = Kind::of_id(id);
                self.parts.push(Slice { kind, begun, events: Vec::new(), keys: Vec::new() });
            }
            None => {
                if self.parts.last().is_none_or(|part| part.kind != Kind::Events) {
                    self.parts.push(Slice::new(Kind::Events, begun));
                }
            }
        }
        loop {
            let part = self.parts.last_mut().expect("there is one");
            let room = self.slice_bytes_max.saturating_sub(part.events.len()).min(rest.len());
            let (here, more) = rest.split_at(room);
            part.events.extend_from_slice(here);
            if more.is_empty() {
                break;
            }
            rest = more;
            self.parts.push(Slice::new(Kind::Events, begun + 1));
        }
        // An event with an id has its message for itself: nobody else would be found by it.
        if append.event.id.is_some() && self.parts.last().is_some_and(|p| p.kind != Kind::Events) {
            self.parts.push(Slice::new(Kind::Events, begun + 1));
        }
    }

    fn finish(mut self) -> Vec<Message> {
        let mut head = self.head;
        head.count = (self.next.0 - head.first.0) as u32;
        // What was begun for events that did not come.
        let empty = |part: &Slice| part.kind == Kind::Events && part.events.is_empty();
        self.parts.retain(|part| !empty(part));
        for key_use in &self.uses {
            let mut bytes = Vec::new();
            key_use.encode(&mut bytes);
            let fits = |part: &Slice| {
                let is_id = matches!(part.kind, Kind::Id(_));
                !is_id && part.events.len() + part.keys.len() + bytes.len() <= self.slice_bytes_max
            };
            if !self.parts.last().is_some_and(fits) {
                self.parts.push(Slice::new(Kind::Keys, head.count.into()));
            }
            if let Some(part) = self.parts.last_mut() {
                part.kind = Kind::Keys;
                part.keys.extend_from_slice(&bytes);
            }
        }
        if self.parts.is_empty() {
            self.parts.push(Slice::new(Kind::Events, 0));
        }
        head.parts = self.parts.len() as u32;
        head.bytes += (self.parts.len() * MESSAGE_OVERHEAD_BYTES) as u64;
        let parts = self.parts.into_iter().zip(0..);
        let messages = parts.map(|(part, number)| {
            let head = Head { part: number, begun: part.begun as u32, ..head };
            Message { kind: part.kind, payload: head.encode(&part.events, &part.keys) }
        });
        messages.collect()
    }
}

impl Slice {
    fn new(kind: Kind, begun: u64) -> Self {
        Self { kind, begun, events: Vec::new(), keys: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings_core::event::{Data, Event, IdempotencyKey, Topic};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::super::message::{Joining, Part, Run};
    use super::*;

    type Answer = oneshot::Receiver<Result<Vec<Appended>, AppendError>>;

    const NOW: Timestamp = Timestamp(100);

    fn tail() -> Tail {
        let run = RunId { node: 1, number: 0 };
        let part = Part::parse(first_run(7, Incarnation::from_random(8), run)).unwrap();
        Tail::after(&part, 1)
    }

    fn frame(message_bytes_max: usize) -> Frame {
        let run = RunId { node: 1, number: 1 };
        Frame { run, now: NOW, cut: None, probe: false, renew: None, message_bytes_max }
    }

    fn append(data: &str) -> Append {
        let event = Event::new(Topic::parse("t").unwrap(), Data::from(data.to_owned()));
        Append { event, key: None, time: Timestamp(5) }
    }

    fn keyed(key: &str, data: &str) -> Append {
        Append { key: Some(IdempotencyKey::parse(key).unwrap()), ..append(data) }
    }

    fn with_id(id: &str, data: &str) -> Append {
        let mut append = append(data);
        append.event.id = Some(EventId::parse(id).unwrap());
        append
    }

    fn push(group: &mut Group, batch: Vec<Append>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(60);
        group.push(Waiting { batch, deadline, answer });
        answered
    }

    fn kinds(draft: &Draft) -> Vec<Kind> {
        draft.parts.iter().map(|part| part.kind.clone()).collect()
    }

    /// What readers make of it.
    fn read(draft: &Draft) -> (Run, Vec<String>) {
        let mut joining = Joining::default();
        let parts = draft.parts.iter().zip(draft.after + 1..);
        let runs = parts.filter_map(|(part, seq)| {
            joining.push(seq, Part::parse(part.payload.clone()).unwrap())
        });
        let [run] = &runs.collect::<Vec<_>>()[..] else { panic!("one run") };
        let records = run.entry().records().unwrap();
        (run.clone(), records.iter().map(|r| r.event.data.as_str().to_owned()).collect())
    }

    fn positions(mut answer: Answer) -> Vec<(u64, bool)> {
        let appended = answer.try_recv().unwrap().unwrap();
        appended.iter().map(|appended| (appended.position.0, appended.repeated)).collect()
    }

    #[tokio::test]
    async fn an_event_with_an_id_has_its_message_and_keys_come_last() {
        let mut group = Group::default();
        let first = push(&mut group, vec![append("1"), with_id("i", "2"), append("3")]);
        let second = push(&mut group, vec![keyed("k", "4"), with_id("j", "5")]);
        let draft = compose(&mut tail(), Some(&group), frame(4096));
        let expected =
            [Kind::Events, Kind::Id("aQ".into()), Kind::Events, Kind::Id("ag".into()), Kind::Keys];
        assert_eq!(kinds(&draft), expected);
        let begun: Vec<_> = draft.parts.iter().map(|part| part.payload[16]).collect();
        assert_eq!(begun, [0, 1, 2, 4, 5], "an event is found by where its message begins");
        let (run, data) = read(&draft);
        assert_eq!(data, ["1", "2", "3", "4", "5"]);
        assert_eq!(run.keys()[0].position, Position(4));
        group.resolve(draft);
        assert_eq!(positions(first), [(1, false), (2, false), (3, false)]);
        assert_eq!(positions(second), [(4, false), (5, false)]);
    }

    #[tokio::test]
    async fn what_is_larger_than_a_message_goes_on_in_the_next() {
        let mut group = Group::default();
        let large = "x".repeat(500);
        let many = (0..9).map(|number| keyed(&format!("{number}{}", "k".repeat(90)), "y"));
        let batch: Vec<_> =
            [append(&large), with_id("i", &large)].into_iter().chain(many).collect();
        push(&mut group, batch);
        let draft = compose(&mut tail(), Some(&group), frame(HEAD_BYTES + 200));
        assert!(draft.parts.iter().all(|part| part.payload.len() <= HEAD_BYTES + 200));
        assert_eq!(kinds(&draft).last(), Some(&Kind::Keys));
        let (run, data) = read(&draft);
        assert_eq!((data.len(), run.keys().len()), (11, 9));
        assert_eq!(data[1], large);
    }

    #[tokio::test]
    async fn one_publisher_s_mistake_is_his_alone_and_nothing_is_known_too_early() {
        let mut tail = tail();
        let mut group = Group::default();
        let first = push(&mut group, vec![keyed("k", "1")]);
        let again = push(&mut group, vec![append("2"), keyed("k", "1")]);
        let mut wrong = push(&mut group, vec![keyed("k", "x"), append("goes with it")]);
        for _ in 0..2 {
            // Written twice: the first time another node was faster.
            let draft = compose(&mut tail, Some(&group), frame(4096));
            assert_eq!(read(&draft).1, ["1", "2"]);
        }
        let draft = compose(&mut tail, Some(&group), frame(4096));
        group.resolve(draft);
        assert_eq!(positions(first), [(1, false)]);
        assert_eq!(positions(again), [(2, false), (1, true)]);
        assert_eq!(wrong.try_recv().unwrap(), Err(AppendError::KeyReused));
    }

    #[tokio::test]
    async fn where_there_is_nothing_to_be_said_nothing_is_written() {
        let mut tail = tail();
        assert!(compose(&mut tail, None, frame(4096)).parts.is_empty());
        let cut = |origin, oldest| Some(Cut { origin, oldest: Position(oldest), freed: 0 });
        for (cut, parts) in [(cut(7, 1), 0), (cut(7, 2), 0), (cut(9, 1), 0)] {
            let frame = Frame { cut, ..frame(4096) };
            assert_eq!(compose(&mut tail, None, frame).parts.len(), parts, "{cut:?}");
        }
        let probe = Frame { probe: true, ..frame(4096) };
        assert_eq!(compose(&mut tail, None, probe).parts.len(), 1);
    }
}
