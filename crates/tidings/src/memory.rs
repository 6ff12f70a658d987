//! Keeps the heap small: gives memory that connections have left unused back to the system.
//! Knows nothing of what it was used for.
//!
//! What a connection needs while its request is answered is free soon after, some 11 KB of it.
//! glibc returns only what lies at the end of its heaps, so without a word much of it would stay
//! resident for ever: of 1,000 subscribers who came together half a megabyte, and the more the
//! more have left.

use std::convert::Infallible;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use tidings_server::Hub;

/// The time between two looks whether a crowd has come or left. While nobody comes or leaves, there
/// is none.
const INTERVAL: Duration = Duration::from_millis(100);

/// Fewer connections than this are no crowd: what they leave behind is not worth the work.
const CROWD: u64 = 500;

/// Has the threads of this process share their heaps; to be called before there are any.
///
/// glibc gives each thread one of its own, up to eight for each processor. What is free in one is
/// of no use to the others, and its end is not given back by [`give_back`]. One for every four
/// processors, two at least: with two processors, that costs no time that could be measured.
pub(crate) fn share_heaps() {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    set_heaps_max(processors.div_ceil(4).max(2));
}

/// Watches the connections of a hub for as long as it is polled. Cancel safe.
pub(crate) async fn give_back(hub: &Hub) -> Infallible {
    let mut crowd = Crowd::default();
    loop {
        hub.connections_moving().await;
        tokio::time::sleep(INTERVAL).await;
        let open = u64::try_from(hub.metrics().connections.get()).unwrap_or(0);
        // It walks the whole heap, some milliseconds for a large one.
        if crowd.has_settled(open) && tokio::task::spawn_blocking(trim).await.is_err() {
            tracing::error!("giving memory back has panicked");
        }
    }
}

/// How many connections there were since memory was last given back.
#[derive(Debug, Default)]
struct Crowd {
    least: u64,
    most: u64,
    before: u64,
}

impl Crowd {
    /// Takes down how many are open now. `true`: a crowd has come or left, or both, and it is
    /// calm again. Then it begins anew.
    fn has_settled(&mut self, open: u64) -> bool {
        let Self { least, most, before } = *self;
        let (least, most) = (least.min(open), most.max(open));
        let moved = most - least;
        let settled = moved >= CROWD.max(most / 4) && open.abs_diff(before) <= moved / 16;
        *self = if settled {
            Self { least: open, most: open, before: open }
        } else {
            Self { least, most, before: open }
        };
        settled
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn set_heaps_max(heaps: usize) {
    let heaps = libc::c_int::try_from(heaps).unwrap_or(libc::c_int::MAX);
    // SAFETY: mallopt(3) takes no pointer, and may be called at any time; there is no safe way to
    // call it. Should it refuse, then everything works as before and takes more memory.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim() {
    // SAFETY: malloc_trim(3) takes no pointer and is safe to call from any thread at any time; it
    // gives back only pages that hold nothing. There is no safe way to call it.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators have their own ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn set_heaps_max(_: usize) {}

/// Other allocators give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(crowd: &mut Crowd, open: &[u64]) -> Vec<bool> {
        open.iter().map(|&open| crowd.has_settled(open)).collect()
    }

    #[test]
    fn a_crowd_that_comes_and_one_that_leaves_count_once_it_is_calm() {
        let mut crowd = Crowd::default();
        assert_eq!(settled(&mut crowd, &[0, 3_000, 9_000, 10_000]), [false; 4]);
        assert_eq!(settled(&mut crowd, &[10_000, 10_000]), [true, false]);
        assert_eq!(settled(&mut crowd, &[9_000, 9_000, 7_501, 7_501]), [false; 4]);
        assert_eq!(settled(&mut crowd, &[4_000, 4_010, 4_010]), [false, true, false]);
        assert_eq!(settled(&mut crowd, &[0, 0, 0]), [false, true, false]);
    }

    #[test]
    fn who_comes_and_goes_between_counts_too() {
        let mut crowd = Crowd::default();
        assert_eq!(settled(&mut crowd, &[0, 1_000, 0, 0, 0]), [false, false, false, true, false]);
    }

    #[test]
    fn a_few_are_no_crowd() {
        let mut crowd = Crowd::default();
        assert_eq!(settled(&mut crowd, &[0, 499, 499, 0, 0]), [false; 5]);
    }
}
