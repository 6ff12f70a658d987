//! Restarts: after an orderly end, after a crash in the midst of a write, after damage.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::FollowError;

/// Opens a file to be damaged.
fn scratch(path: &Path) -> fs::File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Where the last record of a segment ends: the byte after the last that is not zero.
fn end_of(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

#[tokio::test]
async fn everything_is_there_after_an_orderly_end() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("made/on/the/way");
    let disk = open(&directory);
    fill(&disk, 0..200).await;
    let (before, bounds) = (all(&disk, "*").await, disk.bounds());
    disk.close().await;
    drop(disk);
    for _ in 0..3 {
        let disk = open(&directory);
        assert_eq!(disk.bounds(), bounds);
        assert_eq!(disk.recovery(), Recovery::default());
        assert_eq!(all(&disk, "*").await, before);
    }
    let disk = open(&directory);
    assert_eq!(put(&disk, event("a", "on it goes")).await, bounds.next);
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_crash_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    for sync in [SyncPolicy::Always, SyncPolicy::Never] {
        let directory = root.path().join(sync.to_string());
        let disk = Disk::open(DiskOptions { sync, ..options(&directory) }).unwrap();
        for number in 0..40 {
            fill(&disk, number * 5..number * 5 + 5).await;
            let copy = crash(&directory);
            let bounds = disk.bounds();
            let again = open(copy.path());
            assert_eq!(again.bounds(), bounds, "{sync}");
            assert_eq!(all(&again, "*").await, all(&disk, "*").await);
        }
    }
}

#[tokio::test]
async fn a_torn_write_is_cut_wherever_it_was_torn() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    let kept = ["one", "two", "three"];
    for text in kept {
        put(&disk, event("a", text)).await;
    }
    let segment = segment_files(root.path()).remove(0);
    let start = end_of(&segment);
    put(&disk, with_id("last", event("a", "the one that is torn"))).await;
    let copy = crash(root.path());
    let segment = segment_files(copy.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    let end = end_of(&segment);
    assert!(end > start + 40);
    drop(disk);
    let check = async |bytes: &[u8], what: &str| {
        fs::write(&segment, bytes).unwrap();
        let disk = open(copy.path());
        assert_eq!(data(&disk).await, kept, "{what}");
        assert_eq!(find_id(&disk, "last").await, None);
        // And it goes on as if nothing had been there.
        assert_eq!(put(&disk, event("a", "next")).await, Position(4));
        assert_eq!(data(&disk).await, ["one", "two", "three", "next"]);
        drop(disk);
        for extension in ["log", "index"] {
            for file in files_with(extension, copy.path()) {
                fs::remove_file(file).unwrap();
            }
        }
    };
    for at in start..end {
        // The file ends there; or the rest of the write did not get to the disk; or what got to
        // the disk is something else.
        let at = at as usize;
        check(&whole[..at], &format!("cut at {at}")).await;
        let mut bytes = whole.clone();
        bytes[at..end as usize].fill(0);
        if bytes != whole {
            check(&bytes, &format!("zeros from {at}")).await;
        }
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5a;
        check(&bytes, &format!("garbage at {at}")).await;
    }
}

#[tokio::test]
async fn a_torn_batch_is_cut_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    put(&disk, event("a", "before")).await;
    let batch: Vec<Append> =
        (0..5).map(|n| keyed(&format!("k{n}"), event("a", &n.to_string()))).collect();
    disk.append(batch.clone()).await.unwrap();
    let copy = crash(root.path());
    let segment = segment_files(copy.path()).remove(0);
    let end = end_of(&segment);
    scratch(&segment).write_all_at(&[1], end - 1).unwrap();
    let disk = open(copy.path());
    assert_eq!(data(&disk).await, ["before"], "all of a batch or nothing");
    assert!(disk.recovery().bytes_cut > 0);
    // Its keys were cut with it.
    let answers = disk.append(batch).await.unwrap();
    assert!(answers.iter().all(|answer| !answer.repeated));
    assert_eq!(data(&disk).await, ["before", "0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_and_nothing_is_cut() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    for number in 0..10 {
        put(&disk, event("a", &format!("event {number}"))).await;
    }
    let copy = crash(root.path());
    let segment = segment_files(copy.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    let middle = whole.windows(7).position(|bytes| bytes == b"event 4").unwrap();
    let mut damaged = whole.clone();
    damaged[middle] ^= 1;
    fs::write(&segment, &damaged).unwrap();
    let error = Disk::open(options(copy.path())).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { position: 5, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("restore the file from a backup"), "{text}");
    assert_eq!(fs::read(&segment).unwrap(), damaged, "nothing was cut");
    fs::write(&segment, &whole).unwrap();
    assert_eq!(all(&open(copy.path()), "*").await.len(), 10);
}

#[tokio::test]
async fn damage_behind_an_orderly_end_is_an_error_too() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    put(&disk, event("a", "the only one")).await;
    disk.close().await;
    drop(disk);
    let segment = segment_files(root.path()).remove(0);
    let end = end_of(&segment);
    scratch(&segment).write_all_at(&[1], end - 1).unwrap();
    let disk = open(root.path());
    let error = try_all(&disk, "*").await.map(|records| records.len()).unwrap_err();
    assert!(error.to_string().contains("is damaged at byte 64"), "{error}");
    drop(disk);
    scratch(&segment).set_len(end - 1).unwrap();
    let error = Disk::open(options(root.path())).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn damage_in_a_full_segment_is_told_to_whoever_reads_it() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    fill(&disk, 0..150).await;
    disk.close().await;
    drop(disk);
    let segments = segment_files(root.path());
    assert!(segments.len() > 2);
    // Two records, so that each topic has one.
    for at in [1000, 2000] {
        scratch(&segments[1]).write_all_at(b"\0\0\0\0", at).unwrap();
    }
    let disk = open(root.path());
    for text in ["*", "odd/1"] {
        let error = try_all(&disk, text).await.map(|records| records.len()).unwrap_err();
        assert!(error.to_string().contains("is damaged at byte"), "{error}");
    }
    let mut follower = disk.follow(Position(1));
    let error = loop {
        match follower.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FollowError::Failed { .. }), "{error}");
    // It says what to do, and that works.
    drop(disk);
    for segment in &segments[..2] {
        fs::rename(segment, segment.with_extension("away")).unwrap();
    }
    let disk = open(root.path());
    assert!(disk.bounds().oldest > Position(50));
    assert_eq!(all(&disk, "*").await.last().unwrap().position, Position(150));
}

#[tokio::test]
async fn a_missing_segment_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    fill(&disk, 0..200).await;
    drop(disk);
    let segments = segment_files(root.path());
    fs::rename(&segments[1], segments[1].with_extension("away")).unwrap();
    let error = Disk::open(options(root.path())).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    fs::rename(segments[1].with_extension("away"), &segments[1]).unwrap();
    assert_eq!(all(&open(root.path()), "*").await.len(), 200);
}

#[tokio::test]
async fn a_lost_or_damaged_index_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    fill(&disk, 0..300).await;
    disk.close().await;
    drop(disk);
    let check = async |disk: &Disk| {
        assert_eq!(all(disk, "*").await.len(), 300);
        assert_eq!(all(disk, "odd/1").await.len(), 150);
        for number in [0, 1, 150, 298, 299] {
            assert_eq!(find_id(disk, &format!("id {number}")).await, Some(number as u64 + 1));
        }
    };
    for file in files_with("index", root.path()) {
        fs::remove_file(file).unwrap();
    }
    let disk = open(root.path());
    assert_eq!(disk.recovery().indexes_made, segment_files(root.path()).len() - 1);
    check(&disk).await;
    disk.close().await;
    drop(disk);
    assert_eq!(open(root.path()).recovery().indexes_made, 0, "it was written again");
    for file in files_with("index", root.path()) {
        scratch(&file).write_all_at(b"x", 90).unwrap();
    }
    check(&open(root.path())).await;
    for (number, file) in files_with("index", root.path()).iter().enumerate() {
        scratch(file).set_len(70 + number as u64).unwrap();
    }
    check(&open(root.path())).await;
}

#[tokio::test]
async fn ids_topics_times_and_keys_are_found_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    put(&disk, keyed("key", event("early", "e"))).await;
    fill(&disk, 1..250).await;
    put(&disk, keyed("last-key", Append { time: Timestamp(NOW.0 + 5), ..event("late", "l") }))
        .await;
    let crashed = crash(root.path());
    disk.close().await;
    drop(disk);
    for directory in [root.path(), crashed.path()] {
        let disk = open(directory);
        for number in [1, 2, 100, 249] {
            assert_eq!(find_id(&disk, &format!("id {number}")).await, Some(number + 1));
            let records = all(&disk, &format!("number/{number}")).await;
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].position, Position(number + 1));
        }
        assert_eq!(find_id(&disk, "id 250").await, None);
        let late = disk.find(Mark::Time(Timestamp(NOW.0 + 1))).await.unwrap();
        assert_eq!(late, Some(Position(251)));
        let odd = selectors("odd/0");
        let last = disk.find(Mark::Last { events: 100, selectors: &odd }).await.unwrap();
        assert_eq!(last, Some(Position(51)));
        let repeated =
            vec![keyed("last-key", event("late", "l")), keyed("key", event("early", "e"))];
        let answers = disk.append(repeated).await.unwrap();
        assert_eq!(answers[0], Appended { position: Position(251), print: None, repeated: true });
        assert_eq!(answers[1], Appended { position: Position(1), print: None, repeated: true });
        let other = vec![keyed("key", event("early", "x"))];
        assert_eq!(disk.append(other).await, Err(AppendError::KeyReused));
    }
}

#[tokio::test]
async fn a_directory_is_for_one_process_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    let error = Disk::open(options(root.path())).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(root.path().to_str().unwrap()), "{text}");
    assert!(text.contains("another process uses the log"), "{text}");
    disk.close().await;
    open(root.path());
}

#[tokio::test]
async fn other_formats_and_other_files_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    put(&disk, event("a", "1")).await;
    drop(disk);
    let format = root.path().join("format");
    let text = fs::read_to_string(&format).unwrap();
    let check = |text: &str, expected: &str| {
        fs::write(&format, text).unwrap();
        let error = Disk::open(options(root.path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&text.replace("format: 1", "format: 2"), "has format 2, and this program knows only");
    check("", "is not a file of this log");
    check(&text.replace("incarnation: ", "incarnation: 0"), "names no incarnation");
    let other = text.rsplit_once(' ').unwrap().0.to_owned() + " 00000000\n";
    check(&other, "it belongs to another log");
    fs::remove_file(&format).unwrap();
    let error = Disk::open(options(root.path())).unwrap_err().to_string();
    assert!(error.contains("it is missing, though there are segments"), "{error}");
    fs::write(&format, &text).unwrap();
    assert_eq!(data(&open(root.path())).await, ["1"]);
    let segment = segment_files(root.path()).remove(0);
    scratch(&segment).write_all_at(&[9], 8).unwrap();
    let error = Disk::open(options(root.path())).unwrap_err();
    assert!(matches!(error, OpenError::Version { .. }), "{error}");
}

#[tokio::test]
async fn a_log_that_lost_all_its_segments_is_another_log() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    let incarnation = disk.bounds().incarnation;
    put(&disk, event("a", "1")).await;
    drop(disk);
    assert_eq!(open(root.path()).bounds().incarnation, incarnation);
    for segment in segment_files(root.path()) {
        fs::remove_file(segment).unwrap();
    }
    let bounds = open(root.path()).bounds();
    assert_ne!(bounds.incarnation, incarnation, "its cursors would point to other events");
    assert_eq!(bounds.next, Position(1));
}

#[tokio::test]
async fn text_that_looks_like_a_record_is_only_text() {
    // Whatever a publisher writes, recovery must not take it for a later record.
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    put(&disk, event("a", "before")).await;
    let segment = segment_files(root.path()).remove(0);
    let record = fs::read(&segment).unwrap()[64..end_of(&segment) as usize].to_vec();
    let forged = String::from_utf8_lossy(&record).into_owned();
    put(&disk, event("a", &forged.repeat(3))).await;
    let copy = crash(root.path());
    let segment = segment_files(copy.path()).remove(0);
    scratch(&segment).write_all_at(&[7], end_of(&segment) - 1).unwrap();
    assert_eq!(data(&open(copy.path())).await, ["before"]);
}

/// Appends for as long as it lives, and prints each position that was acknowledged. It is run as
/// a process of its own by the test below, and does nothing otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(KILLED_DIRECTORY) else { return };
    let bytes_max = 1024 * 1024 * 1024;
    let disk = Disk::open(DiskOptions { bytes_max, ..options(Path::new(&directory)) }).unwrap();
    let disk = Arc::new(disk);
    for _ in 0..16 {
        let disk = Arc::clone(&disk);
        tokio::spawn(async move {
            loop {
                let text = format!("{:?}", std::time::Instant::now());
                let batch = vec![event("a", &text), event("b", &text)];
                for answer in disk.append(batch).await.unwrap() {
                    println!("position {} {text}", answer.position);
                }
            }
        });
    }
    std::future::pending::<()>().await;
}

/// A test that fails must not leave a process behind that fills the disk.
struct KillOnDrop(std::process::Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const KILLED_DIRECTORY: &str = "TIDINGS_LOG_KILLED_DIRECTORY";

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there() {
    let root = tempfile::tempdir().unwrap();
    let mut acknowledged = std::collections::BTreeMap::new();
    for round in 1..=5 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("disk::tests::recovery::publishes_until_it_is_killed")
            .env(KILLED_DIRECTORY, root.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = KillOnDrop(child.unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut read = 0;
        // After the kill, what the dead process had printed comes too; its last line may be torn.
        while let Some(Ok(line)) = lines.next() {
            let Some(line) = line.strip_prefix("position ") else { continue };
            let Some((position, text)) = line.split_once(' ') else { continue };
            let before = acknowledged.insert(position.parse::<u64>().unwrap(), text.to_owned());
            assert_eq!(before, None, "a position is given once");
            read += 1;
            if read == round * 37 {
                child.0.kill().unwrap();
            }
        }
        drop(child);
        assert!(read >= round * 37, "it was killed, and did not end by itself");
        let last = acknowledged.last_key_value().map(|(position, _)| *position);
        let disk = open(root.path());
        let records = all(&disk, "*").await;
        assert!(last <= records.last().map(|record| record.position.0));
        for pair in records.windows(2) {
            assert_eq!(pair[1].position, pair[0].position.next());
        }
        let torn = acknowledged.iter().filter(|(position, text)| {
            let record = &records[**position as usize - 1];
            record.event.data.as_str() != text.as_str()
        });
        assert!(torn.count() <= 1, "only the line that was being printed differs");
        acknowledged = records
            .iter()
            .map(|record| (record.position.0, record.event.data.as_str().to_owned()))
            .collect();
    }
}

/// Bytes that are often those which mean something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0_u8), Just(40), Just(255), any::<u8>()];
    prop::collection::vec(byte, 0..600)
}

proptest! {
    #[test]
    fn no_bytes_make_recovery_panic(
        kind in 0_u8..4,
        bytes in bytes(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        fuzzing::recover_any(directory.path(), &[&[kind], &*bytes].concat());
    }

    #[test]
    fn no_change_to_a_real_segment_makes_recovery_panic(
        changes in prop::collection::vec((64_usize..600, any::<u8>()), 1..4),
        end in 64_usize..700,
    ) {
        static SEGMENT: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let root = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let disk = open(root.path());
                for number in 0..4 {
                    let key = format!("k{number}");
                    put(&disk, with_id("a", keyed(&key, event("a", &number.to_string())))).await;
                }
                disk.append(vec![event("a/b", "4"), event("c", "5")]).await.unwrap();
            });
            let bytes = fs::read(segment_files(root.path()).remove(0)).unwrap();
            bytes[64..700].to_vec()
        });
        let mut bytes = SEGMENT.clone();
        for (at, value) in changes {
            bytes[at - 64] = value;
        }
        bytes.truncate(end - 64);
        let directory = tempfile::tempdir().unwrap();
        fuzzing::recover_any(directory.path(), &[&[1], &*bytes].concat());
    }
}
