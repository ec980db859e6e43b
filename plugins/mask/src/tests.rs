use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int32Array};
use proptest::prelude::*;

use super::*;

fn table() -> Table {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    Table {
        database: "shop".to_owned(),
        name: "customers".to_owned(),
        fields: vec![
            field("id", DataType::Int32, false),
            field("email", DataType::Utf8, true),
            field("born", DataType::Date32, false),
            field("token", DataType::Binary, true),
        ],
        key: vec![0],
    }
}

fn bind(config: serde_json::Value) -> Result<(Mask, Binding), Error> {
    Mask::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

fn masked(config: serde_json::Value, column: ArrayRef) -> Vec<Option<String>> {
    let (mut mask, _) = bind(config).expect("it binds");
    let batch = Batch {
        rows: column.len(),
        columns: vec![column.into()],
    };
    let output = mask.process(&batch).expect("it is masked");
    output
        .batch(batch.rows)
        .utf8(0)
        .iter()
        .map(|value| value.map(str::to_owned))
        .collect()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn hashes_are_hmac_sha_256() {
    // RFC 4231, test case 2.
    let config =
        serde_json::json!({ "key": "Jefe", "columns": [{ "column": "email", "method": "hash" }] });
    let given = texts(&[Some("what do ya want for nothing?"), None]);
    assert_eq!(
        masked(config, given),
        [
            some("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            None
        ]
    );
}

#[test]
fn a_number_hashes_as_its_text_and_its_bytes_do() {
    let hash = |column: &str, array: ArrayRef| {
        masked(
            serde_json::json!({ "key": "k", "columns": [{ "column": column, "method": "hash", "length": 10 }] }),
            array,
        )
    };
    let number = hash("id", Arc::new(Int32Array::from(vec![-1234])));
    assert_eq!(number, hash("email", texts(&[Some("-1234")])));
    assert_eq!(
        number,
        hash("token", Arc::new(BinaryArray::from_vec(vec![b"-1234"])))
    );
    assert_eq!(number[0].as_ref().map(String::len), Some(10));
}

#[test]
fn the_other_methods_keep_nulls_and_whole_characters() {
    let given = || texts(&[Some("Zoë@example.com"), None, Some("é"), Some("")]);
    let with = |rule: serde_json::Value| {
        let mut rule = rule;
        rule["column"] = "email".into();
        masked(serde_json::json!({ "columns": [rule] }), given())
    };
    assert_eq!(
        with(serde_json::json!({ "method": "redact", "text": "***" })),
        [some("***"), None, some("***"), some("***")]
    );
    assert_eq!(
        with(serde_json::json!({ "method": "truncate", "length": 3 })),
        [some("Zoë"), None, some("é"), some("")]
    );
    assert_eq!(
        with(serde_json::json!({ "method": "reveal", "first": 3, "last": 4 })),
        [some("Zoë********.com"), None, some("*"), some("")]
    );
}

#[test]
fn redact_without_a_text_makes_any_column_null() {
    let (mut mask, binding) =
        bind(serde_json::json!({ "columns": [{ "column": "born", "method": "redact" }] }))
            .expect("it binds");
    let field = Field::new("born", DataType::Date32, true);
    assert!(
        matches!(&binding.output[2], tidemill_sdk::Column::Computed(computed) if computed == &field)
    );
    assert!(binding.reads.is_empty(), "nothing need be read for that");
    let output = mask
        .process(&Batch {
            rows: 2,
            columns: Vec::new(),
        })
        .expect("it is masked");
    assert_eq!(output.columns[0].data_type(), &DataType::Date32);
    assert_eq!(output.columns[0].null_count(), 2);
}

#[test]
fn what_is_redacted_is_only_read_where_it_may_be_null() {
    let mut table = table();
    let note = |nullable| Arc::new(Field::new("note", DataType::Utf8, nullable));
    for nullable in [false, true] {
        table.fields.truncate(4);
        table.fields.push(note(nullable));
        let config = serde_json::json!({ "key": "k", "columns": [
            { "column": "note", "method": "redact", "text": "***" }, { "column": "email", "method": "truncate", "length": 1 },
        ] });
        let config = serde_json::from_value(config).expect("a configuration");
        let (mut mask, binding) = Mask::bind(&table, config).expect("it binds");
        let notes = nullable.then(|| texts(&[Some("secret"), None]).into());
        let columns = notes.into_iter().chain([texts(&[Some("ab"), None]).into()]);
        let batch = Batch {
            rows: 2,
            columns: columns.collect(),
        };
        assert_eq!(binding.reads.len(), batch.columns.len());
        let output = mask.process(&batch).expect("it is masked").batch(2);
        assert_eq!(output.utf8(0), build::utf8([Some("a"), None]));
        let second = if nullable { None } else { Some("***") };
        assert_eq!(output.utf8(1), build::utf8([Some("***"), second]));
    }
}

#[test]
fn columns_come_back_in_the_order_of_the_table() {
    let (mut mask, binding) = bind(serde_json::json!({ "columns": [
        { "column": "token", "method": "redact" }, { "column": "email", "method": "redact", "text": "x" },
    ] }))
    .expect("it binds");
    assert_eq!(binding.reads, [1]);
    let batch = Batch {
        rows: 1,
        columns: vec![texts(&[Some("a")]).into()],
    };
    let output = mask.process(&batch).expect("it is masked");
    assert_eq!(output.batch(1).utf8(0).value(0), "x");
    assert!(output.columns[1].is_null(0));
}

#[test]
fn what_can_not_be_masked_is_refused() {
    for (config, reason) in [
        (
            serde_json::json!({ "columns": [{ "column": "email", "method": "hash" }] }),
            "needs a `key`",
        ),
        (
            serde_json::json!({ "key": "k", "columns": [{ "column": "emial", "method": "hash" }] }),
            "no column `emial`",
        ),
        (
            serde_json::json!({ "columns": [{ "column": "born", "method": "truncate", "length": 1 }] }),
            "Date32",
        ),
        (
            serde_json::json!({ "columns": [{ "column": "email", "method": "redact" }, { "column": "email", "method": "redact" }] }),
            "masked twice",
        ),
    ] {
        let error = format!("{:?}", bind(config).expect_err("it is refused"));
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_key_is_hashed_or_left_alone() {
    let bound = |rule: serde_json::Value| {
        let keyed = Table {
            key: vec![1],
            ..table()
        };
        let config = serde_json::json!({ "key": "k", "columns": [rule] });
        Mask::bind(
            &keyed,
            serde_json::from_value(config).expect("a configuration"),
        )
    };
    for rule in [
        serde_json::json!({ "column": "email", "method": "truncate", "length": 2 }),
        serde_json::json!({ "column": "email", "method": "reveal", "last": 3 }),
        serde_json::json!({ "column": "email", "method": "redact", "text": "x" }),
        serde_json::json!({ "column": "email", "method": "redact" }),
    ] {
        let error = format!("{:?}", bound(rule).expect_err("it is refused"));
        assert!(
            error.contains("`email` is a key column") && error.contains("`hash`"),
            "{error}"
        );
    }
    bound(serde_json::json!({ "column": "email", "method": "hash" })).expect("it binds");
}

#[test]
fn a_text_that_is_shorter_than_what_may_be_shown_is_masked_whole() {
    let given = StringArray::from(vec![Some("abc")]);
    let shown = method::reveal(&given, usize::MAX, 1, '*');
    assert_eq!(shown.value(0), "***");
}

proptest! {
    #[test]
    fn reveal_and_truncate_never_show_more_than_they_may(value in any::<String>(), first in 0..8usize, last in 0..8usize) {
        let given = StringArray::from(vec![Some(value.as_str())]);
        let characters: Vec<char> = value.chars().collect();
        let shown: Vec<char> = method::reveal(&given, first, last, '*').value(0).chars().collect();
        prop_assert_eq!(shown.len(), characters.len());
        for (i, &character) in shown.iter().enumerate() {
            let open = first + last < characters.len() && (i < first || i >= characters.len() - last);
            prop_assert_eq!(character, if open { characters[i] } else { '*' });
        }
        let cut: String = characters.iter().take(first).collect();
        let truncated = method::truncate(&given, first);
        prop_assert_eq!(truncated.value(0), cut.as_str());
    }
}
