//! The answers on a kept-alive connection, one behind the other.
//! Knows nothing of what was asked, nor of sockets; content is passed over.

use super::Malformed;
use super::chunks::Chunks;
use super::head::{self, Head, Length};

/// Takes answers apart that come in pieces of any size.
#[derive(Debug)]
pub struct Answers {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The beginning of a head; empty most of the time.
    Head(Vec<u8>),
    Known(Head, usize),
    Chunked(Head, Chunks),
}

impl Default for Answers {
    fn default() -> Self {
        Self { state: State::Head(Vec::new()) }
    }
}

impl Answers {
    /// The head of the next answer whose end is in `input`, taken from its beginning. `None`:
    /// all was taken, and more has to come.
    ///
    /// # Errors
    /// Where it is no answer, or one that only the end of the connection ends.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Malformed> {
        while !input.is_empty() {
            let whole = match &mut self.state {
                State::Head(begun) => {
                    let Some(head) = parse(begun, input)? else { return Ok(None) };
                    self.state = content(head)?;
                    self.ended()
                }
                State::Known(_, left) => {
                    let taken = input.len().min(*left);
                    *left -= taken;
                    *input = &input[taken..];
                    self.ended()
                }
                State::Chunked(_, chunks) => {
                    chunks.next(input)?;
                    self.ended()
                }
            };
            if let Some(head) = whole {
                self.state = State::Head(Vec::new());
                // 100 and its kin come before an answer.
                if head.status >= 200 {
                    return Ok(Some(head));
                }
            }
        }
        Ok(None)
    }

    /// Whether an answer has begun to come.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !matches!(&self.state, State::Head(begun) if begun.is_empty())
    }

    fn ended(&self) -> Option<Head> {
        match &self.state {
            State::Known(head, 0) => Some(*head),
            State::Chunked(head, chunks) if chunks.ended() => Some(*head),
            _ => None,
        }
    }
}

/// Reads a head that may have begun before `input`, and takes it from there.
fn parse(begun: &mut Vec<u8>, input: &mut &[u8]) -> Result<Option<Head>, Malformed> {
    let before = begun.len();
    let parsed = if before == 0 {
        head::parse(input)?
    } else {
        begun.extend_from_slice(input);
        head::parse(begun)?
    };
    if let Some(head) = parsed {
        *input = &input[head.bytes - before..];
    } else {
        if before == 0 {
            begun.extend_from_slice(input);
        }
        *input = &[];
    }
    Ok(parsed)
}

fn content(head: Head) -> Result<State, Malformed> {
    match head.length {
        _ if head.status < 200 || matches!(head.status, 204 | 304) => Ok(State::Known(head, 0)),
        Length::Known(bytes) => Ok(State::Known(head, bytes)),
        Length::Chunked => Ok(State::Chunked(head, Chunks::default())),
        Length::UntilClose => Err(Malformed("an answer on a kept-alive connection has no length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(pieces: &[&[u8]]) -> Result<(Vec<u16>, bool), Malformed> {
        let mut answers = Answers::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(head) = answers.next(&mut input)? {
                found.push(head.status);
            }
            assert!(input.is_empty());
        }
        Ok((found, answers.is_inside()))
    }

    #[test]
    fn answers_are_found_however_they_are_cut() {
        let stream = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
                       HTTP/1.1 204 No Content\r\n\r\n\
                       HTTP/1.1 100 Continue\r\n\r\n\
                       HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n0\r\n\r\n\
                       HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        let expected = (vec![200, 204, 413, 201], false);
        for size in [1, 2, 7, stream.len()] {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(statuses(&pieces), Ok(expected.clone()), "in pieces of {size}");
        }
        assert_eq!(statuses(&[&stream[..40]]), Ok((vec![], true)));
    }

    #[test]
    fn what_is_no_answer_is_found_out() {
        for wrong in [
            "HTTP/1.1 200 OK\r\n\r\nforever",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcde\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
        ] {
            assert!(statuses(&[wrong.as_bytes()]).is_err(), "{wrong:?}");
        }
    }
}
