//! How what is missing comes onto the machine: Debian's packages and npm's.
//! Knows nothing of who needs what; each command has its own list.

pub(crate) mod debian;
pub(crate) mod npm;
