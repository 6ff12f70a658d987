//! Takes HTTP/1.1's chunked coding apart (RFC 9112, section 7.1), more strictly than any client.
//! Knows nothing of what is in the chunks.

/// A reader of a chunked body that comes in pieces of any size.
///
/// It panics at whatever a client could stumble over: capital letters or leading zeros in a
/// length, extensions, trailers, anything after the last chunk.
#[derive(Debug)]
pub struct Chunks {
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a chunk's head: what came of it.
    Head(Vec<u8>),
    /// In a chunk: how many bytes are still to come.
    Body(usize),
    /// Behind a chunk or the last head: what is still to come, and whether it was the last.
    End(&'static [u8], bool),
    /// After the last chunk.
    Ended,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Head(Vec::new()) }
    }
}

impl Chunks {
    /// Takes the next bytes of the body and adds what they carry to `content`.
    ///
    /// # Panics
    /// Where the coding is not to the letter.
    pub fn push(&mut self, mut bytes: &[u8], content: &mut Vec<u8>) {
        while let Some((&first, others)) = bytes.split_first() {
            match &mut self.state {
                State::Head(head) => {
                    head.push(first);
                    bytes = others;
                    if let Some(digits) = head.strip_suffix(b"\r\n") {
                        self.state = match length(digits) {
                            0 => State::End(b"\r\n", true),
                            length => State::Body(length),
                        };
                    }
                }
                State::Body(left) => {
                    let taken = bytes.len().min(*left);
                    content.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    *left -= taken;
                    if *left == 0 {
                        self.state = State::End(b"\r\n", false);
                    }
                }
                State::End(expected, last) => {
                    assert_eq!(first, expected[0], "a chunk ends with CRLF");
                    bytes = others;
                    *expected = &expected[1..];
                    if expected.is_empty() {
                        self.state = if *last { State::Ended } else { State::Head(Vec::new()) };
                    }
                }
                State::Ended => panic!("{} bytes came after the last chunk", bytes.len()),
            }
        }
    }

    /// Whether the last chunk has come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

fn length(digits: &[u8]) -> usize {
    let plain = digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    assert!(plain && !digits.is_empty(), "a chunk's length is made of hexadecimal digits");
    assert!(digits == b"0" || digits[0] != b'0', "a chunk's length has no leading zeros");
    let digits = std::str::from_utf8(digits).expect("ASCII digits");
    usize::from_str_radix(digits, 16).expect("a chunk fits the memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_same_content() {
        let body = b"1\r\na\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        for size in 1..body.len() {
            let (mut chunks, mut content) = (Chunks::default(), Vec::new());
            for piece in body.chunks(size) {
                assert!(!chunks.is_ended());
                chunks.push(piece, &mut content);
            }
            assert_eq!(content, b"aabcdefghijklmnopqrstuvwxyz");
            assert!(chunks.is_ended());
        }
    }

    #[test]
    #[should_panic(expected = "after the last chunk")]
    fn nothing_follows_the_last_chunk() {
        Chunks::default().push(b"0\r\n\r\n0", &mut Vec::new());
    }

    #[test]
    #[should_panic(expected = "ends with CRLF")]
    fn a_chunk_is_as_long_as_it_says() {
        Chunks::default().push(b"1\r\nab\r\n", &mut Vec::new());
    }
}
