use std::sync::Arc;

use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{BinaryArray, Decimal128Array, Int64Array, ListArray, StringArray};

use super::*;
use crate::Batch;

/// Over the contract and back, as any array and as the concrete one.
fn round_trip(given: ArrayRef, concrete: ColumnData) {
    let rows = given.len();
    for column in [ColumnData::from(given.clone()), concrete] {
        assert_eq!(column.len(), rows);
        let there = column.into_wire();
        let back = ColumnData::from_wire(rows, given.data_type(), there);
        assert_eq!(&back.array(), &given);
        back.array().to_data().validate_full().expect("it is valid");
    }
}

fn every(step: usize) -> impl Iterator<Item = Option<usize>> {
    (0..100).map(move |i| (i % step != 0).then_some(i))
}

#[test]
fn arrays_and_slices_cross_unchanged() {
    let numbers = Int64Array::from_iter(every(3).map(|i| i.map(|i| i as i64)));
    let texts = StringArray::from_iter(every(4).map(|i| i.map(|i| "x".repeat(i))));
    let raw = BinaryArray::from_iter(every(7).map(|i| i.map(|i| vec![0xff_u8; i % 5])));
    let flags = BooleanArray::from_iter(every(5).map(|i| i.map(|i| i % 2 == 0)));
    let prices = Decimal128Array::from_iter(every(6).map(|i| i.map(|i| i as i128 - 50)));
    let bytes = every(8).map(|i| i.map(|i| [i as u8, 1, 2]));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 3).expect("it fits");
    let vectors = every(9).map(|i| i.map(|i| (0..i % 4).map(|x| Some(x as f32))));
    let vectors: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors));
    for (offset, length) in [(0, 100), (0, 0), (3, 17), (8, 8), (99, 1), (100, 0)] {
        macro_rules! check {
            ($($array:ident),*) => {$(
                let part = $array.slice(offset, length);
                round_trip(Arc::new(part.clone()), part.into());
            )*};
        }
        check!(numbers, texts, raw, flags, prices, fixed);
        let part = vectors.slice(offset, length);
        round_trip(part.clone(), part.into());
    }
}

#[test]
fn typed_columns_are_the_memory_that_came_in() {
    let there = ColumnData::from(Int64Array::from(vec![1, 2])).into_wire();
    let batch = Batch {
        rows: 2,
        columns: vec![ColumnData::from_wire(2, &DataType::Int64, there)],
    };
    let column = batch.primitive::<Int64Type>(0);
    assert_eq!(column.values(), &[1, 2]);
    assert_eq!(
        column.values().inner().as_ptr(),
        batch.columns[0].value_buffer().as_ptr()
    );
}

#[test]
fn memory_that_is_not_aligned_is_copied() {
    let mut bytes = vec![0_u8; 33];
    bytes[1] = 7;
    bytes[17] = 9;
    let values = Buffer::from_vec(bytes).slice(1);
    let column = ColumnData::from_parts(
        DataType::Decimal128(20, 2),
        2,
        None,
        Buffer::default(),
        values,
    );
    let decimals = column.primitive::<arrow_array::types::Decimal128Type>();
    assert_eq!(decimals.values(), &[7, 9]);
    assert_eq!(decimals.data_type(), &DataType::Decimal128(20, 2));
}

#[test]
fn nulls_of_every_type_are_whole_columns() {
    let item = Arc::new(arrow_schema::Field::new("item", DataType::Float32, false));
    for data_type in [
        DataType::Boolean,
        DataType::Int8,
        DataType::Decimal256(60, 3),
        DataType::Utf8,
        DataType::FixedSizeBinary(5),
        DataType::List(item),
    ] {
        for rows in [0, 1, 9] {
            let nulls = ColumnData::all_null(&data_type, rows).array();
            nulls.to_data().validate_full().expect("it is valid");
            assert_eq!(nulls.null_count(), rows);
        }
    }
}

#[test]
fn bits_behind_the_last_row_are_cleared() {
    let flags = BooleanBuffer::new(vec![0xff_u8; 4].into(), 3, 10);
    assert_eq!(bits(flags), [0xff, 0b11]);
    let flags = BooleanBuffer::new(vec![0xff_u8; 4].into(), 0, 10);
    assert_eq!(bits(flags), [0xff, 0b11]);
}
