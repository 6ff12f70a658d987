//! Plain sockets: requests on a kept-alive connection, and event streams, taken apart strictly.
//! Knows nothing of what is tested.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use tidings_core::sse::{Decoder, Message};

use crate::support::PATIENCE;

/// No event here is longer.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Connects, with a deadline for each read.
pub(crate) fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A response's status and headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    lines: Vec<String>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let line = read_line(reader)?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let status = lines[0].strip_prefix("HTTP/1.1 ").and_then(|line| line[..3].parse().ok());
        Ok(Self { status: status.unwrap_or_else(|| panic!("{lines:?}")), lines })
    }

    /// The value of a header.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding") == Some("chunked")
    }
}

/// A line without its CR LF; a connection that ends within it is an error.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(whole) => Ok(String::from_utf8(whole.to_vec()).unwrap()),
        None if line.ends_with(b"\n") => panic!("a line ends in LF alone: {line:?}"),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The content of the next chunk; `None` is the last one, after which nothing may come.
fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let size = read_line(reader)?;
    let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(digits, "no size of a chunk: {size:?}");
    let mut chunk = vec![0; usize::from_str_radix(&size, 16).unwrap()];
    reader.read_exact(&mut chunk)?;
    assert_eq!(read_line(reader)?, "", "a chunk is as long as it says");
    if chunk.is_empty() { Ok(None) } else { Ok(Some(chunk)) }
}

/// A request's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: String,
}

impl Answer {
    /// A field of its JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// A kept-alive connection for requests.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(connect(address)?) })
    }

    /// Sends a request and takes its answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.send(&[head.as_bytes(), body].concat())?;
        self.answer()
    }

    /// Publishes one event.
    pub(crate) fn publish(&mut self, topic: &str, data: &str) -> io::Result<Answer> {
        self.request("POST", &format!("/topics/{topic}"), "", data.as_bytes())
    }

    /// Sends these bytes, whatever they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Takes an answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let head = Head::read(&mut self.reader)?;
        let mut body = Vec::new();
        if head.is_chunked() {
            while let Some(chunk) = read_chunk(&mut self.reader)? {
                body.extend(chunk);
            }
        } else {
            let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
            body.resize(length, 0);
            self.reader.read_exact(&mut body)?;
        }
        Ok(Answer { head, body: String::from_utf8(body).unwrap() })
    }
}

/// What comes next on a stream.
#[derive(Debug)]
pub(crate) enum Next {
    Event(Message),
    /// The stream has ended as the coding wants it, and the connection is closed.
    Ended,
    /// The connection broke off.
    Cut,
}

/// An event stream.
pub(crate) struct Stream {
    pub(crate) head: Head,
    /// What came last, as it came.
    pub(crate) last_chunk: Vec<u8>,
    reader: Box<dyn BufRead + Send>,
    decoder: Decoder,
}

/// The request for a stream.
pub(crate) fn stream_request(path: &str, last_event_id: Option<&str>) -> String {
    let cursor = last_event_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n{cursor}\r\n")
}

impl Stream {
    /// Opens one, after the event with this id, if there is one.
    pub(crate) fn open(address: &str, path: &str, last: Option<&str>) -> io::Result<Self> {
        let mut stream = connect(address)?;
        stream.write_all(stream_request(path, last).as_bytes())?;
        Self::read(stream)
    }

    /// Opens one as above; an error where it is refused for the moment.
    pub(crate) fn try_open(address: &str, path: &str, last: Option<&str>) -> io::Result<Self> {
        let mut stream = connect(address)?;
        stream.write_all(stream_request(path, last).as_bytes())?;
        let mut reader = BufReader::new(stream);
        let head = Head::read(&mut reader)?;
        if head.status == 503 {
            Err(io::ErrorKind::Interrupted.into())
        } else {
            Self::after(head, reader)
        }
    }

    /// Reads one whose request has been sent.
    pub(crate) fn read(bytes: impl Read + Send + 'static) -> io::Result<Self> {
        let mut reader = BufReader::new(bytes);
        let head = Head::read(&mut reader)?;
        Self::after(head, reader)
    }

    fn after(head: Head, reader: impl BufRead + Send + 'static) -> io::Result<Self> {
        assert_eq!(head.status, 200, "{head:?}");
        assert!(head.is_chunked(), "{head:?}");
        let (reader, decoder) = (Box::new(reader), Decoder::new(EVENT_BYTES_MAX));
        Ok(Self { head, last_chunk: Vec::new(), reader, decoder })
    }

    /// The next chunk as it is.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let chunk = read_chunk(&mut self.reader)?;
        if let Some(chunk) = &chunk {
            self.decoder.push(chunk).unwrap();
            self.last_chunk.clone_from(chunk);
        }
        Ok(chunk)
    }

    /// What comes next.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Next {
        loop {
            if let Some(message) = self.decoder.next() {
                return Next::Event(message);
            }
            match self.chunk() {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let rest = self.reader.read_to_end(&mut Vec::new()).unwrap();
                    assert_eq!(rest, 0, "something follows the last chunk");
                    return Next::Ended;
                }
                Err(error) if is_hanging(&error) => panic!("nothing came within {PATIENCE:?}"),
                Err(_) => return Next::Cut,
            }
        }
    }

    /// The next event, which has to come.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Message {
        match self.next() {
            Next::Event(message) => message,
            next => panic!("an event was to come, not {next:?}"),
        }
    }
}

fn is_hanging(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The position in a cursor that Tidings made.
#[track_caller]
pub(crate) fn position(cursor: &str) -> u64 {
    let (_, position) = cursor.split_once('-').unwrap_or_else(|| panic!("{cursor}"));
    position.parse().unwrap_or_else(|_| panic!("{cursor}"))
}
