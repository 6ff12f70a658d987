//! What only a log on disk has to keep: across restarts, crashes, faults and full disks.
//! Knows nothing of what every log promises, which is in the conformance suite.

mod faults;
mod model;
mod recovery;
mod retention;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidings_core::event::{Data, Event, EventId, IdempotencyKey, Topic};
use tidings_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tidings_core::topic::{Selector, Selectors};

use super::*;
use crate::Record;
use crate::conformance::{self, Settings};

/// 2026-01-01.
const NOW: Timestamp = Timestamp(1_767_225_600_000);

/// Segments of 64 KiB.
const SMALL: u64 = 512 * 1024;

fn options(directory: impl AsRef<Path>) -> DiskOptions {
    DiskOptions { bytes_max: SMALL, ..DiskOptions::new(directory.as_ref()) }
}

fn open(directory: impl AsRef<Path>) -> Disk {
    Disk::open(options(directory)).unwrap()
}

fn event(topic: &str, data: &str) -> Append {
    let event = Event::new(Topic::parse(topic).unwrap(), Data::from(data.to_owned()));
    Append { event, key: None, time: NOW }
}

fn with_id(id: &str, mut append: Append) -> Append {
    append.event.id = Some(EventId::parse(id).unwrap());
    append
}

fn keyed(key: &str, append: Append) -> Append {
    Append { key: Some(IdempotencyKey::parse(key).unwrap()), ..append }
}

fn selectors(text: &str) -> Selectors {
    Selector::parse(text).unwrap().into()
}

async fn put(disk: &Disk, append: Append) -> Position {
    disk.append(vec![append]).await.unwrap()[0].position
}

/// `count` events of a kilobyte, each with an id and two topics, which say its number.
async fn fill(disk: &Disk, numbers: std::ops::Range<usize>) {
    for number in numbers {
        put(disk, filler(number)).await;
    }
}

fn filler(number: usize) -> Append {
    let mut append = event("x", &format!("{number} {}", "x".repeat(1000)));
    let topics = vec![
        Topic::parse(&format!("number/{number}")).unwrap(),
        Topic::parse(&format!("odd/{}", number % 2)).unwrap(),
    ];
    append.event.topics = tidings_core::event::Topics::parse(topics).unwrap();
    with_id(&format!("id {number}"), append)
}

async fn try_all(disk: &Disk, texts: &str) -> Result<Vec<Arc<Record>>, ReadError> {
    let selectors = selectors(texts);
    let mut from = disk.bounds().oldest;
    let mut records = Vec::new();
    while from < disk.bounds().next {
        let (events_max, bytes_max) = (PAGE_EVENTS_MAX, PAGE_BYTES_MAX);
        let page = disk.read(Read { from, selectors: &selectors, events_max, bytes_max }).await?;
        assert!(page.next > from);
        records.extend(page.records);
        from = page.next;
    }
    Ok(records)
}

async fn all(disk: &Disk, text: &str) -> Vec<Arc<Record>> {
    try_all(disk, text).await.unwrap()
}

async fn data(disk: &Disk) -> Vec<String> {
    all(disk, "*").await.iter().map(|record| record.event.data.as_str().to_owned()).collect()
}

async fn find_id(disk: &Disk, id: &str) -> Option<u64> {
    let id = EventId::parse(id).unwrap();
    disk.find(Mark::Id(&id)).await.unwrap().map(|position| position.0)
}

/// What a process that dies now would leave behind: what it has written is in the system's
/// memory, and so in a copy.
fn crash(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap();
        // The keeper may be renaming it.
        if fs::copy(&file, copy.path().join(name)).is_err() {
            assert!(name.to_str().unwrap().ends_with("tmp") || name == "spare");
        }
    }
    copy
}

/// The segments in a directory, in order.
fn segment_files(directory: &Path) -> Vec<PathBuf> {
    files_with("log", directory)
}

fn files_with(extension: &str, directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

async fn conform(sync: SyncPolicy) {
    let root = tempfile::tempdir().unwrap();
    let logs = std::cell::Cell::new(0);
    conformance::run(async |Settings { bytes_max, age_max }| {
        logs.set(logs.get() + 1);
        let directory = root.path().join(logs.get().to_string());
        Disk::open(DiskOptions { directory, sync, bytes_max, age_max }).unwrap()
    })
    .await;
}

#[tokio::test]
async fn disk_keeps_the_promises() {
    conform(SyncPolicy::Always).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_keeps_the_promises_on_several_threads() {
    conform(SyncPolicy::Interval(Duration::from_millis(1))).await;
}

#[tokio::test]
async fn disk_keeps_the_promises_without_syncing() {
    conform(SyncPolicy::Never).await;
}
