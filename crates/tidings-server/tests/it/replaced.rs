//! A log that becomes another one while the hub runs, as one does that is kept by a server which
//! has lost events: nobody takes the other one's events for the next of what they had.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use http_body::Body as _;
use tidings_core::cursor::{Cursor, Position, Timestamp};
use tidings_log::{
    Append, AppendError, Appended, Bounds, Follow, FollowError, Log, Mark, Memory, Page, Read,
    ReadError, Record, Usage,
};
use tidings_server::auth::Access;
use tidings_server::{Config, Hub, api};
use tokio::sync::watch;
use tower_service::Service as _;

/// After so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log that is made of several, one after the other.
struct Replaceable {
    current: watch::Sender<Arc<Memory>>,
}

impl Replaceable {
    fn now(&self) -> Arc<Memory> {
        Arc::clone(&self.current.borrow())
    }
}

#[async_trait]
impl Log for Replaceable {
    fn bounds(&self) -> Bounds {
        self.now().bounds()
    }

    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        self.now().append(batch).await
    }

    async fn read(&self, read: Read<'_>) -> Result<Page, ReadError> {
        self.now().read(read).await
    }

    async fn find(&self, mark: Mark<'_>) -> Result<Option<Position>, ReadError> {
        self.now().find(mark).await
    }

    fn follow(&self, from: Position) -> Box<dyn Follow> {
        let follow = self.now().follow(from);
        Box::new(Follower { follow, current: self.current.subscribe() })
    }

    async fn trim(&self, now: Timestamp) -> Result<(), String> {
        self.now().trim(now).await
    }

    fn health(&self) -> Result<(), String> {
        self.now().health()
    }

    fn usage(&self) -> Usage {
        self.now().usage()
    }

    async fn close(&self) {
        self.now().close().await;
    }
}

struct Follower {
    follow: Box<dyn Follow>,
    current: watch::Receiver<Arc<Memory>>,
}

#[async_trait]
impl Follow for Follower {
    async fn next(&mut self) -> Result<Vec<Arc<Record>>, FollowError> {
        tokio::select! {
            records = self.follow.next() => records,
            _ = self.current.changed() => {
                let log = Arc::clone(&self.current.borrow_and_update());
                let bounds = log.bounds();
                self.follow = log.follow(bounds.next);
                Err(FollowError::Replaced { bounds })
            }
        }
    }
}

struct Stream {
    head: axum::http::HeaderMap,
    body: Body,
    text: String,
}

impl Stream {
    async fn open(hub: &Hub, last_event_id: Option<&str>) -> Self {
        let mut request = Request::get("/topics/a");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer =
            api::router_with_index(hub.clone(), Access::open()).call(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let (parts, body) = answer.into_parts();
        Self { head: parts.headers, body, text: String::new() }
    }

    /// Reads on until this has come; `false`: the stream ends before.
    async fn find(&mut self, wanted: &str) -> bool {
        while !self.text.contains(wanted) {
            let frame =
                std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            match tokio::time::timeout(PATIENCE, frame).await.expect("it does not hang") {
                Some(frame) => {
                    let bytes = frame.unwrap().into_data().unwrap();
                    self.text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                None => return false,
            }
        }
        true
    }

    /// The last id that came.
    fn id(&self) -> String {
        let (_, rest) = self.text.rsplit_once("id: ").unwrap();
        rest.lines().next().unwrap().to_owned()
    }
}

fn event(data: &str) -> tidings_server::event::Event {
    let topic = tidings_server::event::Topic::parse("a").unwrap();
    tidings_server::event::Event::new(topic, tidings_server::event::Data::from(data.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_and_whoever_comes_back_is_told() {
    let (current, _) = watch::channel(Arc::new(Memory::default()));
    let log = Arc::new(Replaceable { current });
    let hub = Hub::start(Arc::<Replaceable>::clone(&log), Config::default()).unwrap();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open(&hub, None).await);
    }
    for number in 1..=3 {
        hub.publish(event(&format!("old {number}"))).await.unwrap();
    }
    for stream in &mut streams {
        assert!(stream.find("old 3").await);
    }

    // The other one holds something already, and less than the old one did.
    let other = Arc::new(Memory::default());
    let append = Append { event: event("unseen"), key: None, time: Timestamp(0) };
    other.append(vec![append]).await.unwrap();
    log.current.send_replace(Arc::clone(&other));
    for stream in &mut streams {
        assert!(!stream.find("unseen").await, "it ends, and nothing of the other log is in it");
        let mut back = Stream::open(&hub, Some(&stream.id())).await;
        assert_eq!(back.head["tidings-resume"], "reset");
        assert!(back.find("event: tidings.reset").await);
        hub.publish(event("new")).await.unwrap();
        assert!(back.find("data: new").await);
        let cursor: Cursor = back.id().parse().unwrap();
        assert_eq!(cursor.incarnation, other.bounds().incarnation);
        // And from there on it resumes as ever.
        let back = Stream::open(&hub, Some(&back.id())).await;
        assert_eq!(back.head["tidings-resume"], "resumed");
    }
    hub.close().await;
}
