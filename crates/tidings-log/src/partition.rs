//! Which of a hub's partitions a topic belongs to.
//! Knows nothing of logs.

use tidings_core::cursor::Incarnation;
use tidings_core::event::Topic;

/// The partition of a topic, of so many. It is the same on every machine and in every version:
/// events that are kept would be looked for elsewhere.
#[must_use]
pub fn partition_of(topic: &Topic, partitions: usize) -> usize {
    // Of similar topics the checksums differ in few bits; afterwards in all of them (the last
    // steps of MurmurHash3).
    let mut hash = crc32c::crc32c(topic.as_str().as_bytes());
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^= hash >> 16;
    hash as usize % partitions.max(1)
}

/// 30 bits that tell these logs from any others: see [`tidings_core::vector::Vector`].
pub fn logs_checksum(logs: impl Iterator<Item = Incarnation>) -> u32 {
    let append = |sum, log: Incarnation| crc32c::crc32c_append(sum, log.as_str().as_bytes());
    logs.fold(0, append) & 0x3fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(text: &str, partitions: usize) -> usize {
        partition_of(&Topic::parse(text).unwrap(), partitions)
    }

    #[test]
    fn a_topic_stays_where_it_is() {
        let at = ["a", "orders/1", "orders/2", "orders/3", "\u{fc}"].map(|t| partition(t, 16));
        assert_eq!(at, [0, 11, 14, 4, 5], "kept events are looked for there");
        assert_eq!(partition("a", 1), 0);
    }

    #[test]
    fn similar_topics_are_spread() {
        let mut counts = [0; 16];
        for number in 0..16_000 {
            counts[partition(&format!("orders/{number}"), 16)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn logs_are_told_apart_and_so_is_their_order() {
        let logs: Vec<Incarnation> =
            ["k3f9x2ab", "k3f9x2ac"].iter().map(|text| text.parse().unwrap()).collect();
        let sum = logs_checksum(logs.iter().copied());
        assert_ne!(sum, logs_checksum(logs.iter().rev().copied()));
        assert!(sum < 1 << 30);
    }
}
