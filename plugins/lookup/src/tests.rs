use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use serde_json::json;
use tidemill_sdk::{ColumnData, build};

use super::*;

fn table() -> Table {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    Table {
        database: "shop".to_owned(),
        name: "orders".to_owned(),
        fields: vec![
            field("id", DataType::Int64, false),
            field("country", DataType::Utf8, true),
            field("ratio", DataType::Float64, true),
        ],
        key: vec![0],
    }
}

fn tables() -> serde_json::Value {
    json!({ "countries": {
        "columns": [
            { "name": "code", "type": "utf8" }, { "name": "name", "type": "string" },
            { "name": "rate", "type": "decimal128(5, 2)" }, { "name": "number", "type": "int32" },
        ],
        "rows": [["DE", "Germany", "19.00", 1], ["FR", "France", 20, 2], ["XX", null, null, 3]],
    } })
}

fn bind(mut config: serde_json::Value) -> Result<(Lookup, Binding), Error> {
    if config.get("tables").is_none() {
        config["tables"] = tables();
    }
    Lookup::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

fn countries(texts: &[Option<&str>]) -> Batch {
    Batch {
        rows: texts.len(),
        columns: vec![build::utf8(texts.to_vec()).into()],
    }
}

#[test]
fn rows_get_the_columns_of_their_counterparts() {
    let config = json!({ "table": "countries", "on": { "country": "code" }, "columns": { "name": "country_name", "rate": "vat" } });
    let (mut lookup, binding) = bind(config).expect("it binds");
    assert_eq!(binding.reads, [1]);
    let output = lookup
        .process(&countries(&[
            Some("FR"),
            None,
            Some("de"),
            Some("XX"),
            Some("DE"),
        ]))
        .expect("it looks up");
    let batch = output.batch(5);
    let names = batch.utf8(0);
    assert_eq!(
        names.iter().collect::<Vec<_>>(),
        [Some("France"), None, None, None, Some("Germany")]
    );
    let rates: Vec<_> = batch.primitive::<Decimal128Type>(1).iter().collect();
    assert_eq!(rates, [Some(2000), None, None, None, Some(1900)]);
    assert_eq!(output.rejected, []);
}

/// A lookup by `country` in a table of one row, of this type and value, and the column that it gives.
fn one(data_type: &str, cell: serde_json::Value) -> Result<ColumnData, Error> {
    let config = json!({ "table": "t", "on": { "country": "code" }, "columns": { "value": "v" }, "tables": { "t": {
        "columns": [{ "name": "code", "type": "utf8" }, { "name": "value", "type": data_type }],
        "rows": [["DE", cell]],
    } } });
    let (mut lookup, _) = bind(config)?;
    Ok(lookup.process(&countries(&[Some("DE")]))?.columns.remove(0))
}

#[test]
fn values_are_of_each_type_that_the_host_writes() {
    let instant = one(
        "timestamp-us(Europe/Berlin)",
        json!("2024-01-01T00:00:00.5Z"),
    );
    let instant = instant.expect("it binds");
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()));
    assert_eq!(instant.data_type(), &zoned);
    assert_eq!(instant.values::<i64>().to_vec(), [1_704_067_200_500_000]);
    for (data_type, cell, expected) in [
        ("binary", json!("00fF"), Value::from(&[0, 255][..])),
        ("fixed-binary(2)", json!("0a0B"), Value::from(&[10, 11][..])),
        (
            "float32-list",
            json!([0.5, -1]),
            Value::from(&[0.5, -1.0][..]),
        ),
    ] {
        let column = one(data_type, cell).unwrap_or_else(|error| panic!("{data_type}: {error:?}"));
        assert_eq!(ValueReader::new(&column).value(0), expected, "{data_type}");
    }
    for (data_type, cell) in [
        ("binary", json!("0")),
        ("binary", json!("0g")),
        ("fixed-binary(2)", json!("0a")),
        ("float32-list", json!([0.5, "x"])),
        ("timestamp-us(UTC)", json!("soon")),
    ] {
        let error = format!("{:?}", one(data_type, cell).expect_err("it is refused"));
        assert!(
            error.contains("`value` in row 1 of the reference table `t` is no exact"),
            "{error}"
        );
    }
    let error = format!(
        "{:?}",
        one("fixed-binary(x)", json!("00")).expect_err("no width")
    );
    assert!(
        error.contains("`value` of the reference table `t` is fixed-binary(x)"),
        "{error}"
    );
}

#[test]
fn instants_are_keys_and_bytes_are_none() {
    let bound = |given: DataType, own: &str, cell: &str| {
        let table = Table {
            fields: vec![Arc::new(Field::new("k", given, true))],
            key: vec![],
            ..table()
        };
        let config = json!({ "table": "t", "on": { "k": "key" }, "columns": { "v": "v" }, "tables": { "t": {
            "columns": [{ "name": "key", "type": own }, { "name": "v", "type": "int32" }],
            "rows": [[cell, 5]],
        } } });
        Lookup::bind(
            &table,
            serde_json::from_value(config).expect("a configuration"),
        )
    };
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let bind = bound(zoned.clone(), "timestamp-us(UTC)", "2024-01-01T00:00:00Z");
    let (mut lookup, _) = bind.expect("it binds");
    let at = build::primitive::<TimestampMicrosecondType>([Some(1_704_067_200_000_000)]);
    let batch = Batch {
        rows: 1,
        columns: vec![ColumnData::from(at).with_data_type(zoned)],
    };
    let output = lookup.process(&batch).expect("it looks up");
    assert_eq!(output.columns[0].values::<i32>().to_vec(), [5]);
    let bind = bound(DataType::Utf8, "timestamp-us", "2024-01-01T00:00:00");
    let (mut lookup, _) = bind.expect("it binds");
    let output = lookup.process(&countries(&[Some("2024-01-01 00:00:00")]));
    let output = output.expect("it looks up");
    assert_eq!(output.columns[0].values::<i32>().to_vec(), [5]);
    assert_eq!(output.columns[0].null_count(), 0);
    for given in [
        DataType::Binary,
        DataType::FixedSizeBinary(1),
        DataType::Utf8,
    ] {
        let error = bound(given, "binary", "00").expect_err("bytes are no keys");
        assert!(
            format!("{error:?}").contains("nothing is looked up"),
            "{error:?}"
        );
    }
}

#[test]
fn a_row_without_a_counterpart_may_be_rejected() {
    let config = json!({ "table": "countries", "on": { "id": "number" }, "columns": { "code": "code" }, "missing": "reject" });
    let (mut lookup, binding) = bind(config).expect("it binds");
    assert!(
        matches!(&binding.output[3], tidemill_sdk::Column::Computed(field) if !field.is_nullable())
    );
    let ids = build::primitive::<Int64Type>([Some(1), Some(4)]);
    let output = lookup
        .process(&Batch {
            rows: 2,
            columns: vec![ids.into()],
        })
        .expect("it looks up");
    assert_eq!(
        output.rejected,
        [(
            1,
            "the reference table `countries` has no row for its `id`".to_owned()
        )]
    );
    assert_eq!(output.batch(2).utf8(0).value(0), "DE");
    assert_eq!(output.columns[0].null_count(), 0);
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let with = |on: serde_json::Value| json!({ "table": "countries", "on": on, "columns": { "name": "n" } });
    let rows = |rows: serde_json::Value| {
        let columns =
            json!([{ "name": "code", "type": "utf8" }, { "name": "name", "type": "int8" }]);
        json!({ "table": "t", "on": { "country": "code" }, "columns": { "name": "n" }, "tables": { "t": { "columns": columns, "rows": rows } } })
    };
    for (config, reason) in [
        (
            json!({ "table": "x", "on": ["id"], "columns": { "name": "n" } }),
            "no reference table `x`",
        ),
        (
            with(json!(["country"])),
            "no column `country`; it has code, name, rate, number",
        ),
        (
            with(json!({ "land": "code" })),
            "the table has no column `land`",
        ),
        (with(json!({ "ratio": "rate" })), "nothing is looked up"),
        (with(json!([])), "names no columns"),
        (
            with(json!(["country", "country"])),
            "`on` names `country` twice",
        ),
        (
            with(json!({ "id": "code" })),
            "`code` in row 1 of the reference table `countries` is no exact Int64",
        ),
        (
            json!({ "table": "countries", "on": { "country": "code" }, "columns": { "name": "id" } }),
            "two columns would be named `id`",
        ),
        (
            rows(json!([["a", 1], ["a", 2]])),
            "rows 1 and 2 of the reference table `t` have the same key",
        ),
        (
            rows(json!([[null, 1]])),
            "row 1 of the reference table `t` has no key",
        ),
        (
            rows(json!([["a", 1], ["b"]])),
            "row 2 of the reference table `t` has 1 values",
        ),
        (
            rows(json!([["a", 300]])),
            "`name` in row 1 of the reference table `t` is no exact Int8",
        ),
    ] {
        let error = format!("{:?}", bind(config).expect_err(reason));
        assert!(error.contains(reason), "{error}");
    }
}

proptest! {
    #[test]
    fn pairs_of_keys_are_found_as_in_a_map(rows in prop::collection::btree_map(("[a:1]{0,3}", 0..3_i64), any::<i32>(), 0..10), asked in prop::collection::vec(("[a:1]{0,3}", 0..3_i64), 0..20)) {
        let cells: Vec<_> = rows.iter().map(|((text, number), value)| json!([text, number, value])).collect();
        let config = json!({
            "table": "t", "on": { "country": "c", "id": "i" }, "columns": { "v": "value" },
            "tables": { "t": { "columns": [{ "name": "c", "type": "utf8" }, { "name": "i", "type": "uint8" }, { "name": "v", "type": "int32" }], "rows": cells } },
        });
        let (mut lookup, binding) = bind(config).expect("it binds");
        prop_assert_eq!(binding.reads, [1, 0]);
        let texts = build::utf8(asked.iter().map(|(text, _)| Some(text)));
        let numbers = build::primitive::<Int64Type>(asked.iter().map(|(_, number)| Some(*number)));
        let output = lookup.process(&Batch { rows: asked.len(), columns: vec![texts.into(), numbers.into()] }).expect("it looks up");
        let map: HashMap<_, _> = rows.into_iter().collect();
        let column = &output.columns[0];
        for (row, key) in asked.iter().enumerate() {
            let value = (!column.is_null(row)).then(|| column.values::<i32>()[row]);
            prop_assert_eq!(value, map.get(key).copied());
        }
    }
}
