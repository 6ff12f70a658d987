//! How busy the threads of this program are, so that it can say where it is the limit itself.
//! Knows nothing of what they do.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

/// A point in time from which on [`OwnThreads::busiest`] looks.
#[derive(Clone, Debug)]
pub struct OwnThreads {
    time: Instant,
    threads: HashMap<u32, Times>,
}

/// What a thread did, by the scheduler's own count.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    ran_ns: u64,
    waited_ns: u64,
}

/// What a thread did, as shares of the time that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Busy {
    /// It ran.
    pub ran: f64,
    /// It had something to do and no processor to do it on.
    pub waited: f64,
}

/// A thread that has something to do for a larger share of the time holds up what it does.
const BUSY_SHARE: f64 = 0.9;

impl OwnThreads {
    /// Begins to look.
    #[must_use]
    pub fn now() -> Self {
        Self { time: Instant::now(), threads: threads() }
    }

    /// The busiest of the threads that are there since the beginning.
    #[must_use]
    pub fn busiest(&self) -> Busy {
        let passed_ns = (self.time.elapsed().as_nanos() as f64).max(1.0);
        let shares = threads().into_iter().filter_map(|(thread, now)| {
            let before = self.threads.get(&thread)?;
            Some(Busy {
                ran: (now.ran_ns - before.ran_ns) as f64 / passed_ns,
                waited: (now.waited_ns - before.waited_ns) as f64 / passed_ns,
            })
        });
        shares.max_by(|one, other| one.share().total_cmp(&other.share())).unwrap_or_default()
    }
}

impl Busy {
    /// The share of the time in which it had something to do.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.ran + self.waited
    }

    /// Says so where the program had something to do all the time, and so may be the limit.
    #[must_use]
    pub fn sentence(&self, what: &str) -> Option<String> {
        let (ran, waited) = (self.ran * 100.0, self.waited * 100.0);
        let limit = match self {
            _ if self.share() < BUSY_SHARE => return None,
            _ if self.ran >= BUSY_SHARE => "the load client was the limit",
            _ => "the machine had no processor left for the load client",
        };
        Some(format!(
            "{what}: {limit}, whose busiest thread ran {ran:.0} % of the time and waited {waited:.0} %."
        ))
    }
}

fn threads() -> HashMap<u32, Times> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| {
        let thread = task.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut words = text.split_whitespace().map(str::parse);
        let (ran_ns, waited_ns) = (words.next()?.ok()?, words.next()?.ok()?);
        Some((thread, Times { ran_ns, waited_ns }))
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_thread_that_works_is_busy() {
        let before = OwnThreads::now();
        while before.time.elapsed() < Duration::from_millis(300) {
            std::hint::spin_loop();
        }
        let busy = before.busiest();
        assert!(busy.ran > 0.0 && busy.share() > 0.5 && busy.share() < 1.5, "{busy:?}");
    }

    #[test]
    fn it_is_said_from_nine_tenths_on() {
        assert_eq!(Busy { ran: 0.5, waited: 0.3 }.sentence("a"), None);
        let sentence = |ran, waited| Busy { ran, waited }.sentence("a").unwrap();
        let full = sentence(0.7, 0.25);
        assert!(full.contains("no processor") && full.contains("ran 70 %"), "{full}");
        assert!(sentence(0.95, 0.0).contains("client was the limit"));
    }
}
