//! Counts durations in buckets that grow with them, so that any number fits in 32 KiB.
//! Knows nothing of what took so long.

use std::time::Duration;

/// How many buckets each power of two has: a quantile is at most 1/64 too high.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: usize = 6;

/// A count of durations by their length, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    /// All that is counted lies between these two: an addition is as short as its range.
    first: usize,
    last: usize,
    count: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * STEPS], first: usize::MAX, last: 0, count: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, ns: u64) {
        let at = bucket(ns);
        self.buckets[at] += 1;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        for at in other.first..=other.last {
            self.buckets[at] += other.buckets[at];
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        if self.count > 0 {
            self.buckets[self.first..=self.last].fill(0);
        }
        (self.first, self.last, self.count, self.max_ns) = (usize::MAX, 0, 0, 0);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The length that this share of them (0 to 1) does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(end(at).min(self.max_ns));
            }
        }
        self.max()
    }
}

fn bucket(ns: u64) -> usize {
    let bits = (u64::BITS - ns.leading_zeros()) as usize;
    if bits <= STEP_BITS {
        return ns as usize;
    }
    // The bits after the leading one choose among the steps.
    let step = (ns >> (bits - STEP_BITS - 1)) as usize & (STEPS - 1);
    (bits - STEP_BITS) * STEPS + step
}

/// The longest that belongs to a bucket.
fn end(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    if power == 0 {
        return step;
    }
    let first = (STEPS as u64 + step) << (power - 1);
    first + ((1_u64 << (power - 1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_has_a_bucket_that_ends_close_above() {
        for power in 0..63 {
            for ns in [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let end = end(bucket(ns));
                assert!(end >= ns && end - ns <= ns / 64, "{ns}: {end}");
            }
        }
    }

    #[test]
    fn quantiles_are_of_what_was_counted() {
        let mut histogram = Histogram::default();
        let mut other = Histogram::default();
        (1..=50).for_each(|ms| histogram.record(ms * 1_000_000));
        (51..=100).for_each(|ms| other.record(ms * 1_000_000));
        histogram.add(&other);
        let median = histogram.quantile(0.5).as_micros();
        assert!((50_000..=50_800).contains(&median), "{median}");
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(100));
        assert_eq!((histogram.count(), histogram.max()), (100, Duration::from_millis(100)));
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn what_is_cleared_is_as_new() {
        let mut histogram = Histogram::default();
        histogram.clear();
        histogram.record(7_000);
        histogram.record(90);
        histogram.clear();
        histogram.record(200);
        let mut sum = Histogram::default();
        sum.add(&Histogram::default());
        sum.add(&histogram);
        assert_eq!((sum.count(), sum.quantile(0.0)), (1, Duration::from_nanos(200)));
    }
}
