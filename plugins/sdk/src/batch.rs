//! The columns that a transform is given.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use crate::ColumnData;
use crate::column::from_zero;

/// The columns that the binding reads, in its order.
///
/// A column becomes an array by its type: `batch.utf8(0)`, `batch.primitive::<Int64Type>(1)`. That copies nothing. Each panics if the column
/// is of another type: what a column is was seen when the table was bound.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The number of rows, at most 65,536.
    pub rows: usize,
    /// The columns.
    pub columns: Vec<ColumnData>,
}

/// Vectors: for each row some numbers, or NULL.
#[derive(Clone, Debug)]
pub struct Float32Lists {
    /// Where each row's numbers begin and end among `values`.
    pub offsets: OffsetBuffer<i32>,
    /// All numbers.
    pub values: ScalarBuffer<f32>,
    /// Where there are lists; none: everywhere.
    pub nulls: Option<NullBuffer>,
}

impl Float32Lists {
    /// The row's numbers; those of a NULL say nothing.
    pub fn value(&self, row: usize) -> &[f32] {
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

impl From<Float32Lists> for ColumnData {
    fn from(lists: Float32Lists) -> Self {
        let rows = lists.offsets.len() - 1;
        let values = lists.values.into_inner();
        let (offsets, values) = from_zero(&lists.offsets, &values, size_of::<f32>());
        let item = Field::new("item", DataType::Float32, false);
        let data_type = DataType::List(Arc::new(item));
        Self::from_parts(data_type, rows, lists.nulls, offsets, values)
    }
}

impl Batch {
    /// Text.
    ///
    /// # Panics
    /// If the column is something else.
    pub fn utf8(&self, column: usize) -> StringArray {
        let data = &self.columns[column];
        assert!(
            data.data_type() == &DataType::Utf8,
            "column {column} is no text"
        );
        data.byte_array()
    }

    /// Bytes.
    ///
    /// # Panics
    /// If the column is something else.
    pub fn binary(&self, column: usize) -> BinaryArray {
        let data = &self.columns[column];
        assert!(
            data.data_type() == &DataType::Binary,
            "column {column} is no binary"
        );
        data.byte_array()
    }

    /// Values of one width in bytes.
    ///
    /// # Panics
    /// If the column is something else.
    pub fn fixed_binary(&self, column: usize) -> FixedSizeBinaryArray {
        let data = &self.columns[column];
        match data.data_type() {
            DataType::FixedSizeBinary(width) => data.fixed_binary(*width),
            _ => panic!("column {column} is no fixed-size binary"),
        }
    }

    /// True and false.
    ///
    /// # Panics
    /// If the column is something else.
    pub fn boolean(&self, column: usize) -> BooleanArray {
        let data = &self.columns[column];
        assert!(
            data.data_type() == &DataType::Boolean,
            "column {column} is no boolean"
        );
        data.boolean()
    }

    /// Numbers, decimals, dates, times and moments.
    ///
    /// # Panics
    /// If the column is something else.
    pub fn primitive<T: ArrowPrimitiveType>(&self, column: usize) -> PrimitiveArray<T> {
        let data = &self.columns[column];
        assert!(
            PrimitiveArray::<T>::is_compatible(data.data_type()),
            "column {column} is of another type than it is read as"
        );
        data.primitive()
    }

    /// Vectors.
    ///
    /// # Panics
    /// If the column is something else.
    pub fn float32_lists(&self, column: usize) -> Float32Lists {
        let data = &self.columns[column];
        assert!(
            matches!(data.data_type(), DataType::List(_)),
            "column {column} is no list"
        );
        let all = data.value_buffer().len() / size_of::<f32>();
        Float32Lists {
            offsets: data.offset_buffer(),
            values: data.items(all),
            nulls: data.nulls().cloned(),
        }
    }

    /// An array of whatever type; see [`ColumnData::array`] for what that costs.
    pub fn array(&self, column: usize) -> ArrayRef {
        self.columns[column].array()
    }
}
