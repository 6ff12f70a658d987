//! Random lives of a log against the simplest thing that could be one: a list.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    /// Appends a batch of events with these topics and ids (0: none) and so much data.
    Append(Vec<(u8, u8, usize)>),
    /// Ends in order and opens again.
    Reopen,
    /// Goes on with what a dead process would have left.
    Crash,
    /// Lets time pass, in seconds, and trims.
    Trim(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => vec((0_u8..4, 0_u8..6, 0_usize..6000), 1..8).prop_map(Act::Append),
        1 => Just(Act::Reopen),
        1 => Just(Act::Crash),
        1 => (0_u64..60).prop_map(Act::Trim),
    ]
}

/// The list, and what it has to be compared with.
struct World {
    home: TempDir,
    disk: Disk,
    model: Vec<Append>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let disk = Self::open(&home);
        Self { home, disk, model: Vec::new(), now: NOW }
    }

    fn open(home: &TempDir) -> Disk {
        let (sync, age_max) = (SyncPolicy::Never, Duration::from_secs(100));
        Disk::open(DiskOptions { sync, age_max, ..options(home.path()) }).unwrap()
    }

    async fn live(&mut self, act: Act) {
        match act {
            Act::Append(batch) => {
                let batch: Vec<Append> = batch
                    .into_iter()
                    .map(|(topic, id, bytes)| {
                        let mut append = event(&format!("t/{topic}"), &"x".repeat(bytes));
                        append.time = self.now;
                        if id > 0 { with_id(&format!("id {id}"), append) } else { append }
                    })
                    .collect();
                let first = self.model.len() as u64 + 1;
                let answers = self.disk.append(batch.clone()).await.unwrap();
                assert_eq!(answers[0].position, Position(first));
                self.model.extend(batch);
            }
            Act::Reopen => {
                self.disk.close().await;
                self.disk = Self::open(&self.home);
            }
            Act::Crash => {
                let left = crash(self.home.path());
                self.disk = Self::open(&left);
                self.home = left;
            }
            Act::Trim(seconds) => {
                self.now = Timestamp(self.now.0 + seconds * 1000);
                self.disk.trim(self.now).await.unwrap();
                let cutoff = Timestamp(self.now.0 - 100_000);
                for record in all(&self.disk, "*").await {
                    assert!(record.time >= cutoff);
                }
            }
        }
        self.compare().await;
    }

    async fn compare(&self) {
        // Retention after a full segment is done by another thread: this waits for it too.
        self.disk.trim(self.now).await.unwrap();
        let Bounds { oldest, next, .. } = self.disk.bounds();
        assert_eq!(next, Position(self.model.len() as u64 + 1));
        let kept: Vec<(u64, &Append)> =
            (1..).zip(&self.model).skip(oldest.0 as usize - 1).collect();
        for text in ["*", "t/1", "t/{x}", "t/3"] {
            let selectors = selectors(text);
            let expected: Vec<_> =
                kept.iter().filter(|(_, append)| selectors.matches(&append.event.topics)).collect();
            let records = all(&self.disk, text).await;
            assert_eq!(records.len(), expected.len(), "{text}");
            for (record, (position, append)) in records.iter().zip(&expected) {
                assert_eq!(record.position.0, *position);
                assert_eq!(record.event, append.event);
            }
            for events in [1, 3, 1000] {
                let place = expected.len().checked_sub(events).map(|at| expected[at].0);
                let mark = Mark::Last { events, selectors: &selectors };
                let found = self.disk.find(mark).await.unwrap().unwrap();
                assert_eq!(found.0, place.unwrap_or(oldest.0), "{events} of {text}");
            }
        }
        for id in 1..6 {
            let text = format!("id {id}");
            let newest = kept
                .iter()
                .rev()
                .find(|(_, append)| append.event.id.as_ref().is_some_and(|i| i.as_str() == text));
            assert_eq!(find_id(&self.disk, &text).await, newest.map(|(position, _)| *position));
        }
        for time in [NOW, Timestamp(self.now.0 - 50_000), self.now] {
            let since = kept.iter().find(|(_, append)| append.time >= time);
            let expected = since.map_or(next.0, |(position, _)| *position);
            let found = self.disk.find(Mark::Time(time)).await.unwrap();
            assert_eq!(found, Some(Position(expected)));
        }
    }
}

proptest! {
    // Few, since each syncs many files.
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list_whatever_happens(acts in vec(act(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for act in acts {
                world.live(act).await;
            }
        });
    }
}
