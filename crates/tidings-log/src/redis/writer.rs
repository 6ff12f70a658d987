//! Appends what publishers bring: gathers it into groups, sends them, several at a time, and gives
//! each publisher its answer. Knows nothing of reading.
//!
//! A connection may break while groups are under way, and nobody knows then which of them the
//! server has appended. They are sent again in their order, under the same numbers, by which the
//! server knows those that it has, and only repeats its answer.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{FuturesOrdered, StreamExt};
use tidings_core::limits::{IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_TIME_MAX};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::engine::Shared;
use super::group::Group;
use super::link::{Fault, Link};
use super::scripts::{self, Answer};
use super::sizes::{ANSWERS_KEPT, ENTRY_BYTES, GROUPS_UNDER_WAY_MAX};
use crate::AppendError;
use crate::memory::random_fingerprint;
use crate::remote::{ANSWER_TIME_MAX, Backoff, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN, Waiting, gather};

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) waiting: mpsc::Receiver<Waiting>,
    /// What was sent and not answered, or has to be sent again.
    pub(super) under_way: VecDeque<Group>,
    /// Of the next group.
    pub(super) number: u64,
}

/// Why a connection is not used any longer.
enum End {
    /// Nobody can append any more, and all that was appended is answered.
    Closed,
    /// It is broken.
    Broken(Fault),
    /// The log is another one: all groups under way have to be sent anew.
    Anew(Answer),
}

impl Writer {
    /// Runs until nobody can append any more.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
        loop {
            let fault = match self.connect().await {
                Ok(link) => {
                    self.shared.set_mute(None);
                    match self.serve(&link, &mut backoff).await {
                        None => return,
                        Some(fault) => fault,
                    }
                }
                Err(fault) => fault,
            };
            self.shared.set_mute(Some(fault.reason.clone()));
            if self.waiting.is_closed() {
                // Whoever closes the log does not wait for a server that is away.
                self.give_up(&fault);
                return;
            }
            sleep(backoff.next()).await;
            self.under_way.retain(|group| !group.is_given_up());
        }
    }

    async fn connect(&self) -> Result<Link, Fault> {
        let link = self.shared.engine.dialer.dial(ANSWER_TIME_MAX).await?;
        self.shared.check(&link).await?;
        Ok(link)
    }

    /// Serves publishers over a connection until it breaks. `None`: all is done.
    async fn serve(&mut self, link: &Link, backoff: &mut Backoff) -> Option<Fault> {
        loop {
            let known = self.shared.state.lock().held.incarnation;
            let met = match self.drive(link, backoff).await {
                End::Closed => return None,
                End::Broken(fault) => return Some(fault),
                End::Anew(Answer::Back) => self.shared.renew(link, known).await,
                End::Anew(_) => self.shared.meet(link).await,
            };
            if let Err(fault) = met {
                return Some(fault);
            }
        }
    }

    async fn drive(&mut self, link: &Link, backoff: &mut Backoff) -> End {
        let mut closed = false;
        let mut answers = FuturesOrdered::new();
        for group in &self.under_way {
            answers.push_back(self.send(link.clone(), group));
        }
        loop {
            if closed && answers.is_empty() {
                return End::Closed;
            }
            tokio::select! {
                biased;
                Some(answer) = answers.next(), if !answers.is_empty() => {
                    let group = self.under_way.pop_front().expect("one for each answer");
                    match answer {
                        Ok(Answer::Done(held, text)) => {
                            let text = text.and_then(scripts::text).unwrap_or_default();
                            self.shared.hear_appended(held);
                            if self.shared.state.lock().mute.is_some() {
                                self.shared.set_mute(None);
                            }
                            backoff.reset();
                            group.resolve(&text);
                        }
                        Ok(answer @ (Answer::Other | Answer::Back)) => {
                            self.under_way.push_front(group);
                            return End::Anew(answer);
                        }
                        Err(fault) if fault.broken => {
                            self.under_way.push_front(group);
                            return End::Broken(fault);
                        }
                        Err(fault) => {
                            self.shared.set_mute(Some(fault.reason.clone()));
                            let reason = self.shared.trouble(&fault.reason);
                            group.refuse(&AppendError::Unavailable { reason });
                        }
                    }
                }
                waiting = self.waiting.recv(),
                    if !closed && answers.len() < GROUPS_UNDER_WAY_MAX =>
                {
                    let Some(waiting) = waiting else {
                        closed = true;
                        continue;
                    };
                    // Publishers who were answered together come back one after the other, and
                    // the first would get a group of its own: all that are ready have their turn
                    // before.
                    yield_now().await;
                    if let Some(group) = self.gather(waiting) {
                        answers.push_back(self.send(link.clone(), &group));
                        self.under_way.push_back(group);
                    }
                }
            }
        }
    }

    /// Gathers what waits into one group.
    fn gather(&mut self, first: Waiting) -> Option<Group> {
        let mut group = Group::new(self.number);
        gather(&self.shared, first, &mut self.waiting, &mut group);
        if group.is_empty() {
            return None;
        }
        group.finish();
        self.number += 1;
        Some(group)
    }

    /// Sends a group; the future gives the answer. It is on its way once the future was polled.
    fn send(
        &self,
        link: Link,
        group: &Group,
    ) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let held = self.shared.state.lock().held;
        let numbers = [
            held.next.0,
            group.number,
            ANSWERS_KEPT as u64,
            self.shared.engine.bytes_max,
            IDEMPOTENCY_TIME_MAX.as_millis() as u64,
            IDEMPOTENCY_KEYS_MAX as u64,
            ENTRY_BYTES as u64,
            // Another one each time it is sent: what was appended and lost is another event than
            // what is appended again.
            random_fingerprint().bits().into(),
        ]
        .map(|number| number.to_string());
        let mut arguments = vec![held.incarnation.as_str().as_bytes()];
        arguments.extend(numbers.iter().map(String::as_bytes));
        arguments.extend(group.arguments());
        let call = link.prepare(&scripts::APPEND, &self.shared.engine.keys, &arguments);
        let replicas = self.shared.engine.wait_replicas;
        async move {
            let answer = link.run_prepared(call).await?;
            if replicas > 0 && matches!(answer, Answer::Done(..)) {
                wait_for(&link, replicas).await?;
            }
            Ok(answer)
        }
    }

    /// The log is closed and the server does not answer: nobody will be served any more.
    fn give_up(&mut self, fault: &Fault) {
        let reason = self.shared.trouble(&fault.reason);
        for group in self.under_way.drain(..) {
            group.refuse(&AppendError::Unavailable { reason: reason.clone() });
        }
        self.waiting.close();
        while let Ok(waiting) = self.waiting.try_recv() {
            waiting.answer(Err(AppendError::Closed));
        }
    }
}

/// Waits until so many replicas have what was written over this connection.
async fn wait_for(link: &Link, replicas: u32) -> Result<(), Fault> {
    let mut command = redis::cmd("WAIT");
    command.arg(replicas).arg(ANSWER_TIME_MAX.as_millis() as u64 / 2);
    match link.command(&command).await? {
        redis::Value::Int(have) if have >= i64::from(replicas) => Ok(()),
        redis::Value::Int(have) => Err(Fault::refused(format!(
            "only {have} of {replicas} replicas (redis-wait-replicas) have the event; it may be \
             kept all the same"
        ))),
        _ => Err(Fault::refused("it does not say how many replicas have the event")),
    }
}
