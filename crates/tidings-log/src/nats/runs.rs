//! Goes through the stream from one message to another and gives the runs between them.
//! Knows nothing of positions.

use std::collections::VecDeque;

use futures_util::future::try_join_all;

use super::link::Fault;
use super::message::{Joining, Part, Run};
use super::reader::Reader;
use super::sizes::READ_MESSAGES_MAX;

/// How many messages are asked for first; as there are more to come, more at once.
const FIRST: u64 = 8;

pub(super) struct Runs<'a> {
    reader: &'a Reader,
    joining: Joining,
    parts: VecDeque<(u64, Option<Part>)>,
    /// The next message to be asked for.
    next: u64,
    last: u64,
    window: u64,
}

impl<'a> Runs<'a> {
    /// Both ends belong to it.
    pub(super) fn new(reader: &'a Reader, first: u64, last: u64) -> Self {
        let (joining, parts) = (Joining::default(), VecDeque::new());
        Self { reader, joining, parts, next: first, last, window: FIRST }
    }

    /// The next message.
    pub(super) fn seq(&self) -> u64 {
        self.next
    }

    pub(super) async fn next(&mut self) -> Result<Option<Run>, Fault> {
        loop {
            while let Some((seq, part)) = self.parts.pop_front() {
                let Some(part) = part else { continue };
                if let Some(run) = self.joining.push(seq, part) {
                    return Ok(Some(run));
                }
            }
            if self.next > self.last {
                return Ok(None);
            }
            let end = self.last.min(self.next + self.window - 1);
            let reader = self.reader;
            let asking =
                (self.next..=end).map(async |seq| reader.part(seq).await.map(|part| (seq, part)));
            self.parts.extend(try_join_all(asking).await?);
            self.next = end + 1;
            self.window = (self.window * 2).min(READ_MESSAGES_MAX);
        }
    }
}
