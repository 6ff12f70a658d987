//! What a Tidings hub offers beyond a stream: topics, publishing, tokens.
//! Knows nothing of how a stream is opened.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::time;

use crate::backoff::{Backoff, random};
use crate::connection::{bearer, refusal};
use crate::error::{BoxError, Error};
use crate::limits::{PUBLISH_ATTEMPTS_MAX, PUBLISH_TIME_MAX};
use crate::options::{Builder, TokenFrom, default_client};
use crate::publish::Publish;

/// A hub by its address.
#[derive(Clone)]
pub struct Hub {
    base: Url,
    client: Client,
    token: Option<String>,
    token_from: Option<TokenFrom>,
}

impl Hub {
    /// The hub at a base URL such as `https://hub.example`.
    ///
    /// # Errors
    /// [`Error::Url`] where it can't be one, [`Error::Setup`] where TLS can't be set up.
    pub fn new(base: &str) -> Result<Self, Error> {
        let mut url = Url::parse(base).map_err(|error| Error::Url { reason: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Url { reason: format!("{} is another scheme", url.scheme()) });
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { base: url, client: default_client()?, token: None, token_from: None })
    }

    /// Sends requests by this client; the limits of [`Builder::client`] apply.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// The token of every request.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How to get a token: asked at every request, with `true` when the last one was refused, and
    /// some time before it ends, when the hub says so; a stream then goes on with the new one.
    #[must_use]
    pub fn token_from<F, A>(mut self, token: F) -> Self
    where
        F: Fn(bool) -> A + Send + Sync + 'static,
        A: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        self.token_from = Some(Arc::new(move |refused| Box::pin(token(refused))));
        self
    }

    /// Options for a stream of topics and patterns: `["orders/{id}", "news/*"]`.
    ///
    /// # Errors
    /// [`Error::Header`] where the token can't be sent.
    pub fn subscribe<T: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<Builder, Error> {
        self.subscribe_with(topics, &[])
    }

    /// As [`Hub::subscribe`], from an event of the past on: `"earliest"`, `"10m"`, a time as
    /// RFC 3339 has it.
    ///
    /// # Errors
    /// As [`Hub::subscribe`].
    pub fn subscribe_since<T: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        since: &str,
    ) -> Result<Builder, Error> {
        self.subscribe_with(topics, &[("since", since)])
    }

    /// As [`Hub::subscribe`], beginning with this many events of the past.
    ///
    /// # Errors
    /// As [`Hub::subscribe`].
    pub fn subscribe_last<T: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        last: usize,
    ) -> Result<Builder, Error> {
        self.subscribe_with(topics, &[("last", &last.to_string())])
    }

    /// Publishes an event and gives its id. What fails on the way is sent again, under the same
    /// `Idempotency-Key`, and so stored once.
    ///
    /// # Errors
    /// [`Error::Refused`] where the hub refuses, [`Error::Unanswered`] where it can't be reached.
    ///
    /// Not cancel safe: a call that is dropped may have published, or not.
    pub async fn publish(&self, topic: &str, event: impl Into<Publish>) -> Result<String, Error> {
        let event = event.into().topic(topic);
        let ids = self.publish_many(&[event]).await?;
        ids.into_iter().next().ok_or(Error::Ended)
    }

    /// Publishes many events, each with its topic, in one step, and gives their ids. The first
    /// event's idempotency key is that of all.
    ///
    /// # Errors
    /// As [`Hub::publish`].
    ///
    /// Not cancel safe, as [`Hub::publish`].
    pub async fn publish_many(&self, events: &[Publish]) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Published {
            ids: Vec<String>,
        }
        let body = Bytes::from(serde_json::to_vec(events).map_err(Error::Json)?);
        let given = events.first().and_then(|event| event.idempotency_key.clone());
        let key = given.unwrap_or_else(fresh_key);
        let answer = self.post(&body, &key).await?;
        let published: Published = serde_json::from_slice(&answer).map_err(Error::Json)?;
        Ok(published.ids)
    }

    /// Sends until there is an answer that is not "later".
    async fn post(&self, body: &Bytes, key: &str) -> Result<Bytes, Error> {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::from_secs(8));
        let mut refused = false;
        for attempt in 1.. {
            let error = match self.post_once(body, key, refused).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let renewed = error.status() == Some(StatusCode::UNAUTHORIZED)
                && self.token_from.is_some()
                && !refused;
            if renewed {
                refused = true;
                continue;
            }
            let passes = match error.status() {
                Some(status) => matches!(status.as_u16(), 429 | 503),
                None => matches!(error, Error::Unanswered(_)),
            };
            if !passes || attempt >= PUBLISH_ATTEMPTS_MAX {
                return Err(error);
            }
            let after = error.retry_after().unwrap_or_default();
            time::sleep(backoff.next(after, random())).await;
        }
        unreachable!("the loop ends by an answer or at its last attempt")
    }

    async fn post_once(&self, body: &Bytes, key: &str, refused: bool) -> Result<Bytes, Error> {
        let request = self
            .client
            .post(self.events())
            .timeout(PUBLISH_TIME_MAX)
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", key)
            .body(body.clone());
        let token = match &self.token_from {
            Some(token_from) => Some(token_from(refused).await.map_err(Error::Headers)?),
            None => self.token.clone(),
        };
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, bearer(&token)?),
            None => request,
        };
        let unanswered = |error: reqwest::Error| Error::Unanswered(error.without_url());
        let response = request.send().await.map_err(unanswered)?;
        if !response.status().is_success() {
            return Err(Error::Refused(Box::new(refusal(response).await)));
        }
        response.bytes().await.map_err(unanswered)
    }

    fn subscribe_with<T: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        begin: &[(&str, &str)],
    ) -> Result<Builder, Error> {
        let mut url = self.events();
        for topic in topics {
            url.query_pairs_mut().append_pair("topic", topic.as_ref());
        }
        for (name, value) in begin {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut builder = Builder::new(Ok(url)).client(self.client.clone());
        if let Some(token) = &self.token {
            builder.headers.insert(AUTHORIZATION, bearer(token)?);
        }
        builder.token_from.clone_from(&self.token_from);
        Ok(builder)
    }

    fn events(&self) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("URLs of http and https have paths")
            .pop_if_empty()
            .push("events");
        url
    }
}

impl fmt::Debug for Hub {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("origin", &self.base.origin()).finish_non_exhaustive()
    }
}

/// It need not be a secret, only another one each time.
fn fresh_key() -> String {
    let number = || getrandom::u64().unwrap_or_default();
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("{:x}-{:x}-{:x}", since.as_nanos(), number(), number())
}
