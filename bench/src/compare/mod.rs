//! The measurements that the program offers, and what they can be made of.
//! Knows nothing of sockets: it puts the other pieces together.

pub mod crowd;
mod crowd_report;
mod round;
mod subject;

pub use round::{Pace, Round, round};
pub use subject::{Limit, Subject, Tidings};
