use arrow::datatypes::DataType;

use super::super::contract::{RawDataType, RawField};
use super::*;

fn table() -> TableShape {
    let fields = [
        ("id", DataType::Int64, false),
        ("tenant", DataType::Utf8, false),
        ("note", DataType::Utf8, true),
    ];
    let schema = Schema::new(
        fields
            .map(|(name, data_type, nullable)| Field::new(name, data_type, nullable))
            .to_vec(),
    );
    TableShape {
        database: "shop".into(),
        name: "orders".into(),
        schema: Arc::new(schema),
        key: vec![1, 0],
    }
}

fn pass(position: u32) -> RawOutColumn {
    RawOutColumn::Pass((position, None))
}

fn rename(position: u32, name: &str) -> RawOutColumn {
    RawOutColumn::Pass((position, Some(name.into())))
}

fn compute(name: &str, nullable: bool) -> RawOutColumn {
    RawOutColumn::Computed(RawField {
        name: name.into(),
        data_type: RawDataType::Utf8,
        nullable,
    })
}

fn check(reads: &[u32], output: Vec<RawOutColumn>) -> Result<Binding, String> {
    let site = Site {
        plugin: "p".into(),
        table: Some("shop.orders".into()),
        chunk: None,
    };
    Binding::check(
        RawBinding {
            reads: reads.to_vec(),
            output,
            filters: false,
        },
        &table(),
        &site,
    )
    .map_err(|error| error.to_string())
}

#[test]
fn the_key_is_followed_through_passing_renaming_and_rewriting() {
    let key = |output| check(&[], output).unwrap().key;
    assert_eq!(key(vec![pass(0), pass(1)]), [1, 0]);
    assert_eq!(
        key(vec![rename(1, "t"), compute("x", true), rename(0, "i")]),
        [0, 2]
    );
    // Rewritten under its own name, and also kept under another: the rewritten one is the key.
    assert_eq!(
        key(vec![rename(1, "old"), compute("tenant", false), pass(0)]),
        [1, 2]
    );
    // Passed twice: the one with its own name.
    assert_eq!(key(vec![rename(0, "copy"), pass(0), pass(1)]), [2, 1]);
}

#[test]
fn a_key_that_gets_lost_or_may_become_null_is_refused() {
    let lost = check(&[], vec![pass(0), pass(2)]).unwrap_err();
    assert_eq!(
        lost,
        "plugin `p`, table `shop.orders`: the key column `tenant` is not in the output; pass it on, or compute a column of the same name"
    );
    let nullable = check(&[], vec![pass(0), compute("tenant", true)]).unwrap_err();
    assert!(
        nullable.contains("`tenant` is never null and is replaced by a column that may be"),
        "{nullable}"
    );
    // A column that only took over the key's name is no key.
    assert!(check(&[], vec![pass(0), rename(2, "tenant")]).is_err());
}

#[test]
fn positions_and_names_are_checked() {
    let keys = || vec![pass(0), pass(1)];
    let with = |column| keys().into_iter().chain([column]).collect::<Vec<_>>();
    let bad_type = RawOutColumn::Computed(RawField {
        name: "d".into(),
        data_type: RawDataType::Decimal128((99, 0)),
        nullable: true,
    });
    let cases = [
        (vec![3], keys(), "it reads column 3 of a table of 3 columns"),
        (vec![2, 2], keys(), "it reads column 2 twice"),
        (vec![], vec![], "the output has 0 columns"),
        (
            vec![],
            with(pass(3)),
            "it passes column 3 of a table of 3 columns",
        ),
        (
            vec![],
            with(pass(0)),
            "two columns of the output are called `id`",
        ),
        (
            vec![],
            with(compute("id", false)),
            "two columns of the output are called `id`",
        ),
        (vec![], with(rename(2, "")), "empty name"),
        (vec![], with(compute("a\0b", true)), "control characters"),
        (
            vec![],
            with(compute(&"n".repeat(257), true)),
            "longer than 256 bytes",
        ),
        (vec![], with(bad_type), "`d` is declared as decimal(99, 0)"),
        (
            vec![],
            (0..5000).map(|n| rename(0, &format!("c{n}"))).collect(),
            "the output has 5000 columns",
        ),
    ];
    for (reads, output, reason) in cases {
        let error = check(&reads, output).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_passed_column_keeps_all_but_its_name() {
    let binding = check(
        &[2],
        vec![pass(0), pass(1), rename(2, "remark"), compute("c", true)],
    )
    .unwrap();
    assert_eq!(
        binding.schema.field(2),
        &Field::new("remark", DataType::Utf8, true)
    );
    assert_eq!(
        binding.columns[2..],
        [OutColumn::Pass(2), OutColumn::Computed(0)]
    );
    assert_eq!(binding.computed.len(), 1);
}
