//! A digest of a table's columns that doesn't depend on the order of rows: of what was sent, and of what was read back.
//!
//! For each column: the sum, modulo 2^64, over all rows of a hash of the value, seeded with the hash of the row's key. So a
//! changed value, a lost or doubled row, and values that are swapped between two rows are all found.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, i256};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Stands for NULL.
const NULL: u64 = 0x9e37_79b9_7f4a_7c15;

/// The digests of a table's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    columns: Vec<u64>,
    rows: u64,
}

impl Digest {
    /// The digest of no rows.
    pub fn new(columns: usize) -> Self {
        Self {
            columns: vec![0; columns],
            rows: 0,
        }
    }

    /// Adds a batch's rows; `key` holds the positions of the key's columns, and is empty for a table without one.
    pub fn add(&mut self, batch: &RecordBatch, key: &[usize]) {
        let mut seeds = vec![0; batch.num_rows()];
        for &position in key {
            let column = batch.column(position);
            for_each_hash(column, &seeds.clone(), |row, hash| seeds[row] = hash);
        }
        for (sum, column) in self.columns.iter_mut().zip(batch.columns()) {
            for_each_hash(column, &seeds, |_, hash| *sum = sum.wrapping_add(hash));
        }
        self.rows += batch.num_rows() as u64;
    }

    /// Adds the rows of another digest.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.columns.iter_mut().zip(&other.columns) {
            *sum = sum.wrapping_add(*more);
        }
        self.rows += other.rows;
    }

    /// The first column that differs; the first of all, if only the number of rows does.
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let differs = self
            .columns
            .iter()
            .zip(&other.columns)
            .position(|(a, b)| a != b);
        differs.or((self.rows != other.rows).then_some(0))
    }
}

/// Hashes each value, seeded by its row's seed.
fn for_each_hash(array: &ArrayRef, seeds: &[u64], mut each: impl FnMut(usize, u64)) {
    let mut hash = |row: usize, bytes: &[u8]| each(row, xxh3_64_with_seed(bytes, seeds[row]));
    let null = NULL.to_le_bytes();
    macro_rules! fixed {
        ($values:expr) => {
            for (row, value) in $values.iter().enumerate() {
                match value {
                    Some(value) => hash(row, &value.to_le_bytes()),
                    None => hash(row, &null),
                }
            }
        };
    }
    macro_rules! bytes {
        ($values:expr) => {
            for (row, value) in $values.iter().enumerate() {
                match value {
                    Some(value) => hash(row, AsRef::<[u8]>::as_ref(value)),
                    None => hash(row, &null),
                }
            }
        };
    }
    macro_rules! primitive {
        ($($data_type:ident => $arrow:ident),* $(,)?) => {
            match array.data_type() {
                $(DataType::$data_type => fixed!(array.as_primitive::<arrow::datatypes::$arrow>()),)*
                DataType::Boolean => for (row, value) in array.as_boolean().iter().enumerate() {
                    hash(row, value.map_or(&null[..], |value| if value { &[1] } else { &[0] }));
                },
                DataType::Date32 => fixed!(array.as_primitive::<arrow::datatypes::Date32Type>()),
                DataType::Time64(_) => fixed!(array.as_primitive::<arrow::datatypes::Time64MicrosecondType>()),
                DataType::Timestamp(_, _) => fixed!(array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>()),
                DataType::Decimal128(_, _) => {
                    for (row, value) in array.as_primitive::<Decimal128Type>().iter().enumerate() {
                        hash(row, value.map(|value| i256::from_i128(value).to_le_bytes()).as_ref().map_or(&null[..], |bytes| bytes));
                    }
                }
                DataType::Decimal256(_, _) => fixed!(array.as_primitive::<arrow::datatypes::Decimal256Type>()),
                DataType::Utf8 => bytes!(array.as_string::<i32>()),
                DataType::Binary => bytes!(array.as_binary::<i32>()),
                DataType::FixedSizeBinary(_) => bytes!(array.as_fixed_size_binary()),
                // Lists: by their text, which Arrow writes the same on both sides.
                _ => {
                    let options = FormatOptions::default();
                    let format = ArrayFormatter::try_new(array.as_ref(), &options);
                    for row in 0..array.len() {
                        match &format {
                            Ok(format) if array.is_valid(row) => hash(row, format.value(row).to_string().as_bytes()),
                            _ => hash(row, &null),
                        }
                    }
                }
            }
        };
    }
    primitive! {
        Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
        UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type,
        Float32 => Float32Type, Float64 => Float64Type,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};

    use super::*;

    fn batch(ids: Vec<i32>, names: Vec<Option<&str>>) -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] = [
            ("id", Arc::new(Int32Array::from(ids))),
            ("name", Arc::new(StringArray::from(names))),
        ];
        RecordBatch::try_from_iter(columns).expect("equal lengths")
    }

    fn digest(batches: &[RecordBatch]) -> Digest {
        let mut digest = Digest::new(2);
        batches.iter().for_each(|batch| digest.add(batch, &[0]));
        digest
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let whole = digest(&[batch(vec![1, 2, 3], vec![Some("a"), None, Some("")])]);
        assert_eq!(
            whole,
            digest(&[
                batch(vec![3], vec![Some("")]),
                batch(vec![2, 1], vec![None, Some("a")])
            ])
        );
        let swapped = digest(&[batch(vec![1, 2, 3], vec![None, Some("a"), Some("")])]);
        assert_eq!(whole.first_difference(&swapped), Some(1));
        let null_for_empty = digest(&[batch(vec![1, 2, 3], vec![Some("a"), None, None])]);
        assert_eq!(whole.first_difference(&null_for_empty), Some(1));
        assert_eq!(whole.first_difference(&whole.clone()), None);
    }
}
