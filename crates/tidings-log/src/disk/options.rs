//! What a log on disk is told when it is opened, and why it may refuse.
//! Knows nothing of how it keeps to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tidings_core::limits::{LOG_AGE_MAX, LOG_BYTES_MAX};

use super::format::VERSION;
use super::sizes::SYNC_INTERVAL_MAX;

/// Where and how a log on disk keeps events.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Made if it is not there. One process at a time can use it.
    pub directory: PathBuf,
    /// When events are forced to the disk.
    pub sync: SyncPolicy,
    /// Bytes of disk, what is allocated ahead included. The oldest events go first, a segment
    /// at a time.
    pub bytes_max: u64,
    /// How long an event is kept.
    pub age_max: Duration,
}

impl DiskOptions {
    /// The defaults: every acknowledged event is on the disk, a week and a gibibyte are kept.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            sync: SyncPolicy::Always,
            bytes_max: LOG_BYTES_MAX,
            age_max: LOG_AGE_MAX,
        }
    }
}

/// When events are forced to the disk. With every policy, what is acknowledged survives the
/// death of the process; they differ in what survives the death of the machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SyncPolicy {
    /// Before they are acknowledged: nothing acknowledged is lost.
    #[default]
    Always,
    /// At the latest so long after they were acknowledged: so much may be lost.
    Interval(Duration),
    /// When the system pleases, and when a segment is full.
    Never,
}

/// The text is no sync policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SyncPolicyError {
    /// The word before the colon is not one of ours.
    #[error(
        "\"{text}\" is no sync policy: use always, interval:<duration> (interval:100ms) or never"
    )]
    Unknown {
        /// What was given.
        text: String,
    },
    /// What follows `interval:` is no duration, or one that makes no sense here.
    #[error(
        "\"{text}\" is no interval between syncs: use a duration from 1ms to 1h, such as 100ms or 2s"
    )]
    Interval {
        /// What was given.
        text: String,
    },
}

impl FromStr for SyncPolicy {
    type Err = SyncPolicyError;

    fn from_str(text: &str) -> Result<Self, SyncPolicyError> {
        match text.split_once(':') {
            None if text == "always" => Ok(Self::Always),
            None if text == "never" => Ok(Self::Never),
            None if text == "interval" => Err(SyncPolicyError::Interval { text: String::new() }),
            Some(("interval", text)) => match humantime::parse_duration(text.trim()) {
                Ok(interval)
                    if (Duration::from_millis(1)..=SYNC_INTERVAL_MAX).contains(&interval) =>
                {
                    Ok(Self::Interval(interval))
                }
                _ => Err(SyncPolicyError::Interval { text: text.to_owned() }),
            },
            _ => Err(SyncPolicyError::Unknown { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            // humantime puts spaces between the units; its parser does without them.
            Self::Interval(interval) => {
                let text = humantime::format_duration(*interval).to_string();
                write!(f, "interval:{}", text.replace(' ', ""))
            }
            Self::Never => f.write_str("never"),
        }
    }
}

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Recovery found something that no crash leaves behind.
    #[error(
        "{} is damaged at byte {offset}, where the event at position {position} should be, though \
         it had been written safely: restore the file from a backup; or, to go on without what it \
         holds, move it and all older segments out of the directory (the log then begins after \
         them)", file.display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What should be there.
        position: u64,
    },
    /// A file of the log's directory is not what it has to be.
    #[error(
        "{} is not a file of this log ({reason}): restore it from a backup, or choose an empty \
         directory for a new log", file.display()
    )]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Somebody else has it open.
    #[error(
        "another process uses the log in {}: stop it, or choose another directory",
        directory.display()
    )]
    Locked {
        /// The log's directory.
        directory: PathBuf,
    },
    /// A segment is not there.
    #[error(
        "the log in {} lacks the events from position {from} to {to}: restore the missing segment \
         from a backup; or, to go on without them, move all older segments out of the directory",
        directory.display()
    )]
    Missing {
        /// The log's directory.
        directory: PathBuf,
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// A format that this program does not know.
    #[error(
        "{} has format {found}, and this program knows only format {VERSION}: use the version of \
         Tidings that wrote it, or a newer one", file.display()
    )]
    Version {
        /// The file that says so.
        file: PathBuf,
        /// What it says.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: SyncPolicy) {
        assert_eq!(text.parse(), Ok(expected));
        assert_eq!(expected.to_string().parse(), Ok(expected), "{expected}");
    }

    #[test]
    fn policies_are_read_as_they_are_written() {
        check("always", SyncPolicy::Always);
        check("never", SyncPolicy::Never);
        check("interval:100ms", SyncPolicy::Interval(Duration::from_millis(100)));
        check("interval:1m 30s", SyncPolicy::Interval(Duration::from_secs(90)));
        assert_eq!(SyncPolicy::Interval(Duration::from_secs(90)).to_string(), "interval:1m30s");
        assert_eq!(SyncPolicy::default(), SyncPolicy::Always);
    }

    #[test]
    fn other_texts_are_told_what_would_do() {
        for text in ["", "sometimes", "always:1s", "intervals:1s"] {
            let error = text.parse::<SyncPolicy>().unwrap_err();
            assert!(error.to_string().contains("always, interval:<duration>"), "{error}");
        }
        for text in ["interval", "interval:", "interval:5", "interval:0s", "interval:2h"] {
            let error = text.parse::<SyncPolicy>().unwrap_err();
            assert!(error.to_string().contains("from 1ms to 1h"), "{error}");
        }
    }
}
