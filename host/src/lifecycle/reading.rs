//! The reading side of a load: a thread of its own, because the wire and the plugins are synchronous. It reads a chunk,
//! puts each batch through the chain, and hands blocks to its writer.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;
use tracing::field::Empty;

use super::error::Error;
use super::load::{LoadTable, Shared, Task, mends_itself};
use super::share::ChunkPlace;
use super::transforms;
use super::writing::{Job, To};
use crate::destination::{
    Block, BlockWriter, DestinationError, Digest, Misfit, RejectedRow, rejected_block, row_as_json,
};
use crate::journal::{ChunkResult, StepCounts};
use crate::pipe::{SnapshotSettings, VerifyMode};
use crate::schema::{Ledger, OnError, row_text};
use crate::source::{ReadLimits, Reader};
use crate::transform::{Applied, ChainInstance, Rejected};

/// A block of ClickHouse has at most this many rows; from 1,048,449 on it cuts an insert in two.
const BLOCK_ROWS: usize = 1_000_000;
/// Rejected rows are handed over when they are so many.
const REJECTED_ROWS: usize = 10_000;
/// Blocks of a reader and its writer that are in memory: one that is made, one that waits, one that is written.
const BLOCKS: u32 = 3;

/// Reads chunks until there are none, the load is stopped, or the connection is lost.
pub(super) fn read(shared: &Shared, mut reader: Reader, jobs: &Sender<Job>) {
    let mut instance: Option<(Arc<LoadTable>, ChainInstance)> = None;
    let rooms = Arc::new(Semaphore::new(BLOCKS as usize));
    loop {
        shared.session.tuning.brakes.wait(|| shared.is_stopped());
        let Some(place) = shared.session.share.chunk(&|| shared.has_none()) else {
            return;
        };
        let Some(task) = shared.next() else { return };
        let (_, chain) = match instance.take() {
            Some(kept) if Arc::ptr_eq(&kept.0, &task.table) => instance.insert(kept),
            _ => instance.insert((task.table.clone(), task.table.bound.chain.instance())),
        };
        // It lasts until the chunk is journalled.
        let span = tracing::info_span!("chunk", table = %task.chunk.table, chunk = i64::from(task.chunk.number), rows = Empty, bytes = Empty);
        let _within = span.enter();
        let mut assembly = Assembly {
            shared,
            task: &task,
            span: &span,
            chain,
            place,
            jobs,
            rooms: &rooms,
            settings: settings(shared, &task),
            block: None,
            rejected: Vec::new(),
            rejected_bytes: 0,
            bytes: 0,
            sequence: 0,
            result: Totals::default(),
            failure: None,
        };
        let ended = read_chunk(&mut reader, &mut assembly);
        drop(assembly);
        match ended {
            Ok(()) => {}
            Err(Ended::Stopped) => return,
            Err(Ended::Failed(error)) => return shared.fail(error),
            Err(Ended::Lost(error)) => {
                tracing::warn!(table = %task.chunk.table, chunk = task.chunk.number, %error, "a connection to the source was lost");
                // The writer puts the chunk back once it has seen all of its blocks. Should it be gone, the load has failed already.
                let _ = jobs.blocking_send(Job::Lost { task });
                return;
            }
        }
    }
}

/// How a chunk is cut: as the pipe file says now, unless a chunk that is read again must be cut as it was.
fn settings(shared: &Shared, task: &Task) -> SnapshotSettings {
    let may_change =
        shared.work.pipe.cdc.follows() && mends_itself(&shared.work.pipe, &task.table.bound);
    match may_change {
        true => shared.session.tuning.get().snapshot.clone(),
        false => shared.work.pipe.snapshot.clone(),
    }
}

impl From<DestinationError> for Ended {
    fn from(error: DestinationError) -> Self {
        Self::Failed(error.into())
    }
}

/// Why a chunk was not read to its end.
enum Ended {
    /// The load is stopped, or the writer is gone.
    Stopped,
    /// The connection to the source was lost; another may do the chunk.
    Lost(Error),
    /// It can't be done.
    Failed(Error),
}

fn read_chunk(reader: &mut Reader, assembly: &mut Assembly<'_>) -> Result<(), Ended> {
    let task = assembly.task;
    let limits = ReadLimits {
        batch_rows: assembly.settings.batch_rows,
        batch_bytes: assembly.settings.batch_bytes,
    };
    let read = reader.read(&task.table.read, &task.chunk, limits, &mut |batch| {
        assembly.take(batch)
    });
    if let Some(ended) = assembly.failure.take() {
        return Err(ended);
    }
    match read {
        Ok(_) => assembly.finish(),
        Err(error) if error.connection_lost() => Err(Ended::Lost(error.into())),
        Err(error) => Err(Ended::Failed(error.into())),
    }
}

#[derive(Default)]
struct Totals {
    ledger: Ledger,
    bytes: u64,
    digest: Option<Digest>,
}

/// Gathers a chunk's batches into blocks.
struct Assembly<'a> {
    shared: &'a Shared,
    task: &'a Task,
    span: &'a Span,
    chain: &'a mut ChainInstance,
    place: ChunkPlace<'a>,
    jobs: &'a Sender<Job>,
    rooms: &'a Arc<Semaphore>,
    /// Of this chunk; they may change between two.
    settings: SnapshotSettings,
    block: Option<(BlockWriter, OwnedSemaphorePermit)>,
    rejected: Vec<RejectedRow>,
    rejected_bytes: usize,
    bytes: usize,
    sequence: u32,
    result: Totals,
    failure: Option<Ended>,
}

impl Assembly<'_> {
    /// Takes a batch from the source, or says that reading must stop; why stands in `failure`.
    fn take(&mut self, batch: RecordBatch) -> ControlFlow<()> {
        match self.transform(batch).and_then(|()| self.flush_full()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(ended) => {
                self.failure = Some(ended);
                ControlFlow::Break(())
            }
        }
    }

    fn transform(&mut self, batch: RecordBatch) -> Result<(), Ended> {
        let read = batch.num_rows();
        let session = &self.shared.session;
        let stopped = || self.shared.is_stopped();
        let (brakes, pace) = (&session.tuning.brakes, &session.tuning.pace);
        let own = || {
            brakes.wait(stopped);
            pace.wait(read, stopped);
        };
        let waits = brakes.is_held() || pace.is_behind();
        self.place.pause(read, waits, &own, &stopped);
        if stopped() {
            return Err(Ended::Stopped);
        }
        session.meter.loaded(read as u64);
        let applied = session
            .transform(self.chain, batch.clone(), &self.task.chunk.number, &stopped)
            .map_err(|cause| Ended::Failed(cause.into()))?;
        if let Some(rejected) = transforms::first_failure(&applied) {
            return Err(Ended::Failed(self.failure_of(&batch, rejected)));
        }
        let skipped = |rejected: &&Rejected| rejected.on_error == OnError::Skip;
        let skipped = applied.rejected.iter().filter(skipped).count();
        let set_aside = applied.rejected.len() - skipped;
        let fitter = &self.task.table.bound.fitter;
        let fitted = fitter
            .fit(&applied.batch)
            .map_err(|misfit| self.misfit(&applied.batch, misfit))?;
        let ledger = Ledger {
            read: read as u64,
            written: fitted.batch.num_rows() as u64,
            filtered: applied.filtered_rows,
            rejected: (set_aside + fitted.rejected.len()) as u64,
            skipped: skipped as u64,
        };
        self.result.ledger += ledger;
        self.task.table.count(ledger);
        self.reject(&applied, fitted.rejected)?;
        if fitted.batch.num_rows() == 0 {
            return Ok(());
        }
        if self.shared.work.pipe.verify == VerifyMode::Full {
            let digest = self
                .result
                .digest
                .get_or_insert_with(|| Digest::new(fitted.batch.num_columns()));
            digest.add(&fitted.batch, self.task.table.bound.chain.output_key());
        }
        self.append(&fitted.batch)
    }

    /// A value that doesn't fit stops the load, and its row is named.
    fn misfit(&self, batch: &RecordBatch, misfit: Misfit) -> Ended {
        let key = self.task.table.bound.chain.output_key();
        Ended::Failed(Error::from(DestinationError::Value {
            table: self.task.table.bound.source.name.to_string(),
            reason: misfit.to_string(),
            column: misfit.column,
            row: match key.is_empty() {
                true => format!("of chunk {} (it has no key)", self.task.chunk.number),
                false => row_text(batch, misfit.row, key.iter().copied()),
            },
        }))
    }

    /// Keeps rejected rows for their table.
    fn reject(&mut self, applied: &Applied, misfits: Vec<Misfit>) -> Result<(), Ended> {
        let rejected = applied.rejected.iter();
        for rejected in rejected.filter(|rejected| rejected.on_error == OnError::Reject) {
            let mapping = &self.task.table.bound.mapping;
            let row = transforms::rejected_row(mapping, applied, rejected);
            self.keep_rejected(row)?;
        }
        let batch = &applied.batch;
        for misfit in misfits {
            let key = self.task.table.bound.chain.output_key();
            let rejected = RejectedRow {
                key: row_as_json(batch, misfit.row, key.iter().copied()),
                row: row_as_json(batch, misfit.row, 0..batch.num_columns()),
                column: misfit.column,
                reason: misfit.reason,
                plugin: String::new(),
            };
            self.keep_rejected(rejected)?;
        }
        Ok(())
    }

    fn keep_rejected(&mut self, rejected: RejectedRow) -> Result<(), Ended> {
        self.rejected_bytes += rejected.key.len() + rejected.row.len();
        self.rejected.push(rejected);
        match self.rejected.len() >= REJECTED_ROWS
            || self.rejected_bytes >= self.settings.block_bytes
        {
            true => self.flush_rejected(),
            false => Ok(()),
        }
    }

    fn flush_rejected(&mut self) -> Result<(), Ended> {
        if self.rejected.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rejected);
        self.rejected_bytes = 0;
        let chunk = &self.task.chunk;
        let resync = self.shared.work.id();
        let block = rejected_block(&resync, &chunk.table.to_string(), chunk.number, &rows)?;
        self.hand_over(To::Rejected, block, None)
    }

    /// Appends a batch to the block, which is handed over first if the batch would make it too large.
    fn append(&mut self, batch: &RecordBatch) -> Result<(), Ended> {
        let bytes = batch_bytes(batch);
        let rows = self.block.as_ref().map_or(0, |(block, _)| block.rows());
        if self.bytes + bytes > self.settings.block_bytes || rows + batch.num_rows() > BLOCK_ROWS {
            self.flush()?;
        }
        self.bytes += bytes;
        let (mut block, room) = match self.block.take() {
            Some(block) => block,
            None => {
                let room = self.room(bytes)?;
                let target = &self.task.table.bound.target.name;
                (BlockWriter::new(target, &batch.schema())?, room)
            }
        };
        block.write(batch)?;
        self.block = Some((block, room));
        Ok(())
    }

    /// Waits until there is room for a block that begins with so many bytes. That of a huge row is alone: several of them would be the memory
    /// of a load that is otherwise bounded by the size of a block.
    fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Ended> {
        let settings = &self.settings;
        let blocks = match bytes >= settings.block_bytes.max(2 * settings.batch_bytes) {
            true => BLOCKS,
            false => 1,
        };
        let room = self.rooms.clone().acquire_many_owned(blocks);
        Handle::current().block_on(room).map_err(|_| Ended::Stopped)
    }

    /// Hands the block over at once where nothing more fits: a huge row's batch is gone by now, and its encoder goes before the next is read.
    fn flush_full(&mut self) -> Result<(), Ended> {
        match self.bytes >= self.settings.block_bytes {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// The error of a row that stops the load.
    fn failure_of(&self, batch: &RecordBatch, rejected: &Rejected) -> Error {
        let source = &self.task.table.bound.source;
        Error::Rejected {
            plugin: rejected.plugin.clone(),
            table: source.name.to_string(),
            chunk: self.task.chunk.number,
            key: transforms::key_text(source, batch, rejected.row),
            reason: rejected.reason.clone(),
        }
    }

    /// Hands what was gathered to the writer, as one block.
    fn flush(&mut self) -> Result<(), Ended> {
        let Some((block, room)) = self.block.take() else {
            return Ok(());
        };
        let block = block.finish()?;
        self.result.bytes += self.bytes as u64;
        self.bytes = 0;
        self.hand_over(To::Shadow, block, Some(room))
    }

    fn hand_over(
        &mut self,
        to: To,
        block: Block,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Ended> {
        let job = Job::Block {
            task: self.task.clone(),
            to,
            sequence: self.sequence,
            block,
            room,
        };
        self.sequence += 1;
        self.send(job)
    }

    /// Hands over the last block and the chunk's ledger.
    fn finish(&mut self) -> Result<(), Ended> {
        self.flush()?;
        self.flush_rejected()?;
        let totals = std::mem::take(&mut self.result);
        let digest = totals.digest.map(serde_json::to_value).transpose();
        let digest =
            digest.map_err(|cause| Ended::Failed(Error::Worker(format!("a digest: {cause}"))))?;
        let steps = self.chain.take_totals().into_iter();
        let steps = steps.map(|totals| StepCounts {
            cpu_us: u64::try_from(totals.cpu.as_micros()).unwrap_or(u64::MAX),
            rejected: totals.rejected,
        });
        let result = ChunkResult {
            ledger: totals.ledger,
            bytes: totals.bytes,
            digest,
            steps: steps.collect(),
        };
        self.span.record("rows", signed(result.ledger.read));
        self.span.record("bytes", signed(result.bytes));
        self.send(Job::Done {
            task: self.task.clone(),
            result,
            span: self.span.clone(),
        })
    }

    /// A writer that is gone has said why.
    fn send(&self, job: Job) -> Result<(), Ended> {
        self.jobs.blocking_send(job).map_err(|_| Ended::Stopped)
    }
}

/// A count as traces have numbers; as an unsigned one it would be a text there.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The memory of a batch's values, in bytes; of a slice, only its part.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|column| {
            column
                .to_data()
                .get_slice_memory_size()
                .unwrap_or(column.get_array_memory_size())
        })
        .sum()
}
