//! What is published: a number, the time of publishing, and filling up to a size.
//! Knows nothing of how it travels.

use rustix::time::{ClockId, clock_gettime};

/// What a published event carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// Which event it is, from 0 on.
    pub number: u64,
    /// When it was published, by [`now_ns`].
    pub time_ns: u64,
}

impl Stamp {
    /// The stamp of an event that is published now.
    #[must_use]
    pub fn now(number: u64) -> Self {
        Self { number, time_ns: now_ns() }
    }

    /// The event's data: `bytes` long, unless the stamp alone is longer.
    #[must_use]
    pub fn data(self, bytes: usize) -> String {
        let mut data = format!("{} {} ", self.number, self.time_ns);
        while data.len() < bytes {
            data.push('x');
        }
        data
    }

    /// Reads the stamp back. `None`: the data is somebody else's.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let mut words = data.splitn(3, |byte| *byte == b' ');
        let number = digits(words.next()?)?;
        let time_ns = digits(words.next()?)?;
        words.next()?;
        Some(Self { number, time_ns })
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    let all = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    all.then(|| text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// A clock that all processes of this machine share and that never goes back.
#[must_use]
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back() {
        let stamp = Stamp { number: 42, time_ns: 7_000_000_001 };
        assert_eq!(stamp.data(150).len(), 150);
        assert_eq!(Stamp::parse(stamp.data(150).as_bytes()), Some(stamp));
        assert_eq!(Stamp::parse(stamp.data(0).as_bytes()), Some(stamp));
        assert_eq!(Stamp::now(1).number, 1);
    }

    #[test]
    fn other_data_has_none() {
        for data in ["", "hello", "1", "1 2", "1 x ", "x 1 ", " 1 1 ", "99999999999999999999 1 "] {
            assert_eq!(Stamp::parse(data.as_bytes()), None, "{data:?}");
        }
    }
}
