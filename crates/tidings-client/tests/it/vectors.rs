//! The vectors of `testdata/sse`: whole, byte by byte and in random pieces through the decoder, and
//! through a socket and all of the client.

use std::fs;
use std::path::Path;

use proptest::prelude::prop;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tidings_client::{Decoder, Event};

use crate::scripted::{Answer, Scripted, ending, event};

/// More than the longest vector.
const BYTES_MAX: usize = 1 << 20;

#[test]
fn every_vector_whole_byte_by_byte_and_in_random_pieces() {
    let pieces = prop::collection::vec(1usize..20, 1..10);
    for vector in vectors() {
        let stream = bytes(&vector["stream"]);
        check(&vector, &stream, &[stream.len().max(1)]);
        check(&vector, &stream, &[1]);
        // The long ones test the bound of time, once more in pieces is enough.
        let cases = if stream.len() > 1 << 14 { 1 } else { 16 };
        let mut runner = TestRunner::new(Config { cases, ..Config::default() });
        let random = runner.run(&pieces, |sizes| {
            check(&vector, &stream, &sizes);
            Ok(())
        });
        random.unwrap();
    }
}

#[tokio::test]
async fn every_vector_through_a_socket() {
    for vector in vectors() {
        let Answer::Ending(mut answer) = ending("") else { unreachable!() };
        answer.extend_from_slice(&bytes(&vector["stream"]));
        let then = ending("event: tidings-test-end\ndata\n\n");
        let server = Scripted::start([Answer::Ending(answer), then]).await;
        let after = vector["after"].as_str().unwrap_or_default();
        // A vector may ask for a long wait.
        let mut source = server.soon().last_event_id(after).build().unwrap();
        let mut got = Vec::new();
        let expected = expected(&vector);
        while got.len() < expected.len() {
            let Event { event_type, data, id, .. } = event(&mut source).await;
            got.push((event_type, id.to_string(), data));
        }
        assert_eq!(got, expected, "{} {}", vector["row"], vector["name"]);
        if vector["retry"].is_null() {
            assert_eq!(event(&mut source).await.event_type, "tidings-test-end");
        }
    }
}

fn check(vector: &Value, stream: &[u8], sizes: &[usize]) {
    let name = format!("{} {} in pieces of {sizes:?}", vector["row"], vector["name"]);
    let mut decoder = Decoder::resuming(BYTES_MAX, vector["after"].as_str().unwrap_or_default());
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (piece, more) = rest.split_at(rest.len().min(*size));
        decoder.push(piece).unwrap();
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    let got: Vec<_> = decoder
        .by_ref()
        .map(|message| (message.event_type, message.id.to_string(), message.data))
        .collect();
    assert_eq!(got, expected(vector), "{name}");
    assert_eq!(decoder.last_event_id(), text(&vector["lastEventId"]), "{name}");
    assert_eq!(decoder.retry_ms(), vector["retry"].as_u64(), "{name}");
}

/// Type, id and data of each event.
fn expected(vector: &Value) -> Vec<(String, String, String)> {
    let event = |event: &Value| {
        let data = String::from_utf8(bytes(&event["data"])).unwrap();
        (text(&event["type"]), text(&event["id"]), data)
    };
    vector["events"].as_array().unwrap().iter().map(event).collect()
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
