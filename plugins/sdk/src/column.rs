//! A column's memory, between the contract's lists and Arrow's arrays.

use arrow_array::types::{ArrowPrimitiveType, ByteArrayType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, GenericByteArray, PrimitiveArray,
    make_array,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use crate::contract::types;

/// A column in Arrow's layout, without the code of an array: it costs a plugin nothing to take one from its [`crate::Batch`] and hand it on.
///
/// Every array of `arrow-array` that the contract has a type for becomes one by `into()`. What an array's own type doesn't know (the zone of
/// a timestamp) is the business of the binding's field.
#[derive(Clone, Debug)]
pub struct ColumnData {
    data_type: DataType,
    rows: usize,
    nulls: Option<NullBuffer>,
    /// For text, bytes and lists: `rows + 1` offsets, 4 bytes each, the first of them 0.
    offsets: Buffer,
    /// The values; bits from the first bit on for booleans.
    values: Buffer,
}

impl ColumnData {
    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Where it has values; none: everywhere.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// The number of NULLs.
    pub fn null_count(&self) -> usize {
        self.nulls.as_ref().map_or(0, NullBuffer::null_count)
    }

    /// Whether the row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The same values, NULL in other rows.
    ///
    /// # Panics
    /// If `nulls` is not as long as the column.
    #[must_use]
    pub fn with_nulls(mut self, nulls: Option<NullBuffer>) -> Self {
        let rows = nulls.as_ref().map_or(self.rows, NullBuffer::len);
        assert_eq!(rows, self.rows, "the rows of a column and of its NULLs");
        self.nulls = nulls;
        self
    }

    /// The values as numbers of this form, whatever they mean: a date is an `i32`, a moment an `i64`, a decimal an `i128` or `i256`.
    ///
    /// # Panics
    /// If a value has another width.
    pub fn values<T: ArrowNativeType>(&self) -> ScalarBuffer<T> {
        assert!(
            width(&self.data_type) == size_of::<T>(),
            "values of another width"
        );
        self.items(self.rows)
    }

    /// The same memory as values of another type: a moment as a number, say.
    ///
    /// # Panics
    /// If a value of the other type has another form.
    #[must_use]
    pub fn with_data_type(mut self, data_type: DataType) -> Self {
        let fits = match (&self.data_type, &data_type) {
            (DataType::Utf8 | DataType::Binary, DataType::Binary) => true,
            (from, to) if from == to => true,
            (from, to) => width(from) > 0 && width(from) == width(to),
        };
        assert!(fits, "the memory of a column can't be of the other type");
        self.data_type = data_type;
        self
    }

    /// NULL in every row.
    pub fn all_null(data_type: &DataType, rows: usize) -> Self {
        let (offsets, bytes) = match data_type {
            DataType::Boolean => (0, rows.div_ceil(8)),
            DataType::Utf8 | DataType::Binary | DataType::List(_) => ((rows + 1) * 4, 0),
            fixed => (0, rows * width(fixed)),
        };
        Self {
            data_type: data_type.clone(),
            rows,
            nulls: Some(NullBuffer::new_null(rows)),
            offsets: vec![0_u8; offsets].into(),
            values: vec![0_u8; bytes].into(),
        }
    }

    /// Made of parts that its author answers for; the host checks them as it checks everything.
    pub(crate) fn from_parts(
        data_type: DataType,
        rows: usize,
        nulls: Option<NullBuffer>,
        offsets: Buffer,
        values: Buffer,
    ) -> Self {
        Self {
            data_type,
            rows,
            nulls,
            offsets,
            values,
        }
    }

    /// A column of the host's.
    pub(crate) fn from_wire(rows: usize, data_type: &DataType, column: types::Column) -> Self {
        let nulls = column
            .validity
            .map(|bits| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)));
        Self {
            data_type: data_type.clone(),
            rows,
            nulls,
            offsets: Buffer::from_vec(column.offsets),
            values: Buffer::from_vec(column.data),
        }
    }

    /// The column for the host.
    pub(crate) fn into_wire(self) -> types::Column {
        let nulls = self.nulls.filter(|nulls| nulls.null_count() > 0);
        types::Column {
            validity: nulls.map(|nulls| bits(nulls.into_inner())),
            offsets: bytes(self.offsets),
            data: bytes(self.values),
        }
    }

    pub(crate) fn boolean(&self) -> BooleanArray {
        let values = BooleanBuffer::new(self.values.clone(), 0, self.rows);
        // SAFETY: the NULLs of a column are as many as its rows. Checked once more it would pull Arrow's errors into each plugin.
        unsafe { BooleanArray::new_unchecked(values, self.nulls.clone()) }
    }

    pub(crate) fn primitive<T: ArrowPrimitiveType>(&self) -> PrimitiveArray<T> {
        // SAFETY: the NULLs of a column are as many as its rows.
        let array =
            unsafe { PrimitiveArray::new_unchecked(self.items(self.rows), self.nulls.clone()) };
        // Types that are all said by `T` needn't be said again.
        match self.data_type == T::DATA_TYPE {
            true => array,
            false => array.with_data_type(self.data_type.clone()),
        }
    }

    pub(crate) fn byte_array<T: ByteArrayType<Offset = i32>>(&self) -> GenericByteArray<T> {
        // SAFETY: `offsets` and `values` of a column of this type come from the host, which sends arrays that it has validated, or from an
        // array of the same type; and for text they are valid UTF-8 at each offset.
        unsafe {
            GenericByteArray::new_unchecked(
                self.offset_buffer(),
                self.values.clone(),
                self.nulls.clone(),
            )
        }
    }

    pub(crate) fn fixed_binary(&self, width: i32) -> FixedSizeBinaryArray {
        let values = self.values.slice_with_length(0, self.rows * width as usize);
        // SAFETY: the values are `rows` times `width` bytes, and the NULLs as many as the rows.
        unsafe { FixedSizeBinaryArray::new_unchecked(width, values, self.nulls.clone(), self.rows) }
    }

    /// The first `items` values.
    pub(crate) fn items<T: ArrowNativeType>(&self, items: usize) -> ScalarBuffer<T> {
        ScalarBuffer::new(aligned::<T>(&self.values), 0, items)
    }

    pub(crate) fn value_buffer(&self) -> &Buffer {
        &self.values
    }

    pub(crate) fn offset_buffer(&self) -> OffsetBuffer<i32> {
        if self.rows == 0 {
            return OffsetBuffer::new_empty();
        }
        let offsets = ScalarBuffer::new(aligned::<i32>(&self.offsets), 0, self.rows + 1);
        // SAFETY: the offsets begin at 0 and never decrease: they come from the host, which sends arrays that it has validated, or from an array.
        unsafe { OffsetBuffer::new_unchecked(offsets) }
    }

    /// The array, for code that works with any type. A plugin that calls this carries the code of every kind of array (some 400 kB);
    /// the typed ways of [`crate::Batch`] cost only what they use.
    pub fn array(&self) -> ArrayRef {
        let mut builder = ArrayData::builder(self.data_type.clone())
            .len(self.rows)
            .nulls(self.nulls.clone())
            .align_buffers(true);
        builder = match &self.data_type {
            DataType::Utf8 | DataType::Binary => builder
                .add_buffer(self.offset_buffer().into_inner().into_inner())
                .add_buffer(self.values.clone()),
            DataType::List(item) => {
                let values = ArrayData::builder(item.data_type().clone())
                    .len(self.values.len() / width(item.data_type()))
                    .add_buffer(self.values.clone())
                    .align_buffers(true);
                // SAFETY: any four bytes are a number, and the buffer holds `len` of them.
                let values = unsafe { values.build_unchecked() };
                builder
                    .add_buffer(self.offset_buffer().into_inner().into_inner())
                    .add_child_data(values)
            }
            _ => builder.add_buffer(self.values.clone()),
        };
        // SAFETY: the parts come from the host, which sends arrays that it has validated, in Arrow's own layout, of the type that the binding
        // asked for; or from an array of this type.
        make_array(unsafe { builder.build_unchecked() })
    }
}

impl From<BooleanArray> for ColumnData {
    fn from(array: BooleanArray) -> Self {
        let (values, nulls) = array.into_parts();
        let rows = values.len();
        Self::from_parts(
            DataType::Boolean,
            rows,
            nulls,
            Buffer::default(),
            bits(values).into(),
        )
    }
}

impl<T: ArrowPrimitiveType> From<PrimitiveArray<T>> for ColumnData {
    fn from(array: PrimitiveArray<T>) -> Self {
        let (data_type, values, nulls) = array.into_parts();
        let rows = values.len();
        let values = values.into_inner();
        Self::from_parts(data_type, rows, nulls, Buffer::default(), values)
    }
}

impl<T: ByteArrayType<Offset = i32>> From<GenericByteArray<T>> for ColumnData {
    fn from(array: GenericByteArray<T>) -> Self {
        let (offsets, values, nulls) = array.into_parts();
        let rows = offsets.len() - 1;
        let (offsets, values) = from_zero(&offsets, &values, 1);
        Self::from_parts(T::DATA_TYPE, rows, nulls, offsets, values)
    }
}

impl From<FixedSizeBinaryArray> for ColumnData {
    fn from(array: FixedSizeBinaryArray) -> Self {
        let rows = array.len();
        let (width, values, nulls) = array.into_parts();
        let values = values.slice_with_length(0, rows * width as usize);
        let data_type = DataType::FixedSizeBinary(width);
        Self::from_parts(data_type, rows, nulls, Buffer::default(), values)
    }
}

/// Any array of a type that the contract has.
impl From<ArrayRef> for ColumnData {
    fn from(array: ArrayRef) -> Self {
        let data = array.to_data();
        let (offset, rows) = (data.offset(), data.len());
        let (offsets, values) = match data.data_type() {
            DataType::Boolean => {
                let values = BooleanBuffer::new(data.buffers()[0].clone(), offset, rows);
                (Buffer::default(), bits(values).into())
            }
            DataType::Utf8 | DataType::Binary => {
                from_zero(&offsets_of(&data), &data.buffers()[1], 1)
            }
            DataType::List(_) => {
                let items = &data.child_data()[0];
                let values = items.buffers()[0].slice(items.offset() * 4);
                from_zero(&offsets_of(&data), &values, 4)
            }
            fixed => {
                let width = width(fixed);
                let values = data.buffers()[0].slice_with_length(offset * width, rows * width);
                (Buffer::default(), values)
            }
        };
        let nulls = data.nulls().cloned();
        Self::from_parts(data.data_type().clone(), rows, nulls, offsets, values)
    }
}

fn offsets_of(data: &ArrayData) -> OffsetBuffer<i32> {
    if data.is_empty() {
        return OffsetBuffer::new_empty();
    }
    OffsetBuffer::new(ScalarBuffer::new(
        data.buffers()[0].clone(),
        data.offset(),
        data.len() + 1,
    ))
}

/// Offsets that begin at 0, and no more values than they speak of.
pub(crate) fn from_zero(
    offsets: &OffsetBuffer<i32>,
    values: &Buffer,
    item_bytes: usize,
) -> (Buffer, Buffer) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let (start, end) = (first as usize * item_bytes, last as usize * item_bytes);
    let values = values.slice_with_length(start, end - start);
    if first == 0 {
        return (offsets.inner().inner().clone(), values);
    }
    let moved: Vec<i32> = offsets.iter().map(|offset| offset - first).collect();
    (Buffer::from_vec(moved), values)
}

/// Bytes a value of a type without offsets.
pub(crate) fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(bytes) => *bytes as usize,
        other => other.primitive_width().unwrap_or(0),
    }
}

/// The buffer, copied if values of this type can't be read where it is. The host's lists are aligned for 8 bytes.
fn aligned<T>(buffer: &Buffer) -> Buffer {
    match buffer.as_ptr().align_offset(align_of::<T>()) {
        0 => buffer.clone(),
        _ => Buffer::from_slice_ref(buffer.as_slice()),
    }
}

/// The buffer's own memory, if it is nobody else's; else a copy.
fn bytes(buffer: Buffer) -> Vec<u8> {
    buffer
        .into_vec::<u8>()
        .unwrap_or_else(|shared| shared.as_slice().to_vec())
}

/// Bits from the first bit of the first byte on, without anything behind the last.
pub(crate) fn bits(buffer: BooleanBuffer) -> Vec<u8> {
    let rows = buffer.len();
    let mut bytes = match buffer.offset() {
        0 => bytes(buffer.into_inner()),
        _ => bytes(buffer.sliced()),
    };
    bytes.truncate(rows.div_ceil(8));
    if let (Some(last), used @ 1..) = (bytes.last_mut(), rows % 8) {
        *last &= (1 << used) - 1;
    }
    bytes
}

#[cfg(test)]
mod tests;
