//! The timetable: which requests are due, and when the next one is.
//! Knows nothing of connections, and is handed the time.

use super::{Options, Pace, Until};

const SECOND_NS: f64 = 1e9;

/// Says what is due. Times are in nanoseconds of one clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start_ns: u64,
    pace: Pace,
    /// How many there are in all, where that is fixed.
    count: Option<u64>,
    /// From when on nothing is sent.
    end_ns: Option<u64>,
}

impl Schedule {
    pub(super) fn new(options: &Options, start_ns: u64) -> Self {
        let (count, end_ns) = match (options.until, options.pace) {
            (Until::Requests(count), _) => (Some(count), None),
            (Until::Time(time), pace) => {
                let end_ns = start_ns.saturating_add(duration_ns(time));
                let count = match pace {
                    Pace::Free => None,
                    Pace::Rate(rate) => Some((rate * time.as_secs_f64()).ceil() as u64),
                };
                (count, Some(end_ns))
            }
        };
        Self { start_ns, pace: options.pace, count, end_ns }
    }

    /// How many of all requests may have been sent by now. Whoever has sent more is not to send.
    pub(super) fn due(&self, now_ns: u64) -> u64 {
        let all = self.count.unwrap_or(u64::MAX);
        match self.pace {
            _ if self.end_ns.is_some_and(|end_ns| now_ns >= end_ns) => 0,
            Pace::Free => all,
            Pace::Rate(rate) => {
                let passed = now_ns.saturating_sub(self.start_ns) as f64 / SECOND_NS;
                all.min((passed * rate) as u64 + 1)
            }
        }
    }

    /// When a request that is sent now was due.
    pub(super) fn due_ns(&self, number: u64, now_ns: u64) -> u64 {
        match self.pace {
            Pace::Free => now_ns,
            // Not later than now: the last digit of a fraction may say otherwise.
            Pace::Rate(_) => self.at_ns(number).min(now_ns),
        }
    }

    /// When there is something to do again, if nothing comes in: a request, or the end.
    pub(super) fn next_ns(&self, sent: u64, now_ns: u64) -> Option<u64> {
        if self.is_over(sent, now_ns) {
            return None;
        }
        let next = match self.pace {
            Pace::Rate(_) if self.count.is_none_or(|count| sent < count) => {
                // One that is due and waits for room needs no clock.
                Some(self.at_ns(sent)).filter(|at_ns| *at_ns > now_ns)
            }
            _ => None,
        };
        [next, self.end_ns].into_iter().flatten().min()
    }

    /// Whether nothing more is to be sent.
    pub(super) fn is_over(&self, sent: u64, now_ns: u64) -> bool {
        let all_sent = self.count.is_some_and(|count| sent >= count);
        all_sent || self.end_ns.is_some_and(|end_ns| now_ns >= end_ns)
    }

    /// How many were due within the time and are not sent, now that it is over.
    pub(super) fn unsent(&self, sent: u64) -> u64 {
        self.count.map_or(0, |count| count.saturating_sub(sent))
    }

    fn at_ns(&self, number: u64) -> u64 {
        let Pace::Rate(rate) = self.pace else { return self.start_ns };
        self.start_ns + (number as f64 / rate * SECOND_NS).ceil() as u64
    }
}

fn duration_ns(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: u64 = 1_000_000;

    fn schedule(pace: Pace, until: Until) -> Schedule {
        let addresses = vec![([127, 0, 0, 1], 1).into()];
        let options = Options { addresses, connections: 1, pipeline: 1, pace, until };
        Schedule::new(&options, 1_000 * MS)
    }

    #[test]
    fn free_is_all_until_the_end() {
        let counted = schedule(Pace::Free, Until::Requests(3));
        assert_eq!(counted.due(1_000 * MS), 3);
        assert_eq!((counted.next_ns(2, 1_001 * MS), counted.is_over(2, 1_001 * MS)), (None, false));
        assert!(counted.is_over(3, 1_001 * MS));
        let timed = schedule(Pace::Free, Until::Time(Duration::from_millis(5)));
        assert_eq!((timed.due(1_004 * MS), timed.due(1_005 * MS)), (u64::MAX, 0));
        assert_eq!(timed.next_ns(9, 1_004 * MS), Some(1_005 * MS));
        assert!(timed.is_over(9, 1_005 * MS) && timed.unsent(9) == 0);
    }

    #[test]
    fn a_rate_fixes_each_time_from_the_beginning() {
        let schedule = schedule(Pace::Rate(100.0), Until::Time(Duration::from_millis(35)));
        let due: Vec<u64> = [1_000, 1_009, 1_010, 1_034].map(|ms| schedule.due(ms * MS)).into();
        assert_eq!(due, [1, 1, 2, 4]);
        assert_eq!(schedule.due_ns(2, 1_033 * MS), 1_020 * MS);
        assert_eq!(schedule.next_ns(1, 1_003 * MS), Some(1_010 * MS));
        assert_eq!(schedule.next_ns(1, 1_012 * MS), Some(1_035 * MS), "it waits for room");
        assert!(schedule.is_over(4, 1_031 * MS));
        assert_eq!((schedule.is_over(3, 1_035 * MS), schedule.unsent(3)), (true, 1));
    }
}
