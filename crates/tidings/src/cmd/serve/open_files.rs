//! Raises the limit of open files: each connection is one.
//! Knows nothing of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside connections: the log's segments, epoll sets, the terminal.
const OTHER_FILES: u64 = 200;

/// Raises the limit as far as this process may, and says so where that is too little.
pub(in crate::cmd) fn raise(connections_max: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "can't raise the limit of open files");
            current
        }
    };
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    // No limit is none that is too low.
    if let Some(files) = files.filter(|files| *files < wanted) {
        tracing::warn!(
            "the system allows {files} open files, fewer than connections-max ({connections_max}) \
             needs: raise it (ulimit -n, or LimitNOFILE= in systemd)"
        );
    }
}
