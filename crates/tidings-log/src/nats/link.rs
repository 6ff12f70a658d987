//! The connection to the servers, and what is asked over it.
//! With [`consumer`](super::consumer) all that knows the client library; knows nothing of runs.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Config, DirectGetErrorKind, DiscardPolicy, Info, LastRawMessageError, LastRawMessageErrorKind,
    StorageType, Stream,
};
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, Subscriber, jetstream};
use bytes::Bytes;
use parking_lot::Mutex;
use tidings_core::cursor::Timestamp;
use tokio::sync::watch;

use super::compose::Kind;
use super::consumer::timestamp;
use super::options::{Login, NatsOptions};
use super::sizes::{
    CLAIM_REPEATED_TIME, CLAIM_TIME_MAX, CLAIMS_BYTES_MAX, CONNECT_TIME_MAX, HEADER_BYTES,
    MESSAGE_BYTES_MAX, STREAM_SPARE_BYTES,
};
use crate::remote::{ANSWER_TIME_MAX, Backoff, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};

/// Why something was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// For the operator.
    pub(super) reason: String,
    pub(super) kind: FaultKind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FaultKind {
    /// No answer: nobody knows whether it was done.
    Broken,
    /// Somebody else has appended meanwhile.
    Conflict,
    /// There is no such stream.
    Missing,
    /// The server is there and says no.
    Refused,
}

impl Fault {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FaultKind::Refused }
    }

    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: FaultKind::Broken }
    }
}

impl From<&ApiError> for Fault {
    fn from(error: &ApiError) -> Self {
        let code = error.error_code();
        let kind = match code {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE => FaultKind::Conflict,
            ErrorCode::STREAM_NOT_FOUND => FaultKind::Missing,
            // The servers are about to agree on who leads.
            ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NOT_LEADER => FaultKind::Broken,
            _ => FaultKind::Refused,
        };
        let advice = match code {
            ErrorCode::JETSTREAM_NOT_ENABLED => ": start nats-server with -js",
            ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                ": enable it in the account's part of the server's configuration"
            }
            ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED
            | ErrorCode::STREAM_STORE_FAILED => {
                ": give the account or the server more room for JetStream, or lower keep-bytes"
            }
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::CLUSTER_NO_PEERS => {
                ": lower nats-replicas, or add servers to the cluster"
            }
            ErrorCode::STREAM_SUBJECT_OVERLAP | ErrorCode::STREAM_NAME_EXIST => {
                ": choose another nats-stream"
            }
            _ => "",
        };
        let description = error.to_string();
        Self { reason: format!("{description}{advice}"), kind }
    }
}

/// What happened to the connection since it was made.
#[derive(Debug)]
pub(super) struct Events {
    /// Counts the connections.
    pub(super) epoch: watch::Sender<u64>,
    /// What the server last complained of, other than in an answer: missing permissions.
    complaint: Mutex<Option<String>>,
}

/// A connection that the client library makes anew where it breaks.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) events: Arc<Events>,
    pub(super) name: String,
    stream: Stream<()>,
}

/// A message of the stream.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) seq: u64,
    /// When the server got it.
    pub(super) time: Timestamp,
    pub(super) payload: Bytes,
}

impl From<StreamMessage> for Stored {
    fn from(message: StreamMessage) -> Self {
        let time = timestamp(message.time.unix_timestamp_nanos());
        Self { seq: message.sequence, time, payload: message.payload }
    }
}

/// How far the stream goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Link {
    /// Makes the first connection.
    pub(super) async fn connect(options: &NatsOptions) -> Result<Self, Fault> {
        let events = Arc::new(Events { epoch: watch::Sender::new(0), complaint: Mutex::new(None) });
        let told = Arc::clone(&events);
        let backoff = Mutex::new(Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX));
        let mut connecting = ConnectOptions::new()
            .name("tidings")
            .connection_timeout(CONNECT_TIME_MAX)
            .request_timeout(Some(ANSWER_TIME_MAX))
            // A connection that leads nowhere is noticed after two that are not answered.
            .ping_interval(ANSWER_TIME_MAX)
            .reconnect_delay_callback(move |attempts| {
                let mut backoff = backoff.lock();
                if attempts <= 1 {
                    backoff.reset();
                    return Duration::ZERO;
                }
                backoff.next()
            })
            .event_callback(move |event| {
                told.hear(&event);
                std::future::ready(())
            });
        connecting = match &options.address.login {
            Login::None => connecting,
            Login::User { name, password } => {
                connecting.user_and_password(name.clone(), password.clone())
            }
            Login::Token(token) => connecting.token(token.clone()),
        };
        if let Some(credentials) = &options.credentials {
            connecting = connecting
                .credentials(&credentials.0)
                .map_err(|_| Fault::refused("nats-credentials holds no credentials"))?;
        }
        if options.address.tls {
            connecting = connecting.require_tls(true);
        }
        if let Some(authority) = &options.authority {
            connecting = connecting.add_root_certificates(authority.clone());
        }
        let servers = &options.address.servers[..];
        let client = connecting.connect(servers).await.map_err(|error| {
            let reason = described(&error);
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    Fault::refused(format!("{reason}: check user, password, token or credentials"))
                }
                _ => Fault::broken(reason),
            }
        })?;
        let mut context = match &options.domain {
            Some(domain) => jetstream::with_domain(client.clone(), domain),
            None => jetstream::new(client.clone()),
        };
        context.set_timeout(ANSWER_TIME_MAX);
        let name = options.stream.to_string();
        let stream = context
            .get_stream_no_info(&name)
            .await
            .map_err(|error| Fault::refused(error.to_string()))?;
        Ok(Self { client, context, events, name, stream })
    }

    /// Largest message of ours.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.client.max_payload().saturating_sub(HEADER_BYTES).min(MESSAGE_BYTES_MAX)
    }

    /// The stream, where there is one.
    pub(super) async fn extent(&self) -> Result<Extent, Fault> {
        let info = self.info(&self.name).await?;
        Ok(Extent { first: info.state.first_sequence, last: info.state.last_sequence })
    }

    async fn info(&self, name: &str) -> Result<Info, Fault> {
        let asked = self.context.request(format!("STREAM.INFO.{name}"), &()).await;
        match asked {
            Ok(Response::Ok(info)) => Ok(info),
            Ok(Response::Err { error }) => Err(Fault::from(&error)),
            Err(error) => Err(self.unanswered(&error)),
        }
    }

    /// Makes the streams of the log and of its claims where there are none, and has the log's
    /// keep as much as it is to keep now.
    pub(super) async fn provide(&self, options: &NatsOptions) -> Result<(), Fault> {
        // Retention is ours: it lets go of what is older or more. Should it not, then the server
        // lets go of the oldest before the disk is full.
        let max_bytes = options.bytes_max.saturating_add(options.bytes_max / 4);
        let max_bytes = max_bytes.saturating_add(STREAM_SPARE_BYTES);
        let events = Config {
            name: self.name.clone(),
            description: Some("Events of Tidings".to_owned()),
            subjects: vec![format!("{}.>", self.name)],
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: options.replicas,
            allow_direct: true,
            ..Config::default()
        };
        let claims = Config {
            name: self.claims(),
            description: Some("Used tickets of Tidings".to_owned()),
            subjects: vec![format!("{}.>", self.claims())],
            max_age: CLAIM_TIME_MAX,
            max_bytes: CLAIMS_BYTES_MAX,
            discard: DiscardPolicy::New,
            duplicate_window: CLAIM_REPEATED_TIME,
            ..events.clone()
        };
        for wanted in [events, claims] {
            match self.info(&wanted.name).await {
                Ok(Info { config, .. }) if config.subjects != wanted.subjects => {
                    return Err(Fault::refused(NOT_OURS));
                }
                Ok(Info { mut config, .. }) => {
                    // Whoever has changed something else has had a reason.
                    let ours = config.description == wanted.description;
                    if ours && config.max_bytes != wanted.max_bytes {
                        config.max_bytes = wanted.max_bytes;
                        self.change("UPDATE", &config).await?;
                    }
                }
                Err(fault) if fault.kind == FaultKind::Missing => {
                    self.change("CREATE", &wanted).await?;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    async fn change(&self, verb: &str, config: &Config) -> Result<(), Fault> {
        let subject = format!("STREAM.{verb}.{}", config.name);
        match self.context.request::<_, _, Response<Info>>(subject, config).await {
            Ok(Response::Ok(_)) => Ok(()),
            Ok(Response::Err { error }) => Err(Fault::from(&error)),
            Err(error) => Err(self.unanswered(&error)),
        }
    }

    /// Publishes a message that has to be the stream's next one after `after`. It is on its way
    /// when this returns; the future that it gives waits for the answer.
    pub(super) async fn publish(
        &self,
        kind: &Kind,
        payload: Bytes,
        after: u64,
    ) -> Result<impl Future<Output = Result<u64, Fault>> + use<>, Fault> {
        let name = &self.name;
        let subject = match kind {
            Kind::Events => format!("{name}.0.e"),
            Kind::Keys => format!("{name}.0.k"),
            Kind::Id(id) => format!("{name}.0.i.{id}"),
        };
        let message = PublishMessage::build().payload(payload).expected_last_sequence(after);
        self.send(subject, message).await
    }

    async fn send(
        &self,
        subject: String,
        message: PublishMessage,
    ) -> Result<impl Future<Output = Result<u64, Fault>> + use<>, Fault> {
        let sending = self.context.send_publish(subject, message).await;
        let acknowledged = sending.map_err(|error| self.not_published(&error))?;
        let link = self.clone();
        Ok(async move {
            match acknowledged.await {
                Ok(acknowledged) => Ok(acknowledged.sequence),
                Err(error) => Err(link.not_published(&error)),
            }
        })
    }

    /// Claims a name: `true` for the first. `id` makes a repetition the same claim.
    pub(super) async fn claim(&self, name: &str, id: &str) -> Result<bool, Fault> {
        let message = PublishMessage::build()
            .payload(Bytes::new())
            .message_id(id)
            .expected_last_subject_sequence(0);
        match self.send(format!("{}.{name}", self.claims()), message).await?.await {
            Ok(_) => Ok(true),
            Err(fault) if fault.kind == FaultKind::Conflict => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Asks the other nodes for a turn.
    pub(super) async fn ask_for_turn(&self, node: u64) {
        let payload = Bytes::copy_from_slice(&node.to_le_bytes());
        // Where it can't be sent, there are other troubles.
        let _ = self.client.publish(self.turns(), payload).await;
    }

    /// What other nodes ask.
    pub(super) async fn hear_of_turns(&self) -> Result<Subscriber, Fault> {
        let subscribing = self.client.subscribe(self.turns()).await;
        subscribing.map_err(|error| Fault::broken(error.to_string()))
    }

    fn turns(&self) -> String {
        format!("{}-turn", self.name)
    }

    fn claims(&self) -> String {
        format!("{}-claims", self.name)
    }

    /// A message, from any server that has it; from the one that leads where that has not, as it
    /// may not have heard of it yet.
    pub(super) async fn get(&self, seq: u64) -> Result<Option<Stored>, Fault> {
        match self.stream.direct_get(seq).await {
            Ok(message) => Ok(Some(message.into())),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => self.get_now(seq).await,
            Err(error) => Err(self.unanswered(&error)),
        }
    }

    /// A message, from the server that leads.
    pub(super) async fn get_now(&self, seq: u64) -> Result<Option<Stored>, Fault> {
        let got = self.stream.get_raw_message(seq).await;
        self.got(got.map(Stored::from))
    }

    /// The newest message of a kind.
    pub(super) async fn newest(&self, id: &Kind) -> Result<Option<Stored>, Fault> {
        let Kind::Id(id) = id else { return Ok(None) };
        let subject = format!("{}.0.i.{id}", self.name);
        let got = self.stream.get_last_raw_message_by_subject(&subject).await;
        self.got(got.map(Stored::from))
    }

    fn got(&self, got: Result<Stored, LastRawMessageError>) -> Result<Option<Stored>, Fault> {
        match got {
            Ok(stored) => Ok(Some(stored)),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                {
                    Ok(None)
                }
                LastRawMessageErrorKind::JetStream(error) => Err(Fault::from(&error)),
                _ => Err(self.unanswered(&error)),
            },
        }
    }

    /// Lets go of all messages before this one.
    pub(super) async fn purge_before(&self, seq: u64) -> Result<(), Fault> {
        let purged = self.stream.purge().sequence(seq).await;
        purged.map(drop).map_err(|error| self.unanswered(&error))
    }

    /// Gives the connection up for a new one.
    pub(super) async fn reconnect(&self) {
        // It fails only where there is no client any more.
        let _ = self.client.force_reconnect().await;
    }

    fn not_published(&self, error: &jetstream::context::PublishError) -> Fault {
        if let Some(error) = error.source().and_then(|source| source.downcast_ref::<ApiError>()) {
            return Fault::from(error);
        }
        match error.kind() {
            PublishErrorKind::StreamNotFound => {
                Fault { reason: NOBODY.to_owned(), kind: FaultKind::Missing }
            }
            PublishErrorKind::MaxPayloadExceeded => Fault::refused(
                "the server's max_payload has become smaller: raise it, or start this node anew",
            ),
            _ => self.unanswered(error),
        }
    }

    fn unanswered(&self, error: &(impl std::error::Error + 'static)) -> Fault {
        let reason = described(error);
        match &*self.events.complaint.lock() {
            Some(complaint) => Fault::broken(format!("{reason} ({complaint})")),
            None if NOBODY_SAID.iter().any(|said| reason.contains(said)) => Fault::broken(NOBODY),
            None => Fault::broken(reason),
        }
    }
}

/// What is said where the stream is not what it has to be.
pub(super) const NOT_OURS: &str = "the stream holds what no Tidings has written, or takes other subjects: choose another \
     nats-stream";

/// What the client library says where nobody listens to what is asked.
const NOBODY_SAID: [&str; 2] = ["no responders", "requested JetStream resource does not exist"];

/// What is said where nobody listens to what is asked.
const NOBODY: &str = "nobody answers there for JetStream or for the stream: it may have no leader \
     now; otherwise start nats-server with -js, and check nats-domain and the user's permissions";

impl Events {
    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {
                *self.complaint.lock() = None;
                self.epoch.send_modify(|epoch| *epoch += 1);
            }
            Event::ServerError(error) => {
                // Its words hold subjects, and never a password.
                *self.complaint.lock() = Some(error.to_string());
            }
            _ => {}
        }
    }
}

/// An error with all that has led to it.
fn described(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

impl Link {
    pub(super) fn no_consumer(&self, error: &jetstream::stream::ConsumerError) -> Fault {
        match error.kind() {
            jetstream::stream::ConsumerErrorKind::JetStream(error) => Fault::from(&error),
            _ => self.unanswered(error),
        }
    }
}
