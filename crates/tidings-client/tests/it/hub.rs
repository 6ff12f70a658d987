//! The client on a real hub: publish, cut, another hub in its place.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tidings_client::{Builder, EventSource, Hub, Publish, Step};
use tidings_server::auth::Access;
use tidings_server::log::Memory;
use tidings_server::{Config, api};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::scripted::{data, end, event, patiently, soon};

/// A hub behind a line that can be cut.
struct Line {
    hub: Hub,
    there: Arc<Mutex<SocketAddr>>,
    cuts: watch::Sender<()>,
}

impl Line {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hub = Hub::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let there = Arc::new(Mutex::new(server().await));
        let cuts = watch::Sender::new(());
        let (to, cut) = (Arc::clone(&there), cuts.clone());
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (to, mut cut) = (*to.lock().unwrap(), cut.subscribe());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { hub, there, cuts }
    }

    /// Breaks all connections.
    fn cut(&self) {
        self.cuts.send_replace(());
    }

    fn subscribe(&self, topics: &[&str]) -> Builder {
        soon(self.hub.subscribe(topics).unwrap())
    }

    async fn publish(&self, topic: &str, event: impl Into<Publish>) -> String {
        patiently(self.hub.publish(topic, event)).await.unwrap()
    }
}

/// A hub in memory that listens.
async fn server() -> SocketAddr {
    let config = Config { retry: Duration::from_millis(1), ..Config::default() };
    let hub = tidings_server::Hub::start(Arc::new(Memory::default()), config).unwrap();
    let router = api::router_with_index(hub.clone(), Access::open());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(tidings_server::serve(listener, router, hub));
    address
}

/// Polls until it is open, so that what is published from now on comes.
async fn opened(source: &mut EventSource) {
    loop {
        if let Some(Step::Open { .. }) = patiently(source.next_step()).await {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_published_comes_with_type_id_and_data() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Total {
        total: u32,
    }
    let line = Line::new().await;
    let mut source = line.subscribe(&["orders/{id}"]).build().unwrap();
    opened(&mut source).await;
    let total = Total { total: 12 };
    let publish = Publish::json(&total).unwrap().event("updated");
    let id = line.publish("orders/42", publish).await;
    let got = event(&mut source).await;
    assert_eq!((got.event_type.as_str(), &*got.id), ("updated", id.as_str()));
    assert_eq!(got.json::<Total>().unwrap(), total);
    let many = ["1", "2"].map(|data| Publish::text(data).topic("orders/1"));
    assert_eq!(patiently(line.hub.publish_many(&many)).await.unwrap().len(), 2);
    assert_eq!(data(&mut source, 2).await, ["1", "2"]);
}

#[tokio::test]
async fn a_line_that_is_cut_again_and_again_loses_and_repeats_nothing() {
    let line = Line::new().await;
    let mut source = line.subscribe(&["news"]).build().unwrap();
    opened(&mut source).await;
    // Even before the first event.
    line.cut();
    for n in 0..20 {
        line.publish("news", format!("{n}")).await;
        if n % 3 == 0 {
            line.cut();
        }
        if n % 2 == 1 {
            let expected = [(n - 1).to_string(), n.to_string()];
            assert_eq!(data(&mut source, 2).await, expected);
        }
    }
}

#[tokio::test]
async fn another_source_goes_on_where_one_was() {
    let line = Line::new().await;
    for n in 1..=3 {
        line.publish("news", format!("{n}")).await;
    }
    let mut source = soon(line.hub.subscribe_since(["news"], "earliest").unwrap()).build().unwrap();
    assert_eq!(data(&mut source, 1).await, ["1"]);
    let mut other =
        line.subscribe(&["news"]).last_event_id(source.last_event_id()).build().unwrap();
    assert_eq!(data(&mut other, 2).await, ["2", "3"]);
    let mut last = soon(line.hub.subscribe_last(["news"], 1).unwrap()).build().unwrap();
    assert_eq!(data(&mut last, 1).await, ["3"]);
}

#[tokio::test]
async fn a_hub_that_lost_its_log_says_so() {
    let line = Line::new().await;
    let mut source = line.subscribe(&["news"]).build().unwrap();
    opened(&mut source).await;
    let id = line.publish("news", "1").await;
    assert_eq!(event(&mut source).await.data, "1");
    *line.there.lock().unwrap() = server().await;
    line.cut();
    let gap = event(&mut source).await.reset().expect("it is told");
    assert_eq!(gap.from, id);
    line.publish("news", "2").await;
    assert_eq!(event(&mut source).await.data, "2");
}

#[tokio::test]
async fn a_refusal_has_the_hub_s_words() {
    let line = Line::new().await;
    let mut source = line.subscribe(&["a/{"]).build().unwrap();
    let error = end(&mut source).await;
    assert!(error.to_string().starts_with("the hub refused (400): "), "{error}");
    assert!(source.next().await.is_none());
}
