//! A server that answers each connection as a script says, and tells what it was asked.
//! Knows nothing of clients.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use tidings_client::{Builder, Error, Event, EventSource, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// Nothing here takes this long; waiting for what does not come ends here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does with one connection, once it has read a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Sends these bytes and leaves it open.
    Open(Vec<u8>),
    /// Sends these bytes and ends.
    Ending(Vec<u8>),
}

/// What a client asked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Ends when the client has closed the connection.
    pub(crate) gone: oneshot::Receiver<()>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Scripted {
    pub(crate) url: String,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Scripted {
    /// The last answer is given again and again.
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let script: Vec<Answer> = script.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stream", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for turn in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let answer = script[turn.min(script.len() - 1)].clone();
                tokio::spawn(serve(socket, answer, sender.clone()));
            }
        });
        Self { url, requests }
    }

    /// Options for a test that waits no longer than it must.
    pub(crate) fn soon(&self) -> Builder {
        soon(EventSource::builder(&self.url))
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Request {
        patiently(self.requests.recv()).await.unwrap()
    }

    /// The requests that have come and that nobody has asked for.
    pub(crate) fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

async fn serve(mut socket: TcpStream, answer: Answer, sender: mpsc::UnboundedSender<Request>) {
    let Some((head, body)) = read(&mut socket).await else { return };
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (leaving, gone) = oneshot::channel();
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let _ = sender.send(Request { method, target, headers, body, gone });
    let (Answer::Open(bytes) | Answer::Ending(bytes)) = &answer;
    let _ = socket.write_all(bytes).await;
    if matches!(answer, Answer::Open(_)) {
        // Nothing more comes from a client, but its end.
        let _ = socket.read(&mut [0]).await;
    }
    let _ = leaving.send(());
}

/// Head and body.
async fn read(socket: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or_default() {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A stream that stays open.
pub(crate) fn stream(text: &str) -> Answer {
    stream_with("", text)
}

/// As `stream`, with more lines of the head.
pub(crate) fn stream_with(head: &str, text: &str) -> Answer {
    let answer = format!("{STREAM}Content-Type: text/event-stream\r\n{head}\r\n{text}");
    Answer::Open(answer.into_bytes())
}

/// A stream that stays open, whatever its type.
pub(crate) fn typed(content_type: &str, text: &str) -> Answer {
    Answer::Open(format!("{STREAM}Content-Type: {content_type}\r\n\r\n{text}").into_bytes())
}

/// A stream that ends.
pub(crate) fn ending(text: &str) -> Answer {
    let Answer::Open(bytes) = stream(text) else { unreachable!() };
    Answer::Ending(bytes)
}

/// An answer that is no stream.
pub(crate) fn status(code: u16, head: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Ending(
        format!(
            "HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
        )
        .into_bytes(),
    )
}

/// No answer.
pub(crate) fn reset() -> Answer {
    Answer::Ending(Vec::new())
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n";

pub(crate) fn soon(builder: Builder) -> Builder {
    builder.retry(Duration::from_millis(1)).max_delay(Duration::from_millis(1))
}

pub(crate) async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes")
}

/// The next event; panics where the stream ends.
pub(crate) async fn event(source: &mut EventSource) -> Event {
    patiently(source.next()).await.expect("an event").unwrap()
}

/// Why it ends; panics where an event comes.
pub(crate) async fn end(source: &mut EventSource) -> Error {
    patiently(source.next()).await.expect("an end").unwrap_err()
}

/// The data of the next events.
pub(crate) async fn data(source: &mut EventSource, count: usize) -> Vec<String> {
    let mut data = Vec::new();
    while data.len() < count {
        data.push(event(source).await.data);
    }
    data
}

/// The steps up to an event or the end, by name.
pub(crate) async fn steps(source: &mut EventSource) -> Vec<String> {
    let mut steps = Vec::new();
    loop {
        match patiently(source.next_step()).await.expect("a step") {
            Step::Open { .. } => steps.push("open".into()),
            Step::Broken { error, .. } => {
                let status =
                    error.status().map_or_else(String::new, |s| format!(" {}", s.as_u16()));
                steps.push(format!("broken{status}"));
            }
            Step::Event(event) => {
                steps.push(format!("event {}", event.data));
                return steps;
            }
            _ => {
                steps.push("closed".into());
                return steps;
            }
        }
    }
}
