//! Taking events in. Knows nothing of who gets them.

use futures_util::future::join_all;
use tidings_core::cursor::Cursor;
use tidings_core::event::{Event, EventId};
use tidings_core::vector::Vector;
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
        if self.is_partitioned() {
            return self.publish_apart(batch).await;
        }
        self.publish_in(0, batch).await
    }

    /// Publishes each event in the partition of its topics. All of one partition are kept in one
    /// step, or none; but of another partition's, some may be kept where this fails.
    async fn publish_apart(&self, batch: Vec<Publish>) -> Result<Vec<Published>, PublishError> {
        let mut apart: Vec<(usize, Vec<usize>, Vec<Publish>)> = Vec::new();
        let events = batch.len();
        for (number, publish) in batch.into_iter().enumerate() {
            let partition = self.partition_of(&publish.event.topics)?;
            match apart.iter_mut().find(|(other, ..)| *other == partition) {
                Some((_, numbers, batch)) => {
                    numbers.push(number);
                    batch.push(publish);
                }
                None => apart.push((partition, vec![number], vec![publish])),
            }
        }
        let publishing = apart.into_iter().map(async |(partition, numbers, batch)| {
            Ok::<_, PublishError>((numbers, self.publish_in(partition, batch).await?))
        });
        let mut published: Vec<Option<Published>> = (0..events).map(|_| None).collect();
        for done in join_all(publishing).await {
            let (numbers, answers) = done?;
            for (number, answer) in numbers.into_iter().zip(answers) {
                published[number] = Some(answer);
            }
        }
        Ok(published.into_iter().map(|answer| answer.expect("one for each event")).collect())
    }

    async fn publish_in(
        &self,
        partition: usize,
        batch: Vec<Publish>,
    ) -> Result<Vec<Published>, PublishError> {
        let log = &self.inner.lanes[partition].log;
        let incarnation = log.bounds().incarnation;
        let time = now();
        let mut ids = Vec::with_capacity(batch.len());
        let mut appends = Vec::with_capacity(batch.len());
        for Publish { event, key } in batch {
            let id = event.id.clone();
            if let Some(id) = &id
                && self.is_own(id)
            {
                return Err(PublishError::OwnId { id: id.as_str().to_owned() });
            }
            ids.push(id);
            appends.push(Append { event, key, time });
        }
        let appended = log.append(appends).await?;
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

    /// Whether it has the form of an id of ours.
    fn is_own(&self, id: &EventId) -> bool {
        let lanes = &self.inner.lanes;
        match id.as_str().parse::<Cursor>() {
            Ok(own) => lanes.iter().any(|lane| lane.log.bounds().incarnation == own.incarnation),
            Err(_) => self.is_partitioned() && id.as_str().parse::<Vector>().is_ok(),
        }
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
