//! Reads the vectors of this directory, for the tests of several crates.
//! Knows nothing of who decodes them.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A stream, and what comes of it: see README.md.
pub(crate) struct Vector {
    /// Row and name.
    pub(crate) title: String,
    pub(crate) stream: Vec<u8>,
    pub(crate) after: String,
    /// Type, id and data of each event.
    pub(crate) events: Vec<(String, String, String)>,
    pub(crate) last_event_id: String,
    pub(crate) retry_ms: Option<u64>,
}

/// The vectors of all files.
pub(crate) fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sse");
    let mut vectors = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let file: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            vectors.extend(file.iter().map(vector));
        }
    }
    vectors
}

fn vector(value: &Value) -> Vector {
    let event = |event: &Value| {
        let data = String::from_utf8(bytes(&event["data"])).unwrap();
        (text(&event["type"]), text(&event["id"]), data)
    };
    Vector {
        title: format!("{} {}", text(&value["row"]), text(&value["name"])),
        stream: bytes(&value["stream"]),
        after: value["after"].as_str().unwrap_or_default().to_owned(),
        events: value["events"].as_array().unwrap().iter().map(event).collect(),
        last_event_id: text(&value["lastEventId"]),
        retry_ms: value["retry"].as_u64(),
    }
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
