//! Raises the limit of open files: each connection is one.
//! Knows nothing of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside connections: the log's segments, epoll sets, the terminal.
const OTHER_FILES: u64 = 200;

/// Raises the limit as far as this process may, and gives how many connections it leaves room
/// for. A hub that takes no more than these says "try again later" instead of running dry.
pub(in crate::cmd) fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let files = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "can't raise the limit of open files");
            current
        }
    };
    // No limit is none that is too low.
    let connections = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        assert!(raise() > 0);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
