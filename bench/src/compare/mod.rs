//! A crowd at a server: what it costs whom it came to, alone (`crowd`) and for the other works.
//! Knows nothing of sockets: it puts the other pieces together.

mod audience;
pub mod crowd;
mod crowd_report;
mod flow;
mod posts;
mod round;
mod streams;

use std::time::Duration;

pub use audience::{Audience, Delivered, Pace};
pub use flow::{Flow, Flowed};
pub use posts::{Posted, Posts};
pub use round::{Round, round};
pub use streams::{Came, arrive, come, left};

/// Nothing takes longer on a machine that works.
const STEP_TIME_MAX: Duration = Duration::from_secs(120);
