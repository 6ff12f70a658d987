//! Which idempotency keys were used lately, and for what: a repeated append is the same append.
//! Knows nothing of where the events themselves are kept.

use std::collections::{HashMap, VecDeque};

use tidings_core::cursor::{Fingerprint, Position, Timestamp};
use tidings_core::event::{Event, IdempotencyKey};
use tidings_core::limits::{IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_TIME_MAX};

use crate::{Append, AppendError, Appended};

/// The keys of the last [`IDEMPOTENCY_TIME_MAX`], at most [`IDEMPOTENCY_KEYS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Keys {
    uses: HashMap<IdempotencyKey, Use>,
    /// In the order of their positions. One may stand here twice, if it was used again after its
    /// window: only the entry with the position that `uses` holds counts.
    order: VecDeque<(Position, IdempotencyKey)>,
}

/// What a key was used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Use {
    pub(crate) position: Position,
    /// Of the event at its position, where events have them.
    pub(crate) print: Option<Fingerprint>,
    pub(crate) time: Timestamp,
    /// Of what the event says. The event itself may be a megabyte.
    pub(crate) fingerprint: u64,
}

impl Keys {
    /// Where each event of a batch stands, if `next` is the position of the first new one.
    /// Changes nothing yet.
    ///
    /// # Errors
    /// [`AppendError::KeyReused`] where a key was used for another event, be it in this batch.
    pub(crate) fn admit(
        &self,
        batch: &[Append],
        mut next: Position,
    ) -> Result<Vec<Appended>, AppendError> {
        let mut here: HashMap<&IdempotencyKey, Use> = HashMap::new();
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            if let Some(key) = &append.key {
                let fingerprint = fingerprint(&append.event);
                let known = here.get(key).copied().or_else(|| self.lookup(key, append.time));
                if let Some(known) = known {
                    if known.fingerprint != fingerprint {
                        return Err(AppendError::KeyReused);
                    }
                    answers.push(Appended {
                        position: known.position,
                        print: known.print,
                        repeated: true,
                    });
                    continue;
                }
                let own = Use { position: next, print: None, time: append.time, fingerprint };
                here.insert(key, own);
            }
            answers.push(Appended { position: next, print: None, repeated: false });
            next = next.next();
        }
        Ok(answers)
    }

    /// Remembers a use; the oldest goes where there are too many.
    pub(crate) fn remember(
        &mut self,
        key: &IdempotencyKey,
        position: Position,
        time: Timestamp,
        event: &Event,
    ) {
        let content = fingerprint(event);
        self.remember_use(key, Use { position, print: None, time, fingerprint: content });
    }

    /// The same, where the event may not be at hand.
    pub(crate) fn remember_use(&mut self, key: &IdempotencyKey, new: Use) {
        let position = new.position;
        self.uses.insert(key.clone(), new);
        self.order.push_back((position, key.clone()));
        while self.order.len() > IDEMPOTENCY_KEYS_MAX {
            self.forget_first();
        }
    }

    /// Lets go of the keys that are past their window at `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some((position, key)) = self.order.front() {
            let alive = self
                .uses
                .get(key)
                .is_some_and(|known| known.position == *position && within(known.time, now));
            if alive {
                break;
            }
            self.forget_first();
        }
    }

    /// Takes back the uses from this position on: their events could not be kept.
    pub(crate) fn forget_from(&mut self, position: Position) {
        while self.order.back().is_some_and(|(last, _)| *last >= position) {
            if let Some((last, key)) = self.order.pop_back() {
                self.remove(&key, last);
            }
        }
    }

    fn lookup(&self, key: &IdempotencyKey, now: Timestamp) -> Option<Use> {
        self.uses.get(key).copied().filter(|known| within(known.time, now))
    }

    fn forget_first(&mut self) {
        if let Some((position, key)) = self.order.pop_front() {
            self.remove(&key, position);
        }
    }

    fn remove(&mut self, key: &IdempotencyKey, position: Position) {
        if self.uses.get(key).is_some_and(|known| known.position == position) {
            self.uses.remove(key);
        }
    }
}

fn within(used: Timestamp, now: Timestamp) -> bool {
    u128::from(now.0.saturating_sub(used.0)) <= IDEMPOTENCY_TIME_MAX.as_millis()
}

/// A number that two different events practically never share. Not against an enemy: who forges
/// one only makes his own second event count as a repetition of his first.
pub(crate) fn fingerprint(event: &Event) -> u64 {
    let mut hash = Fnv::default();
    // Lengths go in before the texts, so that no two events run together into the same bytes.
    let mut field = |bytes: &[u8]| {
        hash.write(&(bytes.len() as u64).to_le_bytes());
        hash.write(bytes);
    };
    for topic in &event.topics {
        field(topic.as_str().as_bytes());
    }
    field(&[u8::from(event.private)]);
    field(event.event_type.as_ref().map_or("", |text| text.as_str()).as_bytes());
    field(event.id.as_ref().map_or("", |id| id.as_str()).as_bytes());
    field(&event.retry.map_or(u64::MAX, |retry| u64::from(retry.as_ms())).to_le_bytes());
    // FNV takes a nanosecond a byte, which for a megabyte would hold up the others' appends.
    let data = event.data.as_bytes();
    field(&(data.len() as u64).to_le_bytes());
    field(&crc32c::crc32c(data).to_le_bytes());
    hash.finish()
}

/// FNV-1a with 64 bits (RFC 9923): the same number on every machine and after every restart,
/// which the standard library's hashers don't promise, and so fit for files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.write(bytes);
        hash.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::event::{Data, Topic};

    use super::*;

    fn key(number: usize) -> IdempotencyKey {
        IdempotencyKey::parse(&format!("k{number}")).unwrap()
    }

    fn append(number: usize, data: &str, time: u64) -> Append {
        let event = Event::new(Topic::parse("t").unwrap(), Data::from(data.to_owned()));
        Append { event, key: Some(key(number)), time: Timestamp(time) }
    }

    fn remember(keys: &mut Keys, append: &Append, position: u64) {
        let key = append.key.as_ref().unwrap();
        keys.remember(key, Position(position), append.time, &append.event);
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(Fnv::of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::of(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_key_is_known_for_its_window_and_not_longer() {
        let window = u64::try_from(IDEMPOTENCY_TIME_MAX.as_millis()).unwrap();
        let mut keys = Keys::default();
        remember(&mut keys, &append(1, "a", 1000), 7);
        let answer = |keys: &Keys, append| keys.admit(&[append], Position(9)).map(|a| a[0]);
        let first = Appended { position: Position(7), print: None, repeated: true };
        let anew = Appended { position: Position(9), print: None, repeated: false };
        assert_eq!(answer(&keys, append(1, "a", 1000 + window)), Ok(first));
        assert_eq!(answer(&keys, append(1, "a", 1001 + window)), Ok(anew));
        assert_eq!(answer(&keys, append(1, "b", 1000)), Err(AppendError::KeyReused));
        keys.expire(Timestamp(1000 + window));
        assert_eq!(keys.order.len(), 1);
        keys.expire(Timestamp(1001 + window));
        assert!(keys.order.is_empty() && keys.uses.is_empty());
    }

    #[test]
    fn a_key_used_again_after_its_window_outlives_its_first_use() {
        let mut keys = Keys::default();
        remember(&mut keys, &append(1, "a", 0), 1);
        remember(&mut keys, &append(1, "b", 10_000_000), 2);
        keys.expire(Timestamp(10_000_000));
        let again = keys.admit(&[append(1, "b", 10_000_000)], Position(3)).unwrap();
        assert_eq!(again, [Appended { position: Position(2), print: None, repeated: true }]);
    }

    #[test]
    fn there_are_never_too_many_and_the_oldest_goes_first() {
        let mut keys = Keys::default();
        for number in 0..=IDEMPOTENCY_KEYS_MAX {
            remember(&mut keys, &append(number, "a", 0), number as u64 + 1);
        }
        assert_eq!(keys.uses.len(), IDEMPOTENCY_KEYS_MAX);
        assert!(keys.lookup(&key(0), Timestamp(0)).is_none());
        assert!(keys.lookup(&key(1), Timestamp(0)).is_some());
    }

    #[test]
    fn what_could_not_be_kept_is_taken_back() {
        let mut keys = Keys::default();
        remember(&mut keys, &append(1, "a", 0), 1);
        remember(&mut keys, &append(2, "a", 0), 2);
        remember(&mut keys, &append(3, "a", 0), 3);
        keys.forget_from(Position(2));
        assert!(keys.lookup(&key(1), Timestamp(0)).is_some());
        assert!(keys.lookup(&key(2), Timestamp(0)).is_none());
        assert!(keys.lookup(&key(3), Timestamp(0)).is_none());
    }
}
