//! What the server tells of the stream as it grows: every message once and in order, or that one
//! is missing. Knows nothing of what the messages hold.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig, push};
use async_nats::jetstream::{self};
use async_nats::{Message, StatusCode, Subscriber, datetime};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tidings_core::cursor::Timestamp;
use tokio::time::timeout;

use super::link::{Fault, Link};
use super::sizes::{HEARTBEAT, LISTENER_TIME, SILENCE_TIME_MAX};

/// A consumer in the server, and the subscription to what it sends. The client library's own one
/// stays silent for over a minute after a server has died, so this one counts for itself.
pub(super) struct Consumer {
    subscriber: Subscriber,
    link: Link,
    name: String,
    /// Messages that it has sent.
    heard: u64,
    /// The server's time when it was made.
    pub(super) made: Timestamp,
    /// Messages that were there already.
    pub(super) pending: u64,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// With this message.
    Seq(u64),
    /// With what came at this time, in milliseconds.
    Time(u64),
}

impl Start {
    fn policy(self) -> Result<DeliverPolicy, Fault> {
        Ok(match self {
            Self::Seq(seq) => DeliverPolicy::ByStartSequence { start_sequence: seq.max(1) },
            Self::Time(ms) => {
                let start_time = datetime::from_nanos(i128::from(ms) * 1_000_000)
                    .map_err(|error| Fault::refused(error.to_string()))?;
                DeliverPolicy::ByStartTime { start_time }
            }
        })
    }
}

/// What comes from a consumer.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) seq: u64,
    pub(super) payload: Bytes,
    /// When the server got it.
    pub(super) time: Timestamp,
}

impl Consumer {
    /// From a message on; of this kind of message only.
    pub(super) async fn from(link: &Link, start: Start, filter: &str) -> Result<Self, Fault> {
        let inbox = link.client.new_inbox();
        let subscribing = link.client.subscribe(inbox.clone()).await;
        let subscriber = subscribing.map_err(|error| Fault::broken(error.to_string()))?;
        let config = push::Config {
            deliver_subject: inbox,
            deliver_policy: start.policy()?,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: format!("{}.{filter}", link.name),
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            num_replicas: 1,
            memory_storage: true,
            inactive_threshold: LISTENER_TIME,
            ..push::Config::default()
        };
        let config = config.into_consumer_config();
        let making = link.context.create_consumer_on_stream(config, &link.name);
        let made = making.await.map_err(|error| link.no_consumer(&error))?;
        let info = made.cached_info();
        Ok(Self {
            subscriber,
            link: link.clone(),
            name: info.name.clone(),
            heard: 0,
            made: timestamp(info.created.unix_timestamp_nanos()),
            pending: info.num_pending,
        })
    }

    /// Waits for the next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Word, Fault> {
        loop {
            let message = match timeout(SILENCE_TIME_MAX, self.subscriber.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => return Err(Fault::broken("the connection is closed")),
                Err(_) => return Err(silent(SILENCE_TIME_MAX)),
            };
            match message.status {
                None => return self.word(message),
                Some(StatusCode::IDLE_HEARTBEAT) => self.heartbeat(&message).await?,
                Some(_) => {
                    // It was taken down, with its server or by somebody.
                    let reason = message.description.unwrap_or_default();
                    return Err(Fault::broken(format!("it stopped sending: {reason}")));
                }
            }
        }
    }

    fn word(&mut self, message: Message) -> Result<Word, Fault> {
        let message = jetstream::Message { message, context: self.link.context.clone() };
        let Ok(info) = message.info() else {
            return Err(Fault::refused("it sent what comes from no stream"));
        };
        if info.consumer_sequence != self.heard + 1 {
            return Err(missed());
        }
        self.heard += 1;
        let (seq, time) = (info.stream_sequence, info.published.unix_timestamp_nanos());
        Ok(Word { seq, time: timestamp(time), payload: message.message.payload })
    }

    async fn heartbeat(&self, message: &Message) -> Result<(), Fault> {
        let header =
            |name: &str| message.headers.as_ref()?.get(name).map(|v| v.as_str().to_owned());
        // The server waits with more until it has the answer.
        let answered = match message.reply.clone() {
            Some(subject) => Some(subject.to_string()),
            None => header("Nats-Consumer-Stalled"),
        };
        if let Some(subject) = answered {
            // Where it can't be sent, nothing comes any more, and that is noticed.
            let _ = self.link.client.publish(subject, Bytes::new()).await;
        }
        match header("Nats-Last-Consumer").and_then(|text| text.parse::<u64>().ok()) {
            Some(sent) if sent > self.heard => Err(missed()),
            _ => Ok(()),
        }
    }

    /// Lets the server forget it at once.
    pub(super) async fn end(self) {
        // Otherwise it does by itself a little later.
        let _ = self.link.context.delete_consumer_from_stream(&self.name, &self.link.name).await;
    }
}

fn silent(time: Duration) -> Fault {
    Fault::broken(format!("nothing came from it for {time:?}"))
}

fn missed() -> Fault {
    Fault::broken("a message got lost on the way")
}

pub(super) fn timestamp(nanos: i128) -> Timestamp {
    Timestamp(u64::try_from(nanos / 1_000_000).unwrap_or(0))
}
