//! A crowd at a server: what it costs whom it came to, alone (`crowd`) and for the other works.
//! Knows nothing of sockets: it puts the other pieces together.

mod audience;
pub mod crowd;
mod crowd_report;
mod round;

pub use audience::{Audience, Came, Delivered, Pace};
pub use round::{Round, round};
