//! Talks HTTP to a hub: addresses, requests, and what its refusals mean.
//! Knows nothing of publishing and subscribing.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use tidings_client::{Builder, EventSource};

use crate::credential::{Credential, Secret};
use crate::exit::Usage;

/// A hub that is further away than this is not there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// The beginning of an answer that is no problem document, as far as it is shown.
const EXCERPT_CHARS_MAX: usize = 200;

/// The means to talk to one hub.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    /// What the user calls it.
    name: String,
    credential: Credential,
}

impl Client {
    /// # Errors
    /// Where the URL can't be one, TLS can't be set up, or there is no token where one should be.
    pub(crate) fn new(url: &str, credential: &Credential) -> anyhow::Result<Self> {
        let socket = url.strip_prefix("unix:");
        // Over a Unix socket it still has to be called something.
        let base = if socket.is_some() { "http://localhost/" } else { url };
        let base: Url = base.parse().map_err(|error| Usage(format!("--url {url}: {error}")))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIME_MAX)
            // A POST that is redirected becomes a GET, and would publish nothing without a word.
            .redirect(redirect::Policy::none());
        if is_here(&base) {
            // No proxy can lead to this machine.
            builder = builder.no_proxy();
        }
        if let Some(path) = socket {
            builder = builder.unix_socket(path);
        }
        let http = builder.build().context("can't set up HTTP")?;
        let name = url.trim_end_matches('/').to_owned();
        Ok(Self { http, base, name, credential: credential.settled()? })
    }

    /// Where the hub is.
    pub(crate) fn url(&self) -> &str {
        &self.name
    }

    /// Whether it is reached by a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        self.name.starts_with("unix:")
    }

    /// The hub's URL, taken apart.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the hub's.
    ///
    /// # Errors
    /// Where a segment is one that URLs do without.
    pub(crate) fn address<'a>(
        &self,
        segments: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        let mut path = url.path_segments_mut().map_err(|()| anyhow!("no URL of a hub"))?;
        path.pop_if_empty();
        for segment in segments {
            if matches!(segment, "." | "..") {
                bail!(Usage(format!(
                    "a URL can't carry \"{segment}\" between slashes: publish to such a topic with \
                     --file"
                )));
            }
            path.push(segment);
        }
        drop(path);
        Ok(url)
    }

    /// A request, with the token as it is now.
    ///
    /// # Errors
    /// Where the token's file can't be read.
    pub(crate) fn get(&self, url: Url) -> anyhow::Result<RequestBuilder> {
        self.request(Method::GET, url)
    }

    /// Options for an event stream, with the token as it is at each attempt.
    pub(crate) fn stream(&self, url: &Url) -> Builder {
        let credential = self.credential.clone();
        let headers = move || {
            let authorization = credential.authorization();
            async move {
                let value = authorization.map_err(|error| format!("{error:#}"))?;
                Ok(value.map(|value| (AUTHORIZATION, value)).into_iter().collect())
            }
        };
        EventSource::builder(url.as_str()).client(self.http.clone()).headers_from(headers)
    }

    /// As [`Self::get`].
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn post(&self, url: Url) -> anyhow::Result<RequestBuilder> {
        self.request(Method::POST, url)
    }

    fn request(&self, method: Method, url: Url) -> anyhow::Result<RequestBuilder> {
        let request = self.http.request(method, url);
        Ok(match self.credential.authorization()? {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        })
    }

    /// The same for those who write their own requests: lines of a head, each with its end.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn header_lines(&self) -> anyhow::Result<Secret> {
        let token = self.credential.token()?;
        let line = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose()));
        Ok(line.unwrap_or_default().into())
    }

    /// Why a request got no answer, in words that help.
    pub(crate) fn unanswered(&self, error: &reqwest::Error) -> anyhow::Error {
        let reason = root_cause(error);
        if error.is_connect() {
            anyhow!("can't reach {}: {reason} (is `tidings serve` running there?)", self.url())
        } else {
            anyhow!("no answer from {}: {reason}", self.url())
        }
    }
}

/// The innermost error, which says what happened; those around it say where.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() && error.source().is_none() {
        return "it takes too long".into();
    }
    cause.to_string()
}

/// The answer where the hub did what it was asked.
///
/// # Errors
/// What the hub says about why it did not.
pub(crate) async fn accepted(response: Response) -> anyhow::Result<Response> {
    if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
}

/// What the hub says about why it did not do what it was asked.
pub(crate) async fn refused(response: Response) -> anyhow::Error {
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap_or_default();
    refusal(status, &headers, &text)
}

/// As [`refused`], of an answer that was read.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, text: &str) -> anyhow::Error {
    if status.is_redirection() {
        let there = headers.get(LOCATION).and_then(|place| place.to_str().ok());
        let there = there.unwrap_or("somewhere else");
        return anyhow!("the hub is not here, it says {status} to {there}: give --url");
    }
    let is_problem = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    if is_problem && let Ok(problem) = serde_json::from_str::<Problem>(text) {
        let said = problem.detail.or(problem.title).unwrap_or_else(|| status.to_string());
        return anyhow!("the hub refused ({}): {said}", status.as_u16());
    }
    anyhow!("the server refused ({status}){}", excerpt(text))
}

/// Whether asking again, the same way, may help.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

/// Only one line and no control characters: a stranger's text must not steer the terminal.
fn excerpt(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS_MAX).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_below_the_hub_s() {
        let check = |base: &str, topic: &str, expected: &str| {
            let client = Client::new(base, &Credential::None).unwrap();
            let segments = ["topics"].into_iter().chain(topic.split('/'));
            assert_eq!(client.address(segments).unwrap().as_str(), expected);
        };
        check("http://127.0.0.1:3000", "a", "http://127.0.0.1:3000/topics/a");
        check("http://h/", "orders/42", "http://h/topics/orders/42");
        check("https://h/hub/", "a b?c#d%e", "https://h/hub/topics/a%20b%3Fc%23d%25e");
        check("http://h", "a//b/", "http://h/topics/a//b/");
        check("http://h", "/", "http://h/topics//");
        check("http://h", "ü", "http://h/topics/%C3%BC");
        let client = Client::new("http://h", &Credential::None).unwrap();
        assert!(client.address(["topics", ".."].into_iter()).is_err());
    }

    #[test]
    fn a_stranger_s_text_is_shown_tamed() {
        assert_eq!(excerpt("\n\x1b[31mred\x07\nmore"), ": [31mred");
        assert_eq!(excerpt(" \n"), "");
    }

    #[test]
    fn no_proxy_leads_to_this_machine() {
        for (url, here) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
