//! Gives the memory of a crowd that has left back to the system.
//! Knows nothing of what it was used for.
//!
//! What a connection needs while its request is answered lies among what was made at the same
//! time and stays, such as the subscriber's selectors. glibc returns only what lies at the end
//! of its heap, so without a word most of it would stay resident for ever: of 14 MB that 10,000
//! subscribers took, 12 were still there when all had left.

use std::convert::Infallible;
use std::time::Duration;

use tidings_server::Hub;

/// How often it is looked whether a crowd has left.
const INTERVAL: Duration = Duration::from_secs(1);

/// Fewer connections than this are no crowd: what they leave behind is not worth the work.
const CROWD: i64 = 500;

/// Watches the connections of a hub for as long as it is polled. Cancel safe.
pub(crate) async fn give_back(hub: &Hub) -> Infallible {
    let mut most = 0;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let open = hub.metrics().connections.get();
        most = most.max(open);
        if has_left(most, open) {
            most = open;
            // It walks the whole heap, some milliseconds for a large one.
            if tokio::task::spawn_blocking(trim).await.is_err() {
                tracing::error!("giving memory back has panicked");
            }
        }
    }
}

/// Whether at least half of a crowd has left since it was largest.
fn has_left(most: i64, open: i64) -> bool {
    most - open >= CROWD && open <= most / 2
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim() {
    // SAFETY: malloc_trim(3) takes no pointer and is safe to call from any thread at any time; it
    // gives back only pages that hold nothing. There is no safe way to call it.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_that_has_left_counts() {
        for (most, open, left) in [
            (0, 0, false),
            (400, 0, false),
            (500, 0, true),
            (10_000, 9_000, false),
            (10_000, 5_001, false),
            (10_000, 5_000, true),
            (10_000, 0, true),
        ] {
            assert_eq!(has_left(most, open), left, "{most} {open}");
        }
    }
}
