//! HTTP/1.1's chunked coding, taken off: RFC 9112, section 7.1, without extensions and trailers.
//! Knows nothing of what is in the chunks.

use super::Malformed;

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// In a chunk's size, of which so many digits have come.
    #[default]
    Size,
    MoreSize(u8),
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    LastReturn,
    LastEnd,
    Ended,
}

/// Digits that a size may have: 4 GB in one chunk is nobody's intention.
const DIGITS_MAX: u8 = 8;

/// Takes the coding off a stream that comes in pieces of any size.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    state: State,
    left: u64,
}

impl Chunks {
    /// The next bytes of the content, taken from the beginning of `input`; empty where more has
    /// to come, or after the last chunk, behind which it takes nothing.
    ///
    /// # Errors
    /// Where it is not the coding.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
        while let Some((&byte, rest)) = input.split_first() {
            if self.state == State::Data {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                let (content, rest) = input.split_at(length);
                *input = rest;
                self.left -= length as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                return Ok(content);
            }
            self.state = self.step(byte)?;
            *input = rest;
            if self.state == State::Ended {
                break;
            }
        }
        Ok(&[])
    }

    /// Whether the last chunk has come.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        let expect = |wanted: u8, next: State, message: &'static str| {
            if byte == wanted { Ok(next) } else { Err(Malformed(message)) }
        };
        match self.state {
            State::Size => {
                self.left = 0;
                self.digit(byte, 0)
            }
            State::MoreSize(_) if byte == b'\r' => Ok(State::SizeEnd),
            State::MoreSize(digits) => self.digit(byte, digits),
            State::SizeEnd => {
                let next = if self.left == 0 { State::LastReturn } else { State::Data };
                expect(b'\n', next, "a chunk's size does not end in CR LF")
            }
            State::Data => unreachable!("content is taken by the run"),
            State::DataReturn => expect(b'\r', State::DataEnd, "a chunk is longer than it says"),
            State::DataEnd => expect(b'\n', State::Size, "a chunk does not end in CR LF"),
            State::LastReturn => expect(b'\r', State::LastEnd, "the last chunk has trailers"),
            State::LastEnd => expect(b'\n', State::Ended, "the last chunk does not end in CR LF"),
            State::Ended => Err(Malformed("something follows the last chunk")),
        }
    }

    fn digit(&mut self, byte: u8, digits: u8) -> Result<State, Malformed> {
        let Some(value) = char::from(byte).to_digit(16) else {
            return Err(Malformed("a chunk's size is no hexadecimal number"));
        };
        if digits == DIGITS_MAX {
            return Err(Malformed("a chunk's size is too long"));
        }
        self.left = self.left * 16 + u64::from(value);
        Ok(State::MoreSize(digits + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Malformed> {
        let mut chunks = Chunks::default();
        let mut content = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while !input.is_empty() {
                content.extend_from_slice(chunks.next(&mut input)?);
            }
        }
        Ok((content, chunks.ended()))
    }

    #[test]
    fn content_comes_out_however_it_is_cut() {
        let stream = b"5\r\nhello\r\n01A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        let whole = (b"helloabcdefghijklmnopqrstuvwxyz".to_vec(), true);
        assert_eq!(decode(&[stream]), Ok(whole.clone()));
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&bytes), Ok(whole));
        assert_eq!(decode(&[&stream[..12]]), Ok((b"hello".to_vec(), false)));
    }

    #[test]
    fn what_is_not_the_coding_is_found_out() {
        for wrong in [
            "x",
            "\r\n",
            "-1\r\n",
            "5 \r\n",
            "5;a=b\r\n",
            "5\n",
            "5\rx",
            "2\r\nabc",
            "2\r\nab\n",
            "2\r\nab\rx",
            "0\r\nA: b\r\n",
            "0\r\n\rx",
            "0\r\n\r\nmore",
            "123456789\r\n",
        ] {
            assert!(decode(&[wrong.as_bytes()]).is_err(), "{wrong:?}");
        }
    }
}
