//! Looks back in a log on a server: what this node knows by itself is answered here, and the server
//! is asked for the rest. Knows nothing of any server.

use async_trait::async_trait;
use tidings_core::cursor::{Fingerprint, Position, Timestamp};
use tidings_core::event::EventId;
use tidings_core::topic::Selectors;

use super::shared::Shared;
use crate::{Bounds, Mark, Page, Read, ReadError};

/// What the server is asked.
#[async_trait]
pub(crate) trait Reading: Send + Sync + 'static {
    /// A page from a position on; of all events, where there are no selectors.
    async fn page(
        &self,
        from: Position,
        selectors: Option<&Selectors>,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, ReadError>;

    /// The newest event with this id.
    async fn find_id(&self, id: &EventId) -> Result<Option<Position>, ReadError>;

    /// The first event of this time or later.
    async fn since(&self, time: Timestamp) -> Result<Position, ReadError>;

    /// The n-th last selected event; the oldest where there are fewer.
    async fn nth_last(&self, events: usize, selectors: &Selectors) -> Result<Position, ReadError>;

    /// The fingerprint of the event at a position.
    async fn fingerprint(&self, position: Position) -> Result<Option<Fingerprint>, ReadError>;
}

/// See [`crate::Log::read`].
pub(crate) async fn read<E>(
    shared: &Shared<E>,
    server: &impl Reading,
    read: Read<'_>,
) -> Result<Page, ReadError> {
    let from = read.from.max(Position::FIRST);
    let Bounds { oldest, next, .. } = shared.bounds();
    if from < oldest {
        return Err(ReadError::Trimmed { oldest });
    }
    if from >= next {
        return Ok(Page { records: Vec::new(), next: from });
    }
    server.page(from, Some(read.selectors), read.events_max, read.bytes_max).await
}

/// See [`crate::Log::find`].
pub(crate) async fn find<E>(
    shared: &Shared<E>,
    server: &impl Reading,
    mark: Mark<'_>,
) -> Result<Option<Position>, ReadError> {
    match mark {
        Mark::Id(id) => server.find_id(id).await,
        Mark::Last { events: 0, .. } => Ok(Some(shared.bounds().next)),
        Mark::Last { events, selectors } => server.nth_last(events, selectors).await.map(Some),
        Mark::Time(time) => server.since(time).await.map(Some),
    }
}

/// See [`crate::Log::fingerprint`].
pub(crate) async fn fingerprint<E>(
    shared: &Shared<E>,
    server: &impl Reading,
    position: Position,
) -> Result<Option<Fingerprint>, ReadError> {
    match shared.print(position) {
        None => server.fingerprint(position).await,
        Some(known) => Ok(known),
    }
}
