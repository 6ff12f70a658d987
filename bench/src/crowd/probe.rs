//! One stream that is read by hand, for what a crowd does not look at: the ids of events.
//! Knows nothing of the crowd.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::Target;
use crate::event::Stamp;
use crate::wire::chunks::Chunks;
use crate::wire::head::{self, Length};

/// An event that takes longer will not come.
const READ_TIME_MAX: Duration = Duration::from_secs(30);

/// An open stream.
#[derive(Debug)]
pub struct Probe {
    stream: TcpStream,
    chunks: Option<Chunks>,
    /// Content of which no whole line has been taken yet.
    text: Vec<u8>,
    blocks: Blocks,
}

/// What the lines of a stream have said so far.
#[derive(Debug, Default)]
struct Blocks {
    /// It stays until another one comes.
    id: String,
    /// The data of the event that has not ended yet carries a stamp.
    stamped: bool,
}

impl Probe {
    /// Opens a stream and waits for its head.
    ///
    /// # Errors
    /// Where it is not let in.
    pub fn open(target: &Target) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(target.address).context("can't connect")?;
        stream.set_read_timeout(Some(READ_TIME_MAX))?;
        stream.write_all(&target.request)?;
        let mut begun = Vec::new();
        let head = loop {
            if let Some(head) = head::parse(&begun)? {
                break head;
            }
            more(&mut stream, &mut begun)?;
        };
        ensure!(head.status == 200, "a stream was refused with {}", head.status);
        let chunks = (head.length == Length::Chunked).then(Chunks::default);
        let mut probe = Self { stream, chunks, text: Vec::new(), blocks: Blocks::default() };
        probe.take(&begun[head.bytes..])?;
        Ok(probe)
    }

    /// Waits for the next event with a stamp, and gives its id.
    ///
    /// # Errors
    /// Where none comes, or it has no id.
    pub fn id(&mut self) -> anyhow::Result<String> {
        loop {
            while let Some(at) = memchr::memchr(b'\n', &self.text) {
                let line: Vec<u8> = self.text.drain(..=at).collect();
                if self.blocks.take(&line) {
                    ensure!(!self.blocks.id.is_empty(), "an event has no id");
                    return Ok(self.blocks.id.clone());
                }
            }
            let mut piece = Vec::new();
            more(&mut self.stream, &mut piece)?;
            self.take(&piece)?;
        }
    }

    /// Takes the coding off what has come.
    fn take(&mut self, mut piece: &[u8]) -> anyhow::Result<()> {
        let Some(chunks) = &mut self.chunks else {
            self.text.extend_from_slice(piece);
            return Ok(());
        };
        while !piece.is_empty() {
            self.text.extend_from_slice(chunks.next(&mut piece)?);
        }
        Ok(())
    }
}

impl Blocks {
    /// Takes a line. `true`: an event with a stamp is whole.
    fn take(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return std::mem::take(&mut self.stamped);
        }
        let value = |name: &[u8]| {
            let value = line.strip_prefix(name)?;
            Some(value.strip_prefix(b" ").unwrap_or(value))
        };
        if let Some(id) = value(b"id:") {
            self.id = String::from_utf8_lossy(id).into_owned();
        } else if let Some(data) = value(b"data:") {
            self.stamped = Stamp::parse(data).is_some();
        }
        false
    }
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut piece = [0; 4096];
    match stream.read(&mut piece).context("nothing came")? {
        0 => bail!("the stream has ended"),
        bytes => buffer.extend_from_slice(&piece[..bytes]),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_event_with_a_stamp_is_found() {
        let mut blocks = Blocks::default();
        let stream = ":\nretry: 9\n\nid: a-0\nevent: x\ndata: {}\n\ndata:1 2 x\r\nid:a-1\r\n\r\n";
        let whole = stream.split_inclusive('\n').map(|line| blocks.take(line.as_bytes()));
        assert_eq!(whole.collect::<Vec<_>>().iter().rposition(|whole| *whole), Some(9));
        assert_eq!(blocks.id, "a-1");
    }
}
