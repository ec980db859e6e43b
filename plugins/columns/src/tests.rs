use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::TimeUnit;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use tidemill_sdk::Column;

fn table() -> Table {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    Table {
        database: "shop".to_owned(),
        name: "people".to_owned(),
        fields: vec![
            field("id", DataType::Int32, false),
            field("first", DataType::Utf8, true),
            field("last", DataType::Utf8, true),
            field("price", DataType::Decimal128(10, 2), false),
            field("born", DataType::Date32, true),
            field("raw", DataType::Binary, true),
            field(
                "seen",
                DataType::Timestamp(TimeUnit::Microsecond, None),
                true,
            ),
        ],
        key: vec![0],
    }
}

fn column(name: &str) -> ArrayRef {
    match name {
        "id" => Arc::new(Int32Array::from(vec![1, 200])),
        "first" => Arc::new(StringArray::from(vec![Some("Anna"), None])),
        "last" => Arc::new(StringArray::from(vec![Some("Berg"), Some("7")])),
        "price" => Arc::new(
            Decimal128Array::from(vec![1000, 1050])
                .with_precision_and_scale(10, 2)
                .expect("it fits"),
        ),
        "born" => Arc::new(Date32Array::from(vec![Some(0), None])),
        "seen" => Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None])),
        other => panic!("no column {other}"),
    }
}

fn bind(config: Value) -> Result<(Columns, Binding), Error> {
    Columns::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

fn process(config: Value) -> (Vec<String>, Output) {
    let (mut columns, binding) = bind(config).expect("it binds");
    let read = |&read: &usize| column(table().fields[read].name()).into();
    let batch = Batch {
        rows: 2,
        columns: binding.reads.iter().map(read).collect(),
    };
    let names = binding.output.iter().map(|out| match out {
        Column::Pass(position, None) => table().fields[*position].name().clone(),
        Column::Pass(_, Some(name)) => format!("{name}="),
        Column::Computed(field) => format!("{}: {}", field.name(), field.data_type()),
    });
    (names.collect(), columns.process(&batch).expect("it maps"))
}

#[test]
fn renaming_and_dropping_read_nothing() {
    let (names, output) =
        process(json!({ "drop": ["raw", "last"], "rename": { "born": "birthday" } }));
    assert_eq!(names, ["id", "first", "price", "birthday=", "seen"]);
    assert!(output.columns.is_empty());
}

#[test]
fn casts_are_exact_or_reject_the_row() {
    let (names, output) = process(
        json!({ "cast": { "id": "int8", "price": "decimal(12, 0)" }, "rename": { "price": "euros" } }),
    );
    assert_eq!(names[0], "id: Int8");
    assert_eq!(names[3], "euros: Decimal128(12, 0)");
    assert_eq!(output.batch(2).primitive::<Int8Type>(0).value(0), 1);
    assert_eq!(output.batch(2).primitive::<Decimal128Type>(1).value(0), 10);
    assert_eq!(
        output.rejected,
        [(1, "the value of `id` is no exact Int8".to_owned())],
        "a row is rejected once"
    );
    assert!(output.columns.iter().all(|column| column.null_count() == 0));
}

#[test]
fn texts_are_read_as_numbers_and_nulls_stay() {
    let (_, output) =
        process(json!({ "cast": { "last": "int32", "first": "int32", "born": "string" } }));
    let reasons: Vec<_> = output.rejected.iter().map(|(row, _)| *row).collect();
    assert_eq!(reasons, [0]);
    assert_eq!(output.batch(2).primitive::<Int32Type>(1).value(1), 7);
    assert!(output.columns[0].is_null(1));
    assert_eq!(output.batch(2).utf8(2).value(0), "1970-01-01");
    assert!(output.columns[2].is_null(1));
}

#[test]
fn constants_show_their_type_or_are_given_one() {
    let (names, output) = process(json!({ "constant": {
        "a": "eu", "b": 5, "c": true, "d": { "value": 0.1, "type": "decimal(3, 1)" }, "e": { "value": "2026-01-31", "type": "date" },
    } }));
    assert_eq!(
        names[7..],
        [
            "a: Utf8",
            "b: Int64",
            "c: Boolean",
            "d: Decimal128(3, 1)",
            "e: Date32"
        ]
    );
    assert_eq!(output.batch(2).utf8(0).value(1), "eu");
    assert_eq!(output.batch(2).primitive::<Decimal128Type>(3).value(1), 1);
    assert!(output.columns.iter().all(|column| column.len() == 2));
}

#[test]
fn parts_are_joined_without_nulls() {
    let (names, output) = process(
        json!({ "concat": { "who": { "columns": ["first", "last", "id"], "separator": " " },
        "when": { "columns": ["seen", "price"], "separator": "/" } }, "drop": ["first"] }),
    );
    assert_eq!(names.last().map(String::as_str), Some("who: Utf8"));
    let texts = |i: usize| {
        output
            .batch(2)
            .utf8(i)
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(0), ["1970-01-01 00:00:01.500/10.00", "10.50"]);
    assert_eq!(texts(1), ["Anna Berg 1", "7 200"]);
}

#[test]
fn what_can_not_be_meant_is_refused() {
    for (config, reason) in [
        (json!({ "drop": ["id"] }), "`id` is a key column"),
        (json!({ "drop": ["nmae"] }), "no column `nmae`"),
        (
            json!({ "rename": { "first": "last" } }),
            "two columns would be named `last`",
        ),
        (
            json!({ "constant": { "id": 1 } }),
            "two columns would be named `id`",
        ),
        (
            json!({ "drop": ["last"], "cast": { "last": "int8" } }),
            "dropped and is renamed or cast",
        ),
        (
            json!({ "cast": { "last": "number" } }),
            "`number` is no type to cast to",
        ),
        (
            json!({ "cast": { "last": "decimal(5, 9)" } }),
            "no type to cast to",
        ),
        (json!({ "cast": { "raw": "date" } }), "has no cast to date"),
        (json!({ "cast": { "seen": "time" } }), "has no cast to time"),
        (
            json!({ "constant": { "n": { "value": 300, "type": "int8" } } }),
            "300 is no exact Int8",
        ),
        (
            json!({ "concat": { "n": { "columns": ["raw"] } } }),
            "no part of a text",
        ),
    ] {
        let error = format!("{:?}", bind(config).expect_err(reason));
        assert!(error.contains(reason), "{error}");
    }
}

proptest! {
    #[test]
    fn a_cast_number_is_the_same_number_or_lost(values in prop::collection::vec(prop::option::of(any::<f64>()), 1..50)) {
        let (cast, lost) = cast::exact(&Float64Array::from(values.clone()).into(), &DataType::Int32);
        for (row, value) in values.iter().enumerate() {
            let exact = value.is_none_or(|value| value.fract() == 0.0 && f64::from(value as i32) == value && !(value == 0.0 && value.is_sign_negative()));
            prop_assert_eq!(lost.contains(&(row as u32)), !exact, "{:?}", value);
            if let (true, Some(value)) = (exact, value) {
                prop_assert_eq!(f64::from(cast.values::<i32>()[row]), *value);
            }
        }
    }
}
