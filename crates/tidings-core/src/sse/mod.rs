//! The wire format: events as `text/event-stream` bytes, and back.
//! Knows nothing of who reads or writes them.

mod decode;
mod encode;

pub use decode::{Decoder, Message, TooLong};
pub use encode::{Frame, LAST_CHUNK};
