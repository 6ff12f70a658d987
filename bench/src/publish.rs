//! A publisher on one kept-alive connection, which waits for its answers.
//! Knows nothing of what is published.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::wire::chunks::Chunks;
use crate::wire::head::{self, Length};

/// A server that takes longer for one request is not there any more.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// A connection that requests are sent on.
#[derive(Debug)]
pub struct Publisher {
    stream: TcpStream,
    address: SocketAddr,
    headers: String,
    /// What came after the last answer.
    begun: Vec<u8>,
}

/// What a request was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Publisher {
    /// Connects. Each request will have these header lines (each ended by CR LF).
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn connect(address: SocketAddr, headers: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("can't connect to publish")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self { stream, address, headers: headers.to_owned(), begun: Vec::new() })
    }

    /// Posts a body, with more header lines, and waits until it is acknowledged.
    ///
    /// # Errors
    /// Where it was refused, or the connection breaks.
    pub fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<()> {
        self.send("POST", path, headers, body)?;
        self.acknowledged()
    }

    /// Sends whole requests in one write, and waits until each is acknowledged.
    ///
    /// # Errors
    /// Where one was refused, or the connection breaks.
    pub fn pipeline(&mut self, requests: &[Vec<u8>]) -> anyhow::Result<()> {
        self.stream.write_all(&requests.concat()).context("requests were not taken")?;
        requests.iter().try_for_each(|_| self.acknowledged())
    }

    /// Sends any request, and takes its answer.
    ///
    /// # Errors
    /// Where the connection breaks or the answer is none.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        self.send(method, path, "", body)?;
        self.answer()
    }

    fn send(&mut self, method: &str, path: &str, more: &str, body: &[u8]) -> anyhow::Result<()> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{}{more}\r\n",
            self.address,
            body.len(),
            self.headers
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).context("a request was not taken")
    }

    fn acknowledged(&mut self) -> anyhow::Result<()> {
        let answer = self.answer()?;
        if !(200..300).contains(&answer.status) {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            bail!("publishing was refused with {}: {body}", answer.status);
        }
        Ok(())
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut begun = std::mem::take(&mut self.begun);
        let head = loop {
            if let Some(head) = head::parse(&begun)? {
                break head;
            }
            self.more(&mut begun)?;
        };
        let mut rest = begun.split_off(head.bytes);
        let body = match head.length {
            Length::Known(length) => {
                while rest.len() < length {
                    self.more(&mut rest)?;
                }
                self.begun = rest.split_off(length);
                rest
            }
            Length::Chunked => self.chunked(rest)?,
            Length::UntilClose => bail!("an answer on a kept-alive connection has no length"),
        };
        Ok(Answer { status: head.status, body })
    }

    fn chunked(&mut self, mut piece: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let mut chunks = Chunks::default();
        let mut body = Vec::new();
        loop {
            let mut input = &piece[..];
            while !input.is_empty() && !chunks.ended() {
                body.extend_from_slice(chunks.next(&mut input)?);
            }
            if chunks.ended() {
                self.begun = input.to_vec();
                return Ok(body);
            }
            piece.clear();
            self.more(&mut piece)?;
        }
    }

    fn more(&mut self, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut piece = [0; 4096];
        let bytes = self.stream.read(&mut piece).context("no answer came")?;
        if bytes == 0 {
            bail!("the server has closed the connection");
        }
        buffer.extend_from_slice(&piece[..bytes]);
        Ok(())
    }
}
