//! The reader: one blocking connection inside the snapshot, which reads chunk after chunk into batches.

use std::ops::ControlFlow;
use std::time::Duration;

use arrow::array::RecordBatch;

use super::SourceError;
use super::decode::{BatchDecoder, ReadLimits, TableRead};
use super::keys;
use super::wire::{Connection, STATEMENT_TIMEOUT, WireError};
use crate::schema::{Chunk, KeyValue};

/// From here on a look at the first rows has enough of them, in bytes.
const FIRST_ROWS_BYTES: usize = 256 << 20;

/// What a read came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadTotals {
    /// Rows that the server sent.
    pub rows: u64,
    /// Bytes of their wire form.
    pub bytes: u64,
}

/// A connection that reads rows within the consistent snapshot. It blocks: use it from a thread of its own.
pub struct Reader {
    connection: Connection,
    broken: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("connection", &self.connection.id())
            .field("broken", &self.broken)
            .finish()
    }
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            broken: false,
        }
    }

    /// The server's number for its connection.
    pub fn id(&self) -> u32 {
        self.connection.id()
    }

    /// Reads a chunk's rows in the order of the key. The sink gets batches that are closed at the limits; no batch is empty. If it
    /// breaks, the rest is not read, and the reader is broken.
    ///
    /// # Errors
    /// A lost connection, a table that was changed since it was looked at, a value that its Arrow type can't hold. Batches that
    /// the sink has had by then are not taken back.
    pub fn read(
        &mut self,
        read: &TableRead,
        chunk: &Chunk,
        limits: ReadLimits,
        sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<ReadTotals, SourceError> {
        let (sql, values) = keys::chunk_query(read, chunk);
        let action = format!("reading chunk {} of {}", chunk.number, read.table);
        self.stream(read, &sql, &values, (limits, None), &action, sink)
    }

    /// Reads the first rows of a table, in the order of its key: fewer, where they are very long. Somebody waits for them, so they have to be
    /// there in some time.
    ///
    /// # Errors
    /// As for [`Reader::read`].
    pub fn read_first(
        &mut self,
        read: &TableRead,
        rows: usize,
    ) -> Result<Vec<RecordBatch>, SourceError> {
        let mut batches = Vec::new();
        let limits = ReadLimits {
            batch_rows: 65_536,
            batch_bytes: 8 << 20,
        };
        let action = format!("reading the first rows of {}", read.table);
        let (mut had, mut bytes) = (0, 0);
        self.stream(
            read,
            &keys::first_query(read, rows as u64),
            &[],
            (limits, Some(STATEMENT_TIMEOUT)),
            &action,
            &mut |batch| {
                had += batch.num_rows();
                bytes += batch.get_array_memory_size();
                batches.push(batch);
                match had <= rows && bytes < FIRST_ROWS_BYTES {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            },
        )?;
        Ok(batches)
    }

    /// Whether the connection can't be used any more: it was lost, or left in the middle of an answer. Its snapshot is gone.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The server's number for the connection, as in SHOW PROCESSLIST.
    pub fn connection_id(&self) -> u32 {
        self.connection.id()
    }

    fn stream(
        &mut self,
        read: &TableRead,
        sql: &str,
        values: &[&KeyValue],
        (limits, within): (ReadLimits, Option<Duration>),
        action: &str,
        sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<ReadTotals, SourceError> {
        if self.broken {
            let cause = "an earlier read was left in the middle".to_owned();
            return Err(SourceError::ConnectionLost {
                action: action.to_owned(),
                cause,
            });
        }
        // Until the last row has been read, the connection is of no use for anything else.
        self.broken = true;
        let (totals, end) = match self.rows(read, sql, values, (limits, within), action, sink) {
            Ok(totals) => totals,
            Err(error) => {
                // After an error of the server's own nothing more is to be read, and the snapshot lives on.
                self.broken =
                    !matches!(&error, SourceError::Server { .. }) || error.connection_lost();
                return Err(error);
            }
        };
        self.broken = end.is_break();
        Ok(totals)
    }

    fn rows(
        &mut self,
        read: &TableRead,
        sql: &str,
        values: &[&KeyValue],
        (limits, within): (ReadLimits, Option<Duration>),
        action: &str,
        sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(ReadTotals, ControlFlow<()>), SourceError> {
        let at = |error: WireError| error.at(action);
        let statement = self.connection.prepare(sql).map_err(at)?;
        let columns = self
            .connection
            .execute(&statement, values, within)
            .map_err(at)?;
        let mut decoder = BatchDecoder::new(read, &columns, limits)?;
        let mut totals = ReadTotals::default();
        while let Some(row) = self.connection.row().map_err(at)? {
            totals.rows += 1;
            totals.bytes += row.len() as u64;
            decoder.push(row)?;
            if !decoder.is_full() {
                continue;
            }
            // While a batch with a huge row is transformed and encoded, the row's wire form need not be there, too.
            self.connection.forget_row();
            if let Some(batch) = decoder.finish()?
                && sink(batch).is_break()
            {
                return Ok((totals, ControlFlow::Break(())));
            }
        }
        self.connection.close(statement).map_err(at)?;
        // The last row has been read: a sink that breaks now breaks nothing.
        if let Some(batch) = decoder.finish()? {
            let _ = sink(batch);
        }
        Ok((totals, ControlFlow::Continue(())))
    }
}
