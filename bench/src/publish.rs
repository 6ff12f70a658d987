//! A publisher on one kept-alive connection, which waits for its answers.
//! Knows nothing of what is published.

use std::io::{ErrorKind, Read, Write};
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
        let stream = open(address)?;
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
        self.refresh()?;
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

    /// Posts a body that is so many times the same piece, and takes the answer.
    ///
    /// # Errors
    /// Where the connection breaks or the answer is none.
    pub fn post_again_and_again(
        &mut self,
        path: &str,
        piece: &[u8],
        times: usize,
    ) -> anyhow::Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{}\r\n",
            self.address,
            piece.len() * times,
            self.headers
        );
        self.stream.write_all(head.as_bytes()).context("a request was not taken")?;
        for _ in 0..times {
            self.stream.write_all(piece).context("a body was not taken")?;
        }
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
        self.refresh()?;
        self.stream.write_all(&request).context("a request was not taken")
    }

    /// Connects again where the server has closed the connection meanwhile, as it may close any
    /// that nothing is asked on.
    fn refresh(&mut self) -> anyhow::Result<()> {
        self.stream.set_nonblocking(true)?;
        let closed = match self.stream.peek(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.stream.set_nonblocking(false)?;
        if closed {
            self.stream = open(self.address)?;
            self.begun.clear();
        }
        Ok(())
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

fn open(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).context("can't connect to publish")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_that_was_closed_for_its_silence_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut publisher = Publisher::connect(listener.local_addr().unwrap(), "").unwrap();
        let answers = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let bytes = stream.read(&mut [0; 1024]).unwrap();
                assert!(bytes > 0);
                stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        publisher.post("/a", "", b"1").unwrap();
        // Its end has come when a blocking look says so.
        assert_eq!(publisher.stream.peek(&mut [0]).unwrap(), 0);
        publisher.post("/a", "", b"2").unwrap();
        answers.join().unwrap();
    }
}
