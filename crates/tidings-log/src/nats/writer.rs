//! Appends what publishers bring: gathers it into groups, publishes each as a run, and gives each
//! publisher its answer. Knows nothing of reading.
//!
//! A run is written for one place: the server takes it only if nobody else has appended since.
//! Where somebody has, or where the answer got lost, it is known from what is heard whether it has
//! become part of the log, and if not, it is written anew. So nothing is ever appended twice.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::compose::{Draft, Frame, Group, compose};
use super::engine::Shared;
use super::link::{Fault, FaultKind};
use super::message::RunId;
use super::sizes::{CONFLICTS_MAX, PART_TIME_MAX, PARTS_UNDER_WAY_MAX, TURN_TIME_MAX};
use crate::AppendError;
use crate::remote::{ANSWER_TIME_MAX, Backoff, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN, Waiting, gather};

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) waiting: mpsc::Receiver<Waiting>,
    /// Of the next run.
    pub(super) number: u64,
}

/// What can be done for a run now.
enum Step {
    /// It is part of the log.
    Done,
    /// It can be published.
    Publish,
    /// Something has to be heard first.
    Wait,
}

impl Writer {
    /// Runs until nobody can append any more.
    pub(super) async fn run(mut self) {
        let mut cuts = self.shared.engine.cut.subscribe();
        loop {
            let group = tokio::select! {
                waiting = self.waiting.recv() => match waiting {
                    Some(waiting) => self.gather(waiting),
                    None => return,
                },
                _ = cuts.changed() => None,
            };
            self.append(group).await;
        }
    }

    /// Gathers what waits into one group.
    fn gather(&mut self, first: Waiting) -> Option<Group> {
        let mut group = Group::default();
        gather(&self.shared, first, &mut self.waiting, &mut group);
        (!group.is_empty()).then_some(group)
    }

    /// Appends a group, and what else there is to be said.
    async fn append(&mut self, mut group: Option<Group>) {
        self.number += 1;
        let run = RunId { node: self.shared.engine.node, number: self.number };
        let mut changed = self.shared.changed.subscribe();
        let mut backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
        let mut draft = None;
        let mut conflicts = 0;
        loop {
            if group.as_ref().is_some_and(Group::is_given_up) {
                // They were told that it may be kept.
                return;
            }
            if self.waiting.is_closed() && self.shared.state.lock().deaf.is_some() {
                // Whoever closes the log does not wait for a server that is away.
                self.give_up(group.take());
                return;
            }
            // Seen before looking: what comes after the look wakes the wait below.
            changed.borrow_and_update();
            match self.look(run, group.as_ref(), &mut draft) {
                Step::Done => {
                    self.resolve(group.take(), draft.take());
                    return;
                }
                Step::Wait => {
                    let _ = timeout(TURN_TIME_MAX, changed.changed()).await;
                    continue;
                }
                Step::Publish => {}
            }
            let Some(written) = &draft else { continue };
            match self.publish(written).await {
                Ok(seq) => self.heard(&mut changed, seq).await,
                Err(fault) if fault.kind == FaultKind::Conflict => {
                    conflicts += 1;
                    if conflicts >= CONFLICTS_MAX {
                        let engine = &self.shared.engine;
                        engine.link.ask_for_turn(engine.node).await;
                    }
                    self.heard(&mut changed, written.after + 1).await;
                }
                Err(fault) if fault.kind == FaultKind::Refused => {
                    self.refuse(group.take(), &fault);
                    return;
                }
                Err(fault) => {
                    if fault.kind == FaultKind::Missing {
                        self.shared.engine.doubt.send_replace(());
                    }
                    self.shared.set_mute(Some(fault.reason));
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    /// What can be done now. Writes the draft anew where the log does not end any more where it
    /// was written for; before that nobody else has appended, so it is still as good.
    fn look(&self, run: RunId, group: Option<&Group>, draft: &mut Option<Draft>) -> Step {
        let engine = &self.shared.engine;
        let mut tail = engine.tail.lock();
        if tail.own == run {
            return Step::Done;
        }
        let (deaf, mute) = {
            let state = self.shared.state.lock();
            (state.deaf.is_some(), state.mute.is_some())
        };
        if deaf || engine.turn.is_other_s(engine.node) || tail.is_taken(engine.node, PART_TIME_MAX)
        {
            return Step::Wait;
        }
        let known = tail.known();
        let written = draft.take().filter(|draft| draft.fits(known, tail.seq));
        let written = written.unwrap_or_else(|| {
            let frame = Frame {
                run,
                now: engine.clock.lock().latest(),
                cut: *engine.cut.borrow(),
                probe: mute && group.is_none(),
                renew: None,
                message_bytes_max: engine.link.message_bytes_max(),
            };
            compose(&mut tail, group, frame)
        });
        let step = if written.parts.is_empty() { Step::Done } else { Step::Publish };
        *draft = Some(written);
        step
    }

    /// Publishes a run: the first part by itself, so that others see that somebody is there; then
    /// what lies between, all at once; and when all of it is there, the last. Gives its number.
    async fn publish(&self, draft: &Draft) -> Result<u64, Fault> {
        let link = &self.shared.engine.link;
        let mut after = draft.after;
        let mut answers = VecDeque::new();
        let last = draft.parts.len() - 1;
        for (number, part) in draft.parts.iter().enumerate() {
            let alone = number <= 1 || number == last;
            while answers.len() >= if alone { 1 } else { PARTS_UNDER_WAY_MAX } {
                let Some(answer) = answers.pop_front() else { break };
                std::pin::Pin::from(answer).await?;
            }
            let sent = link.publish(&part.kind, part.payload.clone(), after).await?;
            answers.push_back(Box::new(sent));
            after += 1;
        }
        while let Some(answer) = answers.pop_front() {
            std::pin::Pin::from(answer).await?;
        }
        Ok(after)
    }

    /// Waits until this message was heard. Where it does not come, whoever listens is to look what
    /// is the matter.
    async fn heard(&self, changed: &mut watch::Receiver<()>, seq: u64) {
        let hearing = async {
            loop {
                changed.borrow_and_update();
                if self.shared.engine.tail.lock().seq >= seq {
                    return;
                }
                // Cannot fail: we keep the sender alive.
                let _ = changed.changed().await;
                if self.shared.state.lock().deaf.is_some() {
                    return;
                }
            }
        };
        if timeout(ANSWER_TIME_MAX, hearing).await.is_err() {
            self.shared.engine.doubt.send_replace(());
            // It is away, or about to look.
            sleep(RETRY_PAUSE_MIN).await;
        }
    }

    fn resolve(&self, group: Option<Group>, draft: Option<Draft>) {
        if self.shared.state.lock().mute.is_some() {
            self.shared.set_mute(None);
        }
        if let (Some(group), Some(draft)) = (group, draft) {
            group.resolve(draft);
        }
    }

    fn refuse(&self, group: Option<Group>, fault: &Fault) {
        self.shared.set_mute(Some(fault.reason.clone()));
        if let Some(group) = group {
            let reason = self.shared.trouble(&fault.reason);
            group.refuse(&AppendError::Unavailable { reason });
        }
    }

    /// The log is closed and the server does not answer: nobody will be served any more.
    fn give_up(&mut self, group: Option<Group>) {
        if let Some(group) = group {
            let reason = self.shared.trouble("it does not answer");
            group.refuse(&AppendError::Unavailable { reason });
        }
        self.waiting.close();
        while let Ok(waiting) = self.waiting.try_recv() {
            waiting.answer(Err(AppendError::Closed));
        }
    }
}
