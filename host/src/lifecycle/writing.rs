//! The writing side of a load: inserts its reader's blocks one after the other, and journals a chunk once all of it is acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;
use tracing::Span;
use xxhash_rust::xxh3::Xxh3;

use super::error::Error;
use super::load::{self, Shared, Task};
use crate::destination::Block;
use crate::journal::ChunkResult;
use crate::schema::rejected_name;

/// What a reader hands to its writer, in order.
pub(super) enum Job {
    /// A block of a chunk.
    Block {
        /// The chunk.
        task: Task,
        /// Where it goes.
        to: To,
        /// The block's number in the chunk, from 0.
        sequence: u32,
        /// What to insert.
        block: Block,
        /// Its room in memory, given back when it is written. Rejected rows are few at a time and need none.
        room: Option<OwnedSemaphorePermit>,
    },
    /// The chunk was read to its end.
    Done {
        /// The chunk.
        task: Task,
        /// Its ledger.
        result: ChunkResult,
        /// What it took is told in it.
        span: Span,
    },
    /// The reader has lost its connection in the middle of the chunk, and is gone.
    Lost {
        /// The chunk.
        task: Task,
    },
}

/// Which table a block goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The shadow.
    Shadow,
    /// The table of rejected rows.
    Rejected,
}

/// Does the jobs of one reader. An error ends the load; the reader then finds the channel closed.
pub(super) async fn write(shared: Arc<Shared>, mut inbox: Receiver<Job>) {
    while let Some(job) = inbox.recv().await {
        let done = match job {
            Job::Block {
                task,
                to,
                sequence,
                block,
                room: _room,
            } => insert(&shared, &task, to, sequence, &block).await,
            Job::Done { task, result, span } => span.in_scope(|| done(&shared, &task, result)),
            Job::Lost { task } => lost(&shared, task).await,
        };
        if let Err(error) = done {
            return shared.fail(error);
        }
    }
}

async fn insert(
    shared: &Shared,
    task: &Task,
    to: To,
    sequence: u32,
    block: &Block,
) -> Result<(), Error> {
    let (work, session) = (&shared.work, &shared.session);
    let record = work.table(&task.chunk.table);
    if record.began.is_none() {
        work.update_table(&task.chunk.table, "first insert into", |table| {
            table.began = Some(Timestamp::now())
        })?;
    }
    if to == To::Shadow && work.pipe.cdc.follows() {
        // Should the chunk be left unfinished, it is known how many rows it may have left behind.
        work.journal
            .chunk_sends(&work.id(), &task.chunk, block.rows() as u64)?;
    }
    let mut token = Xxh3::new();
    for part in [
        work.id().as_str(),
        &task.chunk.table.to_string(),
        &task.table.bound.chain.fingerprint(),
    ] {
        token.update(part.as_bytes());
        token.update(&[0]);
    }
    token.update(&record.attempt.to_le_bytes());
    token.update(&task.chunk.number.to_le_bytes());
    token.update(&sequence.to_le_bytes());
    token.update(&block.content_hash().to_le_bytes());
    let token = format!("{:032x}", token.digest128());
    let target = &task.table.bound.target;
    let table = match to {
        To::Shadow => target.shadow(),
        To::Rejected => {
            session
                .retried("create a table of rejected rows", || {
                    session.destination.create_rejected(&target.name)
                })
                .await?;
            rejected_name(&target.name)
        }
    };
    session
        .retried("insert a block", || {
            session.destination.insert(&table, block, &token)
        })
        .await?;
    Ok(())
}

fn done(shared: &Shared, task: &Task, result: ChunkResult) -> Result<(), Error> {
    let work = &shared.work;
    work.journal.chunk_done(&work.id(), &task.chunk, result)?;
    if task.table.chunks_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        work.loaded(&task.chunk.table)?;
    }
    Ok(())
}

/// Puts a chunk back for another reader, whose blocks will be the same and are known by their tokens. Two cases are not like that: rows without a
/// key come in no order, so their table is emptied first; and readers that don't show one moment read other rows, so the load goes on from a new snapshot.
async fn lost(shared: &Shared, task: Task) -> Result<(), Error> {
    if !shared.work.resync().consistent {
        shared.lose_snapshot();
        return Ok(());
    }
    if !task.table.bound.is_keyed() {
        load::empty(&shared.session, &shared.work, &task.table.bound).await?;
    }
    shared.put_back(task);
    Ok(())
}
