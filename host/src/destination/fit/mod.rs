//! Fits a batch to its table: each value becomes what the column's ClickHouse type holds, exactly, or it is *outside*, and the
//! pipe's policy says what becomes of it.
//!
//! ClickHouse itself checks neither the range of Arrow values nor NULL in columns that have none (measured: 300 into UInt8 became 44).
//! So nothing leaves for the wire that was not looked at here. Columns whose type holds every value of their Arrow type cost nothing.

mod cast;
mod convert;
mod default;
mod json;
mod moment;
mod shape;
mod text;

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{filter_record_batch, is_null};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::zones::Zones;
use crate::schema::{OutOfRange, TargetColumn, TargetTable};
use convert::Conversion;

pub(super) use json::canonical as canonical_json;

/// Fits the batches of a table. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Fitter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    columns: Vec<Column>,
    schema: SchemaRef,
}

#[derive(Debug)]
struct Column {
    name: String,
    clickhouse_type: String,
    conversion: Conversion,
    policy: OutOfRange,
    nullable: bool,
    /// One value: what NULL becomes.
    default: Option<ArrayRef>,
}

/// A batch that fits its table.
#[derive(Debug)]
pub struct Fitted {
    /// The rows that are left, as they go onto the wire.
    pub batch: RecordBatch,
    /// The rows that were rejected.
    pub rejected: Vec<Misfit>,
}

/// A value that doesn't fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The row in the batch that was to be fitted.
    pub row: usize,
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
    /// What a person can do; empty where there is nothing.
    pub advice: &'static str,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.advice {
            "" => Ok(()),
            advice => write!(f, ": {advice}"),
        }
    }
}

/// A table whose columns can't be fitted as the pipe says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
}

impl Fitter {
    /// The fitter of a table, for batches of this schema, which has the table's columns in their order. `zones` are the destination's.
    ///
    /// # Errors
    /// A time zone that the destination does not have, a policy that means nothing for the column's type, or a default that is none of it.
    pub fn new(target: &TargetTable, schema: &Schema, zones: &Zones) -> Result<Self, Unfit> {
        let pairs = target.columns.iter().zip(schema.fields());
        let columns = pairs
            .map(|(column, field)| Column::new(column, field, zones))
            .collect::<Result<Vec<_>, _>>()?;
        let wire = columns.iter().zip(schema.fields()).map(|(column, field)| {
            let data_type = column.conversion.wire(field.data_type());
            Field::new(&column.name, data_type, column.nullable)
        });
        let schema = Arc::new(Schema::new(wire.collect::<Vec<_>>()));
        Ok(Self {
            inner: Arc::new(Inner { columns, schema }),
        })
    }

    /// The schema on the wire.
    pub fn schema(&self) -> &SchemaRef {
        &self.inner.schema
    }

    /// Fits a batch.
    ///
    /// # Errors
    /// The first value that doesn't fit, and whose policy is `error`.
    pub fn fit(&self, batch: &RecordBatch) -> Result<Fitted, Misfit> {
        let mut rejected: Vec<Misfit> = Vec::new();
        let mut columns = Vec::with_capacity(self.inner.columns.len());
        for (column, array) in self.inner.columns.iter().zip(batch.columns()) {
            columns.push(column.fit(array, &mut rejected)?);
        }
        let fitted = self.batch(columns, batch.num_rows(), &mut rejected);
        fitted.map_err(|cause| Misfit {
            row: 0,
            column: self
                .inner
                .columns
                .first()
                .map_or_else(String::new, |column| column.name.clone()),
            reason: cause.to_string(),
            advice: "",
        })
    }

    /// Takes the rejected rows out.
    fn batch(
        &self,
        columns: Vec<ArrayRef>,
        rows: usize,
        rejected: &mut Vec<Misfit>,
    ) -> Result<Fitted, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        if rejected.is_empty() {
            let batch =
                RecordBatch::try_new_with_options(self.inner.schema.clone(), columns, &options)?;
            return Ok(Fitted {
                batch,
                rejected: Vec::new(),
            });
        }
        // A row counts once, by its first column that doesn't fit.
        rejected.sort_by_key(|misfit| misfit.row);
        rejected.dedup_by_key(|misfit| misfit.row);
        let mut keep = vec![true; rows];
        rejected.iter().for_each(|misfit| keep[misfit.row] = false);
        // A rejected row may hold a NULL where the wire has none.
        let fields = self.inner.schema.fields().iter();
        let lenient: Vec<Field> = fields
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        let all =
            RecordBatch::try_new_with_options(Arc::new(Schema::new(lenient)), columns, &options)?;
        let kept = filter_record_batch(&all, &BooleanArray::from(keep))?;
        let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        let batch = RecordBatch::try_new_with_options(
            self.inner.schema.clone(),
            kept.columns().to_vec(),
            &options,
        )?;
        Ok(Fitted {
            batch,
            rejected: std::mem::take(rejected),
        })
    }
}

/// Whether a value of this Arrow type may be outside of what the column holds.
pub fn may_be_outside(from: &DataType, column: &TargetColumn) -> bool {
    conversion(from, column, &Zones::default()).is_ok_and(|conversion| conversion.is_partial(from))
}

/// Whether a value that is outside has a nearest one that the column holds.
pub fn can_clamp(from: &DataType, column: &TargetColumn) -> bool {
    conversion(from, column, &Zones::default()).is_ok_and(|conversion| conversion.can_clamp())
}

fn conversion(from: &DataType, column: &TargetColumn, zones: &Zones) -> Result<Conversion, String> {
    Conversion::of(from, &column.plain, column.digits, zones)
        .ok_or_else(|| format!("{} can't be made of {from}", column.plain))
}

impl Column {
    fn new(column: &TargetColumn, field: &Field, zones: &Zones) -> Result<Self, Unfit> {
        let unfit = |reason: String| Unfit {
            column: column.name.clone(),
            reason,
        };
        if let Some(zone) = column.plain.zone().filter(|zone| !zones.contains(zone)) {
            return Err(unfit(format!(
                "`{zone}` is no time zone of the destination; it is named as `Europe/Berlin`"
            )));
        }
        let conversion = conversion(field.data_type(), column, zones).map_err(unfit)?;
        let default = column
            .default
            .as_deref()
            .map(|text| default::value(text, field.data_type(), &column.plain, &conversion))
            .transpose()
            .map_err(unfit)?;
        Ok(Self {
            name: column.name.clone(),
            clickhouse_type: column.clickhouse_type.clone(),
            policy: match column.on_out_of_range {
                // A policy of the pipe or the table leaves these columns as they are.
                OutOfRange::Clamp if !conversion.can_clamp() => OutOfRange::Error,
                policy => policy,
            },
            conversion,
            nullable: column.nullable,
            default,
        })
    }

    fn fit(&self, array: &ArrayRef, rejected: &mut Vec<Misfit>) -> Result<ArrayRef, Misfit> {
        let converted = self
            .conversion
            .convert(array, self.policy == OutOfRange::Clamp)
            .map_err(|cause| self.broken(&cause))?;
        let misfit = |row: usize| Misfit {
            row,
            column: self.name.clone(),
            reason: format!(
                "{}, and {} has no place for it",
                self.conversion.outside(),
                self.clickhouse_type
            ),
            advice: "say what becomes of such values with `on_out_of_range`, or choose another type in `types`",
        };
        match self.policy {
            OutOfRange::Reject => {
                let rows = converted.outside.iter();
                rejected.extend(rows.map(|&row| misfit(row)));
            }
            OutOfRange::Null if self.nullable || self.default.is_some() => {}
            _ => {
                if let Some(&row) = converted.outside.first() {
                    return Err(misfit(row));
                }
            }
        }
        self.without_null(converted.array, &converted.outside, rejected)
    }

    /// Puts the default in the place of NULL, where the column has one or can't be NULL.
    fn without_null(
        &self,
        array: ArrayRef,
        outside: &[usize],
        rejected: &mut Vec<Misfit>,
    ) -> Result<ArrayRef, Misfit> {
        if self.nullable || array.null_count() == 0 {
            return Ok(array);
        }
        if let Some(default) = &self.default {
            let missing = is_null(&array).map_err(|cause| self.broken(&cause))?;
            return zip(&missing, &Scalar::new(default.clone()), &array)
                .map_err(|cause| self.broken(&cause));
        }
        let nulls = array.nulls().map_or_else(
            || BooleanBuffer::new_unset(array.len()),
            |nulls| !nulls.inner(),
        );
        let is_policys = |row: &usize| outside.binary_search(row).is_ok();
        for row in nulls.set_indices().filter(|row| !is_policys(row)) {
            let misfit = Misfit {
                row,
                column: self.name.clone(),
                reason: format!("NULL does not fit {}", self.clickhouse_type),
                advice: "state a `default` in `types`, or `nullable = true`",
            };
            match self.policy {
                OutOfRange::Reject => rejected.push(misfit),
                _ => return Err(misfit),
            }
        }
        Ok(array)
    }

    fn broken(&self, cause: &ArrowError) -> Misfit {
        Misfit {
            row: 0,
            column: self.name.clone(),
            reason: cause.to_string(),
            advice: "",
        }
    }
}

#[cfg(test)]
mod tests;
