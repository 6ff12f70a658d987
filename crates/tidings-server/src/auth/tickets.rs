//! Tickets: what a browser's `EventSource`, which can send no header, shows instead of a token.
//! Knows nothing of how a ticket is asked for.
//!
//! A ticket is signed, so that any node with the same key can check it, and its use is recorded, so
//! that it counts once: whoever finds it in a log later finds it used, or over.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{self, BoxFuture};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidings_core::cursor::Timestamp;
use tidings_core::limits::{TICKET_BYTES_MAX, TICKETS_USED_MAX};

use super::claims::Granted;
use super::keys::{Keys, KeysError};
use super::refusal::Refusal;
use super::rights::Rights;
use super::token::{TICKET_TYPE, Unchecked};

/// A ticket as its client gets it.
#[derive(Clone, Eq, PartialEq)]
pub struct Ticket {
    /// What to send as `?ticket=`.
    pub text: String,
    /// Until when.
    pub expires: Timestamp,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Remembers which tickets were used. On a cluster, it is where all nodes look.
pub trait TicketUses: Send + Sync {
    /// Records the use of a ticket, which has to be remembered until `until`. `true`: it is the
    /// first. Of several at the same time one is. Cancelled, it may have been recorded.
    fn take<'a>(
        &'a self,
        id: &'a str,
        until: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, TicketUsesError>>;
}

/// Why a use could not be recorded; the ticket does not count then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TicketUsesError {
    /// There is no room for more.
    #[error("as many tickets are in use as may be (tickets_used_max)")]
    Full,
    /// It can't be reached.
    #[error("the use of a ticket can't be recorded: {reason}")]
    Unavailable {
        /// What is the matter.
        reason: String,
    },
}

/// The memory of one process: at most [`TICKETS_USED_MAX`] at once.
#[derive(Debug, Default)]
pub struct UsedHere {
    used: Mutex<HashMap<Box<str>, Timestamp>>,
}

impl UsedHere {
    fn record(&self, id: &str, until: Timestamp, now: Timestamp) -> Result<bool, TicketUsesError> {
        let mut used = self.used.lock();
        if used.contains_key(id) {
            return Ok(false);
        }
        if used.len() >= TICKETS_USED_MAX {
            used.retain(|_, until| *until > now);
            if used.len() >= TICKETS_USED_MAX {
                return Err(TicketUsesError::Full);
            }
        }
        used.insert(id.into(), until);
        Ok(true)
    }

    /// Forgets those that are over.
    pub(super) fn sweep(&self, now: Timestamp) {
        let mut used = self.used.lock();
        used.retain(|_, until| *until > now);
        // A crowd has gone through: what it needed goes back.
        if used.len() < used.capacity() / 4 {
            used.shrink_to_fit();
        }
    }
}

impl TicketUses for UsedHere {
    fn take<'a>(
        &'a self,
        id: &'a str,
        until: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, TicketUsesError>> {
        Box::pin(future::ready(self.record(id, until, now)))
    }
}

/// Of a key of this process's own: enough for HS384. Not a multiple of three, so that its text is
/// never whole Base64, which once in half a million times would be taken for a public key.
const KEY_BYTES: usize = 49;

/// The key that tickets are signed with.
#[derive(Clone)]
pub(super) struct TicketKey {
    signing: EncodingKey,
    checking: Arc<Keys>,
}

impl TicketKey {
    /// One of this process's own.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self::of_bytes(&bytes))
    }

    fn of_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self::of(&URL_SAFE_NO_PAD.encode(bytes)).expect("such a text is a secret")
    }

    /// One that several nodes have in a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeysError> {
        Self::of(std::str::from_utf8(bytes).map_err(|_| KeysError::NotText)?.trim())
    }

    fn of(text: &str) -> Result<Self, KeysError> {
        if text.contains("-----BEGIN ") || text.starts_with('{') {
            let reason = "tickets need a secret, one line of random text".to_owned();
            return Err(KeysError::None { reason });
        }
        let checking = Arc::new(Keys::secret(text)?);
        Ok(Self { signing: EncodingKey::from_secret(text.as_bytes()), checking })
    }
}

/// What a ticket says.
#[derive(Deserialize, Serialize)]
struct Claims {
    /// Its number.
    jti: String,
    /// When it is over, in milliseconds.
    over: u64,
    /// When its token is, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    tidings: Granted,
}

/// Makes a ticket of the rights of a token.
///
/// # Errors
/// Where they are too many for an address.
pub(super) fn issue(
    rights: &Rights,
    key: &TicketKey,
    time: Duration,
    now: Timestamp,
) -> Result<Ticket, Refusal> {
    let mut number = [0; 16];
    getrandom::fill(&mut number).map_err(|_| Refusal::KeysUnavailable)?;
    let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let over = Timestamp(now.0.saturating_add(time));
    let expires = rights.expires.map_or(over, |until| until.min(over));
    let claims = Claims {
        jti: URL_SAFE_NO_PAD.encode(number),
        over: expires.0,
        until: rights.expires.map(|until| until.0),
        sub: rights.subject.as_deref().map(str::to_owned),
        tidings: Granted::of(rights),
    };
    let header = Header { typ: Some(TICKET_TYPE.to_owned()), ..Header::new(Algorithm::HS256) };
    let text = encode(&header, &claims, &key.signing).expect("a secret signs what is JSON");
    if text.len() > TICKET_BYTES_MAX {
        return Err(Refusal::TicketTooLarge);
    }
    Ok(Ticket { text, expires })
}

/// The rights of a ticket, which is used by this.
///
/// # Errors
/// Where it is none of ours, over, or used.
pub(super) async fn redeem(
    text: &str,
    key: &TicketKey,
    uses: &dyn TicketUses,
    now: Timestamp,
) -> Result<Rights, Refusal> {
    let ticket = Unchecked::parse(text).map_err(|_| Refusal::Ticket)?;
    if !ticket.is_ticket() {
        return Err(Refusal::Ticket);
    }
    let keys: Vec<_> = key.checking.iter().collect();
    let payload = ticket.check(&keys).map_err(|_| Refusal::Ticket)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| Refusal::Ticket)?;
    let over = Timestamp(claims.over);
    if over <= now {
        return Err(Refusal::Expired { what: "the ticket", at: over });
    }
    match uses.take(&claims.jti, over, now).await {
        Ok(true) => {}
        Ok(false) => return Err(Refusal::TicketUsed),
        Err(TicketUsesError::Full) => return Err(Refusal::TicketsUsedMax),
        Err(error @ TicketUsesError::Unavailable { .. }) => {
            tracing::error!("{error}");
            return Err(Refusal::KeysUnavailable);
        }
    }
    let rights = claims.tidings.rights()?;
    let expires = claims.until.map(Timestamp);
    Ok(Rights { subject: claims.sub.map(Arc::from), expires, ..rights })
}

#[cfg(test)]
mod tests {
    use tidings_core::topic::Selector;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const TIME: Duration = Duration::from_secs(30);

    fn rights() -> Rights {
        Rights {
            publish: None,
            subscribe: Some(Selector::parse("users/1/*").unwrap().into()),
            subject: Some("alice".into()),
            expires: Some(Timestamp(NOW.0 + 600_000)),
            payload: Some(Arc::new(serde_json::json!({"n": [1]}))),
        }
    }

    fn later(ms: u64) -> Timestamp {
        Timestamp(NOW.0 + ms)
    }

    #[test]
    fn every_random_key_is_a_key() {
        // What would be a DER sequence of all that follows.
        let mut bytes = [0; KEY_BYTES];
        bytes[..2].copy_from_slice(&[0x30, KEY_BYTES as u8 - 2]);
        TicketKey::of_bytes(&bytes);
    }

    #[tokio::test]
    async fn a_ticket_has_its_tokens_rights_once() {
        let (key, uses) = (TicketKey::random().unwrap(), UsedHere::default());
        let ticket = issue(&rights(), &key, TIME, NOW).unwrap();
        assert_eq!(ticket.expires, later(30_000));
        assert_eq!(redeem(&ticket.text, &key, &uses, later(29_999)).await, Ok(rights()));
        let again = redeem(&ticket.text, &key, &uses, later(29_999)).await;
        assert_eq!(again, Err(Refusal::TicketUsed));
        let other = issue(&rights(), &key, TIME, NOW).unwrap();
        assert_ne!(other.text, ticket.text);
        let late = redeem(&other.text, &key, &uses, later(30_000)).await.unwrap_err();
        assert_eq!(late.to_string(), "the ticket expired at 2023-11-14T22:13:50Z");
        uses.sweep(later(30_001));
        assert!(uses.used.lock().is_empty());
    }

    #[tokio::test]
    async fn another_node_with_the_same_key_takes_it_and_nobody_else() {
        let secret = b"a-secret-of-more-than-32-bytes-for-several-nodes\n";
        let [here, there] = [(); 2].map(|()| TicketKey::parse(secret).unwrap());
        let uses = UsedHere::default();
        let ticket = issue(&rights(), &here, TIME, NOW).unwrap();
        assert!(redeem(&ticket.text, &there, &uses, NOW).await.is_ok());
        let ticket = issue(&rights(), &TicketKey::random().unwrap(), TIME, NOW).unwrap();
        assert_eq!(redeem(&ticket.text, &there, &uses, NOW).await, Err(Refusal::Ticket));
        // A token that somebody signed with the same secret is no ticket.
        let claims = serde_json::json!({"jti": "1", "over": u64::MAX, "tidings": {}});
        let token = encode(&Header::new(Algorithm::HS256), &claims, &here.signing).unwrap();
        assert_eq!(redeem(&token, &there, &uses, NOW).await, Err(Refusal::Ticket));
        for text in ["", ".", "..", "a.b.c", "\u{fc}.x.y"] {
            assert_eq!(redeem(text, &there, &uses, NOW).await, Err(Refusal::Ticket), "{text}");
        }
    }

    #[test]
    fn a_ticket_never_outlives_its_token() {
        let short = Rights { expires: Some(later(5)), ..rights() };
        let ticket = issue(&short, &TicketKey::random().unwrap(), TIME, NOW).unwrap();
        assert_eq!(ticket.expires, later(5));
    }

    #[test]
    fn what_fits_no_address_gets_no_ticket() {
        let payload = serde_json::Value::String("x".repeat(TICKET_BYTES_MAX));
        let large = Rights { payload: Some(Arc::new(payload)), ..rights() };
        let key = TicketKey::random().unwrap();
        assert_eq!(issue(&large, &key, TIME, NOW), Err(Refusal::TicketTooLarge));
    }

    #[test]
    fn used_tickets_are_remembered_up_to_a_bound() {
        let uses = UsedHere::default();
        for number in 0..TICKETS_USED_MAX {
            assert_eq!(uses.record(&number.to_string(), later(10), NOW), Ok(true));
        }
        assert_eq!(uses.record("7", later(10), NOW), Ok(false));
        assert_eq!(uses.record("more", later(10), NOW), Err(TicketUsesError::Full));
        assert_eq!(uses.record("more", later(20), later(10)), Ok(true), "the others are over");
    }

    #[test]
    fn only_a_secret_signs_tickets() {
        for text in ["short", "-----BEGIN PUBLIC KEY-----", "{\"keys\":[]}"] {
            assert!(TicketKey::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
