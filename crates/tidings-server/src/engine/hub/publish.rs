//! Taking events in. Knows nothing of who gets them.

use tidings_core::cursor::Cursor;
use tidings_core::event::Event;
use tidings_log::{Append, Appended};

use super::Hub;
use crate::engine::pump::now;
use crate::engine::terms::{Id, Publish, PublishError, Published, TooFast};
use crate::gate::{self, Client, Share};

impl Hub {
    /// Publishes one event and answers when it is kept.
    ///
    /// Dropping the future does not take the event back: it may be kept all the same.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing was published then.
    pub async fn publish(&self, event: Event) -> Result<Published, PublishError> {
        let mut published = self.publish_many(vec![Publish { event, key: None }]).await?;
        Ok(published.pop().expect("one event gives one answer"))
    }

    /// Publishes several events in one step, in their order: all are kept, or none.
    ///
    /// Dropping the future does not take them back: they may be kept all the same.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_many(&self, batch: Vec<Publish>) -> Result<Vec<Published>, PublishError> {
        let incarnation = self.bounds().incarnation;
        let time = now();
        let mut ids = Vec::with_capacity(batch.len());
        let mut appends = Vec::with_capacity(batch.len());
        for Publish { event, key } in batch {
            let id = event.id.clone();
            if let Some(id) = &id
                && id.as_str().parse::<Cursor>().is_ok_and(|own| own.incarnation == incarnation)
            {
                return Err(PublishError::OwnId { id: id.as_str().to_owned() });
            }
            ids.push(id);
            appends.push(Append { event, key, time });
        }
        let appended = self.inner.log.append(appends).await?;
        let kept = appended.iter().filter(|appended| !appended.repeated).count();
        self.inner.metrics.published.inc_by(kept as u64);
        let published = ids.into_iter().zip(appended).map(|(id, appended)| Published {
            id: match id {
                Some(id) => Id::Chosen(id),
                None => {
                    let Appended { position, print, .. } = appended;
                    Id::Own(Cursor { incarnation, position, print })
                }
            },
            position: appended.position,
            repeated: appended.repeated,
        });
        Ok(published.collect())
    }

    /// What a publish may hold of the bytes for all of them; nothing yet. It is to be kept until
    /// the publish is answered.
    pub(crate) fn in_flight(&self) -> Share {
        self.inner.in_flight.share()
    }

    /// Takes `events` from what `client` may still publish now.
    ///
    /// # Errors
    /// Where that is less; nothing was taken then.
    pub fn allow_publish(&self, client: &Client, events: usize) -> Result<(), TooFast> {
        let (rates, limit) = match client {
            Client::Address(_) => (&self.inner.publishes_per_address, "publishes_per_address"),
            Client::Subject(_) => (&self.inner.publishes_per_key, "publishes_per_key"),
        };
        let Err(gate::TooFast { wait, rate }) = rates.take(client, events) else { return Ok(()) };
        Err(TooFast { limit, rate, wait })
    }
}
