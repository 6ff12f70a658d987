//! Open files: how many a process has, and how many it may have.
//! Knows nothing of what they are.

use std::fs;

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside the sockets that are asked for.
const SPARE: usize = 200;

/// How many files a process has open.
///
/// # Errors
/// Where the process is gone.
pub fn files_of(process: u32) -> anyhow::Result<usize> {
    let files = fs::read_dir(format!("/proc/{process}/fd"));
    Ok(files.with_context(|| format!("can't see the files of process {process}"))?.count())
}

/// Raises the limit of open files of this process, and of those that it starts, as far as the
/// system lets it, and makes sure that so many sockets fit. Gives the limit.
///
/// # Errors
/// Where they don't.
pub fn raise_open_files(sockets: usize) -> anyhow::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).context("can't raise the limit of open files")?;
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        files >= (sockets + SPARE) as u64,
        "{sockets} connections need {} open files in one process, and the system allows {files}: \
         raise it (ulimit -Hn, or LimitNOFILE of the service), or ask for fewer",
        sockets + SPARE
    );
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_opened_is_said_before() {
        assert!(raise_open_files(1).unwrap() >= 201);
        let error = raise_open_files(usize::MAX / 2);
        assert!(getrlimit(Resource::Nofile).current.is_none() || error.is_err());
    }

    #[test]
    fn an_open_file_is_counted() {
        let before = files_of(std::process::id()).unwrap();
        assert!(before > 2, "{before}");
    }
}
