use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_schema::DataType;
use proptest::prelude::*;
use serde_json::json;
use tidemill_sdk::build;

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
