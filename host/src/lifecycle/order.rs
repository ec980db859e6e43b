//! Orders to the process that is at work on the pipe: left in the journal, answered there, and what they begin is watched from here.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::report::{Outcome, Progress};
use super::statistics;
use crate::journal::{Journal, Order, OrderAnswer, OrderState, Phase, PipeLock, TableState};
use crate::pipe::Pipe;

/// How often the journal is looked into.
const LOOK: Duration = Duration::from_millis(200);

/// What became of an order.
pub(super) enum Ordered {
    /// It is done.
    Done,
    /// It began a resync, which has ended, or waits.
    Outcome(Box<Outcome>),
    /// The process that was at work has ended without an answer.
    NobodyThere,
}

/// What the process at work answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done,
    /// It has begun a resync.
    Begun {
        /// The resync's id.
        resync: String,
    },
    /// There is no such process, or it has ended without an answer.
    NobodyThere,
}

/// Leaves an order, and waits until it is answered, and what it began has ended.
pub(super) async fn order(
    pipe: &Pipe,
    order: &Order,
    progress: &Arc<dyn Progress>,
) -> Result<Ordered, Error> {
    match tell(pipe, order).await? {
        Told::NobodyThere => Ok(Ordered::NobodyThere),
        Told::Done => Ok(Ordered::Done),
        Told::Begun { resync } => {
            let journal = Journal::open(&pipe.state)?;
            let outcome = watch(pipe, &journal, &resync, progress).await?;
            Ok(Ordered::Outcome(Box::new(outcome)))
        }
    }
}

/// Leaves an order, and waits until it is answered.
pub(super) async fn tell(pipe: &Pipe, order: &Order) -> Result<Told, Error> {
    let Some(journal) = Journal::open_existing(&pipe.state)? else {
        return Ok(Told::NobodyThere);
    };
    let mut number = journal.order(order)?;
    let answer = loop {
        // In this order: the answer of a process that has ended since is an answer.
        let is_held = PipeLock::is_held(&pipe.state);
        match journal.order_answer(number)? {
            OrderState::Answered(answer) => break answer,
            OrderState::Waits => {}
            OrderState::Forgotten => number = journal.order(order)?,
        }
        if !is_held {
            return Ok(Told::NobodyThere);
        }
        tokio::time::sleep(LOOK).await;
    };
    match answer {
        OrderAnswer::Done => Ok(Told::Done),
        OrderAnswer::Refused { reason, suggestion } => Err(Error::Nothing { reason, suggestion }),
        OrderAnswer::Begun { resync } => Ok(Told::Begun { resync }),
    }
}

/// Watches a resync that another process is at work on.
async fn watch(
    pipe: &Pipe,
    journal: &Journal,
    id: &str,
    progress: &Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let (mut phase, mut told) = (None, 0);
    loop {
        let is_held = PipeLock::is_held(&pipe.state);
        let resyncs = journal.resyncs()?;
        let Some(resync) = resyncs.into_iter().find(|resync| resync.id == id) else {
            return Err(Error::Worker(format!(
                "the resync {id} is not in the journal"
            )));
        };
        let summary = statistics::summary(journal, &resync)?;
        if phase != Some(resync.phase) {
            phase = Some(resync.phase);
            progress.phase(id, resync.phase);
        }
        summary
            .tables
            .iter()
            .for_each(|table| progress.table(table));
        resync.notes[told.min(resync.notes.len())..]
            .iter()
            .for_each(|note| progress.note(note));
        told = resync.notes.len();
        let tables = journal.tables(id)?;
        let waits = tables
            .iter()
            .any(|table| table.state == TableState::NeedsApproval && !table.approved);
        match resync.phase {
            Phase::Paused => return Ok(Outcome::Paused(summary)),
            Phase::Failed => {
                return Err(Error::Nothing {
                    reason: format!("the resync failed: {}", resync.error.unwrap_or_default()),
                    suggestion: "go on with `tidemill resume`, or give it up with `tidemill abort`"
                        .to_owned(),
                });
            }
            phase if phase.is_over() => return Ok(Outcome::Completed(summary)),
            _ if waits => return Ok(Outcome::NeedsApproval(summary)),
            _ if !is_held => {
                return Err(Error::Unfinished {
                    id: id.to_owned(),
                    phase: resync.phase,
                    active: false,
                });
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}
