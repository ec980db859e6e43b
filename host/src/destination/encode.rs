//! Encodes batches as one block and inserts it.
//!
//! What comes here fits its table ([`super::fit`]). A block is one insert, small enough that ClickHouse writes it whole or not at all.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::connect::{longer_than_usual, quoted};
use super::{Destination, DestinationError};

/// The size of the parts that a body is made of and sent in.
const PART_BYTES: usize = 1 << 20;
/// Without a sign of life for this long the server is taken for gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(300);

/// What one insert writes: an Arrow stream in memory. A repeated insert sends the same bytes.
#[derive(Clone, Debug)]
pub struct Block {
    columns: Vec<String>,
    parts: Vec<Bytes>,
    content_hash: u128,
    rows: usize,
}

impl Block {
    /// Its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A hash of all the bytes.
    pub fn content_hash(&self) -> u128 {
        self.content_hash
    }
}

/// Makes a block out of batches as they come: a batch is encoded and let go.
pub struct BlockWriter {
    table: String,
    columns: Vec<String>,
    stream: StreamWriter<Parts>,
    rows: usize,
}

impl BlockWriter {
    /// An empty block of a table, for batches of this schema.
    pub fn new(table: &str, schema: &Schema) -> Result<Self, DestinationError> {
        let stream = StreamWriter::try_new(Parts::default(), schema);
        Ok(Self {
            stream: stream.map_err(|cause| not_encoded(table, &cause))?,
            table: table.to_owned(),
            columns: schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            rows: 0,
        })
    }

    /// The rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), DestinationError> {
        let written = self.stream.write(batch);
        written.map_err(|cause| not_encoded(&self.table, &cause))?;
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The block.
    pub fn finish(self) -> Result<Block, DestinationError> {
        let parts = self.stream.into_inner();
        let mut parts = parts.map_err(|cause| not_encoded(&self.table, &cause))?;
        parts.cut();
        Ok(Block {
            columns: self.columns,
            parts: parts.whole,
            content_hash: parts.hash.digest128(),
            rows: self.rows,
        })
    }
}

fn not_encoded(table: &str, cause: &arrow::error::ArrowError) -> DestinationError {
    DestinationError::Answer {
        doing: format!("encode a block of {table}"),
        reason: cause.to_string(),
    }
}

/// Bytes in parts of a bounded size: what is written is not moved again, neither to make room nor to be sent.
#[derive(Default)]
struct Parts {
    whole: Vec<Bytes>,
    last: Vec<u8>,
    hash: Xxh3,
}

impl Parts {
    fn cut(&mut self) {
        if !self.last.is_empty() {
            self.whole.push(Bytes::from(std::mem::take(&mut self.last)));
        }
    }
}

impl std::io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.last.capacity() == 0 {
            self.last.reserve_exact(PART_BYTES);
        }
        let taken = bytes.len().min(PART_BYTES - self.last.len());
        self.last.extend_from_slice(&bytes[..taken]);
        self.hash.update(&bytes[..taken]);
        if self.last.len() == PART_BYTES {
            self.cut();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Destination {
    /// Inserts a block into a table, once. `token` is what the table recognises it by, should it come again.
    pub async fn insert(
        &self,
        table: &str,
        block: &Block,
        token: &str,
    ) -> Result<(), DestinationError> {
        let doing = format!("insert a block into {table}");
        let columns: Vec<String> = block.columns.iter().map(|name| quoted(name)).collect();
        // ClickHouse reads the statement on from the address into the body, which is where the columns are: thousands don't fit in an address.
        let columns = format!("({}) FORMAT ArrowStream\n", columns.join(", "));
        let mut insert = self
            .client
            .insert_formatted_with(format!("INSERT INTO {}", self.table(table)))
            .with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT));
        for (name, value) in [
            ("async_insert", "0"),
            ("insert_deduplicate", "1"),
            ("insert_deduplication_token", token),
            // One block, whatever its size: the cut would make several parts of it.
            ("max_insert_block_size", "2000000"),
            ("min_insert_block_size_rows", "2000000"),
            ("min_insert_block_size_bytes", "2000000000"),
            ("max_insert_threads", "1"),
            ("throw_on_max_partitions_per_insert_block", "0"),
            ("input_format_null_as_default", "0"),
            ("input_format_arrow_allow_missing_columns", "0"),
            // Texts of documents stay texts, though they look like dates.
            ("input_format_try_infer_dates", "0"),
            ("input_format_try_infer_datetimes", "0"),
        ] {
            insert = insert.with_setting(name, value);
        }
        if let Some(bytes) = longer_than_usual(&columns) {
            insert = insert.with_setting(bytes.0, bytes.1);
        }
        let failed = |error| DestinationError::of(&doing, &error);
        insert.send(columns.into()).await.map_err(failed)?;
        for part in &block.parts {
            insert.send(part.clone()).await.map_err(failed)?;
        }
        insert.end().await.map_err(failed)
    }
}
