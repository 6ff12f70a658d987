//! Reads a segment record by record.
//! Knows nothing of which records are wanted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::format::{Beginning, RECORD_HEAD_BYTES, View, beginning};

/// A place in a segment, and the bytes around it that were read last.
#[derive(Debug)]
pub(super) struct Scanner<'f> {
    file: &'f File,
    /// Where the next record should begin.
    offset: u64,
    /// Nothing is read from here on.
    end: u64,
    /// How much is read at once.
    chunk: usize,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
    /// How many bytes were read from the file so far.
    read: u64,
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Step<'b> {
    /// A record that begins at this byte.
    Record(u32, View<'b>),
    /// Zeros, or the end.
    End,
    /// Something else, or a record that is not all there.
    Damaged,
}

impl<'f> Scanner<'f> {
    /// Begins at a byte, where a record has to begin, and ends before another.
    pub(super) fn new(file: &'f File, offset: u64, end: u64, chunk: usize) -> Self {
        Self { file, offset, end, chunk, buffer: Vec::new(), start: offset, read: 0 }
    }

    /// Where the next record should begin.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes were read from the file so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Goes to another byte.
    pub(super) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The next record. At the end or at damage it stays where it is.
    pub(super) fn step(&mut self) -> io::Result<Step<'_>> {
        if self.offset >= self.end {
            return Ok(Step::End);
        }
        self.load(RECORD_HEAD_BYTES)?;
        let bytes = match beginning(self.loaded()) {
            Beginning::Record(bytes) => bytes,
            Beginning::Zero => return Ok(Step::End),
            Beginning::Damaged => return Ok(Step::Damaged),
        };
        if bytes as u64 > self.end - self.offset {
            return Ok(Step::Damaged);
        }
        self.load(bytes)?;
        let at = u32::try_from(self.offset).expect("segments have less than 2³² bytes");
        let from = (self.offset - self.start) as usize;
        match self.buffer.get(from..from + bytes).and_then(View::decode) {
            Some(view) => {
                self.offset += bytes as u64;
                Ok(Step::Record(at, view))
            }
            None => Ok(Step::Damaged),
        }
    }

    /// What the buffer holds from the place on.
    fn loaded(&self) -> &[u8] {
        &self.buffer[(self.offset - self.start) as usize..]
    }

    /// Makes sure that the buffer holds so many bytes from the place on, if the file does.
    fn load(&mut self, bytes: usize) -> io::Result<()> {
        let held = self.start..self.start + self.buffer.len() as u64;
        let to = (self.offset + bytes as u64).min(self.end);
        if held.contains(&self.offset) && to <= held.end {
            return Ok(());
        }
        let wanted = (bytes.max(self.chunk) as u64).min(self.end - self.offset) as usize;
        self.start = self.offset;
        self.buffer.resize(wanted, 0);
        let mut filled = 0;
        while filled < wanted {
            match self.file.read_at(&mut self.buffer[filled..], self.start + filled as u64) {
                // The file is shorter than it should be: whoever needs the rest sees damage.
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        self.read += filled as u64;
        Ok(())
    }
}
