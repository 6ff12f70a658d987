//! Places in the log, and how they are written as SSE ids.
//! Knows nothing of how a log stores them.

use std::fmt;
use std::str::FromStr;

/// 32 letters without the four that are read for others: i, l, o, u.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Which log a position belongs to: eight characters of `[0-9a-z]`, made anew whenever a log
/// starts from nothing. A cursor of another incarnation points to nothing here.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Incarnation([u8; 8]);

impl Incarnation {
    /// Makes one out of 64 random bits, of which 40 are used.
    #[must_use]
    pub fn from_random(mut bits: u64) -> Self {
        Self(std::array::from_fn(|_| {
            let letter = LETTERS[(bits & 31) as usize];
            bits >>= 5;
            letter
        }))
    }

    /// The eight characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII letters and digits only")
    }

    /// The same as bytes, without a check on the way.
    pub(crate) fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl FromStr for Incarnation {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes: [u8; 8] = text.as_bytes().try_into().map_err(|_| NotACursor)?;
        let plain = bytes.iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        if plain { Ok(Self(bytes)) } else { Err(NotACursor) }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in one log: the first event has position 1, the next 2, without holes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(pub u64);

impl Position {
    /// Where an empty log starts.
    pub const FIRST: Self = Self(1);

    /// The place right after this one.
    ///
    /// # Panics
    /// After 2⁶⁴ − 1 events, which at a million a second takes 584,000 years.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a log never gets that long"))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells an event from any other that may come to stand at the same position of the same log, where
/// what keeps the log may lose its end and give its positions again: five letters.
///
/// It is not a secret: whoever makes one up is told of a loss that there was not, and nobody else.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint(u32);

impl Fingerprint {
    const LETTERS: usize = 5;

    /// Makes one out of the 25 lowest bits.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & 0x01ff_ffff)
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The letters, the highest bits first.
    pub(crate) fn letters(self) -> [u8; Self::LETTERS] {
        std::array::from_fn(|at| LETTERS[(self.0 >> (5 * (Self::LETTERS - 1 - at)) & 31) as usize])
    }
}

impl FromStr for Fingerprint {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let letters: [u8; Self::LETTERS] = text.as_bytes().try_into().map_err(|_| NotACursor)?;
        letters.iter().try_fold(Self(0), |Self(bits), letter| {
            let value = LETTERS.iter().position(|known| known == letter).ok_or(NotACursor)?;
            Ok(Self(bits << 5 | value as u32))
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().into_iter().try_for_each(|letter| fmt::Write::write_char(f, letter.into()))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id that Tidings gives an event: `<incarnation>-<position>`, and `.<fingerprint>` behind it
/// where the log has fingerprints.
///
/// As a client's `Last-Event-ID` it means "everything up to and including this position has been
/// received". Only `[A-Za-z0-9._~-]`, so that it passes every client, header and query
/// (`protocol/sse.md`, S9).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cursor {
    /// The log that the position belongs to.
    pub incarnation: Incarnation,
    /// The last position that was received; 0 before the first.
    pub position: Position,
    /// Of the event that stands there. Without it the position is all that is known: in a log that
    /// has no fingerprints, and at a place of whose event nobody knew when the cursor was made.
    pub print: Option<Fingerprint>,
}

impl Cursor {
    /// The place right before `next`, without a fingerprint.
    #[must_use]
    pub fn before(incarnation: Incarnation, next: Position) -> Self {
        Self { incarnation, position: Position(next.0.saturating_sub(1)), print: None }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.position)?;
        self.print.map_or(Ok(()), |print| write!(f, ".{print}"))
    }
}

/// The text has not the form of a cursor; it may still be an id that a publisher chose.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not of the form <incarnation>-<position> or <incarnation>-<position>.<fingerprint>")]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (incarnation, place) = text.split_once('-').ok_or(NotACursor)?;
        let (position, print) = match place.split_once('.') {
            Some((position, print)) => (position, Some(print.parse()?)),
            None => (place, None),
        };
        // Only the one spelling that `Display` writes: no sign, no leading zero.
        let canonical = position.bytes().all(|b| b.is_ascii_digit())
            && (position == "0" || !position.starts_with('0'));
        if !canonical {
            return Err(NotACursor);
        }
        Ok(Self {
            incarnation: incarnation.parse()?,
            position: Position(position.parse().map_err(|_| NotACursor)?),
            print,
        })
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u64)>) {
        let parsed = text.parse::<Cursor>().ok();
        let parsed = parsed.as_ref().map(|cursor| (cursor.incarnation.as_str(), cursor.position.0));
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn only_the_spelling_that_we_write_is_a_cursor() {
        check("k3f9x2ab-0", Some(("k3f9x2ab", 0)));
        check("k3f9x2ab-42", Some(("k3f9x2ab", 42)));
        check("k3f9x2ab-42.0az9k", Some(("k3f9x2ab", 42)));
        check("k3f9x2ab-18446744073709551615", Some(("k3f9x2ab", u64::MAX)));
        for text in [
            "",
            "-",
            "k3f9x2ab",
            "k3f9x2ab-",
            "k3f9x2ab-+1",
            "k3f9x2ab-01",
            "k3f9x2ab-1-2",
            "k3f9x2ab-1.",
            "k3f9x2ab-.00000",
            "k3f9x2ab-1.0000",
            "k3f9x2ab-1.000000",
            "k3f9x2ab-1.0000i",
            "k3f9x2ab-1.0000A",
            "k3f9x2ab-1.00000.00000",
            "k3f9x2ab-1.0000ä",
            "k3f9x2ab-18446744073709551616",
            "K3F9X2AB-1",
            "k3f9x2a-1",
            "k3f9x2abc-1",
            "k3f9x2ä-1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn s9_our_ids_are_short_and_safe_in_headers_and_queries() {
        for bits in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            for print in [None, Some(Fingerprint::from_bits(bits as u32))] {
                let cursor = Cursor {
                    incarnation: Incarnation::from_random(bits),
                    position: Position(u64::MAX),
                    print,
                };
                let text = cursor.to_string();
                assert!(text.len() <= 128);
                assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
                assert_eq!(text.parse(), Ok(cursor));
            }
        }
    }

    #[test]
    fn a_fingerprint_is_25_bits_and_its_letters_are_their_order() {
        let texts = [0, 1, 31, 32, 0x01ff_ffff, u32::MAX].map(|bits| {
            let print = Fingerprint::from_bits(bits);
            assert_eq!(print.to_string().parse(), Ok(print));
            print.to_string()
        });
        assert_eq!(texts, ["00000", "00001", "0000z", "00010", "zzzzz", "zzzzz"]);
    }
}
