use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Int32Array,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, TimeUnit};
use proptest::prelude::*;

use super::*;

/// The columns of a table, three rows each: a value, another, and NULL.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let price = Decimal128Array::from(vec![Some(1050), Some(-250), None])
        .with_precision_and_scale(10, 2)
        .expect("it fits");
    let instant =
        TimestampMicrosecondArray::from(vec![Some(1_000_000), Some(86_400_000_000), None]);
    vec![
        (
            "id",
            Arc::new(Int32Array::from(vec![Some(1), Some(2), None])),
        ),
        (
            "big",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), None])),
        ),
        ("price", Arc::new(price)),
        (
            "ratio",
            Arc::new(Float32Array::from(vec![Some(0.5), Some(-0.0), None])),
        ),
        (
            "name",
            Arc::new(StringArray::from(vec![Some("anna"), Some("Bob_%"), None])),
        ),
        (
            "raw",
            Arc::new(BinaryArray::from(vec![
                Some(&b"\x00\xff"[..]),
                Some(b"b"),
                None,
            ])),
        ),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(0), Some(20_000), None])),
        ),
        ("at", Arc::new(instant.with_timezone("UTC"))),
        (
            "active",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
    ]
}

fn table() -> Table {
    let field = |(name, array): (&str, ArrayRef)| {
        Arc::new(Field::new(name, array.data_type().clone(), true))
    };
    Table {
        database: "shop".to_owned(),
        name: "t".to_owned(),
        fields: columns().into_iter().map(field).collect(),
        key: vec![0],
    }
}

fn bind(condition: &str) -> Result<(Filter, Binding), Error> {
    let config = Config {
        r#where: condition.to_owned(),
    };
    Filter::bind(&table(), config)
}

/// Which of the three rows stay, as `+` and `-`.
fn kept(condition: &str) -> String {
    let (mut filter, binding) =
        bind(condition).unwrap_or_else(|error| panic!("{condition}: {error:?}"));
    let all = columns();
    let batch = Batch {
        rows: 3,
        columns: binding
            .reads
            .iter()
            .map(|&read| all[read].1.clone().into())
            .collect(),
    };
    let keep = filter.process(&batch).expect("it filters").keep;
    let keep = keep.expect("it filters");
    keep.iter()
        .map(|kept| if kept { '+' } else { '-' })
        .collect()
}

#[test]
fn conditions_keep_the_rows_for_which_they_are_true() {
    for (condition, expected) in [
        ("id = 1", "+--"),
        ("1 < id", "-+-"),
        ("id <> 1", "-+-"),
        ("id != -1", "++-"),
        ("id > 1.5", "-+-"),
        ("id = 1.0", "+--"),
        ("id <= 1e0 or true", ""),
        ("id < 3000000000", "++-"),
        ("big = 18446744073709551615", "+--"),
        ("big > -1", "++-"),
        ("price = 10.5", "+--"),
        ("price < -2.499", "-+-"),
        ("price between -2.5 and 10.50", "++-"),
        ("price not between 0 and 100", "-+-"),
        ("ratio = 0.5", "+--"),
        ("ratio = 0", "-+-"),
        ("ratio < 1e-3", "-+-"),
        ("name = 'anna'", "+--"),
        ("name like 'a%a'", "+--"),
        ("name like '%\\_\\%'", "-+-"),
        ("name not like '____'", "-+-"),
        ("name in ('anna', 'zoe')", "+--"),
        ("name not in ('anna', null)", "---"),
        ("name in ('anna', null)", "+--"),
        ("raw = X'00FF'", "+--"),
        ("raw = 'b'", "-+-"),
        ("day = '1970-01-01'", "+--"),
        ("day >= DATE '2020-01-01'", "-+-"),
        ("at < '1970-01-01 12:00:00'", "+--"),
        ("at = '1970-01-02'", "-+-"),
        ("active", "+--"),
        ("not active", "-+-"),
        ("active = false", "-+-"),
        ("id and `price`", "++-"),
        ("name is null", "--+"),
        ("name is not null and id = id", "++-"),
        ("id = null", "---"),
        ("not (id = null)", "---"),
        ("id = 1 or id is null", "+-+"),
        ("(id = 1 or price < 0) and not name = 'anna'", "-+-"),
        ("true", "+++"),
    ] {
        if expected.is_empty() {
            assert!(bind(condition).is_err(), "{condition}");
        } else {
            assert_eq!(kept(condition), expected, "{condition}");
        }
    }
}

#[test]
fn only_the_columns_of_the_condition_are_read() {
    let (_, binding) = bind("name = 'a' or price > 1 or name = 'b'").expect("it binds");
    assert_eq!(binding.reads, [4, 2]);
    assert!(binding.filters);
    assert_eq!(binding.output.len(), columns().len());
}

#[test]
fn what_can_not_be_asked_is_refused_with_its_reason() {
    for (condition, reason) in [
        ("nmae = 'a'", "no column `nmae`"),
        ("id =", "can't be read as an SQL condition"),
        ("id = 1 id", "stands behind its end"),
        (
            "id = 'one'",
            "`id` in `where`: it has the type Int32, which compares with numbers",
        ),
        ("day = '31.12.2020'", "'31.12.2020' is none of dates"),
        ("name = price", "only columns of one type"),
        ("name > 5", "texts in single quotes"),
        ("id like '1%'", "`like` is for text"),
        ("upper(name) = 'A'", "is not supported"),
        ("id + 1 = 2", "is not supported"),
        ("1 = 1", "must be a column"),
    ] {
        let error = format!("{:?}", bind(condition).expect_err(condition));
        assert!(error.contains(reason), "{condition}: {error}");
    }
}

#[test]
fn a_long_list_is_no_danger() {
    let list: Vec<String> = (0..50_000).map(|i| i.to_string()).collect();
    assert_eq!(kept(&format!("id in ({})", list.join(", "))), "++-");
}

/// A condition that is evaluated row by row, for comparison.
#[derive(Clone, Debug)]
enum Naive {
    Number(&'static str, i64),
    Text(&'static str, String),
    Columns(&'static str),
    In(Vec<Option<i64>>),
    Between(i64, i64),
    IsNull(bool),
    Not(Box<Naive>),
    And(Box<Naive>, Box<Naive>),
    Or(Box<Naive>, Box<Naive>),
}

#[derive(Clone, Debug)]
struct Row {
    a: Option<i32>,
    b: Option<i32>,
    s: Option<String>,
}

fn holds<T: Ord>(operator: &str, left: T, right: T) -> bool {
    match operator {
        "=" => left == right,
        "<>" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }
}

impl Naive {
    fn sql(&self) -> String {
        match self {
            Self::Number(operator, value) => format!("a {operator} {value}"),
            Self::Text(operator, value) => format!("s {operator} '{value}'"),
            Self::Columns(operator) => format!("a {operator} b"),
            Self::In(values) => {
                let values = values
                    .iter()
                    .map(|value| value.map_or("NULL".to_owned(), |value| value.to_string()));
                format!("a IN ({})", values.collect::<Vec<_>>().join(", "))
            }
            Self::Between(low, high) => format!("a BETWEEN {low} AND {high}"),
            Self::IsNull(is) => format!("b IS {}NULL", if *is { "" } else { "NOT " }),
            Self::Not(inner) => format!("NOT ({})", inner.sql()),
            Self::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Self::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
        }
    }

    fn truth(&self, row: &Row) -> Option<bool> {
        let a = row.a.map(i64::from);
        match self {
            Self::Number(operator, value) => Some(holds(operator, a?, *value)),
            Self::Text(operator, value) => Some(holds(operator, row.s.as_deref()?, value.as_str())),
            Self::Columns(operator) => Some(holds(operator, row.a?, row.b?)),
            Self::In(values) => {
                let a = a?;
                if values.contains(&Some(a)) {
                    return Some(true);
                }
                if values.contains(&None) {
                    None
                } else {
                    Some(false)
                }
            }
            Self::Between(low, high) => a.map(|a| (*low..=*high).contains(&a)),
            Self::IsNull(is) => Some(row.b.is_none() == *is),
            Self::Not(inner) => inner.truth(row).map(|truth| !truth),
            Self::And(left, right) => match (left.truth(row), right.truth(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(left, right) => match (left.truth(row), right.truth(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

fn naive() -> impl Strategy<Value = Naive> {
    let operator = || prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    // Some values are outside the column's type.
    let number = || prop_oneof![-3..4i64, Just(i64::MAX), Just(i64::from(i32::MIN) - 1)];
    let leaf = prop_oneof![
        (operator(), number()).prop_map(|(operator, value)| Naive::Number(operator, value)),
        (operator(), "[ab]{0,2}").prop_map(|(operator, value)| Naive::Text(operator, value)),
        operator().prop_map(Naive::Columns),
        prop::collection::vec(prop::option::of(number()), 1..4).prop_map(Naive::In),
        (number(), number()).prop_map(|(low, high)| Naive::Between(low, high)),
        any::<bool>().prop_map(Naive::IsNull),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Naive::Not(Box::new(inner))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Naive::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner)
                .prop_map(|(left, right)| Naive::Or(Box::new(left), Box::new(right))),
        ]
    })
}

fn row() -> impl Strategy<Value = Row> {
    let number = || prop::option::of(-3..4i32);
    (number(), number(), prop::option::of("[ab]{0,2}")).prop_map(|(a, b, s)| Row { a, b, s })
}

proptest! {
    #[test]
    fn vectors_and_rows_agree(condition in naive(), rows in prop::collection::vec(row(), 0..70)) {
        let number = |name: &str| Arc::new(Field::new(name, DataType::Int32, true));
        let table = Table {
            database: "d".to_owned(),
            name: "t".to_owned(),
            fields: vec![number("a"), number("b"), Arc::new(Field::new("s", DataType::Utf8, true))],
            key: vec![],
        };
        let sql = condition.sql();
        let (mut filter, binding) = Filter::bind(&table, Config { r#where: sql.clone() }).expect("it binds");
        let columns: [ArrayRef; 3] = [
            Arc::new(rows.iter().map(|row| row.a).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| row.b).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| row.s.clone()).collect::<StringArray>()),
        ];
        let batch = Batch { rows: rows.len(), columns: binding.reads.iter().map(|&read| columns[read].clone().into()).collect() };
        let keep = filter.process(&batch).expect("it filters").keep.expect("it filters");
        for (row, kept) in rows.iter().zip(keep.iter()) {
            prop_assert_eq!(kept, condition.truth(row) == Some(true), "{} on {:?}", sql, row);
        }
    }

    #[test]
    fn no_text_makes_it_panic(condition in ".{0,60}") {
        let _ = bind(&condition);
    }
}

#[test]
fn the_unit_of_instants_is_the_microsecond() {
    let at = table().fields[7].data_type().clone();
    assert_eq!(
        at,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
}
