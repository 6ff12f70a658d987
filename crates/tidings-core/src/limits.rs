//! Every limit of the hub: name, unit, default and reason, in one place.
//! Knows nothing of who enforces it.
//!
//! A name ends in its unit, or in `_MAX` where the unit is "how many". Limits that a setting can
//! change stand here as their defaults.

use std::time::Duration;

// ---- One event -------------------------------------------------------------------------------

/// A topic in bytes. Long enough for a URL used as a name; short enough that an index entry
/// stays small.
pub const TOPIC_BYTES_MAX: usize = 1024;

/// Topics of one event. An event is stored once however many it has; each costs one look-up per
/// shard.
pub const TOPICS_PER_EVENT_MAX: usize = 100;

/// An event type in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;

/// An id in bytes. Our own take at most 29; the rest is room for the publishers' (a URN, an IRI).
pub const ID_BYTES_MAX: usize = 255;

/// The longest `retry` that may be sent, in milliseconds: a day. More is a mistake of units, and
/// would silence a browser for good.
pub const RETRY_MS_MAX: u32 = 24 * 60 * 60 * 1000;

/// `data` of one event in bytes (default; a setting). Also the hard bound of a request body that
/// holds one event.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;

/// An `Idempotency-Key` in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

// ---- One request -----------------------------------------------------------------------------

/// The body of a publish of many as a JSON array, in bytes (default; a setting).
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Events of an NDJSON stream that are appended at once.
pub const NDJSON_BATCH_EVENTS_MAX: usize = 512;

/// Bytes of an NDJSON stream after which a batch is appended.
pub const NDJSON_BATCH_BYTES_MAX: usize = 256 * 1024;

/// Bytes that one byte of data takes in JSON at worst: `\u0000`.
pub const ESCAPED_BYTES_MAX: usize = 6;

/// Bytes of an NDJSON line beside its data: topics, type, id and what JSON puts around them.
pub const LINE_OVERHEAD_BYTES_MAX: usize = 64 * 1024;

/// What is read and dropped of a body that was refused, so that its sender gets the answer
/// instead of a broken connection.
pub const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a refused body is read and dropped.
pub const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// A connection's label in bytes: a name, not a story.
pub const LABEL_BYTES_MAX: usize = 128;

/// Events in one JSON array. NDJSON has no such bound: it is stored as it streams in.
pub const BATCH_EVENTS_MAX: usize = 10_000;

/// Request head in bytes. hyper refuses less than 8 KiB.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Request headers.
pub const HEADERS_MAX: usize = 100;

/// How long a client may take to send its request head.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a client may take to send the next piece of a body.
pub const BODY_IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// A selector in bytes: a topic and room for the names of its variables.
pub const SELECTOR_BYTES_MAX: usize = 2 * TOPIC_BYTES_MAX;

/// Partitions of a hub's log: as many as one id can tell a place in each of.
pub const PARTITIONS_MAX: usize = 16;

/// Path segments of one pattern: it bounds the depth of the index.
pub const PATTERN_SEGMENTS_MAX: usize = 64;

/// Selectors of one subscription (default; a setting).
pub const SELECTORS_PER_SUBSCRIPTION_MAX: usize = 100;

/// Bytes of one page of history; at least one event, whatever its size.
pub const HISTORY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Events of one page of history, and of `last=`.
pub const HISTORY_EVENTS_MAX: usize = 1_000;

/// Events of a page of history when the request does not say.
pub const HISTORY_EVENTS: usize = 100;

// ---- Who may what ----------------------------------------------------------------------------

/// A token in bytes: half of a request head, so that a ticket made of it fits one too.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A ticket in bytes: what its token said, and what makes it a ticket.
pub const TICKET_BYTES_MAX: usize = 10 * 1024;

/// Selectors of one right, to publish or to subscribe, in a token or for an API key. Each private
/// event is held against those of every subscriber that may get it.
pub const TOKEN_SELECTORS_MAX: usize = 100;

/// Keys that sign tokens, in one file or behind one JWKS address.
pub const JWT_KEYS_MAX: usize = 100;

/// Keys that a token without a `kid` is tried with: a signature costs up to 0.1 ms to check, and
/// strangers send tokens.
pub const JWT_KEYS_TRIED_MAX: usize = 16;

/// A file of keys in bytes, a JWKS document included.
pub const KEY_FILE_BYTES_MAX: usize = 1024 * 1024;

/// API keys in a file.
pub const API_KEYS_MAX: usize = 10_000;

/// How often files with keys are looked at for changes.
pub const KEY_FILE_PAUSE: Duration = Duration::from_secs(3);

/// How long an answer with a JWKS document may take.
pub const JWKS_TIME_MAX: Duration = Duration::from_secs(5);

/// The pause between two requests to one JWKS address, however many tokens name a key that is not
/// in it: anybody can send those.
pub const JWKS_PAUSE: Duration = Duration::from_secs(30);

/// The age at which a JWKS document is asked for again, so that keys that were taken out stop
/// counting.
pub const JWKS_AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// How far the clocks of those who make tokens may be off (default; a setting).
pub const JWT_SKEW: Duration = Duration::from_secs(30);

/// How long a ticket is valid (default; a setting): as long as a browser takes to open a stream.
pub const TICKET_TIME: Duration = Duration::from_secs(30);

/// Used tickets that are remembered until they are over. 100,000 in 30 s is more than a crowd of
/// clients comes back with; beyond it the next ones are refused for a moment.
pub const TICKETS_USED_MAX: usize = 100_000;

/// Origins that can be allowed.
pub const ORIGINS_MAX: usize = 1_000;

// ---- Connections -----------------------------------------------------------------------------

/// Open connections in all (default; a setting). The limit of open files usually bites first.
pub const CONNECTIONS_MAX: usize = 100_000;

/// Open connections of one address (default; a setting). A large office behind one address fits.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 2_000;

/// New connections a second from one address (default; a setting). With [`RATE_BURST_S`], as many
/// as it may have can come back at once.
pub const CONNECTS_PER_ADDRESS: u32 = 200;

/// Bytes of publishers' requests that are held at once, from when they come until they are kept
/// (default; a setting). Beyond it publishers wait, and their connections fill.
pub const PUBLISH_BYTES_IN_FLIGHT_MAX: usize = 64 * 1024 * 1024;

/// How long a publisher may have to wait for room among them, before it is told to come again.
pub const PUBLISH_WAIT_TIME_MAX: Duration = Duration::from_secs(10);

/// Events a second that somebody without a token or key may publish from one address (default; a
/// setting).
pub const PUBLISHES_PER_ADDRESS: u32 = 200;

/// Events a second that may be published with one token's subject or one API key (default; a
/// setting). Zero: no limit, for these are mostly one's own servers.
pub const PUBLISHES_PER_KEY: u32 = 0;

/// Seconds for which a rate that was not used is saved up.
pub const RATE_BURST_S: u32 = 10;

/// Addresses and subjects whose rates are remembered. A flood of more makes all of them begin
/// anew, so that it can't fill the memory.
pub const RATE_CLIENTS_MAX: usize = 100_000;

/// Open event streams of one token's subject (default; a setting).
pub const STREAMS_PER_TOKEN_MAX: usize = 1_000;

/// Clients beyond the limit of connections who are told so at the same time. Those beyond it are
/// just closed, so that a flood costs little.
pub const REFUSALS_MAX: usize = 64;

/// How long a client that has its answer may go on sending before its connection is closed.
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// How much a client that has its answer may go on sending.
pub const LINGER_BYTES_MAX: usize = 256 * 1024;

/// How long a connection that is kept alive may wait between two requests. Longer than the 60 s
/// after which most proxies let go of theirs, so that none sends a request into a closing one.
pub const KEPT_ALIVE_TIME_MAX: Duration = Duration::from_secs(75);

/// Silence on a TCP connection after which the other end is asked whether it is still there, how
/// often, and how many questions may stay without an answer: a minute in all.
pub const KEEPALIVE_IDLE_TIME: Duration = Duration::from_secs(30);

/// See [`KEEPALIVE_IDLE_TIME`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// See [`KEEPALIVE_IDLE_TIME`].
pub const KEEPALIVE_PROBES: u32 = 3;

/// How long what was sent may stay without acknowledgement (`TCP_USER_TIMEOUT`). With a heartbeat
/// every 15 s, a subscriber that has vanished is found within a minute. Does not hold while a
/// subscriber's socket is full: one that reads nothing, but acknowledges, is not dead.
pub const ACKNOWLEDGE_TIME_MAX: Duration = Duration::from_secs(45);

/// What the kernel holds for one subscriber on a Unix socket, in bytes: what it would hold by
/// itself is thirteen times as much.
pub const UNIX_SEND_BYTES_MAX: usize = 16 * 1024;

/// How long a TLS handshake may take, from the client's first byte on.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// TLS handshakes under way, each some 20 KB; those beyond it wait, for as long as a handshake may
/// take. Enough for 20,000 a second of clients that are 200 ms away.
pub const TLS_HANDSHAKES_MAX: usize = 4096;

/// Bytes that TLS may hold for a connection whose socket is full: one record.
pub const TLS_SEND_BYTES_MAX: usize = 16 * 1024;

/// A PROXY protocol header in bytes. Version 1 has at most 107, version 2 whatever a proxy adds.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;

/// Addresses in `Forwarded` and `X-Forwarded-For` that are looked at, from the right.
pub const FORWARDED_HOPS_MAX: usize = 32;

/// Streams at once on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 256;

/// Bytes that an HTTP/2 stream has taken and its connection has not: the largest frame. A stalled
/// reader would else hold 400 KB for each of its streams.
pub const HTTP2_SEND_BYTES_MAX: usize = 16 * 1024;

/// Bytes of request bodies that may come on one HTTP/2 stream before they are read.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The same for all streams of a connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// HTTP/2 streams that a client has opened and reset, and that were not looked at yet (rapid
/// reset, CVE-2023-44487): beyond it the connection ends.
pub const HTTP2_RESETS_WAITING_MAX: usize = 20;

/// HTTP/2 streams of one connection that the hub had to reset for its client's mistakes: beyond it
/// the connection ends.
pub const HTTP2_ERRORS_MAX: usize = 256;

/// What a stalled subscriber may leave unsent in the kernel, in bytes (`TCP_NOTSENT_LOWAT`).
/// Without it one stalled reader pins up to 4.2 MB of kernel memory; with it 17 to 39 KB.
pub const SOCKET_UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// What a client may send on a connection that has become an event stream before it is cut off:
/// such bytes can never be answered.
pub const STREAM_INPUT_BYTES_MAX: usize = 64 * 1024;

/// Bytes handed to an HTTP/2 stream (or a foreign server's body) but not yet taken by it.
pub const BODY_QUEUE_BYTES_MAX: usize = 32 * 1024;

/// How long somebody who has connected just before a shutdown may take to ask for something.
pub const LAST_ARRIVAL_TIME_MAX: Duration = Duration::from_millis(100);

/// Silence after which a heartbeat is written (default; a setting).
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// The `retry` sent to clients at the start of a stream (default; a setting), before jitter.
pub const RETRY: Duration = Duration::from_secs(2);

/// How long a connection lasts at most, and a stream on it (default; a setting). Each gets its own
/// between four fifths and all of it, so that a crowd that came together does not come back so.
/// Clients reconnect and lose nothing; what they were connected through (an old address, a proxy
/// that is to go, a node with more than its share) is not kept for ever.
pub const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before a stream ends with its token a client is told (default; a setting): time to
/// fetch a new token, some attempts included.
pub const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// How long a stream that has to end may take for the rest of the frame that was cut. Then it is
/// cut off: its client has no right to more, or is not there.
pub const CLOSING_TIME_MAX: Duration = Duration::from_secs(10);

/// Over how long a shutdown ends the streams (default; a setting): a crowd that is told to go all
/// at once comes back all at once, somewhere else.
pub const DRAIN: Duration = Duration::from_secs(30);

/// The longest time between the ends of two streams in a drain: a hub with three subscribers need
/// not take all of its time.
pub const DRAIN_GAP_MAX: Duration = Duration::from_secs(1);

/// How long a shutdown waits, once all streams were to end, for what is still being written
/// (default; a setting).
pub const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(10);

/// How long an event waits for others that may leave in the same write, unless set.
pub const COALESCE: Duration = Duration::ZERO;

/// The longest such wait that can be set: what waits longer is no live stream any more.
pub const COALESCE_MAX: Duration = Duration::from_secs(10);

// ---- The engine ------------------------------------------------------------------------------

/// Slots in which a shard's topics are counted for those who decide whether to wake it, a byte
/// each: with 10,000 topics every seventh wake-up is in vain.
pub const SKETCH_SLOTS: usize = 1 << 16;

/// Events that may wait for a shard that has no use for them, before it is woken to pass over
/// them: it must not fall out of the tail, and they should take it no time that anybody notices.
pub const PASSED_OVER_EVENTS_MAX: usize = 1024;

/// Events that one pass over a shard's sockets takes at once: the bits of the mask that says
/// which of them a subscriber gets.
pub const PASS_EVENTS_MAX: usize = 64;

/// Sockets that a shard looks after at once: enough that a crowd costs few system calls.
pub const PASS_READY_MAX: usize = 1_024;

/// What a shard takes from its inbox before sockets and events have their turn again.
pub const PASS_INPUTS_MAX: usize = 256;

/// Subscribers behind the tail that get a page each before live events have their turn again.
pub const PASS_TURNS_MAX: usize = 64;

/// Frames of one pass are copied into one buffer up to this size, so that they leave in one
/// write; larger ones are written one by one, where a copy would cost more than a system call.
pub const JOIN_BYTES_MAX: usize = 64 * 1024;

/// One page of a replay in bytes; at least one event, whatever its size. A slow connection takes
/// little of it and the rest is read again later, so larger pages would be read in vain.
pub const PAGE_BYTES_MAX: usize = 64 * 1024;

/// Events of one page of a replay.
pub const PAGE_EVENTS_MAX: usize = 1_024;

/// Frames in memory that one search for a page looks at, so that nobody holds the lock for long.
pub const PAGE_SEARCH_EVENTS_MAX: usize = 8 * 1024;

/// Replays that read from the log at the same time, so that a storm of them cannot fill the
/// memory: each holds one page.
pub const LOG_READS_MAX: usize = 64;

/// Frames kept ready in memory behind the tail, in bytes (default; a setting): what most of
/// those who come back missed.
pub const TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Frames kept ready in memory behind the tail.
pub const TAIL_EVENTS_MAX: usize = 128 * 1024;

/// Bytes of one step back through the log, as a hub that starts fills its tail: few steps, and
/// little is read in vain where the last one does not fit.
pub const FILL_BYTES: usize = 1024 * 1024;

// ---- The log ---------------------------------------------------------------------------------

/// What a log keeps, in bytes (default; a setting).
pub const LOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What a log in memory keeps, in bytes (default; a setting).
pub const MEMORY_LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long a log keeps an event (default; a setting).
pub const LOG_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long an `Idempotency-Key` is remembered.
pub const IDEMPOTENCY_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// Idempotency keys remembered at once; beyond it the oldest goes first.
pub const IDEMPOTENCY_KEYS_MAX: usize = 100_000;

/// Appends waiting for the log, in requests. A publisher beyond it waits, and with it its
/// connection: memory stays bounded by the connections.
pub const APPENDS_WAITING_MAX: usize = 1_024;

/// How long a publish waits for a log that is another server's and does not answer.
pub const APPEND_TIME_MAX: Duration = Duration::from_secs(5);

// ---- Many nodes ------------------------------------------------------------------------------

/// How long what a node holds counts on the others after it has last said that it lives.
pub const SHARES_LEASE: Duration = Duration::from_secs(15);

/// How long what a node holds of one name is remembered where it is not said again.
pub const SHARES_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// Names of which a node says in one step how many it holds: whoever counts them does nothing else
/// meanwhile, such as to append.
pub const SHARES_PER_CALL_MAX: usize = 64;
