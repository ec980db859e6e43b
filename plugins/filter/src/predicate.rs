//! A condition in the types of its columns, and its evaluation, a column at a time.

use arrow_array::Array;
use arrow_array::GenericByteArray;
use arrow_array::types::ByteArrayType;
use arrow_buffer::{BooleanBuffer, i256};
use arrow_schema::DataType;
use tidemill_kernels::compare::{Comparison, Truth, double_key, test, with_column, with_value};
use tidemill_kernels::like::Like;
use tidemill_sdk::Batch;

/// A value in the form of its column's values.
#[derive(Clone, Debug)]
pub(crate) enum Scalar {
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    /// Dates, too.
    Int32(i32),
    /// Times and moments, too.
    Int64(i64),
    UInt8(u8),
    UInt16(u16),
    UInt32(u32),
    UInt64(u64),
    /// A `double_key`; columns of FLOAT and DOUBLE.
    Double(i64),
    Decimal128(i128),
    Decimal256(i256),
    Text(String),
    Bytes(Vec<u8>),
}

/// A condition. Columns are positions among those that the binding reads.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    IsNull(usize),
    /// Like every comparison: unknown where the column is NULL.
    Compare(usize, Comparison, Scalar),
    CompareColumns(usize, Comparison, usize),
    Like(usize, Like),
    /// A boolean column by itself.
    Truth(usize),
    /// A comparison whose value no value of the column's type can be: the same for all rows that are not NULL.
    Settled(usize, bool),
    /// The same for all rows; none: unknown.
    Constant(Option<bool>),
}

/// True, false or NULL (unknown) for each row.
pub(crate) fn evaluate(predicate: &Predicate, batch: &Batch) -> Truth {
    let known = |column: usize, truth| Truth::new(truth, batch.columns[column].nulls());
    match predicate {
        Predicate::And(left, right) => evaluate(left, batch).and(&evaluate(right, batch)),
        Predicate::Or(left, right) => evaluate(left, batch).or(&evaluate(right, batch)),
        Predicate::Not(inside) => evaluate(inside, batch).negated(),
        Predicate::IsNull(column) => match batch.columns[*column].nulls() {
            Some(nulls) => Truth::new(!nulls.inner(), None),
            None => Truth::constant(Some(false), batch.rows),
        },
        Predicate::Compare(column, comparison, value) => {
            known(*column, compare(batch, *column, *comparison, value))
        }
        Predicate::CompareColumns(left, comparison, right) => {
            let both = known(*left, columns(batch, *left, *comparison, *right));
            let Some(nulls) = batch.columns[*right].nulls() else {
                return both;
            };
            Truth {
                yes: &both.yes & nulls.inner(),
                no: &both.no & nulls.inner(),
            }
        }
        Predicate::Like(column, like) => {
            let text = batch.utf8(*column);
            known(
                *column,
                BooleanBuffer::collect_bool(batch.rows, |row| like.matches(text.value(row))),
            )
        }
        Predicate::Truth(column) => known(*column, batch.boolean(*column).values().clone()),
        Predicate::Settled(column, truth) => {
            known(*column, Truth::constant(Some(*truth), batch.rows).yes)
        }
        Predicate::Constant(truth) => Truth::constant(*truth, batch.rows),
    }
}

/// The column's values with one; those of NULLs say nothing.
fn compare(batch: &Batch, column: usize, comparison: Comparison, value: &Scalar) -> BooleanBuffer {
    let data = &batch.columns[column];
    match value {
        Scalar::Boolean(value) => {
            let values = batch.boolean(column);
            BooleanBuffer::collect_bool(batch.rows, |row| {
                comparison.holds(values.value(row), *value)
            })
        }
        Scalar::Int8(value) => with_value(&data.values::<i8>(), comparison, *value),
        Scalar::Int16(value) => with_value(&data.values::<i16>(), comparison, *value),
        Scalar::Int32(value) => with_value(&data.values::<i32>(), comparison, *value),
        Scalar::Int64(value) => with_value(&data.values::<i64>(), comparison, *value),
        Scalar::UInt8(value) => with_value(&data.values::<u8>(), comparison, *value),
        Scalar::UInt16(value) => with_value(&data.values::<u16>(), comparison, *value),
        Scalar::UInt32(value) => with_value(&data.values::<u32>(), comparison, *value),
        Scalar::UInt64(value) => with_value(&data.values::<u64>(), comparison, *value),
        Scalar::Decimal128(value) => with_value(&data.values::<i128>(), comparison, *value),
        Scalar::Decimal256(value) => with_value(&data.values::<i256>(), comparison, *value),
        // MySQL compares a FLOAT as a double.
        Scalar::Double(value) if data.data_type() == &DataType::Float32 => {
            test(&data.values::<f32>(), |other| {
                comparison.holds(double_key(f64::from(other)), *value)
            })
        }
        Scalar::Double(value) => test(&data.values::<f64>(), |other| {
            comparison.holds(double_key(other), *value)
        }),
        Scalar::Text(value) => with_bytes(&batch.utf8(column), comparison, value.as_bytes()),
        Scalar::Bytes(value) => match data.data_type() {
            DataType::FixedSizeBinary(_) => {
                let values = batch.fixed_binary(column);
                BooleanBuffer::collect_bool(batch.rows, |row| {
                    comparison.holds(values.value(row), value.as_slice())
                })
            }
            _ => with_bytes(&batch.binary(column), comparison, value),
        },
    }
}

/// Texts and bytes with one. Equal ones are as long, which is seen without looking at them.
fn with_bytes<T: ByteArrayType<Offset = i32>>(
    values: &GenericByteArray<T>,
    comparison: Comparison,
    value: &[u8],
) -> BooleanBuffer {
    let (offsets, bytes) = (values.value_offsets(), values.value_data());
    let at = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
    BooleanBuffer::collect_bool(values.len(), |row| match comparison {
        Comparison::Equal => at(row) == value,
        Comparison::NotEqual => at(row) != value,
        other => other.holds(at(row), value),
    })
}

/// Two columns of one type, or of floats of both kinds.
fn columns(batch: &Batch, left: usize, comparison: Comparison, right: usize) -> BooleanBuffer {
    let (one, other) = (&batch.columns[left], &batch.columns[right]);
    macro_rules! same {
        ($type:ty) => {
            with_column(&one.values::<$type>(), comparison, &other.values::<$type>())
        };
    }
    macro_rules! by_row {
        ($kind:ident) => {{
            let (one, other) = (batch.$kind(left), batch.$kind(right));
            BooleanBuffer::collect_bool(batch.rows, |row| {
                comparison.holds(one.value(row), other.value(row))
            })
        }};
    }
    match one.data_type() {
        DataType::Boolean => by_row!(boolean),
        DataType::Utf8 => by_row!(utf8),
        DataType::Binary => by_row!(binary),
        DataType::FixedSizeBinary(_) => by_row!(fixed_binary),
        DataType::Int8 => same!(i8),
        DataType::Int16 => same!(i16),
        DataType::Int32 | DataType::Date32 => same!(i32),
        DataType::UInt8 => same!(u8),
        DataType::UInt16 => same!(u16),
        DataType::UInt32 => same!(u32),
        DataType::UInt64 => same!(u64),
        DataType::Decimal128(..) => same!(i128),
        DataType::Decimal256(..) => same!(i256),
        DataType::Float32 | DataType::Float64 => with_column(
            &double_keys(batch, left),
            comparison,
            &double_keys(batch, right),
        ),
        _ => same!(i64),
    }
}

fn double_keys(batch: &Batch, column: usize) -> Vec<i64> {
    let data = &batch.columns[column];
    match data.data_type() {
        DataType::Float32 => data
            .values::<f32>()
            .iter()
            .map(|&value| double_key(f64::from(value)))
            .collect(),
        _ => data
            .values::<f64>()
            .iter()
            .map(|&value| double_key(value))
            .collect(),
    }
}
