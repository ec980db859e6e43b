use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tidemill_sdk::build;

use super::*;

fn table() -> Table {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    Table {
        database: "shop".to_owned(),
        name: "people".to_owned(),
        fields: vec![
            field("id", DataType::Int32, false),
            field("email", DataType::Utf8, true),
            field("phone", DataType::Utf8, true),
        ],
        key: vec![0],
    }
}

fn bind(config: serde_json::Value) -> Result<(RegexTransform, Binding), Error> {
    RegexTransform::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

/// `email` and `phone` have the same texts.
fn processed(config: serde_json::Value, texts: &[Option<&str>]) -> (Binding, Output) {
    let (mut regex, binding) = bind(config).expect("it binds");
    let column = || ColumnData::from(build::utf8(texts.to_vec()));
    let batch = Batch {
        rows: texts.len(),
        columns: binding.reads.iter().map(|_| column()).collect(),
    };
    let output = regex.process(&batch).expect("it works");
    (binding, output)
}

fn column(output: &Output, rows: usize, column: usize) -> Vec<Option<String>> {
    output
        .batch(rows)
        .utf8(column)
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn matches_are_replaced_one_rule_after_the_other() {
    let config = json!({ "replace": [
        { "column": "phone", "pattern": "[^0-9]", "with": "" },
        { "column": "phone", "pattern": r"^(\d\d)(?<rest>\d+)$", "with": "$1-${rest}$$" },
        { "column": "email", "pattern": "(?i)É", "with": "e", "first": true },
    ] });
    let texts = [Some("+49 (0) 12"), None, Some("éé"), Some("")];
    let (binding, output) = processed(config, &texts);
    assert_eq!(binding.reads.len(), 2);
    assert_eq!(
        column(&output, 4, 1),
        [some("49-012$"), None, some(""), some("")]
    );
    assert_eq!(
        column(&output, 4, 0),
        [some("+49 (0) 12"), None, some("eé"), some("")]
    );
}

#[test]
fn groups_become_columns() {
    let config = json!({ "extract": [{
        "column": "email", "pattern": r"^(?<user>[^@]+)@(.+?)(\.de)?$", "into": { "user": "who", "2": "domain", "3": "tld" }, "unmatched": "reject",
    }] });
    let (binding, output) = processed(
        config,
        &[Some("zoë@x.de"), None, Some("nobody"), Some("a@b.c")],
    );
    assert_eq!(binding.reads, [1]);
    assert_eq!(column(&output, 4, 0), [some("x"), None, None, some("b.c")]);
    assert_eq!(column(&output, 4, 1), [some(".de"), None, None, None]);
    assert_eq!(column(&output, 4, 2), [some("zoë"), None, None, some("a")]);
    assert_eq!(
        output.rejected,
        [(2, "`email` doesn't match the pattern".to_owned())]
    );
}

#[test]
fn what_can_not_be_meant_is_refused() {
    for (config, reason) in [
        (
            json!({ "replace": [{ "column": "id", "pattern": "a", "with": "" }] }),
            "for text",
        ),
        (
            json!({ "replace": [{ "column": "email", "pattern": "(", "with": "" }] }),
            "no regular expression",
        ),
        (
            json!({ "replace": [{ "column": "email", "pattern": "a", "with": "$1" }] }),
            "no group `1`",
        ),
        (
            json!({ "replace": [{ "column": "email", "pattern": "(a)", "with": "${1}${b}" }] }),
            "no group `b`",
        ),
        (
            json!({ "extract": [{ "column": "email", "pattern": "(a)", "into": { "2": "x" } }] }),
            "no group `2`",
        ),
        (
            json!({ "extract": [{ "column": "email", "pattern": "(a)", "into": { "1": "id" } }] }),
            "two columns would be named `id`",
        ),
        (
            json!({ "extract": [{ "column": "email", "pattern": r"(\w{1000}){100}", "into": {} }] }),
            "size limit",
        ),
        (
            json!({ "replace": [{ "column": "email", "pattern": r"(?=a)", "with": "" }] }),
            "look-around",
        ),
    ] {
        let error = format!("{:?}", bind(config).expect_err(reason));
        assert!(error.contains(reason), "{error}");
    }
}

proptest! {
    #[test]
    fn replacing_is_what_the_library_replaces(text in "[abé$]{0,12}", pattern in prop::sample::select(vec!["a", "(a)(b)?", "^", "b*", "é|$", "(?<x>.)a"]), with in prop::sample::select(vec!["", "-", "[$0]", "$$a"]), first in any::<bool>()) {
        let config = json!({ "replace": [{ "column": "email", "pattern": pattern, "with": with, "first": first }] });
        let (_, output) = processed(config, &[Some(&text)]);
        let regex = Regex::new(pattern).expect("a pattern");
        let expected = if first { regex.replace(&text, with) } else { regex.replace_all(&text, with) };
        prop_assert_eq!(column(&output, 1, 0), [some(&expected)]);
    }
}
