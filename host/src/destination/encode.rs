//! Encodes batches as one block and inserts it.
//!
//! ClickHouse doesn't check the range of Arrow values, and writes 0 for NULL where a column can't be NULL. So the host checks:
//! what reaches the wire fits the column. A block is one insert, small enough that ClickHouse writes it whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, Time64MicrosecondType, TimeUnit};
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::connect::{longer_than_usual, quoted};
use super::{Destination, DestinationError};
use crate::schema::{TargetColumn, TargetTable};

/// The days that a `Date32` of ClickHouse can hold: 1900-01-01 to 2299-12-31.
const DATE32: std::ops::RangeInclusive<i32> = -25_567..=120_529;
/// The size of the parts that a body is made of and sent in.
const PART_BYTES: usize = 1 << 20;
/// Without a sign of life for this long the server is taken for gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(300);

/// What one insert writes: an Arrow stream in memory. A repeated insert sends the same bytes.
#[derive(Clone, Debug)]
pub struct Block {
    parts: Vec<Bytes>,
    content_hash: u128,
}

impl Block {
    /// A hash of all the bytes.
    pub fn content_hash(&self) -> u128 {
        self.content_hash
    }
}

/// Makes a block out of batches as they come: a batch is checked, encoded and let go.
pub struct BlockWriter {
    target: TargetTable,
    schema: Arc<Schema>,
    stream: StreamWriter<Parts>,
    rows: usize,
}

impl BlockWriter {
    /// An empty block of a table, for batches of this schema.
    pub fn new(target: &TargetTable, schema: &Schema) -> Result<Self, DestinationError> {
        let schema = wire_schema(schema, target);
        let stream = StreamWriter::try_new(Parts::default(), &schema);
        Ok(Self {
            target: target.clone(),
            stream: stream.map_err(|cause| not_encoded(target, &cause))?,
            schema,
            rows: 0,
        })
    }

    /// The rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Checks a batch against the table, and appends it.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), DestinationError> {
        let target = &self.target;
        for (column, array) in target.columns.iter().zip(batch.columns()) {
            let (name, clickhouse_type) = (&column.name, &column.clickhouse_type);
            check(target, name, clickhouse_type, array, self.rows)?;
        }
        let wired = batch.columns().iter().zip(&target.columns);
        let columns = wired
            .map(|(array, column)| wire_array(array, column))
            .collect();
        RecordBatch::try_new(self.schema.clone(), columns)
            .and_then(|batch| self.stream.write(&batch))
            .map_err(|cause| not_encoded(target, &cause))?;
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The block.
    pub fn finish(self) -> Result<Block, DestinationError> {
        let parts = self.stream.into_inner();
        let mut parts = parts.map_err(|cause| not_encoded(&self.target, &cause))?;
        parts.cut();
        Ok(Block {
            parts: parts.whole,
            content_hash: parts.hash.digest128(),
        })
    }
}

fn not_encoded(target: &TargetTable, cause: &arrow::error::ArrowError) -> DestinationError {
    DestinationError::Answer {
        doing: format!("encode a block of {}", target.name),
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
    /// Inserts a block into the shadow, once. `token` is what the shadow recognises it by, should it come again.
    pub async fn insert(
        &self,
        target: &TargetTable,
        block: &Block,
        token: &str,
    ) -> Result<(), DestinationError> {
        let doing = format!("insert a block into {}", target.shadow());
        let columns: Vec<String> = target
            .columns
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        // ClickHouse reads the statement on from the address into the body, which is where the columns are: thousands don't fit in an address.
        let columns = format!("({}) FORMAT ArrowStream\n", columns.join(", "));
        let mut insert = self
            .client
            .insert_formatted_with(format!("INSERT INTO {}", self.table(&target.shadow())))
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

/// The schema on the wire: as the transforms made it, but for times where the server has no type for them.
fn wire_schema(schema: &Schema, target: &TargetTable) -> Arc<Schema> {
    let field = |(field, column): (&Arc<Field>, &TargetColumn)| {
        if is_number_of_microseconds(field.data_type(), column) {
            Arc::new(Field::new(
                field.name(),
                DataType::Int64,
                field.is_nullable(),
            ))
        } else {
            field.clone()
        }
    };
    let fields = schema.fields().iter().zip(&target.columns).map(field);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn wire_array(array: &ArrayRef, column: &TargetColumn) -> ArrayRef {
    if !is_number_of_microseconds(array.data_type(), column) {
        return array.clone();
    }
    let times = array.as_primitive::<Time64MicrosecondType>();
    Arc::new(Int64Array::new(
        times.values().clone(),
        times.nulls().cloned(),
    ))
}

/// Whether a time is kept as an Int64. `Time64` itself takes Arrow's times, beyond a day and negative, too.
fn is_number_of_microseconds(sent: &DataType, column: &TargetColumn) -> bool {
    matches!(sent, DataType::Time64(TimeUnit::Microsecond))
        && column.clickhouse_type.contains("Int64")
}

/// Checks what ClickHouse wouldn't.
fn check(
    target: &TargetTable,
    column: &str,
    clickhouse_type: &str,
    array: &ArrayRef,
    first_row: usize,
) -> Result<(), DestinationError> {
    let refused = |row: usize, reason: String| {
        Err(DestinationError::Value {
            table: target.name.clone(),
            column: column.to_owned(),
            row: first_row + row,
            reason,
        })
    };
    if array.null_count() > 0 && !clickhouse_type.contains("Nullable(") {
        let row = (0..array.len())
            .find(|&row| array.is_null(row))
            .unwrap_or(0);
        return refused(row, format!("NULL does not fit {clickhouse_type}"));
    }
    if let Some(dates) = array.as_primitive_opt::<Date32Type>() {
        let outside = |row: &usize| dates.is_valid(*row) && !DATE32.contains(&dates.value(*row));
        if let Some(row) = (0..dates.len()).find(outside) {
            return refused(
                row,
                "the date is outside of 1900-01-01 to 2299-12-31, which Date32 can hold".to_owned(),
            );
        }
    }
    Ok(())
}
