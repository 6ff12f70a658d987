//! What the fuzz target of recovery does: opens a directory with arbitrary bytes in it.
//! Knows nothing of the fuzzer.

use std::fs;
use std::path::Path;

use tidings_core::cursor::{Incarnation, Position, Timestamp};
use tidings_core::event::{EventId, Topic};
use tidings_core::limits::{LOG_AGE_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::topic::{Selector, Selectors};

use super::directory::{Directory, Opened};
use super::files::Files;
use super::format::{mend_record, segment_header};
use super::options::{OpenError, SyncPolicy};
use super::reader::Reader;
use super::recover::recover;
use super::shared::Shared;

/// Makes a log of these bytes in an empty directory, opens it as after a crash, and reads all of
/// it in every way. Whatever the bytes are, that ends in records or in an error: it does not
/// panic, and what was recovered once is recovered again. Leaves the directory empty.
///
/// The first byte chooses what the rest is: a whole segment, what follows a segment's header,
/// records whose sums are made right, or an index beside a segment.
pub fn recover_any(directory: &Path, bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let incarnation: Incarnation = "fuzzfuzz".parse().expect("eight letters");
    let header = segment_header(incarnation, Position::FIRST);
    let mut index = None;
    let segment = match kind % 4 {
        0 => rest.to_vec(),
        1 => [&header, rest].concat(),
        2 => [&header, &*mended(rest)].concat(),
        _ => {
            index = Some(rest);
            [&header, &*mended(rest)].concat()
        }
    };
    let write = |name: &str, contents: &[u8]| {
        fs::write(directory.join(name), contents).expect("the directory can be written");
    };
    write("format", format!("Tidings log\nformat: 1\nincarnation: {incarnation}\n").as_bytes());
    write("00000000000000000001.log", &segment);
    if let Some(index) = index {
        write("00000000000000000001.index", index);
    }
    if let Ok(first) = open_and_read(directory) {
        let second = open_and_read(directory).expect("what was repaired can be opened");
        assert_eq!(first, second, "recovery changes nothing the second time");
    }
    for entry in fs::read_dir(directory).expect("the directory can be read").flatten() {
        fs::remove_file(entry.path()).expect("it holds only files, and ours");
    }
}

/// Cuts the bytes into records, each as long as its first byte says, and mends their sums: the
/// fuzzer would not find them in a lifetime.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first() {
        let (record, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        let mut record = record.to_vec();
        mend_record(&mut record);
        records.extend_from_slice(&record);
        rest = tail;
    }
    records
}

/// What there is to see: the tail, and how many records each way of reading gives.
fn open_and_read(directory: &Path) -> Result<(Position, Vec<usize>), OpenError> {
    let Opened { directory, segments, lock } = Directory::open(directory, Files::default())?;
    let recovered = recover(&directory, &segments)?;
    let (sync, bytes_max) = (SyncPolicy::Never, 0);
    let shared = Shared::new(directory, sync, bytes_max, LOG_AGE_MAX, recovered.segments);
    let reader = Reader::new(&shared);
    let next = shared.snapshot().next;
    let topic: Selectors = Selector::Exact(Topic::parse("a").expect("a topic")).into();
    let pattern: Selectors = Selector::parse("{x}/*").expect("a selector").into();
    let mut counts = Vec::new();
    for selectors in [None, Some(&topic), Some(&pattern)] {
        let mut from = Position::FIRST;
        while from < next {
            let page = reader.page(from, selectors, PAGE_EVENTS_MAX, PAGE_BYTES_MAX);
            let Ok(page) = page else { break };
            assert!(page.next > from, "a page gets on");
            counts.push(page.records.len());
            from = page.next;
        }
        if let Some(selectors) = selectors {
            let _ = reader.nth_last(2, selectors);
        }
    }
    let _ = reader.find_id(&EventId::parse("a").expect("an id"));
    let _ = reader.since(Timestamp(1));
    drop(lock);
    Ok((next, counts))
}
