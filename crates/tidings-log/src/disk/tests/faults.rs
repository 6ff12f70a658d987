//! Disks that are full, slow or broken: nothing acknowledged is lost, and it recovers.

use std::future::Future;
use std::task::Poll;

use super::super::files::Call;
use super::super::files::faults::{ALWAYS, EIO, ENOSPC};
use super::super::sizes::RETRY_AFTER;
use super::*;

fn open_with(directory: &Path, sync: SyncPolicy) -> (Disk, Files) {
    let files = Files::default();
    let options = DiskOptions { sync, ..options(directory) };
    (Disk::open_with(options, files.clone()).unwrap(), files)
}

fn reason(refused: Result<Vec<Appended>, AppendError>) -> String {
    match refused {
        Err(AppendError::Unavailable { reason }) => reason,
        other => panic!("it should have been refused: {other:?}"),
    }
}

/// Appends until it is taken: after a failure the disk is left alone for a moment.
async fn put_patiently(disk: &Disk, append: Append) -> Position {
    loop {
        match disk.append(vec![append.clone()]).await {
            Ok(answers) => return answers[0].position,
            Err(AppendError::Unavailable { .. }) => tokio::time::sleep(RETRY_AFTER / 4).await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn check_failure(sync: SyncPolicy, call: Call, errno: i32, words: &str) {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = open_with(root.path(), sync);
    for text in ["1", "2"] {
        put(&disk, event("a", text)).await;
    }
    let mut follower = disk.follow(Position(1));
    assert_eq!(follower.next().await.unwrap().len(), 2);
    files.faults.fail(call, 1, errno);
    let batch = vec![keyed("k", event("a", "not kept")), event("a", "not kept either")];
    let refused = reason(disk.append(batch).await);
    assert!(refused.contains(words), "{refused}");
    assert_eq!(disk.health(), Err(refused));
    // Subscribers go on with what there is, and see nothing of what was refused.
    assert_eq!(data(&disk).await, ["1", "2"]);
    assert_eq!(disk.bounds().next, Position(3));
    let crashed = crash(root.path());
    // Without a restart it works again, at the same position, and the key is free.
    let position = put_patiently(&disk, keyed("k", with_id("id", event("a", "3")))).await;
    assert_eq!(position, Position(3));
    assert_eq!(disk.health(), Ok(()));
    put(&disk, event("a", "4")).await;
    assert_eq!(data(&disk).await, ["1", "2", "3", "4"]);
    let run = follower.next().await.unwrap();
    assert_eq!(run[0].event.data.as_str(), "3");
    assert_eq!(find_id(&disk, "id").await, Some(3));
    let later = crash(root.path());
    drop(disk);
    for directory in [root.path(), later.path()] {
        assert_eq!(data(&open(directory)).await, ["1", "2", "3", "4"]);
    }
    assert_eq!(data(&open(crashed.path())).await, ["1", "2"]);
}

#[tokio::test]
async fn a_failed_sync_loses_nothing_and_heals() {
    check_failure(SyncPolicy::Always, Call::Sync, EIO, "Input/output error").await;
}

#[tokio::test]
async fn a_failed_write_loses_nothing_and_heals() {
    for sync in [SyncPolicy::Always, SyncPolicy::Never] {
        check_failure(sync, Call::Write, ENOSPC, "No space left").await;
    }
}

#[tokio::test]
async fn no_failed_sync_is_tried_again_on_the_same_file() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = open_with(root.path(), SyncPolicy::Always);
    put(&disk, event("a", "1")).await;
    files.faults.fail(Call::Sync, 1, EIO);
    reason(disk.append(vec![event("a", "2")]).await);
    put_patiently(&disk, event("a", "3")).await;
    disk.close().await;
    let segments = segment_files(root.path());
    assert_eq!(segments.len(), 2, "it goes on in another file");
    assert_eq!(data(&open(root.path())).await, ["1", "3"]);
}

#[tokio::test]
async fn even_if_nothing_can_be_cut_back_no_refused_event_comes_back_beside_its_successor() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = open_with(root.path(), SyncPolicy::Always);
    put(&disk, event("a", "1")).await;
    files.faults.fail(Call::Sync, 1, EIO);
    files.faults.fail(Call::Cut, ALWAYS, EIO);
    reason(disk.append(vec![event("a", "refused"), event("a", "refused")]).await);
    put_patiently(&disk, event("a", "2")).await;
    let copy = crash(root.path());
    assert_eq!(data(&open(copy.path())).await, ["1", "2"]);
}

#[tokio::test]
async fn a_full_disk_refuses_says_so_and_recovers_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = open_with(root.path(), SyncPolicy::Always);
    files.faults.fail(Call::Allocate, ALWAYS, ENOSPC);
    // What is allocated already can be filled.
    let mut kept = 0;
    let refused = loop {
        match disk.append(vec![filler(kept)]).await {
            Ok(_) => kept += 1,
            refused => break reason(refused),
        }
    };
    assert!(refused.contains("No space left"), "{refused}");
    assert!(kept > 50, "a segment's worth was there: {kept}");
    assert!(disk.health().is_err());
    assert!(files_with("tmp", root.path()).is_empty(), "what it takes is what the disk lacks");
    let mut follower = disk.follow(Position(1));
    assert!(!follower.next().await.unwrap().is_empty(), "subscribers go on");
    assert_eq!(all(&disk, "*").await.len(), kept);
    // There is room again, and nobody publishes, since the server says that it is not ready.
    files.faults.fail(Call::Allocate, 0, ENOSPC);
    while disk.health().is_err() {
        disk.trim(NOW).await.unwrap();
        tokio::time::sleep(RETRY_AFTER / 4).await;
    }
    fill(&disk, kept..kept + 100).await;
    drop(disk);
    assert_eq!(all(&open(root.path()), "*").await.len(), kept + 100);
}

#[tokio::test]
async fn a_log_opens_and_serves_on_a_full_disk() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    fill(&disk, 0..200).await;
    let copy = crash(root.path());
    for file in files_with("index", copy.path()) {
        fs::remove_file(file).unwrap();
    }
    let files = Files::default();
    for call in [Call::Allocate, Call::Write, Call::Rename] {
        files.faults.fail(call, ALWAYS, ENOSPC);
    }
    // Rewriting what was there needs no space, which the switch doesn't know.
    files.faults.fail(Call::Write, 0, ENOSPC);
    let disk = Disk::open_with(options(copy.path()), files).unwrap();
    assert_eq!(all(&disk, "*").await.len(), 200);
    assert_eq!(all(&disk, "odd/1").await.len(), 100);
    assert_eq!(find_id(&disk, "id 7").await, Some(8));
}

#[tokio::test]
async fn a_failing_segment_change_loses_nothing() {
    for call in [Call::Rename, Call::SyncDirectory, Call::Remove, Call::Cut] {
        let root = tempfile::tempdir().unwrap();
        let (disk, files) = open_with(root.path(), SyncPolicy::Always);
        for number in 0..250 {
            if number % 50 == 20 {
                files.faults.fail(call, 2, EIO);
            }
            let position = put_patiently(&disk, filler(number)).await;
            assert_eq!(position, Position(number as u64 + 1), "{call:?}");
        }
        assert_eq!(all(&disk, "*").await.len(), 250);
        let copy = crash(root.path());
        assert_eq!(all(&open(copy.path()), "*").await.len(), 250, "{call:?}");
    }
}

#[tokio::test]
async fn what_waits_while_the_disk_is_busy_shares_one_sync() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = open_with(root.path(), SyncPolicy::Always);
    put(&disk, event("a", "0")).await;
    let before = files.faults.count(Call::Sync);
    files.faults.hold(Call::Sync);
    let disk = Arc::new(disk);
    let append = |text: String| {
        let disk = Arc::clone(&disk);
        tokio::spawn(async move { put(&disk, event("a", &text)).await })
    };
    let mut tasks = vec![append("1".to_owned())];
    while !files.faults.holding() {
        tokio::task::yield_now().await;
    }
    tasks.extend((2..=100).map(|number| append(number.to_string())));
    while disk.shared.queue.waiting() < 99 {
        tokio::task::yield_now().await;
    }
    // Nothing that is not yet synced is acknowledged, or seen.
    assert!(tasks.iter().all(|task| !task.is_finished()));
    assert_eq!(disk.bounds().next, Position(2));
    assert_eq!(data(&disk).await, ["0"]);
    files.faults.release();
    let mut positions = Vec::new();
    for task in tasks {
        positions.push(task.await.unwrap().0);
    }
    positions.sort_unstable();
    assert_eq!(positions, (2..=101).collect::<Vec<_>>());
    let syncs = files.faults.count(Call::Sync) - before;
    assert_eq!(syncs, 2, "one for the first, one for the 99 that waited");
}

#[tokio::test]
async fn a_repetition_is_not_acknowledged_before_its_first() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = open_with(root.path(), SyncPolicy::Always);
    let disk = Arc::new(disk);
    files.faults.hold(Call::Sync);
    let append = |text: &str| {
        let (disk, append) = (Arc::clone(&disk), keyed("k", event("a", text)));
        tokio::spawn(async move { disk.append(vec![append]).await })
    };
    let first = tokio::spawn({
        let disk = Arc::clone(&disk);
        async move { put(&disk, event("a", "0")).await }
    });
    while !files.faults.holding() {
        tokio::task::yield_now().await;
    }
    let tasks = [append("1"), append("1"), append("other")];
    while disk.shared.queue.waiting() < 3 {
        tokio::task::yield_now().await;
    }
    // The whole group of the three fails.
    files.faults.fail(Call::Sync, 0, EIO);
    files.faults.release();
    first.await.unwrap();
    let [first, second, other] = tasks;
    assert_eq!(
        first.await.unwrap().unwrap()[0],
        Appended { position: Position(2), print: None, repeated: false }
    );
    assert_eq!(
        second.await.unwrap().unwrap()[0],
        Appended { position: Position(2), print: None, repeated: true }
    );
    assert_eq!(other.await.unwrap(), Err(AppendError::KeyReused));
    files.faults.fail(Call::Sync, 1, EIO);
    let (first, second) = tokio::join!(
        disk.append(vec![keyed("l", event("a", "2"))]),
        disk.append(vec![keyed("l", event("a", "2"))]),
    );
    // In one group or in two: neither may point to an event that is not there.
    for answers in [first, second].into_iter().flatten() {
        assert!(disk.bounds().next > answers[0].position);
    }
}

#[tokio::test]
async fn an_append_that_is_dropped_does_not_disturb_the_others() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    for _ in 0..50 {
        let mut dropped = Box::pin(disk.append(vec![event("a", "dropped")]));
        let polled = std::future::poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context)));
        let _ = polled.await;
        drop(dropped);
        put(&disk, event("a", "kept")).await;
    }
    let kept = data(&disk).await.iter().filter(|data| **data == "kept").count();
    assert_eq!(kept, 50);
}

#[tokio::test]
async fn an_interval_syncs_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Interval(Duration::from_millis(1));
    let (disk, files) = open_with(root.path(), sync);
    let before = files.faults.count(Call::Sync);
    put(&disk, event("a", "1")).await;
    while files.faults.count(Call::Sync) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A failed one is told, and healed.
    files.faults.fail(Call::Sync, 1, EIO);
    put(&disk, event("a", "2")).await;
    while disk.health().is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    put_patiently(&disk, event("a", "3")).await;
    assert_eq!(disk.health(), Ok(()));
    assert_eq!(data(&disk).await, ["1", "2", "3"]);
}
