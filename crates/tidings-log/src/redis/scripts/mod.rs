//! The scripts that run in the server, and what they answer.
//! Knows nothing of when they are run.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Value;
use tidings_core::cursor::{Fingerprint, Position, Timestamp};

use super::link::Fault;
use super::options::RedisPrefix;
use crate::remote::{Entry, Held};

/// A script and the name that the server knows it by once it has seen it.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: String,
    pub(super) sha1: String,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {$(
        $(#[$doc])*
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!($file)));
    )*};
}

scripts! {
    /// Appends a group of batches.
    APPEND = "append.lua";
    /// Where an id or a time stands.
    FIND = "find.lua";
    /// Says how many a node holds.
    HOLD = "hold.lua";
    /// Says that a node lives.
    LIVE = "live.lua";
    /// What the log holds, and the fingerprints of some positions.
    LOOK = "look.lua";
    /// Makes the log where there is none.
    OPEN = "open.lua";
    /// Entries from a position on.
    READ = "read.lua";
    /// A new incarnation for a log that has lost its end.
    RENEW = "renew.lua";
    /// Lets go of what retention does not cover.
    TRIM = "trim.lua";
}

impl Script {
    fn new(own: &str) -> Self {
        let text = format!("{}{own}", include_str!("common.lua"));
        let sha1 = redis::Script::new(&text).get_hash().to_owned();
        Self { text, sha1 }
    }
}

/// One of so many parts of a hub's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition {
    pub(super) number: usize,
    pub(super) of: usize,
}

impl Partition {
    /// There is no other.
    pub(super) const ONLY: Self = Self { number: 0, of: 1 };
}

/// The names of a log's keys. The braces put all of them into one slot of a cluster; the number
/// is that of the partition, so that each has a slot of its own.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// How many partitions there are beside this one, and it.
    pub(super) partitions: usize,
    pub(super) log: String,
    meta: String,
    ids: String,
    uses: String,
    use_order: String,
    node: String,
    /// What the names of claims are put behind.
    claims: String,
    /// Which nodes live.
    pub(super) nodes: String,
    /// What the names of shares are put behind.
    shares: String,
    /// The node's own name.
    pub(super) name: String,
}

impl Keys {
    /// `node` is a name that no other process has.
    pub(super) fn new(prefix: &RedisPrefix, partition: Partition, node: &str) -> Self {
        let Partition { number, of } = partition;
        let key = |name: &str| format!("{{{prefix}:{number}}}:{name}");
        Self {
            partitions: of,
            log: key("log"),
            meta: key("meta"),
            ids: key("ids"),
            uses: key("keys"),
            use_order: key("keys-in-order"),
            node: key(&format!("node:{node}")),
            claims: key("claim:"),
            nodes: key("nodes"),
            shares: key("held:"),
            name: node.to_owned(),
        }
    }

    /// Of a name that is claimed for a while.
    pub(super) fn claim(&self, name: &str) -> String {
        format!("{}{name}", self.claims)
    }

    /// Of how many each node holds of this name.
    pub(super) fn held(&self, name: &str) -> String {
        format!("{}{name}", self.shares)
    }

    /// In the order in which the scripts of the log expect them.
    pub(super) fn all(&self) -> [&str; 6] {
        [&self.log, &self.meta, &self.ids, &self.uses, &self.use_order, &self.node]
    }
}

/// The answer of a script.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was done. What it answers beside, where it does.
    Done(Held, Option<Value>),
    /// The log is not the one that was meant, or there is none.
    Other,
    /// The log ends before a position that it gave to the caller: it has lost its end.
    Back,
}

impl Answer {
    pub(super) fn parse(value: Value) -> Result<Self, Fault> {
        let parsed = (|| {
            let mut fields = array(value)?.into_iter();
            Some(match &*bytes(fields.next()?)? {
                b"other" => Self::Other,
                b"back" => Self::Back,
                b"ok" => {
                    let incarnation = text(fields.next()?)?.parse().ok()?;
                    let next = Position(number(fields.next()?)?);
                    let oldest = Position(number(fields.next()?)?);
                    let bytes = number(fields.next()?)?;
                    let print = print(fields.next()?)?;
                    let held = Held { incarnation, next, print, oldest, bytes };
                    Self::Done(held, fields.next())
                }
                _ => return None,
            })
        })();
        parsed.ok_or_else(|| Fault::refused("it answers what no script of ours does"))
    }
}

/// The entries of the stream among what the server sent.
pub(super) fn entries(value: Value) -> Result<Vec<Entry>, Fault> {
    let parsed: Option<Vec<Entry>> =
        array(value).and_then(|entries| entries.into_iter().map(entry).collect());
    parsed.ok_or_else(|| Fault::refused(NOT_OURS))
}

/// What is said where the stream holds something else than entries of ours.
pub(super) const NOT_OURS: &str =
    "its stream holds what no Tidings has written: choose another redis-prefix";

fn entry(value: Value) -> Option<Entry> {
    let mut parts = array(value)?.into_iter();
    let id = text(parts.next()?)?;
    let (first, count) = id.split_once('-')?;
    let (first, count) = (Position(first.parse().ok()?), count.parse().ok()?);
    let (mut earliest, mut latest, mut body) = (None, None, None);
    let (mut own, mut before) = (None, None);
    let mut fields = array(parts.next()?)?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &*bytes(name)? {
            b"t" => earliest = Some(Timestamp(number(value)?)),
            b"m" => latest = Some(Timestamp(number(value)?)),
            b"p" => own = print(value)?,
            b"a" => before = print(value)?,
            b"e" => body = Some(bytes(value)?),
            _ => {}
        }
    }
    let (earliest, latest, body) = (earliest?, latest?, body?);
    Some(Entry { first, count, print: own, before, earliest, latest, body })
}

/// The fingerprints that [`LOOK`] tells.
pub(super) fn prints(value: Value) -> Result<Vec<Option<Fingerprint>>, Fault> {
    let parsed = array(value).and_then(|prints| prints.into_iter().map(print).collect());
    parsed.ok_or_else(|| Fault::refused(NOT_OURS))
}

/// A fingerprint, or an empty text where there is none.
fn print(value: Value) -> Option<Option<Fingerprint>> {
    match &*bytes(value)? {
        b"" => Some(None),
        digits => {
            let bits = std::str::from_utf8(digits).ok()?.parse().ok()?;
            Some(Some(Fingerprint::from_bits(bits)))
        }
    }
}

pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        Value::Nil => Some(Vec::new()),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into_bytes().into()),
        Value::Okay => Some(Bytes::from_static(b"OK")),
        _ => None,
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?.into()).ok()
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Int(number) => number.try_into().ok(),
        value => text(value)?.parse().ok(),
    }
}
