//! Reads request bodies, never more than was agreed and never for ever.
//! Knows nothing of what they contain.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tidings_core::limits::{BODY_IDLE_TIME_MAX, DISCARD_BYTES_MAX, DISCARD_TIME_MAX};
use tokio::time;

use crate::engine::Hub;
use crate::gate::{Share, Spent};

/// What a request holds of the bytes for all publishers.
pub(crate) struct Room<'a> {
    hub: &'a Hub,
    share: Share,
}

impl<'a> Room<'a> {
    pub(crate) fn new(hub: &'a Hub) -> Self {
        Self { hub, share: hub.in_flight() }
    }

    /// Waits until there is room for so many more.
    pub(crate) async fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        let metrics = self.hub.metrics();
        let waits = || metrics.limit_hit("publish_bytes_in_flight_max");
        let taken = self.share.take(bytes, waits).await;
        taken.map_err(|Spent { bytes_max }| BodyError::NoRoom { bytes_max })
    }
}

/// Why a body could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It ended before its end, or is not HTTP.
    #[error("the body of the request broke off: {reason}")]
    Broken {
        /// What hyper says.
        reason: String,
    },
    /// Other publishers' bytes had no end.
    #[error(
        "the hub holds as many bytes of publishers as it may (publish_bytes_in_flight_max, \
         {bytes_max}): try again later"
    )]
    NoRoom {
        /// How many that is.
        bytes_max: usize,
    },
    /// Nothing came for [`BODY_IDLE_TIME_MAX`].
    #[error(
        "nothing of the body came for {} s: send it without such breaks (in NDJSON, an empty \
         line now and then keeps it open)",
        BODY_IDLE_TIME_MAX.as_secs()
    )]
    Stalled,
    /// It is longer than the limit of this name.
    #[error("the body can have at most {max} bytes ({name}): send less at once")]
    TooLarge {
        /// The limit's name.
        name: &'static str,
        /// Its bound.
        max: usize,
    },
}

/// Room that is made at once, on the word of `Content-Length`; more only as it really comes.
const CAPACITY_BYTES_MAX: usize = 64 * 1024;

/// The next piece of a body; `None` at its end. Cancel safe.
pub(crate) async fn next(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
    loop {
        return match time::timeout(BODY_IDLE_TIME_MAX, body.frame()).await {
            Err(_elapsed) => Some(Err(BodyError::Stalled)),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(Err(BodyError::Broken { reason: error.to_string() })),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => Some(Ok(bytes)),
                Err(_trailers) => continue,
            },
        };
    }
}

/// All of a body of at most `max` bytes, where `name` is the name of that limit. Together with
/// other bodies it is held back by `room`, which is to be kept as long as the bytes.
///
/// The bytes are copied together: pieces of hyper's buffers, kept in a log, would keep the whole
/// buffers. Dropping the future drops the body.
pub(crate) async fn collect(
    mut body: Body,
    name: &'static str,
    max: usize,
    room: &mut Room<'_>,
) -> Result<Vec<u8>, BodyError> {
    let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if told > max {
        discard(body);
        return Err(BodyError::TooLarge { name, max });
    }
    let mut all = Vec::with_capacity(told.min(CAPACITY_BYTES_MAX));
    while let Some(piece) = next(&mut body).await {
        let piece = piece?;
        if piece.len() > max - all.len() {
            discard(body);
            return Err(BodyError::TooLarge { name, max });
        }
        if let Err(error) = room.take(piece.len()).await {
            discard(body);
            return Err(error);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Reads on in the background and forgets: a connection that is closed with bytes unread takes
/// the answer with it (TCP resets it).
pub(crate) fn discard(mut body: Body) {
    let rest = async move {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    tokio::spawn(time::timeout(DISCARD_TIME_MAX, rest));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use tidings_log::Memory;

    use super::*;
    use crate::config::Config;

    fn hub() -> Hub {
        Hub::start(Arc::new(Memory::default()), Config::default()).unwrap()
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let too_large = Err(BodyError::TooLarge { name: "data_bytes_max", max: 4 });
        for (body, expected) in [
            (pieces(&[]), Ok(b"".to_vec())),
            (pieces(&["ab", "cd"]), Ok(b"abcd".to_vec())),
            (pieces(&["ab", "cd", "e"]), too_large.clone()),
            (Body::from("abcd"), Ok(b"abcd".to_vec())),
            (Body::from("abcde"), too_large),
        ] {
            assert_eq!(collect(body, "data_bytes_max", 4, &mut Room::new(&hub())).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let before = time::Instant::now();
        assert_eq!(
            collect(body, "data_bytes_max", 4, &mut Room::new(&hub())).await,
            Err(BodyError::Stalled)
        );
        assert_eq!(before.elapsed(), BODY_IDLE_TIME_MAX);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let broken = Err(std::io::Error::other("gone"));
        let body = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"a")), broken]));
        let error = collect(body, "data_bytes_max", 4, &mut Room::new(&hub())).await.unwrap_err();
        assert!(matches!(error, BodyError::Broken { .. }), "{error}");
    }
}
