use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
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
            field("id", DataType::Int32, false),
            field("doc", DataType::Utf8, true),
        ],
        key: vec![0],
    }
}

fn bind(config: serde_json::Value) -> Result<(Json, Binding), Error> {
    Json::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

fn processed(extract: serde_json::Value, texts: &[Option<&str>]) -> Output {
    let (mut json, binding) =
        bind(json!({ "column": "doc", "extract": extract })).expect("it binds");
    assert_eq!(binding.reads, [1]);
    let batch = Batch {
        rows: texts.len(),
        columns: vec![build::utf8(texts.to_vec()).into()],
    };
    json.process(&batch).expect("it extracts")
}

#[test]
fn paths_become_typed_columns() {
    let output = processed(
        json!({
            "a": { "path": "$.n", "type": "int64" },
            "b": { "path": "$.o.list[1]", "type": "decimal(20, 2)" },
            "c": { "path": "/o/list/0", "type": "string" },
            "d": { "path": "$.o", "type": "string" },
            "e": { "path": "$.at", "type": "timestamp" },
            "f": { "path": "$.yes", "type": "boolean" },
        }),
        &[
            Some(
                r#" {"n": 9007199254740993, "o": {"list": ["a\u00e9", 123456789012345678.90]}, "at": "2026-01-31T12:00:00Z", "yes": true, "x": [{}]} "#,
            ),
            Some("{}"),
            Some("null"),
            None,
            Some(r#"{"n": 1, "n": 1e2, "o": {"list": [7]}, "o": {"list": []}}"#),
        ],
    );
    assert_eq!(output.rejected, []);
    let batch = output.batch(5);
    let numbers: Vec<_> = batch.primitive::<Int64Type>(0).iter().collect();
    assert_eq!(
        numbers,
        [Some(9_007_199_254_740_993), None, None, None, Some(100)]
    );
    assert_eq!(
        batch.primitive::<Decimal128Type>(1).value(0),
        12_345_678_901_234_567_890
    );
    let texts = batch.utf8(2);
    assert_eq!(
        texts.iter().collect::<Vec<_>>(),
        [Some("aé"), None, None, None, None]
    );
    assert_eq!(batch.utf8(3).value(4), r#"{"list": []}"#);
    assert_eq!(batch.columns[4].values::<i64>()[0], 1_769_860_800_000_000);
    assert!(batch.boolean(5).value(0));
}

#[test]
fn what_does_not_fit_is_null_or_rejects_its_row() {
    let texts = &[
        Some(r#"{"n": 1.5}"#),
        Some(r#"{"n": "1"}"#),
        Some("{"),
        Some("{}"),
        Some(r#"{"n": {}}"#),
    ];
    let output = processed(
        json!({ "n": { "path": "$.n", "type": "int64", "mismatch": "null" } }),
        texts,
    );
    assert_eq!(output.rejected, []);
    let numbers: Vec<_> = output.batch(5).primitive::<Int64Type>(0).iter().collect();
    assert_eq!(numbers, [None, Some(1), None, None, None]);
    let output = processed(
        json!({ "n": { "path": "$.n", "type": "int64", "missing": "reject" } }),
        texts,
    );
    assert_eq!(
        output.rejected,
        [
            (
                0,
                "the value of `doc` at `$.n` is no exact Int64, for `n`".to_owned()
            ),
            (2, "`doc` is no JSON".to_owned()),
            (3, "`doc` has no value at `$.n`, for `n`".to_owned()),
            (
                4,
                "the value of `doc` at `$.n` is no exact Int64, for `n`".to_owned()
            ),
        ]
    );
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let extract = |path: &str, r#type: &str| json!({ "x": { "path": path, "type": r#type } });
    for (config, reason) in [
        (json!({ "column": "dco", "extract": {} }), "no column `dco`"),
        (json!({ "column": "id", "extract": {} }), "JSON is text"),
        (
            json!({ "column": "doc", "extract": extract("a", "int64") }),
            "begins with `$`",
        ),
        (
            json!({ "column": "doc", "extract": extract("$.*", "int64") }),
            "a step is",
        ),
        (
            json!({ "column": "doc", "extract": extract("$.a", "text") }),
            "`text` is no type",
        ),
        (
            json!({ "column": "doc", "extract": { "id": { "path": "$.a", "type": "int8" } } }),
            "two columns would be named `id`",
        ),
    ] {
        let error = format!("{:?}", bind(config).expect_err(reason));
        assert!(error.contains(reason), "{error}");
    }
    let (_, binding) =
        bind(json!({ "column": "doc", "drop": true, "extract": extract("$.a", "int8") }))
            .expect("it binds");
    assert_eq!(binding.output.len(), 2);
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(Into::into),
        "[a-c\"\\\\é\n]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_those_of_a_whole_parser(document in document()) {
        let extract = json!({
            "whole": { "path": "$", "type": "string" },
            "text": { "path": "/a/0", "type": "string", "mismatch": "null" },
            "whole_number": { "path": "$.a.b", "type": "int64", "mismatch": "null" },
            "number": { "path": "$.b", "type": "float64", "mismatch": "null" },
        });
        let text = document.to_string();
        let output = processed(extract, &[Some(&text)]);
        let batch = output.batch(1);
        let number: Vec<_> = batch.primitive::<Float64Type>(0).iter().collect();
        if let Some(serde_json::Value::Number(expected)) = document.pointer("/b") {
            prop_assert_eq!(number[0], expected.as_f64());
        }
        let texts = batch.utf8(1);
        match document.pointer("/a/0") {
            Some(serde_json::Value::String(expected)) => prop_assert_eq!(texts.value(0), expected),
            Some(serde_json::Value::Null) | None => prop_assert!(batch.columns[1].is_null(0)),
            Some(other) => prop_assert_eq!(texts.value(0), other.to_string()),
        }
        let wholes: Vec<_> = batch.primitive::<Int64Type>(3).iter().collect();
        if let Some(serde_json::Value::Number(expected)) = document.pointer("/a/b")
            && expected.is_i64()
        {
            prop_assert_eq!(wholes[0], expected.as_i64());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in r#"[{}\[\]a:,"0-9.e\\u-]{0,30}"#) {
        processed(json!({ "x": { "path": "$.a[0]", "type": "decimal(10, 2)" } }), &[Some(&text)]);
    }
}
