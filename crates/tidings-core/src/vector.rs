//! Places in several logs at once, and how they are written as one SSE id.
//! Knows nothing of why there are several; `cursor` is the same for one.
//!
//! The text is `~` and up to 126 letters of six bits each, the highest first:
//!
//! | bits | |
//! |---|---|
//! | 4 | how many logs there are, less 1: n |
//! | n | which of them have a place here, the first log's bit first; k of them |
//! | 30 | what tells these logs from any others |
//! | 6 | bits of a position, less 1: w |
//! | k × w | the positions |
//! | k × (1 + f) | whether there is a fingerprint, and its f highest bits: as many as there is room for |

use std::fmt;
use std::str::FromStr;

use crate::cursor::{Fingerprint, NotACursor, Position};
use crate::limits::PARTITIONS_MAX;

/// Where somebody is in several logs: "in each of them, everything up to and including this
/// position has been received".
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vector {
    /// How many logs there are, beside those in which there is a place.
    pub partitions: usize,
    /// 30 bits that tell the logs with a place from any others.
    pub logs: u32,
    /// The places: number of the log, ascending, and the last position that was received.
    pub places: Vec<(usize, Mark)>,
}

/// A position, and how its event can be known again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The last position that was received; 0 before the first.
    pub position: Position,
    /// Of the event there, if that is known.
    pub trace: Option<Trace>,
}

/// The highest bits of a fingerprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trace {
    bits: u32,
    length: u32,
}

impl Trace {
    /// Whether it may be that event's.
    #[must_use]
    pub fn is_of(self, print: Fingerprint) -> bool {
        Self::from(print).cut(self.length) == Some(self)
    }

    /// Its so many highest bits, if it has as many.
    fn cut(self, length: u32) -> Option<Self> {
        let surplus = self.length.checked_sub(length)?;
        Some(Self { bits: self.bits >> surplus, length })
    }
}

impl From<Fingerprint> for Trace {
    fn from(print: Fingerprint) -> Self {
        Self { bits: print.bits(), length: FINGERPRINT_BITS }
    }
}

impl Vector {
    /// The place in one of the logs, if there is one.
    #[must_use]
    pub fn place(&self, partition: usize) -> Option<Mark> {
        self.places.iter().find(|(number, _)| *number == partition).map(|(_, mark)| *mark)
    }
}

const FINGERPRINT_BITS: u32 = 25;
/// Fewer would tell too little to be worth a bit that says whether they are there.
const TRACE_BITS_MIN: u32 = 4;
const COUNT_BITS: u32 = 4;
const LOGS_BITS: u32 = 30;
const WIDTH_BITS: u32 = 6;
const SIGN: char = '~';
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LETTERS_MAX: u32 = 126;

// With the most logs there is room for positions up to 2^43: at 100,000 events a second in each of
// them, for two years and nine months.
const _: () = {
    assert!(PARTITIONS_MAX <= 1 << COUNT_BITS);
    assert!(head_bits(PARTITIONS_MAX) + PARTITIONS_MAX as u32 * 43 <= 6 * LETTERS_MAX);
};

const fn head_bits(partitions: usize) -> u32 {
    COUNT_BITS + partitions as u32 + LOGS_BITS + WIDTH_BITS
}

/// How many bits of each fingerprint there is room for; 0: not even for the bit that says so.
fn trace_bits(partitions: usize, places: usize, width: u32) -> u32 {
    let each = (6 * LETTERS_MAX - head_bits(partitions)) / places as u32;
    let left = each.saturating_sub(width + 1).min(FINGERPRINT_BITS);
    if left < TRACE_BITS_MIN { 0 } else { left }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.places.iter().map(|(_, mark)| mark.position.0).max().unwrap_or(0);
        let width = (u64::BITS - highest.leading_zeros()).max(1);
        let trace = trace_bits(self.partitions, self.places.len().max(1), width);
        let mut out = Writer { f, letter: 0, bits: 0 };
        out.f.write_str(SIGN.encode_utf8(&mut [0; 4]))?;
        out.put(self.partitions as u64 - 1, COUNT_BITS)?;
        for number in 0..self.partitions {
            out.put(self.place(number).is_some().into(), 1)?;
        }
        out.put(self.logs.into(), LOGS_BITS)?;
        out.put(u64::from(width) - 1, WIDTH_BITS)?;
        for (_, mark) in &self.places {
            out.put(mark.position.0, width)?;
        }
        for (_, mark) in self.places.iter().filter(|_| trace > 0) {
            let bits = mark.trace.and_then(|known| known.cut(trace));
            out.put(bits.is_some().into(), 1)?;
            out.put(bits.map_or(0, |known| known.bits).into(), trace)?;
        }
        out.finish()
    }
}

struct Writer<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    letter: u8,
    bits: u32,
}

impl Writer<'_, '_> {
    fn put(&mut self, value: u64, bits: u32) -> fmt::Result {
        for at in (0..bits).rev() {
            self.letter = self.letter << 1 | (value >> at & 1) as u8;
            self.bits += 1;
            if self.bits == 6 {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> fmt::Result {
        let letter = LETTERS[usize::from(std::mem::take(&mut self.letter))];
        self.bits = 0;
        fmt::Write::write_char(self.f, letter.into())
    }

    fn finish(mut self) -> fmt::Result {
        if self.bits == 0 {
            return Ok(());
        }
        self.letter <<= 6 - self.bits;
        self.write()
    }
}

impl FromStr for Vector {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let letters = text.strip_prefix(SIGN).ok_or(NotACursor)?;
        if letters.len() > LETTERS_MAX as usize {
            return Err(NotACursor);
        }
        let mut input = Reader { letters: letters.as_bytes(), taken: 0 };
        let partitions = input.take(COUNT_BITS)? as usize + 1;
        let mut numbers = Vec::new();
        for number in 0..partitions {
            if input.take(1)? == 1 {
                numbers.push(number);
            }
        }
        if numbers.is_empty() {
            return Err(NotACursor);
        }
        let logs = input.take(LOGS_BITS)? as u32;
        let width = input.take(WIDTH_BITS)? as u32 + 1;
        let mut places = Vec::with_capacity(numbers.len());
        for number in numbers {
            let position = Position(input.take(width)?);
            places.push((number, Mark { position, trace: None }));
        }
        let length = trace_bits(partitions, places.len(), width);
        for (_, mark) in places.iter_mut().filter(|_| length > 0) {
            let known = input.take(1)? == 1;
            let bits = input.take(length)? as u32;
            mark.trace = known.then_some(Trace { bits, length });
        }
        let vector = Self { partitions, logs, places };
        // Only the one spelling that `Display` writes.
        if vector.to_string() == text { Ok(vector) } else { Err(NotACursor) }
    }
}

struct Reader<'a> {
    letters: &'a [u8],
    taken: u32,
}

impl Reader<'_> {
    fn take(&mut self, bits: u32) -> Result<u64, NotACursor> {
        let mut value = 0;
        for _ in 0..bits {
            let letter = self.letters.get(self.taken as usize / 6).ok_or(NotACursor)?;
            let six = LETTERS.iter().position(|known| known == letter).ok_or(NotACursor)?;
            value = value << 1 | (six as u64 >> (5 - self.taken % 6) & 1);
            self.taken += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cursor::Cursor;

    fn mark(position: u64, print: Option<u32>) -> Mark {
        let trace = print.map(|bits| Trace::from(Fingerprint::from_bits(bits)));
        Mark { position: Position(position), trace }
    }

    #[test]
    fn sixteen_places_fit_and_keep_what_tells_them_from_others() {
        let position = 1_000_000_000;
        let places = (0..PARTITIONS_MAX).map(|number| (number, mark(position, Some(u32::MAX))));
        let vector = Vector { partitions: PARTITIONS_MAX, logs: 7, places: places.collect() };
        let text = vector.to_string();
        assert!(text.len() <= 127, "{}", text.len());
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
        let parsed: Vector = text.parse().unwrap();
        let trace = parsed.place(3).unwrap().trace.unwrap();
        assert!(trace.length >= 12, "{}", trace.length);
        assert!(trace.is_of(Fingerprint::from_bits(u32::MAX)));
        assert!(!trace.is_of(Fingerprint::from_bits(u32::MAX >> 8)));
    }

    #[test]
    fn few_places_keep_their_fingerprints_whole() {
        let places = vec![(1, mark(5, Some(0x0155_5555))), (3, mark(0, None))];
        let vector = Vector { partitions: 4, logs: 0x3fff_ffff, places };
        let parsed: Vector = vector.to_string().parse().unwrap();
        assert_eq!(parsed, vector);
        assert_eq!(parsed.place(0), None);
    }

    #[test]
    fn a_vector_is_no_cursor_and_a_cursor_no_vector() {
        let vector = Vector { partitions: 2, logs: 1, places: vec![(0, mark(1, None))] };
        assert!(vector.to_string().parse::<Cursor>().is_err());
        for text in ["k3f9x2ab-1", "", "~", "~A", "~AA", "~!!", "~AAAAAAAAAAAAA", "~ÄÄ"] {
            assert!(text.parse::<Vector>().is_err(), "{text}");
        }
        let padded = format!("{vector}A");
        assert!(padded.parse::<Vector>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            places in prop::collection::btree_map(0usize..PARTITIONS_MAX,
                (0u64..1 << 43, proptest::option::of(any::<u32>())), 1..=PARTITIONS_MAX),
            logs in 0u32..1 << 30,
            surplus in 0usize..PARTITIONS_MAX,
        ) {
            let partitions = (places.keys().max().unwrap() + 1 + surplus).min(PARTITIONS_MAX);
            let places = places.into_iter();
            let places: Vec<_> = places.map(|(at, (from, bits))| (at, mark(from, bits))).collect();
            let vector = Vector { partitions, logs, places };
            let text = vector.to_string();
            prop_assert!(text.len() <= 127);
            let parsed: Vector = text.parse().unwrap();
            prop_assert_eq!(parsed.to_string(), text);
            prop_assert_eq!((parsed.partitions, parsed.logs), (partitions, logs));
            for ((at, mark), (same, read)) in vector.places.iter().zip(&parsed.places) {
                prop_assert_eq!((at, mark.position), (same, read.position));
                if let (Some(read), Some(known)) = (read.trace, mark.trace) {
                    prop_assert!(read.is_of(Fingerprint::from_bits(known.bits)));
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "~?[A-Za-z0-9_~.-]{0,140}|.{0,20}") {
            if let Ok(vector) = text.parse::<Vector>() {
                prop_assert_eq!(vector.to_string(), text);
            }
        }
    }
}
