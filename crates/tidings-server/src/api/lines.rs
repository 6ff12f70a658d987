//! Cuts a body that streams in into lines, wherever its pieces were cut.
//! Knows nothing of what the lines say.

use bytes::{Buf as _, Bytes, BytesMut};

/// The lines of a body so far. Holds one piece of the body and one unfinished line at most, if
/// lines are taken before the next piece is put in.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// So many bytes of the buffer are known to hold no line break: a line that comes in tiny
    /// pieces is looked at once, not once per piece.
    searched: usize,
    /// Lines that were taken.
    taken: u64,
    bytes_max: usize,
}

/// A line is longer than it may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LineTooLong;

impl Lines {
    /// Lines of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, taken: 0, bytes_max }
    }

    /// Puts in the next piece of the body.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Takes the next whole line, without its line break; `None` until there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let line_bytes = found.map_or(self.buffer.len(), |at| self.searched + at);
        if line_bytes > self.bytes_max {
            return Err(LineTooLong);
        }
        if found.is_none() {
            self.searched = line_bytes;
            return Ok(None);
        }
        let line = self.buffer.split_to(line_bytes).freeze();
        self.buffer.advance(1);
        self.searched = 0;
        self.taken += 1;
        Ok(Some(line))
    }

    /// Takes what follows the last line break: at the end of the body it is a line too.
    pub(crate) fn last(&mut self) -> Option<Bytes> {
        let line = self.buffer.split().freeze();
        self.searched = 0;
        self.taken += u64::from(!line.is_empty());
        (!line.is_empty()).then_some(line)
    }

    /// How many lines were taken: the number of the latest, counted from 1.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]], bytes_max: usize) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Lines::new(bytes_max);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next()? {
                found.push(line.to_vec());
            }
        }
        found.extend(lines.last().map(|line| line.to_vec()));
        assert_eq!(lines.taken(), found.len() as u64);
        Ok(found)
    }

    #[test]
    fn lines_are_found_across_pieces() {
        assert_eq!(
            all(&[b"a", b"b\nc\n", b"\n", b"d"], 10).unwrap(),
            [&b"ab"[..], b"c", b"", b"d"]
        );
        assert_eq!(all(&[], 10).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(all(&[b"a\n"], 10).unwrap(), [b"a"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_noticed_before_its_end() {
        assert_eq!(all(&[b"abcd\n"], 4).unwrap(), [b"abcd"]);
        assert_eq!(all(&[b"abcde\n"], 4), Err(LineTooLong));
        assert_eq!(all(&[b"a\nabc", b"de"], 4), Err(LineTooLong));
    }

    proptest! {
        #[test]
        fn where_it_was_cut_does_not_matter(text in "[a-c\\n]{0,60}",
                                            cuts in prop::collection::vec(0_usize..60, 0..10)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let whole: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(all(&pieces, 60).unwrap(), whole);
        }
    }
}
