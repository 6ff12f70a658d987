//! Times of tokens in words: in local time, and how far away they are.
//! Knows nothing of what they are the times of.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The time that a claim says: seconds since 1970, with or without a fraction (RFC 7519,
/// section 2). `None` where it is no time.
pub(super) fn numeric_date(claim: &Value) -> Option<Timestamp> {
    let seconds = claim.as_i64().or_else(|| {
        // Beyond what jiff takes, the conversion's own limits stand for it.
        claim.as_f64().map(|seconds| seconds.floor() as i64)
    })?;
    Timestamp::from_second(seconds).ok()
}

/// A time as clocks here show it.
pub(super) fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// How far a time is from now: "in 3 minutes", "2 hours ago".
pub(super) fn distance(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.as_second() - now.as_second();
    let length = length(seconds.unsigned_abs());
    match seconds {
        0 => "now".into(),
        ..0 => format!("{length} ago"),
        _ => format!("in {length}"),
    }
}

/// In the largest unit of which there are at least two, rounded down: who reads "in 3 minutes" has
/// no less.
fn length(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(365 * 86_400, "years"), (86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    match unit {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None if seconds == 1 => "1 second".into(),
        None => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn distances_are_told_in_the_unit_that_fits() {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let check = |seconds: i64, expected: &str| {
            let time = Timestamp::from_second(now.as_second() + seconds).unwrap();
            assert_eq!(distance(time, now), expected);
        };
        check(0, "now");
        check(-1, "1 second ago");
        check(119, "in 119 seconds");
        check(120, "in 2 minutes");
        check(3 * 60 + 59, "in 3 minutes");
        check(-2 * 3_600, "2 hours ago");
        check(47 * 3_600, "in 47 hours");
        check(-400 * 86_400, "400 days ago");
        check(3 * 365 * 86_400, "in 3 years");
    }

    #[test]
    fn a_claim_is_a_time_or_none() {
        let check = |claim: Value, expected: Option<&str>| {
            let time = numeric_date(&claim).map(|time| time.to_string());
            assert_eq!(time.as_deref(), expected, "{claim}");
        };
        check(json!(1_300_819_380), Some("2011-03-22T18:43:00Z"));
        check(json!(1_300_819_380.9), Some("2011-03-22T18:43:00Z"));
        check(json!(1e300), None);
        check(json!(u64::MAX), None);
        check(json!("1300819380"), None);
        check(json!(null), None);
    }

    #[test]
    fn local_times_name_their_offset() {
        let time = Timestamp::from_second(0).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(local(time, &zone), "1970-01-01 02:00:00 +02:00");
    }
}
