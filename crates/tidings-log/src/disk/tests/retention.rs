//! What retention lets go of is really freed, and what is read meanwhile is not disturbed.

use super::*;
use crate::FollowError;

/// What the directory takes on the disk.
fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}

#[tokio::test]
async fn the_disk_never_takes_much_more_than_it_may() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    for round in 0..30 {
        fill(&disk, round * 50..round * 50 + 50).await;
        disk.trim(NOW).await.unwrap();
        // About a segment more, and the system counts in blocks.
        let bytes = disk_bytes(root.path());
        assert!(bytes <= SMALL + 2 * 64 * 1024, "{bytes}");
        let usage = disk.usage();
        assert!(usage.bytes <= SMALL + 64 * 1024, "{usage:?}");
    }
    let bounds = disk.bounds();
    assert_eq!(bounds.next, Position(1501));
    assert!(bounds.oldest > Position(1));
    let kept = bounds.next.0 - bounds.oldest.0;
    assert!(kept > 250, "most of what it may keep is kept: {kept}");
    assert_eq!(all(&disk, "*").await.len() as u64, kept);
    assert_eq!(find_id(&disk, "id 0").await, None);
    drop(disk);
    let disk = open(root.path());
    assert_eq!(disk.bounds(), bounds);
}

#[tokio::test]
async fn what_is_too_old_is_freed_even_from_the_last_segment() {
    let root = tempfile::tempdir().unwrap();
    let age_max = Duration::from_secs(60);
    let disk = Disk::open(DiskOptions { age_max, ..options(root.path()) }).unwrap();
    fill(&disk, 0..200).await;
    assert!(disk.usage().bytes > 200_000);
    disk.trim(Timestamp(NOW.0 + 60_001)).await.unwrap();
    let bounds = disk.bounds();
    assert_eq!((bounds.oldest, bounds.next), (Position(201), Position(201)));
    assert!(disk.usage().bytes <= 2 * 64 * 1024, "{:?}", disk.usage());
    assert_eq!(segment_files(root.path()).len(), 1);
    assert_eq!(files_with("index", root.path()).len(), 0);
    // The positions go on after a restart, though there is no event.
    drop(disk);
    let disk = open(root.path());
    assert_eq!(disk.bounds(), bounds);
    assert_eq!(put(&disk, event("a", "on")).await, Position(201));
}

#[tokio::test]
async fn a_smaller_bound_frees_at_the_next_trim() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    fill(&disk, 0..300).await;
    drop(disk);
    let small = DiskOptions { bytes_max: 200 * 1024, ..options(root.path()) };
    let disk = Disk::open(small).unwrap();
    assert_eq!(disk.bounds().oldest, Position(1));
    disk.trim(NOW).await.unwrap();
    assert!(disk.bounds().oldest > Position(150));
    assert!(disk_bytes(root.path()) <= (200 + 2 * 64) * 1024);
}

#[tokio::test]
async fn a_batch_larger_than_a_segment_gets_one_to_measure() {
    let root = tempfile::tempdir().unwrap();
    let disk = open(root.path());
    put(&disk, event("a", "before")).await;
    let large = "x".repeat(100_000);
    disk.append(vec![event("a", &large), event("b", &large), event("a", "end")]).await.unwrap();
    put(&disk, event("a", "after")).await;
    let check = async |disk: &Disk| {
        let all = data(disk).await;
        let lengths: Vec<_> = all.iter().map(String::len).collect();
        assert_eq!(lengths, [6, 100_000, 100_000, 3, 5]);
    };
    check(&disk).await;
    drop(disk);
    check(&open(root.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_followers_go_on_while_segments_go() {
    let root = tempfile::tempdir().unwrap();
    let sync = SyncPolicy::Never;
    let disk = Disk::open(DiskOptions { sync, ..options(root.path()) }).unwrap();
    let disk = Arc::new(disk);
    const TOTAL: usize = 6000;
    let writer = tokio::spawn({
        let disk = Arc::clone(&disk);
        async move { fill(&disk, 0..TOTAL).await }
    });
    let follower = tokio::spawn({
        let disk = Arc::clone(&disk);
        async move {
            let mut follower = disk.follow(Position(1));
            let mut next = Position(1);
            while next.0 <= TOTAL as u64 {
                match follower.next().await {
                    Ok(records) => {
                        for record in records {
                            assert_eq!(record.position, next);
                            next = next.next();
                        }
                    }
                    Err(FollowError::Trimmed { oldest }) => {
                        assert!(oldest > next);
                        next = oldest;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    while !writer.is_finished() {
        for text in ["*", "odd/1", "odd/{x}"] {
            match try_all(&disk, text).await {
                Ok(records) => assert!(records.windows(2).all(|r| r[0].position < r[1].position)),
                Err(ReadError::Trimmed { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let odd = selectors("odd/1");
        disk.find(Mark::Last { events: 10, selectors: &odd }).await.unwrap_or_default();
        let _ = disk.find(Mark::Time(NOW)).await;
    }
    writer.await.unwrap();
    follower.await.unwrap();
}
