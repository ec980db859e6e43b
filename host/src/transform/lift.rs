//! A guest's answer on its way out of the sandbox: bytes of unknown quality become Arrow arrays, or a reason why not.
//!
//! [`UntrustedColumn`] and [`UntrustedOutput`] are the trust boundary: nothing can be done with either but checking it. Everything that
//! Arrow's own safe constructors demand is checked before they are called, with words that name the column; they check once more.
//! The one copy out of the guest's memory was made by wasmtime, so nothing can change underneath.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray,
    Float32Array, ListArray, PrimitiveArray, StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, DataType, Date32Type, Decimal128Type, Decimal256Type, Field, FieldRef,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::contract::{RawColumn, RawOutput};
use super::error::quote;

/// MySQL's TIME: -838:59:59.999999 to 838:59:59.999999, in microseconds.
const TIME_RANGE_US: RangeInclusive<i64> = -3_020_399_999_999..=3_020_399_999_999;

/// A column as the guest gave it.
pub(super) struct UntrustedColumn(RawColumn);

/// An answer to `process` as the guest gave it.
pub(super) struct UntrustedOutput(RawOutput);

/// An answer to `process`, checked.
#[derive(Debug)]
pub(super) struct Output {
    /// The computed columns, as the binding declares them, each as long as the batch.
    pub(super) columns: Vec<ArrayRef>,
    /// One bit a row, 1 = keep.
    pub(super) keep: Option<BooleanBuffer>,
    /// Row and reason, each row once and within the batch.
    pub(super) rejected: Vec<(usize, String)>,
}

impl UntrustedOutput {
    pub(super) fn new(raw: RawOutput) -> Self {
        Self(raw)
    }

    /// Checks the whole answer to a batch of so many rows against the binding's computed columns.
    pub(super) fn check(
        self,
        computed: &[FieldRef],
        filters: bool,
        rows: usize,
    ) -> Result<Output, String> {
        let RawOutput {
            columns,
            keep,
            rejected,
        } = self.0;
        if columns.len() != computed.len() {
            return Err(format!(
                "it returned {} columns, and its binding declares {} as computed",
                columns.len(),
                computed.len()
            ));
        }
        if keep.is_some() && !filters {
            return Err(
                "it returned a bitmap of rows to keep, and its binding says that it doesn't filter"
                    .to_owned(),
            );
        }
        let keep = keep
            .map(|bytes| bits(bytes, rows))
            .transpose()
            .map_err(|reason| format!("the bitmap of rows to keep {reason}"))?;
        let rejected = check_rejections(rejected.into_iter().map(|r| (r.row, r.reason)), rows)?;
        let columns = columns
            .into_iter()
            .zip(computed)
            .map(|(column, field)| {
                UntrustedColumn(column)
                    .check(field, rows)
                    .map_err(|reason| format!("the column `{}` {reason}", field.name()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Output {
            columns,
            keep,
            rejected,
        })
    }
}

fn check_rejections(
    rejections: impl ExactSizeIterator<Item = (u32, String)>,
    rows: usize,
) -> Result<Vec<(usize, String)>, String> {
    if rejections.len() == 0 {
        return Ok(Vec::new());
    }
    if rejections.len() > rows {
        return Err(format!(
            "it rejected {} rows of a batch of {rows}",
            rejections.len()
        ));
    }
    let mut seen = vec![false; rows];
    let mut checked = Vec::with_capacity(rejections.len());
    for (row, reason) in rejections {
        let row = row.as_usize();
        match seen.get_mut(row) {
            None => return Err(format!("it rejected row {row} of a batch of {rows}")),
            Some(true) => return Err(format!("it rejected row {row} twice")),
            Some(first) => *first = true,
        }
        checked.push((row, quote(&reason)));
    }
    Ok(checked)
}

impl UntrustedColumn {
    /// The array, as long as the batch and of the field's type; or what is wrong with it, to follow the column's name.
    fn check(self, field: &Field, rows: usize) -> Result<ArrayRef, String> {
        let RawColumn {
            validity,
            offsets,
            mut data,
        } = self.0;
        let nulls = check_validity(validity, field, rows)?;
        let has_offsets = matches!(
            field.data_type(),
            DataType::Utf8 | DataType::Binary | DataType::List(_)
        );
        if !has_offsets && !offsets.is_empty() {
            return Err(format!(
                "has {} bytes of offsets, and its type has none",
                offsets.len()
            ));
        }
        let array: ArrayRef = match field.data_type() {
            DataType::Boolean => {
                let values = bits(data, rows)
                    .map_err(|reason| format!("has a bitmap of values that {reason}"))?;
                Arc::new(BooleanArray::new(values, nulls))
            }
            DataType::Int8 => primitive::<Int8Type>(data, nulls, rows)?,
            DataType::Int16 => primitive::<Int16Type>(data, nulls, rows)?,
            DataType::Int32 => primitive::<Int32Type>(data, nulls, rows)?,
            DataType::Int64 => primitive::<Int64Type>(data, nulls, rows)?,
            DataType::UInt8 => primitive::<UInt8Type>(data, nulls, rows)?,
            DataType::UInt16 => primitive::<UInt16Type>(data, nulls, rows)?,
            DataType::UInt32 => primitive::<UInt32Type>(data, nulls, rows)?,
            DataType::UInt64 => primitive::<UInt64Type>(data, nulls, rows)?,
            DataType::Float32 => primitive::<Float32Type>(data, nulls, rows)?,
            DataType::Float64 => primitive::<Float64Type>(data, nulls, rows)?,
            DataType::Date32 => primitive::<Date32Type>(data, nulls, rows)?,
            DataType::Decimal128(precision, scale) => {
                let decimals = primitive::<Decimal128Type>(data, nulls, rows)?
                    .as_primitive::<Decimal128Type>()
                    .clone();
                let decimals = decimals
                    .with_precision_and_scale(*precision, *scale)
                    .map_err(|cause| cause.to_string())?;
                decimals
                    .validate_decimal_precision(*precision)
                    .map_err(|_| too_precise(*precision))?;
                Arc::new(decimals)
            }
            DataType::Decimal256(precision, scale) => {
                let decimals = primitive::<Decimal256Type>(data, nulls, rows)?
                    .as_primitive::<Decimal256Type>()
                    .clone();
                let decimals = decimals
                    .with_precision_and_scale(*precision, *scale)
                    .map_err(|cause| cause.to_string())?;
                decimals
                    .validate_decimal_precision(*precision)
                    .map_err(|_| too_precise(*precision))?;
                Arc::new(decimals)
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                check_times(primitive::<Time64MicrosecondType>(data, nulls, rows)?)?
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let instants = primitive::<TimestampMicrosecondType>(data, nulls, rows)?
                    .as_primitive::<TimestampMicrosecondType>()
                    .clone();
                Arc::new(instants.with_timezone_opt(zone.clone()))
            }
            DataType::Utf8 => {
                let offsets = check_offsets(offsets, rows, data.len(), "bytes")?;
                data.truncate(offsets[rows].as_usize());
                let text = StringArray::try_new(offsets, data.into(), nulls)
                    .map_err(|_| "holds text that is not valid UTF-8".to_owned())?;
                Arc::new(text)
            }
            DataType::Binary => {
                let offsets = check_offsets(offsets, rows, data.len(), "bytes")?;
                data.truncate(offsets[rows].as_usize());
                Arc::new(
                    BinaryArray::try_new(offsets, data.into(), nulls)
                        .map_err(|cause| cause.to_string())?,
                )
            }
            DataType::FixedSizeBinary(width) => {
                check_length(
                    &data,
                    rows,
                    usize::try_from(*width).map_err(|_| "has a negative width".to_owned())?,
                )?;
                Arc::new(
                    FixedSizeBinaryArray::try_new_with_len(*width, data.into(), nulls, rows)
                        .map_err(|cause| cause.to_string())?,
                )
            }
            DataType::List(item) => {
                let elements = data.len() / size_of::<f32>();
                check_length(&data, elements, size_of::<f32>())?;
                let offsets = check_offsets(offsets, rows, elements, "elements")?;
                data.truncate(offsets[rows].as_usize() * size_of::<f32>());
                let floats = Float32Array::try_new(scalars::<f32>(data), None)
                    .map_err(|cause| cause.to_string())?;
                Arc::new(
                    ListArray::try_new(item.clone(), offsets, Arc::new(floats), nulls)
                        .map_err(|cause| cause.to_string())?,
                )
            }
            other => {
                return Err(format!(
                    "has the type {other}, which a plugin can't compute"
                ));
            }
        };
        Ok(array)
    }
}

fn too_precise(precision: u8) -> String {
    format!("holds a decimal of more than {precision} digits")
}

fn check_validity(
    validity: Option<Vec<u8>>,
    field: &Field,
    rows: usize,
) -> Result<Option<NullBuffer>, String> {
    let Some(bytes) = validity else {
        return Ok(None);
    };
    let nulls = NullBuffer::new(
        bits(bytes, rows).map_err(|reason| format!("has a validity bitmap that {reason}"))?,
    );
    match nulls.null_count() {
        0 => Ok(None),
        count if !field.is_nullable() => Err(format!(
            "has {count} nulls, and its binding declares it as never null"
        )),
        _ => Ok(Some(nulls)),
    }
}

/// A bitmap over the batch's rows. Unused bits of its last byte are cleared, so that equal answers are equal bytes.
fn bits(mut bytes: Vec<u8>, rows: usize) -> Result<BooleanBuffer, String> {
    let needed = rows.div_ceil(8);
    if bytes.len() != needed {
        return Err(format!(
            "has {} bytes, and {rows} rows take {needed}",
            bytes.len()
        ));
    }
    if let (Some(last), used @ 1..) = (bytes.last_mut(), rows % 8) {
        *last &= !(u8::MAX << used);
    }
    Ok(BooleanBuffer::new(bytes.into(), 0, rows))
}

fn check_length(data: &[u8], rows: usize, width: usize) -> Result<(), String> {
    match rows.checked_mul(width) {
        Some(needed) if needed == data.len() => Ok(()),
        _ => Err(format!(
            "has {} bytes of data, and {rows} values of {width} bytes don't take that many",
            data.len()
        )),
    }
}

fn primitive<T: ArrowPrimitiveType>(
    data: Vec<u8>,
    nulls: Option<NullBuffer>,
    rows: usize,
) -> Result<ArrayRef, String> {
    check_length(&data, rows, size_of::<T::Native>())?;
    let array =
        PrimitiveArray::<T>::try_new(scalars(data), nulls).map_err(|cause| cause.to_string())?;
    Ok(Arc::new(array))
}

/// Bytes as values. The allocator aligns a `Vec<u8>` of any size that matters; where it didn't, the bytes are copied once.
fn scalars<T: ArrowNativeType>(data: Vec<u8>) -> ScalarBuffer<T> {
    let buffer = if data.as_ptr().align_offset(align_of::<T>()) == 0 {
        Buffer::from_vec(data)
    } else {
        let mut aligned = MutableBuffer::new(data.len());
        aligned.extend_from_slice(&data);
        aligned.into()
    };
    ScalarBuffer::from(buffer)
}

/// Rows + 1 offsets: the first 0, none smaller than the one before it, the last within the data. What lies behind the last is cut off by
/// the caller: bytes that no row shows shall not travel on.
fn check_offsets(
    bytes: Vec<u8>,
    rows: usize,
    available: usize,
    unit: &str,
) -> Result<OffsetBuffer<i32>, String> {
    let needed = rows
        .checked_add(1)
        .and_then(|count| count.checked_mul(size_of::<i32>()));
    if needed != Some(bytes.len()) {
        return Err(format!(
            "has {} bytes of offsets, and {rows} rows take {} offsets of 4 bytes",
            bytes.len(),
            rows + 1
        ));
    }
    let offsets = scalars::<i32>(bytes);
    if offsets[0] != 0 {
        return Err(format!(
            "has offsets that begin with {} and not with 0",
            offsets[0]
        ));
    }
    // Without a branch in the loop, so that it is vectorised; the row is looked for only when there is one to name.
    let monotone = offsets
        .windows(2)
        .fold(true, |so_far, pair| so_far & (pair[0] <= pair[1]));
    if !monotone {
        let row = offsets
            .windows(2)
            .position(|pair| pair[0] > pair[1])
            .unwrap_or(0);
        return Err(format!("has offsets that go backwards at row {row}"));
    }
    // Monotone from 0: none is negative.
    let last = offsets[rows].as_usize();
    if last > available {
        return Err(format!(
            "has offsets up to {last}, and there are {available} {unit} of data"
        ));
    }
    Ok(OffsetBuffer::new(offsets))
}

fn check_times(array: ArrayRef) -> Result<ArrayRef, String> {
    let times = array.as_primitive::<Time64MicrosecondType>();
    let out_of_range =
        |row: &usize| times.is_valid(*row) && !TIME_RANGE_US.contains(&times.value(*row));
    match (0..times.len()).find(out_of_range) {
        Some(row) => Err(format!("holds a time beyond 838:59:59.999999 at row {row}")),
        None => Ok(array),
    }
}

#[cfg(test)]
#[path = "lift_tests.rs"]
mod tests;
