//! What comes over the wire, taken apart strictly: whoever sends what is not HTTP is found out.
//! Knows nothing of sockets.

pub mod answers;
pub mod chunks;
pub mod events;
pub mod head;

/// What the other side sent is not what it has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed(
    /// What is wrong with it.
    pub &'static str,
);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}
