//! Where a subscription begins in each of several partitions.
//! Knows nothing of connections; `place` is the same for one.

use futures_util::future::try_join_all;
use tidings_core::cursor::{Cursor, Position, Timestamp};
use tidings_core::event::EventId;
use tidings_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::sse::Frame;
use tidings_core::topic::Selectors;
use tidings_core::vector::{self, Trace, Vector};
use tidings_log::{Log, Mark, Read, ReadError, logs_checksum};

use super::lane::{Engine, Lane};
use super::place::{self, Place, Start, Verdict};

/// A partition that a subscription has a part in.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) partition: usize,
    pub(crate) log: &'a dyn Log,
    pub(crate) engine: &'a Engine,
}

/// The place in each part.
pub(crate) struct Places {
    pub(crate) verdict: Verdict,
    /// The event that says what is gone.
    pub(crate) reset: Option<Frame>,
    pub(crate) vector: Vector,
    /// In the order of the parts.
    pub(crate) places: Vec<Place>,
}

/// Finds the places of a start. `lanes` are all of the hub.
///
/// # Errors
/// Where a log can't be read.
pub(crate) async fn find(
    lanes: &[Lane],
    parts: &[Part<'_>],
    start: &Start,
    selectors: &Selectors,
) -> Result<Places, ReadError> {
    let places = match start {
        Start::After(id) => after(lanes, parts, start, selectors, id).await?,
        Start::Last(events) => last(parts, *events, selectors).await?,
        Start::Live | Start::Earliest | Start::Since(_) => {
            try_join_all(parts.iter().map(|part| part.find(start, selectors))).await?
        }
    };
    let vector = vector(lanes.len(), parts, &places);
    let resets: Vec<&Place> =
        places.iter().filter(|place| place.verdict == Verdict::Reset).collect();
    let verdict = match start {
        _ if !resets.is_empty() => Verdict::Reset,
        Start::Live => Verdict::Live,
        _ => Verdict::Resumed,
    };
    let reset = match start {
        _ if places.len() == 1 => places[0].reset.clone(),
        Start::After(id) if verdict == Verdict::Reset => {
            let missed = resets.iter().map(|place| place.missed).sum::<Option<u64>>();
            Some(Frame::reset_several(id, &vector, missed))
        }
        _ => None,
    };
    Ok(Places { verdict, reset, vector, places })
}

/// What tells where somebody is who has had all before these places.
pub(crate) fn vector(partitions: usize, parts: &[Part<'_>], places: &[Place]) -> Vector {
    let marks = parts.iter().zip(places).map(|(part, place)| {
        let position = Cursor::before(place.incarnation, place.next).position;
        (part.partition, vector::Mark { position, trace: place.print.map(Trace::from) })
    });
    Vector {
        partitions,
        logs: logs_checksum(places.iter().map(|place| place.incarnation)),
        places: marks.collect(),
    }
}

async fn after(
    lanes: &[Lane],
    parts: &[Part<'_>],
    start: &Start,
    selectors: &Selectors,
    id: &str,
) -> Result<Vec<Place>, ReadError> {
    let vector = match id.parse::<Vector>() {
        Ok(vector) => is_of(lanes, &vector).await?.then_some(vector),
        Err(_) => None,
    };
    let own = id.parse::<Cursor>().ok();
    if own.is_some_and(|own| !parts.iter().any(|part| part.has(own))) {
        // Another node may have seen it become another log.
        for part in parts {
            part.log.bounds_now().await?;
        }
    }
    let chosen = match (&vector, own) {
        (None, None) => find_chosen(parts, id).await?,
        _ => None,
    };
    // An id of a publisher's that is nowhere may have been passed by retention.
    let oldest = vector.is_none() && own.is_none() && chosen.is_none() && !id.starts_with('~');
    let find = async |part: &Part<'_>| {
        let (log, tail) = (part.log, &*part.engine.tail);
        let mark = vector.as_ref().and_then(|vector| vector.place(part.partition));
        let known = own.is_some_and(|own| part.has(own)) || chosen == Some(part.partition);
        match mark {
            Some(mark) => place::after_mark(log, tail, id, mark).await,
            None if known || oldest => part.find(start, selectors).await,
            None => place::unknown(log, tail, id).await,
        }
    };
    try_join_all(parts.iter().map(find)).await
}

/// Whether these places are ones in our logs.
async fn is_of(lanes: &[Lane], vector: &Vector) -> Result<bool, ReadError> {
    if vector.partitions != lanes.len() {
        return Ok(false);
    }
    let logs = || vector.places.iter().map(|(partition, _)| &lanes[*partition].log);
    if logs_checksum(logs().map(|log| log.bounds().incarnation)) == vector.logs {
        return Ok(true);
    }
    // Another node may have seen them become others.
    for log in logs() {
        log.bounds_now().await?;
    }
    Ok(logs_checksum(logs().map(|log| log.bounds().incarnation)) == vector.logs)
}

/// The partition that has an event of this id.
async fn find_chosen(parts: &[Part<'_>], id: &str) -> Result<Option<usize>, ReadError> {
    let Ok(chosen) = EventId::parse(id) else { return Ok(None) };
    for part in parts {
        if part.log.find(Mark::Id(&chosen)).await?.is_some() {
            return Ok(Some(part.partition));
        }
    }
    Ok(None)
}

/// The places from which on there are so many events in all parts together, the newest by time.
async fn last(
    parts: &[Part<'_>],
    events: usize,
    selectors: &Selectors,
) -> Result<Vec<Place>, ReadError> {
    let mut newest: Vec<(Timestamp, usize, Position)> = Vec::new();
    let mut places = Vec::with_capacity(parts.len());
    for (number, part) in parts.iter().enumerate() {
        let end = part.find(&Start::Last(0), selectors).await?;
        let start = part.find(&Start::Last(events), selectors).await?;
        let times = times(part.log, start.next, end.next, selectors).await?;
        newest.extend(times.into_iter().map(|(time, position)| (time, number, position)));
        places.push(end);
    }
    newest.sort_unstable();
    for (_, number, position) in newest.into_iter().rev().take(events) {
        let place = &mut places[number];
        place.next = place.next.min(position);
        place.print = None;
    }
    Ok(places)
}

/// When the selected events from a position to another were published.
async fn times(
    log: &dyn Log,
    mut from: Position,
    to: Position,
    selectors: &Selectors,
) -> Result<Vec<(Timestamp, Position)>, ReadError> {
    let mut times = Vec::new();
    while from < to {
        let (events_max, bytes_max) = (PAGE_EVENTS_MAX, PAGE_BYTES_MAX);
        match log.read(Read { from, selectors, events_max, bytes_max }).await {
            Ok(page) => {
                let records = page.records.iter().filter(|record| record.position < to);
                times.extend(records.map(|record| (record.time, record.position)));
                if page.next == from {
                    break;
                }
                from = page.next;
            }
            Err(ReadError::Trimmed { oldest }) => from = oldest,
            Err(error) => return Err(error),
        }
    }
    Ok(times)
}

impl Part<'_> {
    async fn find(&self, start: &Start, selectors: &Selectors) -> Result<Place, ReadError> {
        place::find(self.log, &self.engine.tail, start, selectors).await
    }

    /// Whether it is its log that a cursor is of.
    fn has(&self, cursor: Cursor) -> bool {
        self.log.bounds().incarnation == cursor.incarnation
    }
}
