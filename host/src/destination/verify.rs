//! What a shadow holds, as ClickHouse counts it and as it is read back.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;

use super::connect::{SILENCE, quoted};
use super::live::LiveTable;
use super::{Destination, DestinationError, Digest, fit};
use crate::schema::{ClickHouseType, Engine, MetadataNames, TargetColumn, TargetTable};

impl Destination {
    /// The table's rows; each key once, if it has one.
    pub async fn rows_by_key(&self, table: &str, key: &[String]) -> Result<u64, DestinationError> {
        let table = self.table(table);
        let sql = if key.is_empty() {
            format!("SELECT count() FROM {table}")
        } else {
            let key: Vec<String> = key.iter().map(|column| quoted(column)).collect();
            // Where the table is sorted by its key this streams; else it groups in memory, and on disk when that is short.
            format!(
                "SELECT count() FROM (SELECT 1 FROM {table} GROUP BY {}) SETTINGS optimize_aggregation_in_order = 1, \
                 max_bytes_before_external_group_by = 1000000000",
                key.join(", ")
            )
        };
        self.patient().number("count rows by key", &sql).await
    }

    /// The rows of a live table that its readers see: under `FINAL`, where its engine replaces, and not deleted.
    pub async fn live_rows(
        &self,
        live: &LiveTable,
        metadata: &MetadataNames,
    ) -> Result<u64, DestinationError> {
        let replaces = live.engine.contains("Replacing");
        self.count_live(live, metadata, if replaces { " FINAL" } else { "" })
            .await
    }

    /// The same with the versions of a row that a merge has not removed yet: never less, and much cheaper.
    pub async fn live_rows_at_most(
        &self,
        live: &LiveTable,
        metadata: &MetadataNames,
    ) -> Result<u64, DestinationError> {
        self.count_live(live, metadata, "").await
    }

    async fn count_live(
        &self,
        live: &LiveTable,
        metadata: &MetadataNames,
        modifier: &str,
    ) -> Result<u64, DestinationError> {
        let condition = match live.column(&metadata.is_deleted) {
            Some(_) => format!(" WHERE {} = 0", quoted(&metadata.is_deleted)),
            None => String::new(),
        };
        let table = self.table(&live.name);
        let sql = format!("SELECT count() FROM {table}{modifier}{condition}");
        self.patient().number("count the original", &sql).await
    }

    /// Reads the columns of a table back, and digests them; `schema` is that of the wire.
    pub async fn column_digests(
        &self,
        table: &str,
        target: &TargetTable,
        schema: &SchemaRef,
    ) -> Result<Digest, DestinationError> {
        let doing = "read the copy back";
        let columns: Vec<String> = target
            .columns
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| {
                format!(
                    "{} AS {}",
                    readable(column, field.data_type()),
                    quoted(&column.name)
                )
            })
            .collect();
        let final_ = if target.engine == Engine::ReplacingMergeTree {
            " FINAL"
        } else {
            ""
        };
        let sql = format!(
            "SELECT {} FROM {}{final_}",
            columns.join(", "),
            self.table(table)
        );
        let query = self
            .statement(&sql)
            .with_setting("output_format_arrow_string_as_string", "0")
            .with_setting("output_format_arrow_low_cardinality_as_dictionary", "0")
            .with_setting("output_format_arrow_fixed_string_as_fixed_byte_array", "1")
            .with_setting("output_format_arrow_compression_method", "none");
        let key: Vec<usize> = target
            .key
            .iter()
            .filter_map(|name| schema.index_of(name).ok())
            .collect();
        let failed = |error| DestinationError::of(doing, &error);
        let unread = |cause: ArrowError| DestinationError::Answer {
            doing: doing.to_owned(),
            reason: cause.to_string(),
        };
        let mut cursor = query.fetch_bytes("ArrowStream").map_err(failed)?;
        let mut decoder = StreamDecoder::new();
        let mut digest = Digest::new(columns.len());
        let late = |_| DestinationError::late(doing, SILENCE);
        while let Some(part) = tokio::time::timeout(SILENCE, cursor.next())
            .await
            .map_err(late)?
            .map_err(failed)?
        {
            let mut part = Buffer::from(part);
            while !part.is_empty() {
                if let Some(batch) = decoder.decode(&mut part).map_err(unread)? {
                    digest.add(&as_sent(&batch, target, schema).map_err(unread)?, &key);
                }
            }
        }
        Ok(digest)
    }
}

/// A column in a form whose Arrow type is near to the one that was sent.
fn readable(column: &TargetColumn, sent: &DataType) -> String {
    use ClickHouseType as T;
    let name = quoted(&column.name);
    match (&column.plain, sent) {
        (T::DateTime64 { .. }, _) => format!("toUnixTimestamp64Micro({name})"),
        (T::DateTime { .. }, _) => format!("toUInt32({name})"),
        (T::Date, _) => format!("toDate32({name})"),
        (T::Time64 { .. }, _) => {
            format!("toInt64(CAST({name} AS Nullable(Decimal(18, 6))) * 1000000)")
        }
        (T::Time, _) => format!("toInt32({name})"),
        (T::Bool, _) => format!("toUInt8({name})"),
        (T::Int { bits: 128 }, _) => format!("toDecimal128({name}, 0)"),
        (T::Ipv4, _) => format!("toUInt32({name})"),
        (T::Uuid, _) => format!("UUIDToNum({name})"),
        (T::Ipv6, _) => format!("IPv6StringToNum(toString({name}))"),
        (T::LowCardinality(inner), _) => format!("CAST({name} AS Nullable({inner}))"),
        (T::Json, _) => format!("toString({name})"),
        (T::Enum { .. }, _) => format!("CAST({name} AS Nullable(String))"),
        (T::Array(_), DataType::List(item)) if *item.data_type() == DataType::Utf8 => {
            format!("CAST({name} AS Array(String))")
        }
        _ => name,
    }
}

/// Gives the columns the types that were sent. Strings are left as bytes: their digest is the same.
fn as_sent(
    batch: &RecordBatch,
    target: &TargetTable,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = target
        .columns
        .iter()
        .zip(schema.fields())
        .zip(batch.columns());
    let columns = columns.map(|((column, field), array)| {
        let array = column_as_sent(column, field, array)?;
        let nullable = array.null_count() > 0;
        Ok((field.name(), array, nullable))
    });
    let columns: Result<Vec<_>, ArrowError> = columns.collect();
    RecordBatch::try_from_iter_with_nullable(columns?)
}

fn column_as_sent(
    column: &TargetColumn,
    field: &Field,
    array: &ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    if column.plain == ClickHouseType::Json {
        let texts = cast(array, &DataType::Utf8)?;
        // What ClickHouse wrote has no other spelling than what was sent; should it, the digests differ.
        let spelled = texts
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(|text| fit::canonical_json(text).unwrap_or_default()));
        return Ok(std::sync::Arc::new(spelled.collect::<StringArray>()));
    }
    match field.data_type() {
        DataType::Utf8 | DataType::Binary => Ok(array.clone()),
        DataType::Timestamp(_, _) => cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)),
        wanted if array.data_type() == wanted => Ok(array.clone()),
        wanted => cast(array, wanted),
    }
}
