use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Decimal128Array};
use proptest::prelude::*;
use serde_json::json;
use tidemill_sdk::{ColumnData, Value, build};

use super::*;

fn table() -> Table {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    Table {
        database: "shop".to_owned(),
        name: "orders".to_owned(),
        fields: vec![
            field("id", DataType::Int64, false),
            field("price", DataType::Decimal128(10, 2), true),
            field("ratio", DataType::Float64, true),
            field("name", DataType::Utf8, true),
            field("day", DataType::Date32, true),
            field("flag", DataType::Boolean, true),
        ],
        key: vec![0],
    }
}

/// A row of values, and one of NULLs.
fn column(position: usize) -> ColumnData {
    match position {
        0 => build::primitive::<Int64Type>([Some(7), Some(-8)]).into(),
        1 => Decimal128Array::from(vec![Some(1250), None])
            .with_precision_and_scale(10, 2)
            .expect("it fits")
            .into(),
        2 => build::primitive::<Float64Type>([Some(0.5), None]).into(),
        3 => build::utf8([Some(" Zoë "), None]).into(),
        4 => build::primitive::<Date32Type>([Some(20_000), None]).into(),
        _ => build::boolean([Some(true), None]).into(),
    }
}

fn bind(columns: serde_json::Value) -> Result<(Expression, Binding), Error> {
    let config = json!({ "columns": columns });
    Expression::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

fn process(columns: serde_json::Value) -> Output {
    let (mut expression, binding) = bind(columns).unwrap_or_else(|error| panic!("{error:?}"));
    let columns = binding.reads.iter().map(|&read| column(read)).collect();
    expression
        .process(&Batch { rows: 2, columns })
        .expect("it computes")
}

/// Type and both values, as texts; `!` with its reason for a rejected row.
fn computed(expression: &str) -> (String, [String; 2]) {
    let output = process(json!({ "x": expression }));
    let text = |row| shown(&output, row);
    let data_type = output.columns[0].data_type().to_string();
    (data_type, [text(0), text(1)])
}

fn shown(output: &Output, row: usize) -> String {
    if let Some((_, reason)) = output
        .rejected
        .iter()
        .find(|(rejected, _)| *rejected as usize == row)
    {
        return format!("! {reason}");
    }
    let reader = ValueReader::new(&output.columns[0]);
    match reader.value(row) {
        Value::Null => "NULL".to_owned(),
        value => {
            let mut text = String::new();
            convert::write_text(&value, &mut text).expect("it has a text");
            text
        }
    }
}

/// Type and value of an expression of a row of these columns.
fn valued(columns: &[(&str, ColumnData)], expression: &str) -> (String, String) {
    let fields = columns
        .iter()
        .map(|(name, data)| Arc::new(Field::new(*name, data.data_type().clone(), true)));
    let table = Table {
        database: "d".to_owned(),
        name: "t".to_owned(),
        fields: fields.collect(),
        key: vec![],
    };
    let config = serde_json::from_value(json!({ "columns": { "x": expression } }));
    let bound = Expression::bind(&table, config.expect("a configuration"));
    let (mut plugin, binding) = bound.unwrap_or_else(|error| panic!("{expression}: {error:?}"));
    let read = binding.reads.iter().map(|&read| columns[read].1.clone());
    let batch = Batch {
        rows: 1,
        columns: read.collect(),
    };
    let output = plugin.process(&batch).expect("it computes");
    (output.columns[0].data_type().to_string(), shown(&output, 0))
}

#[test]
fn a_value_of_a_branch_is_one_of_the_common_type() {
    let decimal = |unscaled: Option<i128>| {
        Decimal128Array::from(vec![unscaled])
            .with_precision_and_scale(10, 4)
            .expect("it fits")
    };
    let columns: [(&str, ColumnData); 6] = [
        ("qty", build::primitive::<Int32Type>([Some(1)]).into()),
        ("price", decimal(Some(25_000)).into()),
        ("none", decimal(None).into()),
        ("ratio", build::primitive::<Float64Type>([Some(0.5)]).into()),
        ("flag", build::boolean([Some(true)]).into()),
        (
            "large",
            build::primitive::<UInt64Type>([Some(u64::MAX)]).into(),
        ),
    ];
    for (expression, data_type, value) in [
        // As MySQL computes them.
        (
            "coalesce(qty, price) / 3",
            "Decimal128(38, 8)",
            "0.33333333",
        ),
        ("ifnull(none, qty) / 3", "Decimal128(38, 8)", "0.33333333"),
        (
            "if(flag, qty, price) / 3",
            "Decimal128(38, 8)",
            "0.33333333",
        ),
        (
            "case when flag then qty else price end / 3",
            "Decimal128(38, 8)",
            "0.33333333",
        ),
        (
            "case when not flag then price else qty end / 3",
            "Decimal128(38, 8)",
            "0.33333333",
        ),
        ("least(qty, price) / 3", "Decimal128(38, 8)", "0.33333333"),
        ("greatest(3, price) / 3", "Decimal128(38, 8)", "1.00000000"),
        ("if(flag, 1, ratio) / 3", "Float64", "0.3333333333333333"),
        ("concat(coalesce(none, qty))", "Utf8", "1.0000"),
        ("concat(if(flag, 1, 2.50))", "Utf8", "1.00"),
        // The nearest double.
        (
            "if(flag, 9007199254740993, ratio)",
            "Float64",
            "9007199254740992.0",
        ),
        // Whole numbers stay what they are.
        (
            "coalesce(large, qty) > 9223372036854775807",
            "Boolean",
            "true",
        ),
    ] {
        let expected = (data_type.to_owned(), value.to_owned());
        assert_eq!(valued(&columns, expression), expected, "{expression}");
    }
}

#[test]
fn a_float_has_digits_of_its_own_and_computes_as_a_double() {
    let columns: [(&str, ColumnData); 2] = [
        ("f", build::primitive::<Float32Type>([Some(0.1)]).into()),
        ("d", build::primitive::<Float64Type>([Some(0.1)]).into()),
    ];
    for (expression, data_type, value) in [
        ("f", "Float32", "0.1"),
        ("concat(f, '/', d)", "Utf8", "0.1/0.1"),
        ("cast(f as string)", "Utf8", "0.1"),
        ("cast(f as decimal(10, 2))", "Decimal128(10, 2)", "0.10"),
        ("cast('0.1' as float32)", "Float32", "0.1"),
        ("cast(0.1 as float32) = f", "Boolean", "true"),
        ("least(f, f)", "Float32", "0.1"),
        ("nullif(f, 0)", "Float32", "0.1"),
        ("f = d", "Boolean", "false"),
        ("f + 0", "Float64", "0.10000000149011612"),
        ("abs(f)", "Float64", "0.10000000149011612"),
        ("round(f, 1)", "Float64", "0.1"),
        ("floor(f)", "Float32", "0.0"),
        ("mod(f, d)", "Float64", "1.4901161138336505e-9"),
        ("coalesce(f, d)", "Float64", "0.10000000149011612"),
        ("f and true", "Boolean", "true"),
    ] {
        let expected = (data_type.to_owned(), value.to_owned());
        assert_eq!(valued(&columns, expression), expected, "{expression}");
    }
}

#[test]
fn a_column_of_bytes_or_of_a_vector_is_copied() {
    let width = [Some([1_u8, 2])].into_iter();
    let id = arrow_array::FixedSizeBinaryArray::try_from_sparse_iter_with_size(width, 2);
    let vectors = [Some(vec![Some(0.5_f32), Some(-1.0)])];
    let vector = arrow_array::ListArray::from_iter_primitive::<Float32Type, _, _>(vectors);
    for given in [Arc::new(id.expect("it fits")) as ArrayRef, Arc::new(vector)] {
        let table = Table {
            fields: vec![Arc::new(Field::new("c", given.data_type().clone(), true))],
            key: vec![],
            ..table()
        };
        let config = serde_json::from_value(json!({ "columns": { "copy": "c" } }));
        let config = config.expect("a configuration");
        let (mut plugin, _) = Expression::bind(&table, config).expect("it binds");
        let batch = Batch {
            rows: 1,
            columns: vec![given.clone().into()],
        };
        let output = plugin.process(&batch).expect("it computes");
        assert_eq!(output.rejected, []);
        assert_eq!(output.columns[0].array().as_ref(), given.as_ref());
    }
}

#[test]
fn expressions_have_types_and_values() {
    for (expression, data_type, first, second) in [
        ("id + 1", "Int64", "8", "-7"),
        ("id * price", "Decimal128(38, 2)", "87.50", "NULL"),
        ("price / 3", "Decimal128(38, 6)", "4.166667", "NULL"),
        ("id / 2", "Decimal128(38, 4)", "3.5000", "-4.0000"),
        ("id / -3", "Decimal128(38, 4)", "-2.3333", "2.6667"),
        ("id % 3", "Int64", "1", "-2"),
        ("div(id, 2)", "Int64", "3", "-4"),
        (
            "price * price - 0.01",
            "Decimal128(38, 4)",
            "156.2400",
            "NULL",
        ),
        ("-price", "Decimal128(10, 2)", "-12.50", "NULL"),
        ("ratio + id", "Float64", "7.5", "NULL"),
        ("ratio * 1e0", "Float64", "0.5", "NULL"),
        ("id > 3 and price > 12.499", "Boolean", "true", "false"),
        ("price is null or flag", "Boolean", "true", "true"),
        ("flag and null", "Boolean", "NULL", "NULL"),
        ("id in (7, 8.5, null)", "Boolean", "true", "NULL"),
        ("ratio between 0.5 and id", "Boolean", "true", "NULL"),
        ("day = '2024-10-04'", "Boolean", "true", "NULL"),
        (
            "day > timestamp '2024-10-03 23:00:00'",
            "Boolean",
            "true",
            "NULL",
        ),
        ("name like '%o_ '", "Boolean", "true", "NULL"),
        (
            "case when id > 0 then 'plus' else 'minus' end",
            "Utf8",
            "plus",
            "minus",
        ),
        (
            "case id when 7 then 1 when 8 then 2.5 end",
            "Decimal128(38, 1)",
            "1.0",
            "NULL",
        ),
        ("if(flag, price, 0)", "Decimal128(38, 2)", "12.50", "0.00"),
        ("coalesce(price, id)", "Decimal128(38, 2)", "12.50", "-8.00"),
        ("concat(coalesce(price, id))", "Utf8", "12.50", "-8.00"),
        ("nullif(id, 7)", "Int64", "NULL", "-8"),
        ("upper(trim(name))", "Utf8", "ZOË", "NULL"),
        ("concat(id, '-', name)", "Utf8", "7- Zoë ", "NULL"),
        (
            "concat_ws('/', id, name, day)",
            "Utf8",
            "7/ Zoë /2024-10-04",
            "-8",
        ),
        ("substr(name, 2, 2)", "Utf8", "Zo", "NULL"),
        ("substring(name, -3)", "Utf8", "oë ", "NULL"),
        ("left(name, 2)", "Utf8", " Z", "NULL"),
        ("right(name, 2)", "Utf8", "ë ", "NULL"),
        ("replace(name, 'o', '00')", "Utf8", " Z00ë ", "NULL"),
        ("length(name) + char_length(name)", "Int64", "11", "NULL"),
        ("round(price)", "Decimal128(10, 2)", "13.00", "NULL"),
        ("round(id, -1)", "Int64", "10", "-10"),
        ("round(ratio)", "Float64", "1.0", "NULL"),
        ("floor(price) + ceil(price)", "Int64", "25", "NULL"),
        ("floor(id / 3)", "Int64", "2", "-3"),
        ("abs(id)", "Int64", "7", "8"),
        ("least(id, price, 1)", "Decimal128(38, 2)", "1.00", "NULL"),
        ("greatest(day, day)", "Date32", "2024-10-04", "NULL"),
        (
            "cast(price as int64)",
            "Int64",
            "! `x`: a value is no exact one of the type that it is cast to",
            "NULL",
        ),
        ("cast(id as string)", "Utf8", "7", "-8"),
        (
            "cast(cast(day as timestamp) as string)",
            "Utf8",
            "2024-10-04 00:00:00",
            "NULL",
        ),
        (
            "cast(day as timestamp)",
            "Timestamp(µs)",
            "2024-10-04 00:00:00",
            "NULL",
        ),
        (
            "id / (id - 7)",
            "Decimal128(38, 4)",
            "! `x`: a division by zero",
            "0.5333",
        ),
        (
            "1e300 * 1e300 * ratio",
            "Float64",
            "! `x`: a number grew beyond what can be computed exactly",
            "! `x`: a number grew beyond what can be computed exactly",
        ),
        (
            "id * 9223372036854775807",
            "Int64",
            "! `x`: its value is no exact Int64",
            "! `x`: its value is no exact Int64",
        ),
        (
            "flag or id / 0 > 1",
            "Boolean",
            "true",
            "! `x`: a division by zero",
        ),
        ("price", "Decimal128(10, 2)", "12.50", "NULL"),
    ] {
        let (told, values) = computed(expression);
        let values = values.each_ref().map(String::as_str);
        assert_eq!(
            (told.as_str(), values),
            (data_type, [first, second]),
            "{expression}"
        );
    }
}

#[test]
fn columns_are_replaced_or_added() {
    let columns = json!({ "x": { "expression": "id", "type": "int8" }, "name": "lower(name)", "day": "date '1970-01-02'", "id": "id * 2" });
    let (_, binding) = bind(columns.clone()).expect("it binds");
    let names: Vec<String> = binding
        .output
        .iter()
        .map(|column| match column {
            tidemill_sdk::Column::Pass(position, _) => table().fields[*position].name().clone(),
            tidemill_sdk::Column::Computed(field) => {
                format!("{}: {}", field.name(), field.data_type())
            }
        })
        .collect();
    assert_eq!(
        names,
        [
            "id: Int64",
            "price",
            "ratio",
            "name: Utf8",
            "day: Date32",
            "flag",
            "x: Int8"
        ]
    );
    assert!(
        matches!(&binding.output[0], tidemill_sdk::Column::Computed(field) if !field.is_nullable())
    );
    let output = process(columns);
    assert_eq!(output.columns[0].values::<i64>().to_vec(), [14, -16]);
    assert_eq!(output.batch(2).utf8(1).value(0), " zoë ");
    assert_eq!(output.columns[3].values::<i8>().to_vec(), [7, -8]);
    let output = process(json!({ "id": "nullif(id, 7)" }));
    assert_eq!(
        output.rejected,
        [(
            0,
            "`id`: its value is NULL, and the column that it replaces never is".to_owned()
        )]
    );
    assert_eq!(output.batch(2).primitive::<Int64Type>(0).null_count(), 0);
}

#[test]
fn what_can_not_be_computed_is_refused() {
    for (expression, reason) in [
        ("id +", "`x`: its expression can't be read: it ends where"),
        ("idd + 1", "no column `idd`"),
        (
            "name + 1",
            "`x`: `name`: it has the type Utf8, and is no number",
        ),
        ("name and flag", "and is no condition"),
        (
            "name = 1",
            "`x`: `name = 1`: Utf8 and Int64 are not compared",
        ),
        ("day = 'soon'", "'soon' is no Date32"),
        ("case when flag then 1 else 'a' end", "of no common type"),
        ("null", "of no type: say which"),
        ("sin(id)", "there is no function `sin`; there are coalesce"),
        ("left(name)", "`left` takes 2 to 2 values"),
        ("name like name", "a pattern in quotes"),
        ("cast(day as int8)", "has no cast to Int8"),
        (
            "cast(cast(day as timestamp) as time)",
            "has no cast to Time64",
        ),
        (
            "price / 3 / 3 / 3 / 3 / 3 / 3 / 3 / 3 / 3 / 3",
            "more digits behind the point",
        ),
        ("date '2020-02-30'", "it is no date"),
    ] {
        let error = format!(
            "{:?}",
            bind(json!({ "x": expression })).expect_err(expression)
        );
        assert!(error.contains(reason), "{expression}: {error}");
    }
}

proptest! {
    #[test]
    fn integers_are_computed_exactly_or_not_at_all(a in any::<i64>(), b in prop_oneof![any::<i64>(), -3..4_i64]) {
        let fields = vec![Arc::new(Field::new("a", DataType::Int64, false)), Arc::new(Field::new("b", DataType::Int64, false))];
        let table = Table { database: "d".to_owned(), name: "t".to_owned(), fields, key: vec![] };
        let (wide_a, wide_b) = (i128::from(a), i128::from(b));
        for (text, expected) in [
            ("a + b", Some(wide_a + wide_b)),
            ("a - b", Some(wide_a - wide_b)),
            ("a * b", Some(wide_a * wide_b)),
            ("a % b", wide_a.checked_rem(wide_b)),
            ("div(a, b)", wide_a.checked_div(wide_b)),
            ("-a", Some(-wide_a)),
        ] {
            let config = serde_json::from_value(json!({ "columns": { "x": text } })).expect("a configuration");
            let (mut plugin, binding) = Expression::bind(&table, config).expect("it binds");
            let given = [a, b];
            let columns = binding.reads.iter().map(|&read| build::primitive::<Int64Type>([Some(given[read])]).into());
            let output = plugin.process(&Batch { rows: 1, columns: columns.collect() }).expect("it computes");
            let computed = output.rejected.is_empty().then(|| output.columns[0].values::<i64>()[0]);
            prop_assert_eq!(computed, expected.and_then(|expected| i64::try_from(expected).ok()), "{} of {} and {}", text, a, b);
        }
    }

    #[test]
    fn decimals_divide_as_mysql_divides(a in -1_000_000..1_000_000_i64, b in -1000..1000_i64) {
        prop_assume!(b != 0);
        let price = Decimal128Array::from(vec![i128::from(a)]).with_precision_and_scale(10, 2).expect("it fits");
        let (mut plugin, binding) = bind(json!({ "x": format!("price / {b}") })).expect("it binds");
        prop_assert_eq!(binding.reads, [1]);
        let output = plugin.process(&Batch { rows: 1, columns: vec![price.into()] }).expect("it computes");
        let quotient = output.batch(1).primitive::<Decimal128Type>(0).value(0);
        let (a, b) = (i128::from(a) * 10_000, i128::from(b));
        // Half away from zero: the distance is at most half of the divisor.
        prop_assert!(2 * (a - quotient * b).abs() <= b.abs());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9 +*/%()'.,<>=-]{0,40}|(id|price|name|day|flag| |[-+*/%(),]|[0-9]|and|like|'a'){0,12}") {
        if let Ok((mut plugin, binding)) = bind(json!({ "x": text })) {
            let columns = binding.reads.iter().map(|&read| column(read)).collect();
            let _ = plugin.process(&Batch { rows: 2, columns });
        }
    }
}
