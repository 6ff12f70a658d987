//! The policy in force: who a request is from, and what that one may.
//! Knows nothing of routes, bodies and streams.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, Method, Uri};
use tidings_core::cursor::Timestamp;
use tidings_core::event::Topics;
use tidings_core::limits::KEY_FILE_PAUSE;
use tidings_core::topic::Selectors;

use super::api_keys::{self, ApiKeys};
use super::claims::Demands;
use super::credential::{self, Credential};
use super::files::Watched;
use super::jwks::Remote;
use super::keys::Keys;
use super::origins::{Origins, Standing};
use super::policy::{AccessError, Policy};
use super::refusal::Refusal;
use super::rights::{Listed, Rights, shown};
use super::tickets::{self, Ticket, TicketKey, TicketUses, UsedHere};
use super::token::{self, Unchecked};

/// Who may what. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    has_keys: bool,
    files: Vec<Watched<Keys>>,
    secret: Keys,
    remotes: Vec<Arc<Remote>>,
    demands: Demands,
    api_keys: Option<Watched<ApiKeys>>,
    anonymous_subscribe: bool,
    anonymous_publish: bool,
    cookie_name: String,
    origins: Origins,
    ticket_time: Duration,
    ticket_key: TicketSource,
    used_here: Arc<UsedHere>,
    uses: Arc<dyn TicketUses>,
}

enum TicketSource {
    File(Watched<TicketKey>),
    Own(Arc<TicketKey>),
}

/// Whom a request is from, as far as it has shown.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    rights: Option<Arc<Rights>>,
    by: By,
}

/// By what it was shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum By {
    #[default]
    Nothing,
    Ticket,
    Token,
}

impl Caller {
    /// What was shown; `None`: nothing.
    #[must_use]
    pub fn rights(&self) -> Option<&Rights> {
        self.rights.as_deref()
    }

    /// Until when it counts.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.rights()?.expires
    }

    /// The same by the clock that streams go by.
    #[must_use]
    pub fn ends(&self) -> Option<Instant> {
        let left = self.expires()?.0.saturating_sub(now().0);
        Instant::now().checked_add(Duration::from_millis(left))
    }

    /// Who it is, where that was said.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<str>> {
        self.rights()?.subject.as_ref()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("has_keys", &self.inner.has_keys).finish_non_exhaustive()
    }
}

impl Access {
    /// Whoever reaches the hub may publish and listen; private events reach nobody.
    ///
    /// # Panics
    /// Where the system has no random numbers.
    #[must_use]
    pub fn open() -> Self {
        Self::load(Policy::default()).expect("without files nothing can be wrong")
    }

    /// Puts a policy into force. Blocks while it reads the files; addresses of keys are asked when
    /// they are needed.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn load(policy: Policy) -> Result<Self, AccessError> {
        let used_here = Arc::new(UsedHere::default());
        let uses = Arc::clone(&used_here) as Arc<dyn TicketUses>;
        Self::with_uses(policy, used_here, uses)
    }

    /// [`Access::load`], with the uses of tickets recorded where all nodes look.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn load_shared(policy: Policy, uses: Arc<dyn TicketUses>) -> Result<Self, AccessError> {
        Self::with_uses(policy, Arc::default(), uses)
    }

    fn with_uses(
        policy: Policy,
        used_here: Arc<UsedHere>,
        uses: Arc<dyn TicketUses>,
    ) -> Result<Self, AccessError> {
        let has_keys = policy.has_keys();
        if !policy.anonymous_subscribe && !has_keys {
            return Err(AccessError::NobodyCanRead);
        }
        let name = policy.cookie_name;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(AccessError::CookieName { name });
        }
        let files = policy.jwt_keys.iter().map(|path| Watched::open(path, parse_keys));
        let api_keys = policy.api_keys.map(|path| Watched::open(&path, parse_api_keys));
        let secret = policy.jwt_secret.map(|secret| Keys::secret(secret.expose().trim()));
        let remotes = policy.jwks_urls.into_iter().map(Remote::new);
        let ticket_key = match policy.ticket_key {
            Some(path) => TicketSource::File(Watched::open(&path, parse_ticket_key)?),
            None => TicketSource::Own(Arc::new(TicketKey::random().map_err(AccessError::Random)?)),
        };
        let inner = Inner {
            has_keys,
            files: files.collect::<Result<_, _>>()?,
            secret: secret.transpose().map_err(AccessError::Secret)?.unwrap_or_default(),
            remotes: remotes.collect::<Result<_, _>>().map_err(AccessError::Tls)?,
            demands: Demands {
                audiences: policy.jwt_audiences,
                issuers: policy.jwt_issuers,
                skew: policy.jwt_skew,
                allow_no_expiry: policy.jwt_allow_no_expiry,
            },
            api_keys: api_keys.transpose()?,
            anonymous_subscribe: policy.anonymous_subscribe,
            anonymous_publish: policy.anonymous_publish || !has_keys,
            cookie_name: name,
            origins: policy.cors_origins,
            ticket_time: policy.ticket_time,
            ticket_key,
            used_here,
            uses,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Looks after what changes: reads files again when they do, asks addresses of keys before the
    /// first token comes, forgets tickets that are over. To be run beside the server; it never
    /// ends. Cancel safe.
    pub async fn watch(&self) -> std::convert::Infallible {
        for remote in &self.inner.remotes {
            remote.refresh().await;
        }
        loop {
            tokio::time::sleep(KEY_FILE_PAUSE).await;
            let inner = Arc::clone(&self.inner);
            // Files may be far away, behind a mount that hangs.
            let looked = tokio::task::spawn_blocking(move || inner.look()).await;
            if looked.is_err() {
                tracing::error!("the files with keys could not be looked at");
            }
        }
    }

    /// Whom a request is from. A ticket is used by this.
    ///
    /// # Errors
    /// Where it shows something that does not count. A request that shows nothing is from nobody in
    /// particular, which is no error. Without keys nothing that is shown is looked at: somebody in
    /// front of the hub may have asked for it.
    pub async fn identify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Caller, Refusal> {
        if !self.inner.has_keys {
            return Ok(Caller::default());
        }
        let identified = self.shown(method, uri, headers).await;
        if let Err(refusal) = &identified {
            tracing::debug!(rule = refusal.rule(), "{refusal}");
        }
        identified
    }

    async fn shown(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Caller, Refusal> {
        let inner = &*self.inner;
        let Some(found) = credential::find(uri, headers, &inner.cookie_name)? else {
            return Ok(Caller::default());
        };
        match found {
            Credential::Bearer(text) => self.token(text).await,
            Credential::Cookie(text) => match (inner.origins.standing(uri, headers), method) {
                (Standing::Own | Standing::Listed, _)
                | (Standing::Unsaid, &Method::GET | &Method::HEAD) => self.token(text).await,
                // A browser sends cookies along for pages that must not have what is behind them.
                (Standing::Foreign, &Method::GET | &Method::HEAD) => Ok(Caller::default()),
                (Standing::Foreign | Standing::Unsaid, _) => Err(Refusal::CookieOrigin),
            },
            Credential::Ticket(text) => {
                let key = inner.ticket_key();
                let rights = tickets::redeem(&text, &key, &*inner.uses, now()).await?;
                if rights.is_over(now()) {
                    let at = rights.expires.unwrap_or(now());
                    return Err(Refusal::Expired { what: "the ticket's token", at });
                }
                Ok(Caller { rights: Some(Arc::new(rights)), by: By::Ticket })
            }
        }
    }

    /// Whose token or API key this is.
    async fn token(&self, text: &str) -> Result<Caller, Refusal> {
        let inner = &*self.inner;
        if text.starts_with(api_keys::PREFIX) {
            let keys = inner.api_keys.as_ref().map(Watched::value);
            let rights = keys.as_ref().and_then(|keys| Some(Arc::clone(&keys.find(text)?.rights)));
            return match rights {
                Some(rights) => Ok(Caller { rights: Some(rights), by: By::Token }),
                None => Err(Refusal::UnknownApiKey),
            };
        }
        let token = Unchecked::parse(text)?;
        let mut rights = inner.rights(&token);
        let unknown = matches!(rights, Err(Refusal::UnknownKey { .. } | Refusal::Signature));
        if unknown && !inner.is_named(&token) && !inner.remotes.is_empty() {
            // Its key may be a new one. That others were tried does not say that it is none.
            for remote in &inner.remotes {
                remote.refresh().await;
            }
            rights = inner.rights(&token);
        }
        match rights {
            Ok(rights) => Ok(Caller { rights: Some(Arc::new(rights)), by: By::Token }),
            // Perhaps it would be known, if we could ask.
            Err(Refusal::UnknownKey { .. }) if inner.remotes.iter().any(|it| !it.has_keys()) => {
                Err(Refusal::KeysUnavailable)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether somebody may publish an event with these topics, all of them, now.
    ///
    /// # Errors
    /// Where not: for want of a token, or of a right, or because the token's time is over.
    pub fn may_publish(&self, caller: &Caller, topics: &Topics) -> Result<(), Refusal> {
        if self.inner.anonymous_publish {
            return Ok(());
        }
        let rights = caller.live_rights("publishing")?;
        let allowed = rights.publish.as_ref();
        let refused = topics.iter().find(|topic| !allowed.is_some_and(|a| a.matches_topic(topic)));
        let Some(topic) = refused else { return Ok(()) };
        let (topic, covers) = (shown(topic.as_str()), Listed(allowed).to_string());
        Err(caller.refuse(Refusal::Publish { topic, covers }))
    }

    /// Whether somebody may begin to publish at all, before a topic is known: so that a body of
    /// somebody who may not is not waited for.
    ///
    /// # Errors
    /// For want of a token.
    pub fn may_begin_to_publish(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.inner.anonymous_publish {
            true => Ok(()),
            false => caller.live_rights("publishing").map(|_| ()),
        }
    }

    /// Whether somebody may read what these select; and of which topics, private events too.
    ///
    /// # Errors
    /// Where not: for want of a token, or of a right, or because the token's time is over.
    pub fn may_subscribe(
        &self,
        caller: &Caller,
        asked: &Selectors,
    ) -> Result<Option<Arc<Selectors>>, Refusal> {
        if self.inner.anonymous_subscribe && caller.rights().is_none() {
            return Ok(None);
        }
        let rights = caller.live_rights("reading")?;
        if !self.inner.anonymous_subscribe {
            let allowed = rights.subscribe.as_ref();
            let refused = asked.iter().find(|asked| !allowed.is_some_and(|a| a.cover(asked)));
            if let Some(selector) = refused {
                let (selector, covers) =
                    (shown(&selector.to_string()), Listed(allowed).to_string());
                return Err(caller.refuse(Refusal::Subscribe { selector, covers }));
            }
        }
        Ok(rights.private(asked))
    }

    /// A ticket with the rights of whoever asks.
    ///
    /// # Errors
    /// Where that one has shown no token, or its rights are too many for an address.
    pub fn issue_ticket(&self, caller: &Caller) -> Result<Ticket, Refusal> {
        let rights = match caller.by {
            By::Nothing => {
                return Err(caller.refuse(Refusal::TicketNeedsToken { what: "nobody" }));
            }
            By::Ticket => {
                return Err(caller.refuse(Refusal::TicketNeedsToken { what: "another ticket" }));
            }
            By::Token => caller.live_rights("a ticket")?,
        };
        let inner = &*self.inner;
        let ticket = tickets::issue(rights, &inner.ticket_key(), inner.ticket_time, now());
        ticket.map_err(|refusal| caller.refuse(refusal))
    }

    /// Whether tokens are checked.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.inner.has_keys
    }

    /// Whose pages may do what.
    pub(crate) fn origins(&self) -> &Origins {
        &self.inner.origins
    }
}

impl Caller {
    fn live_rights(&self, action: &'static str) -> Result<&Rights, Refusal> {
        let Some(rights) = self.rights() else {
            return Err(self.refuse(Refusal::TokenNeeded { action }));
        };
        match rights.expires {
            // It counted when the request came, but that may be long ago.
            Some(at) if at <= now() => Err(self.refuse(Refusal::Expired { what: "the token", at })),
            _ => Ok(rights),
        }
    }

    /// Tells the log: of those who are known what the operator should know, of strangers only who
    /// asks for it, since they can write as much as they like.
    fn refuse(&self, refusal: Refusal) -> Refusal {
        match (self.rights(), self.subject()) {
            (None, _) => tracing::debug!(rule = refusal.rule(), "{refusal}"),
            (Some(_), None) => tracing::info!(rule = refusal.rule(), "{refusal}"),
            (Some(_), Some(subject)) => {
                tracing::info!(rule = refusal.rule(), %subject, "{refusal}");
            }
        }
        refusal
    }
}

impl Inner {
    /// The keys that tokens are checked with now.
    fn known(&self) -> Vec<Known<'_>> {
        let files = self.files.iter().map(|file| Known::Shared(file.value()));
        let remotes = self.remotes.iter().map(|remote| Known::Shared(remote.keys()));
        [Known::Ours(&self.secret)].into_iter().chain(files).chain(remotes).collect()
    }

    /// The rights of a token by the keys that are known now.
    fn rights(&self, token: &Unchecked<'_>) -> Result<Rights, Refusal> {
        let known = self.known();
        let keys: Vec<_> = known.iter().flat_map(|keys| keys.iter()).collect();
        token::rights(token, &keys, &self.demands, now())
    }

    /// Whether a key has the name that a token gives for its own.
    fn is_named(&self, token: &Unchecked<'_>) -> bool {
        let known = self.known();
        let mut keys = known.iter().flat_map(|keys| keys.iter());
        token.kid().is_some_and(|kid| keys.any(|key| key.kid.as_deref() == Some(kid)))
    }

    fn ticket_key(&self) -> Arc<TicketKey> {
        match &self.ticket_key {
            TicketSource::File(file) => file.value(),
            TicketSource::Own(key) => Arc::clone(key),
        }
    }

    fn look(&self) {
        self.files.iter().for_each(Watched::look);
        if let Some(file) = &self.api_keys {
            file.look();
        }
        if let TicketSource::File(file) = &self.ticket_key {
            file.look();
        }
        self.used_here.sweep(now());
    }
}

enum Known<'a> {
    Ours(&'a Keys),
    Shared(Arc<Keys>),
}

impl std::ops::Deref for Known<'_> {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        match self {
            Self::Ours(keys) => keys,
            Self::Shared(keys) => keys,
        }
    }
}

fn parse_keys(bytes: &[u8]) -> Result<Keys, String> {
    Keys::parse(bytes).map_err(|error| error.to_string())
}

fn parse_ticket_key(bytes: &[u8]) -> Result<TicketKey, String> {
    TicketKey::parse(bytes).map_err(|error| error.to_string())
}

fn parse_api_keys(bytes: &[u8]) -> Result<ApiKeys, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    ApiKeys::parse(text).map_err(|error| error.to_string())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
