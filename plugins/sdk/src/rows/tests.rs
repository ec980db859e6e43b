use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Int8Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field};

use super::*;
use crate::NoConfig;

/// One column of each kind, four rows, NULL in one of them.
fn columns() -> Vec<ArrayRef> {
    let huge = i256::from_i128(i128::MAX).wrapping_mul(i256::from_i128(-1000));
    let vectors = [
        Some(vec![Some(0.5), Some(-1.0)]),
        Some(vec![]),
        None,
        Some(vec![Some(2.0)]),
    ];
    let fixed = [Some([1_u8, 2]), Some([0, 0]), None, Some([255, 3])];
    vec![
        Arc::new(BooleanArray::from(vec![
            Some(true),
            Some(false),
            None,
            Some(true),
        ])),
        Arc::new(Int8Array::from(vec![
            Some(i8::MIN),
            Some(0),
            None,
            Some(i8::MAX),
        ])),
        Arc::new(UInt64Array::from(vec![
            Some(u64::MAX),
            Some(0),
            None,
            Some(1),
        ])),
        Arc::new(Float32Array::from(vec![
            Some(1.5),
            Some(-0.0),
            None,
            Some(f32::MAX),
        ])),
        Arc::new(
            Decimal128Array::from(vec![Some(-1050), Some(0), None, Some(7)])
                .with_precision_and_scale(10, 2)
                .expect("it fits"),
        ),
        Arc::new(
            Decimal256Array::from(vec![Some(huge), Some(i256::ZERO), None, Some(i256::ONE)])
                .with_precision_and_scale(60, 5)
                .expect("it fits"),
        ),
        Arc::new(Date32Array::from(vec![
            Some(-1),
            Some(0),
            None,
            Some(20_000),
        ])),
        Arc::new(
            TimestampMicrosecondArray::from(vec![Some(-1), Some(0), None, Some(1)])
                .with_timezone("UTC"),
        ),
        Arc::new(StringArray::from(vec![
            Some("Zoë"),
            Some(""),
            None,
            Some("x"),
        ])),
        Arc::new(BinaryArray::from(vec![
            Some(&b"\xff"[..]),
            Some(b""),
            None,
            Some(b"x"),
        ])),
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 2)
                .expect("it fits"),
        ),
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors)),
    ]
}

fn table(columns: &[ArrayRef]) -> Table {
    let field = |(i, column): (usize, &ArrayRef)| {
        Arc::new(Field::new(
            format!("c{i}"),
            column.data_type().clone(),
            true,
        ))
    };
    Table {
        database: "d".to_owned(),
        name: "t".to_owned(),
        fields: columns.iter().enumerate().map(field).collect(),
        key: vec![],
    }
}

/// Does what a function says, with every column read and computed.
struct Apply(fn(&mut Row<'_>) -> Fate);

impl Apply {
    fn rows(table: &Table, row: fn(&mut Row<'_>) -> Fate, filters: bool) -> Rows<Self> {
        let fields = || table.fields.iter().map(|field| (field.clone(), None));
        let mut computed: Vec<_> = fields().collect();
        for (i, (_, otherwise)) in computed.iter_mut().enumerate() {
            *otherwise = Some(i);
        }
        Rows {
            transform: Self(row),
            names: table
                .fields
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            computed,
            filters,
        }
    }
}

impl RowTransform for Apply {
    type Config = NoConfig;
    const NAME: &str = "apply";
    const VERSION: &str = "1.2.3";
    const SUMMARY: &str = "does what a function says";

    fn bind(_table: &Table, _config: NoConfig) -> Result<(Self, Binding), Error> {
        Ok((Self(|_| Fate::Keep), Binding::default()))
    }

    fn row(&mut self, row: &mut Row<'_>) -> Fate {
        (self.0)(row)
    }
}

fn batch(columns: &[ArrayRef]) -> Batch {
    Batch {
        rows: columns[0].len(),
        columns: columns.iter().cloned().map(Into::into).collect(),
    }
}

#[test]
fn every_type_is_got_and_set_unchanged() {
    let all = columns();
    let copy = |row: &mut Row<'_>| {
        for i in 0..12 {
            let name = format!("c{i}");
            // What is set twice is what was set last.
            if row.index() != 1 {
                row.set(&name, Value::Null);
            }
            row.set(&name, row.get(&name));
        }
        Fate::Keep
    };
    for row in [copy, |_: &mut Row<'_>| Fate::Keep] {
        let mut rows = Apply::rows(&table(&all), row, false);
        let output = rows.process(&batch(&all)).expect("it is copied");
        assert_eq!(output.rejected, []);
        for (column, given) in output.columns.iter().zip(&all) {
            let array = column.array();
            array.to_data().validate_full().expect("it is valid");
            assert_eq!(array.as_ref(), given.as_ref());
        }
    }
}

#[test]
fn rows_are_kept_dropped_and_rejected() {
    let numbers: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2, 3]))];
    let fates = |row: &mut Row<'_>| match row.integer("c0") {
        Some(1) => Fate::Drop,
        Some(2) => Fate::Reject("two".to_owned()),
        _ => Fate::Keep,
    };
    let mut rows = Apply::rows(&table(&numbers), fates, true);
    let output = rows.process(&batch(&numbers)).expect("it filters");
    assert_eq!(output.rejected, [(1, "two".to_owned())]);
    let keep: Vec<bool> = output.keep.expect("it filters").iter().collect();
    assert_eq!(keep, [false, true, true]);
    assert_eq!(output.columns[0].len(), 3);
    let mut rows = Apply::rows(&table(&numbers), fates, false);
    assert!(matches!(
        rows.process(&batch(&numbers)),
        Err(Error::Data(_))
    ));
}

#[test]
fn what_does_not_fit_rejects_its_row_and_keeps_the_columns_whole() {
    let given: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from(vec![1, 2])),
        Arc::new(
            Decimal256Array::from(vec![i256::ONE, i256::ONE])
                .with_precision_and_scale(40, 1)
                .expect("it fits"),
        ),
    ];
    let set = |row: &mut Row<'_>| {
        if row.index() == 0 {
            row.set("c0", 128);
        } else {
            let unscaled = i256::from_i128(1234);
            row.set("c1", Decimal { unscaled, scale: 2 });
        }
        Fate::Keep
    };
    let mut rows = Apply::rows(&table(&given), set, false);
    let output = rows.process(&batch(&given)).expect("it sets");
    let reasons: Vec<&str> = output
        .rejected
        .iter()
        .map(|(_, reason)| reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "`c0` is Int8, and can't be this integer",
            "`c1` is Decimal256(40, 1), and can't be this decimal"
        ]
    );
    assert!(output.columns.iter().all(|column| column.len() == 2));
}

#[test]
fn a_column_that_is_not_null_takes_no_null() {
    let given: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["a"]))];
    let mut shape = table(&given);
    shape.fields[0] = Arc::new(Field::new("c0", DataType::Utf8, false));
    let set = |row: &mut Row<'_>| {
        row.set("c0", Value::Null);
        Fate::Keep
    };
    let output = Apply::rows(&shape, set, false)
        .process(&batch(&given))
        .expect("it sets");
    assert_eq!(output.rejected[0].1, "`c0` has no value, and can't be NULL");
    assert_eq!(output.columns[0].null_count(), 0);
}

#[test]
fn decimals_are_written_as_sql_writes_them() {
    for (unscaled, scale, text) in [
        (-1250, 2, "-12.50"),
        (5, 3, "0.005"),
        (7, 0, "7"),
        (0, 2, "0.00"),
    ] {
        let unscaled = i256::from_i128(unscaled);
        assert_eq!(Decimal { unscaled, scale }.to_string(), text);
    }
}

#[test]
fn the_wrapper_binds_as_its_transform_does() {
    let all = columns();
    let description = crate::contract::describe::<Rows<Apply>>();
    assert_eq!(
        (&*description.name, &*description.version),
        ("apply", "1.2.3")
    );
    let (_, binding) = Rows::<Apply>::bind(&table(&all), NoConfig {}).expect("it binds");
    assert!(binding.reads.is_empty());
}

#[test]
fn a_float_is_of_32_bits_or_of_64() {
    let given: Vec<ArrayRef> = vec![
        Arc::new(Float32Array::from(vec![0.1])),
        Arc::new(arrow_array::Float64Array::from(vec![0.1])),
    ];
    let swap = |row: &mut Row<'_>| {
        assert_eq!(row.get("c0"), Value::Float32(0.1));
        assert_eq!(row.get("c1"), Value::Float(0.1));
        assert_eq!(row.float("c0"), Some(f64::from(0.1_f32)));
        let (single, double) = (row.get("c0"), row.get("c1"));
        row.set("c0", double);
        row.set("c1", single);
        Fate::Keep
    };
    let mut rows = Apply::rows(&table(&given), swap, false);
    let output = rows.process(&batch(&given)).expect("it swaps");
    assert_eq!(output.columns[0].values::<f32>().to_vec(), [0.1]);
    assert_eq!(
        output.columns[1].values::<f64>().to_vec(),
        [f64::from(0.1_f32)]
    );
}
