//! `tidings subscribe`: prints events, and comes back where the connection breaks.
//! Knows nothing of how events are printed, nor of what a stream looks like on the wire.

mod backoff;
mod exec;
mod print;
mod stream;

use std::io::{self, IsTerminal};
use std::time::Duration;

use tidings_core::sse::Message;
use tokio::time::{self, Instant};

use crate::cli::{ExecFail, SubscribeArgs};
use crate::client::Client;
use crate::logging;

use backoff::Backoff;
use print::Style;
use stream::{Opened, Place, Stream};

/// The type of the event by which a hub says that something is gone.
const RESET: &str = "tidings.reset";

/// The type of the event by which a hub says that the token, and so the stream, will end.
const RENEW: &str = "tidings.renew";

/// Subscribes until the wanted number of events has come, or for ever.
///
/// # Errors
/// Where the hub refuses for good, and where an event can't be handed on.
pub(super) async fn run(client: &Client, args: SubscribeArgs) -> anyhow::Result<()> {
    let mut place = Place::new(&args);
    let mut backoff = Backoff::default();
    let mut sink = Sink::new(&args);
    if sink.is_full() {
        return Ok(());
    }
    loop {
        let reason = match stream::open(client, &args.topics, &mut place, args.idle_timeout).await?
        {
            Opened::Stream(mut stream) => {
                let opened = Instant::now();
                let ended = receive(&mut stream, &mut sink, &mut backoff, &mut place).await?;
                let Some(reason) = ended else { return Ok(()) };
                backoff.lasted(opened.elapsed());
                reason
            }
            Opened::Over => {
                tell("the hub says that there is nothing more to come");
                return Ok(());
            }
            Opened::Passing { reason, after } => {
                backoff.wait_at_least(after);
                reason
            }
        };
        let wait = backoff.next(backoff::random());
        tell(&format!("{reason}; reconnecting in {:.1} s", wait.as_secs_f64()));
        time::sleep(wait).await;
    }
}

/// Hands on what a stream brings. `None` when enough has come, or why the stream ended.
async fn receive(
    stream: &mut Stream,
    sink: &mut Sink<'_>,
    backoff: &mut Backoff,
    place: &mut Place,
) -> anyhow::Result<Option<String>> {
    let mut was_reset = stream.was_reset;
    loop {
        let more = stream.next().await?;
        while let Some(message) = stream.message() {
            backoff.reset();
            // The event that usually follows the header says more.
            if std::mem::take(&mut was_reset) && message.event_type != RESET {
                tell("some events since the last one are gone, the hub says");
            }
            sink.take(&message).await?;
            if sink.is_full() {
                return Ok(None);
            }
        }
        // Only now: what was not handed on is to come again.
        place.passed(stream.last_event_id());
        if let Some(retry) = stream.retry() {
            backoff.set_retry(retry);
        }
        if let Err(reason) = more {
            return Ok(Some(reason));
        }
    }
}

/// Where events go.
struct Sink<'a> {
    /// How they are printed, if they are.
    style: Option<Style>,
    exec: Option<&'a str>,
    exec_fail: ExecFail,
    /// How many are still wanted.
    left: Option<u64>,
}

impl<'a> Sink<'a> {
    fn new(args: &'a SubscribeArgs) -> Self {
        let terminal = io::stdout().is_terminal();
        let style = match (args.json, args.pretty) {
            (true, _) => Some(Style::Json),
            (_, true) => Some(Style::Pretty { colours: logging::colours(&io::stdout()) }),
            // What the command prints would be lost among the events.
            _ if args.exec.is_some() => None,
            _ if terminal => Some(Style::Pretty { colours: logging::colours(&io::stdout()) }),
            _ => Some(Style::Json),
        };
        let (exec, exec_fail) = (args.exec.as_deref(), args.exec_fail);
        Self { style, exec, exec_fail, left: args.count }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints an event and runs the command, one after the other.
    async fn take(&mut self, message: &Message) -> anyhow::Result<()> {
        if message.event_type == RENEW {
            // Nobody has published it, and the next connection takes a new token by itself.
            tell(&print::renew(&message.data));
            return Ok(());
        }
        let is_reset = message.event_type == RESET;
        if is_reset {
            tell(&print::reset(&message.data));
        }
        // A program that reads the lines has to learn of a gap from them.
        if let Some(style) = self.style.filter(|style| !is_reset || *style == Style::Json) {
            style.print(message)?;
        }
        if is_reset {
            return Ok(());
        }
        if let Some(command) = self.exec {
            let failed = exec::run(command, message).await;
            match (failed, self.exec_fail) {
                (Err(error), ExecFail::Stop) => return Err(error),
                (Err(error), ExecFail::Continue) => tell(&format!("{error:#}")),
                (Ok(()), _) => {}
            }
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        Ok(())
    }
}

/// Tells the user something that is no event.
fn tell(what: &str) {
    eprintln!("tidings: {what}");
}

/// The wait that a hub is taken to want until it says so.
const RETRY: Duration = tidings_core::limits::RETRY;
