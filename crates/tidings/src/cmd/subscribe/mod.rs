//! `tidings subscribe`: prints events, and comes back where the connection breaks.
//! Knows nothing of how events are printed, nor of how streams are opened and read.

mod exec;
mod print;
mod stream;

use std::io::{self, IsTerminal};

use tidings_client::{Event, Step};

use crate::cli::{ExecFail, SubscribeArgs};
use crate::client::Client;
use crate::logging;

use print::Style;

/// The type of the event by which a hub says that something is gone.
const RESET: &str = "tidings.reset";

/// The type of the event by which a hub says that the token, and so the stream, will end.
const RENEW: &str = "tidings.renew";

/// Subscribes until the wanted number of events has come, or for ever.
///
/// # Errors
/// Where the hub refuses for good, and where an event can't be handed on.
pub(super) async fn run(client: &Client, args: SubscribeArgs) -> anyhow::Result<()> {
    let mut sink = Sink::new(&args);
    if sink.is_full() {
        return Ok(());
    }
    let mut source = stream::open(client, &args)?;
    let mut is_open = false;
    let mut was_reset = false;
    while let Some(step) = source.next_step().await {
        match step {
            Step::Open { headers } => {
                is_open = true;
                was_reset = stream::was_reset(&headers);
            }
            Step::Event(event) => {
                // The event that usually follows the header says more.
                if std::mem::take(&mut was_reset) && event.event_type != RESET {
                    tell("some events since the last one are gone, the hub says");
                }
                sink.take(&event).await?;
                if sink.is_full() {
                    return Ok(());
                }
            }
            Step::Broken { error, wait } => {
                let reason = stream::reason(client, error, std::mem::take(&mut is_open));
                tell(&format!("{reason}; reconnecting in {:.1} s", wait.as_secs_f64()));
            }
            Step::Closed { error: Some(error) } => {
                return Err(stream::reason(client, error, is_open));
            }
            Step::Closed { error: None } => {
                tell("the hub says that there is nothing more to come");
            }
            // Nothing else happens to a stream today.
            _ => {}
        }
    }
    Ok(())
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
    async fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        if event.event_type == RENEW {
            // Nobody has published it, and the next connection takes a new token by itself.
            tell(&print::renew(&event.data));
            return Ok(());
        }
        let is_reset = event.event_type == RESET;
        if is_reset {
            tell(&print::reset(&event.data));
        }
        // A program that reads the lines has to learn of a gap from them.
        if let Some(style) = self.style.filter(|style| !is_reset || *style == Style::Json) {
            style.print(event)?;
        }
        if is_reset {
            return Ok(());
        }
        if let Some(command) = self.exec {
            let failed = exec::run(command, event).await;
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
