//! A client that holds every byte it gets against the log.
//! Knows nothing of shards: it sees what comes out of its connection.

use std::sync::Arc;

use crate::cursor::{Cursor, Position};
use crate::shard::{Framing, Interest};
use crate::sse::{Decoder, Message};

use super::{Chunks, Connection, History};

/// Somebody who subscribed, connected or not.
#[derive(Debug)]
pub struct Client {
    interest: Interest,
    /// The first position that it may still get: all that it was to get before, it has.
    expected: Position,
    pub(super) connection: Option<Connection>,
    /// Bytes that its side of a connection holds.
    pub(super) room_bytes: usize,
    /// It reads what comes as soon as it comes.
    pub(super) reading: bool,
    chunks: Chunks,
    decoder: Decoder,
    positions: Vec<u64>,
    gaps: Vec<(u64, u64)>,
    renewals: Vec<u64>,
}

impl Client {
    pub(super) fn new(interest: Interest, room_bytes: usize) -> Self {
        Self {
            expected: interest.next,
            interest,
            connection: None,
            room_bytes,
            reading: true,
            chunks: Chunks::default(),
            decoder: Decoder::new(usize::MAX),
            positions: Vec::new(),
            gaps: Vec::new(),
            renewals: Vec::new(),
        }
    }

    /// What it asked for; [`Interest::next`] is where it began.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Its connection, if the hub has not ended it.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// The positions of the events that it got, in the order in which they came.
    #[must_use]
    pub fn positions(&self) -> &[u64] {
        &self.positions
    }

    /// What it was told is gone: from the first position on, before the second.
    #[must_use]
    pub fn gaps(&self) -> &[(u64, u64)] {
        &self.gaps
    }

    /// How many seconds its stream had left, each time that it was told so.
    #[must_use]
    pub fn renewals(&self) -> &[u64] {
        &self.renewals
    }

    /// When it was last told to come back, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.decoder.retry_ms()
    }

    /// Whether its stream ended as it should, with the last chunk.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.chunks.is_ended()
    }

    /// What it would ask for now: the same, after the last id that it saw.
    pub(super) fn reconnect(&mut self, history: &History) -> Interest {
        assert!(self.connection.is_none(), "one connection at a time");
        let last_event_id: Arc<str> = self.decoder.last_event_id().into();
        if !last_event_id.is_empty() {
            let next = history.resolve(&last_event_id).next();
            assert_eq!(next, self.expected, "the last id says what the client has");
        }
        self.decoder = Decoder::resuming(usize::MAX, last_event_id);
        self.chunks = Chunks::default();
        // Whoever comes back has renewed what its right was.
        Interest { next: self.expected, life: None, ..self.interest.clone() }
    }

    /// Reads so many bytes, and holds the events in them against the log.
    pub(super) fn read(&mut self, bytes_max: usize, history: &History) {
        let Some(connection) = &mut self.connection else { return };
        let bytes = connection.read(bytes_max);
        let mut content = Vec::new();
        match self.interest.framing {
            Framing::Chunked => self.chunks.push(&bytes, &mut content),
            Framing::Raw => content.extend_from_slice(&bytes),
        }
        // Our lines end in LF: a CR is a chunk's, where there should be none.
        assert!(!content.contains(&b'\r'), "chunk framing in the content");
        self.decoder.push(&content).expect("nothing is longer than all memory");
        while let Some(message) = self.decoder.next() {
            match &*message.event_type {
                "tidings.renew" => self.take_renew(&message, history),
                "tidings.reset" => self.take_reset(&message, history),
                _ => self.take(&message, history),
            }
        }
    }

    /// Nothing that it was to get from `expected` on before `to` may be missing.
    pub(super) fn check_whole(&self, to: Position, history: &History) {
        let missed = history.first_for(self.expected, to, &self.interest.filter);
        assert_eq!(missed, None, "missed on the way to {to}, {self:?}");
    }

    fn take(&mut self, message: &Message, history: &History) {
        let position = history.resolve(&message.id);
        assert_eq!(message, history.message(position), "an event is what was published");
        assert!(position >= self.expected, "{position} came again, {self:?}");
        self.check_whole(position, history);
        let selected = history.is_for(position, &self.interest.filter);
        assert!(selected, "{position} was not asked for, or is private, {self:?}");
        self.expected = position.next();
        self.positions.push(position.0);
    }

    fn take_renew(&mut self, message: &Message, history: &History) {
        let seconds = message.data.strip_prefix("{\"expires_in\":");
        let seconds = seconds.and_then(|rest| rest.strip_suffix("}")).and_then(|s| s.parse().ok());
        self.renewals.push(seconds.unwrap_or_else(|| panic!("not a renewal: {}", message.data)));
        // Its id says how far the hub has got with this client.
        let next = history.resolve(&message.id).next();
        assert!(next >= self.expected, "a renewal goes back to {next}, {self:?}");
        self.check_whole(next, history);
        self.expected = next;
    }

    fn take_reset(&mut self, message: &Message, history: &History) {
        let texts: Vec<&str> = message.data.split('"').collect();
        let &[_, "from", _, from, _, "oldest", _, oldest, _, "missed", _] = &*texts else {
            panic!("not the data of a reset: {}", message.data);
        };
        let [from, oldest]: [Cursor; 2] =
            [from, oldest].map(|text| text.parse().expect("a reset tells cursors"));
        assert_eq!([from.incarnation, oldest.incarnation], [history.incarnation(); 2]);
        let (next, oldest) = (from.position.next(), oldest.position);

        assert!(next >= self.expected, "a reset begins before what it had, {self:?}");
        self.check_whole(next, history);
        assert!(next < oldest, "nothing is gone between {next} and {oldest}");
        assert!(history.was_oldest(oldest), "retention never stopped at {oldest}");
        let missed = oldest.0 - next.0;
        let data = format!(
            "{{\"from\":\"{from}\",\"oldest\":\"{}-{oldest}\",\"missed\":{missed}}}",
            history.incarnation()
        );
        assert_eq!(message.data, data);
        assert_eq!(
            history.resolve(&message.id).next(),
            oldest,
            "a reconnect goes on at the oldest"
        );
        self.expected = oldest;
        self.gaps.push((next.0, oldest.0));
    }
}
