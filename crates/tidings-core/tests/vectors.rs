//! The vectors of `testdata/sse`, which the JavaScript client reads too: the rules P1 to P25 of
//! the standard, each whole, byte by byte and in pieces of many sizes.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::fs;
use std::path::Path;

use serde_json::Value;
use tidings_core::sse::{Decoder, Message};

/// More than the longest vector.
const BYTES_MAX: usize = 1 << 20;

#[test]
fn every_vector_is_read_as_the_standard_has_it() {
    let mut rows = Vec::new();
    for vector in vectors() {
        rows.push(text(&vector["row"]));
        let stream = bytes(&vector["stream"]);
        for sizes in [&[stream.len().max(1)][..], &[1], &[2, 1], &[7, 3, 1, 11], &[64, 5]] {
            check(&vector, &stream, sizes);
        }
    }
    for row in 1..=25 {
        assert!(rows.contains(&format!("P{row}")), "no vector has row P{row}");
    }
}

fn check(vector: &Value, stream: &[u8], sizes: &[usize]) {
    let name = format!("{} {} in pieces of {sizes:?}", vector["row"], vector["name"]);
    let after = vector["after"].as_str().unwrap_or_default();
    let mut decoder = Decoder::resuming(BYTES_MAX, after);
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (piece, more) = rest.split_at(rest.len().min(*size));
        decoder.push(piece).unwrap();
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    let events: Vec<Message> = decoder.by_ref().collect();
    let expected: Vec<Message> = vector["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| Message {
            event_type: text(&event["type"]),
            id: text(&event["id"]).into(),
            data: String::from_utf8(bytes(&event["data"])).unwrap(),
        })
        .collect();
    assert_eq!(events, expected, "{name}");
    assert_eq!(decoder.last_event_id(), text(&vector["lastEventId"]), "{name}");
    assert_eq!(decoder.retry_ms(), vector["retry"].as_u64(), "{name}");
}

fn vectors() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sse");
    let mut vectors = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let file: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            vectors.extend(file);
        }
    }
    vectors
}

/// A text, or a list of parts: text, bytes as hex, a text many times.
fn bytes(value: &Value) -> Vec<u8> {
    let Some(parts) = value.as_array() else {
        return text(value).into_bytes();
    };
    let mut bytes = Vec::new();
    for part in parts {
        if let Some(hex) = part["hex"].as_str() {
            let digits = hex.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
            bytes.extend(digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
        } else if let Some(times) = part["times"].as_u64() {
            bytes.extend(text(&part["repeat"]).repeat(times as usize).into_bytes());
        } else {
            bytes.extend(text(part).into_bytes());
        }
    }
    bytes
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
