//! The vectors of `testdata/sse`, which the JavaScript client reads too: the rules P1 to P25 of
//! the standard, each whole, byte by byte and in pieces of many sizes.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use proptest::prelude::prop;
use proptest::test_runner::{Config, TestRunner};
use tidings_core::sse::{Decoder, Message};

use crate::vectors::{Vector, vectors};

#[path = "../../../testdata/sse/vectors.rs"]
mod vectors;

/// More than the longest vector.
const BYTES_MAX: usize = 1 << 20;

#[test]
fn every_vector_is_read_as_the_standard_has_it() {
    let pieces = prop::collection::vec(1usize..20, 1..10);
    let vectors = vectors();
    for vector in &vectors {
        let length = vector.stream.len();
        for sizes in [&[length.max(1)][..], &[1], &[2, 1], &[7, 3, 1, 11], &[64, 5]] {
            check(vector, sizes);
        }
        // The long ones test the bound of time, once more in pieces is enough.
        let cases = if length > 1 << 14 { 1 } else { 16 };
        let mut runner = TestRunner::new(Config { cases, ..Config::default() });
        let random = runner.run(&pieces, |sizes| {
            check(vector, &sizes);
            Ok(())
        });
        random.unwrap();
    }
    for row in (1..=25).map(|row| format!("P{row} ")) {
        assert!(vectors.iter().any(|vector| vector.title.starts_with(&row)), "no vector of {row}");
    }
}

fn check(vector: &Vector, sizes: &[usize]) {
    let title = format!("{} in pieces of {sizes:?}", vector.title);
    let mut decoder = Decoder::resuming(BYTES_MAX, vector.after.as_str());
    let mut rest = &vector.stream[..];
    for size in sizes.iter().cycle() {
        let (piece, more) = rest.split_at(rest.len().min(*size));
        decoder.push(piece).unwrap();
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    let events: Vec<_> = decoder
        .by_ref()
        .map(|Message { event_type, id, data }| (event_type, id.to_string(), data))
        .collect();
    assert_eq!(events, vector.events, "{title}");
    assert_eq!(decoder.last_event_id(), vector.last_event_id, "{title}");
    assert_eq!(decoder.retry_ms(), vector.retry_ms, "{title}");
}
