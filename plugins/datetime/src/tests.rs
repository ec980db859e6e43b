use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tidemill_kernels::moment::{Date, Timestamp, parse_date, parse_timestamp};

use super::*;

fn table() -> Table {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    let moment =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    Table {
        database: "shop".to_owned(),
        name: "orders".to_owned(),
        fields: vec![
            field("day", DataType::Date32, false),
            field("at", moment(Some("UTC")), true),
            field("local", moment(None), true),
            field("name", DataType::Utf8, true),
        ],
        key: vec![0],
    }
}

fn bind(rules: serde_json::Value) -> Result<(DateTime, Binding), Error> {
    let config = json!({ "columns": rules });
    DateTime::bind(
        &table(),
        serde_json::from_value(config).expect("a configuration"),
    )
}

/// The same moments in each column; dates of them in `day`.
fn processed(rules: serde_json::Value, moments: &[Option<&str>]) -> Output {
    let (mut plugin, binding) = bind(rules).expect("it binds");
    let us = || {
        moments
            .iter()
            .map(|text| text.map(|text| parse_timestamp(text).expect("a moment")))
    };
    let columns = binding.reads.iter().map(|&read| match read {
        0 => {
            build::primitive::<Date32Type>(us().map(|us| us.map(|us| us.div_euclid(DAY_US) as i32)))
                .into()
        }
        _ => {
            let column = ColumnData::from(build::primitive::<TimestampMicrosecondType>(us()));
            column.with_data_type(table().fields[read].data_type().clone())
        }
    });
    let batch = Batch {
        rows: moments.len(),
        columns: columns.collect(),
    };
    plugin.process(&batch).expect("it works")
}

fn shown(column: &ColumnData) -> Vec<String> {
    let text = |row| match column.data_type() {
        _ if column.is_null(row) => "NULL".to_owned(),
        DataType::Date32 => Date(column.values::<i32>()[row]).to_string(),
        DataType::Int32 => column.values::<i32>()[row].to_string(),
        _ => Timestamp(column.values::<i64>()[row]).to_string(),
    };
    (0..column.len()).map(text).collect()
}

#[test]
fn clocks_of_zones_are_shown() {
    let rule = json!([{ "method": "zone", "column": "at", "to": "Europe/Berlin" }]);
    let output = processed(
        rule,
        &[
            Some("2026-01-31 12:00:00.5"),
            Some("2026-07-31 23:30:00"),
            None,
            Some("1890-01-01 00:00:00"),
        ],
    );
    // Before 1893 Berlin had its own mean time.
    assert_eq!(
        shown(&output.columns[0]),
        [
            "2026-01-31 13:00:00.500",
            "2026-08-01 01:30:00",
            "NULL",
            "1890-01-01 00:53:28"
        ]
    );
    assert_eq!(
        output.columns[0].data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, None)
    );
    let rule = json!([{ "method": "zone", "column": "local", "from": "America/New_York", "to": "Asia/Tokyo", "into": "tokyo" }]);
    let output = processed(rule, &[Some("2026-01-31 12:00:00")]);
    assert_eq!(shown(&output.columns[0]), ["2026-02-01 02:00:00"]);
}

#[test]
fn a_time_that_is_shown_twice_or_never_is_decided() {
    let times = &[
        Some("2026-10-25 02:30:00"),
        Some("2026-03-29 02:30:00"),
        Some("2026-06-01 00:00:00"),
    ];
    let with = |ambiguous: &str| {
        processed(
            json!([{ "method": "zone", "column": "local", "from": "Europe/Berlin", "to": "UTC", "ambiguous": ambiguous }]),
            times,
        )
    };
    let rejected = with("reject").rejected;
    assert_eq!(
        rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
        [0, 1]
    );
    assert!(rejected[0].1.contains("twice, or never") && !rejected[0].1.contains("2026"));
    assert_eq!(
        shown(&with("earlier").columns[0]),
        [
            "2026-10-25 00:30:00",
            "2026-03-29 00:30:00",
            "2026-05-31 22:00:00"
        ]
    );
    assert_eq!(
        shown(&with("later").columns[0]),
        [
            "2026-10-25 01:30:00",
            "2026-03-29 01:30:00",
            "2026-05-31 22:00:00"
        ]
    );
}

#[test]
fn moments_are_truncated() {
    for (unit, expected) in [
        ("second", "2026-05-14 13:59:58"),
        ("minute", "2026-05-14 13:59:00"),
        ("hour", "2026-05-14 13:00:00"),
        ("day", "2026-05-14 00:00:00"),
        ("week", "2026-05-11 00:00:00"),
        ("month", "2026-05-01 00:00:00"),
        ("quarter", "2026-04-01 00:00:00"),
        ("year", "2026-01-01 00:00:00"),
    ] {
        let rules = json!([
            { "method": "truncate", "column": "at", "unit": unit },
            { "method": "truncate", "column": "day", "unit": unit, "into": "d" },
        ]);
        let output = processed(rules, &[Some("2026-05-14 13:59:58.123456"), None]);
        assert_eq!(shown(&output.columns[0]), [expected, "NULL"]);
        assert_eq!(output.columns[0].data_type(), table().fields[1].data_type());
        assert_eq!(shown(&output.columns[1])[0], expected[..10]);
    }
}

#[test]
fn parts_are_numbers() {
    for (part, expected) in [
        ("year", [2027, 1969]),
        ("quarter", [1, 4]),
        ("month", [1, 12]),
        ("week", [53, 1]),
        ("day", [3, 31]),
        ("weekday", [7, 3]),
        ("yearday", [3, 365]),
        ("hour", [13, 23]),
        ("minute", [5, 59]),
        ("second", [7, 59]),
        ("microsecond", [9, 999_999]),
    ] {
        let output = processed(
            json!([{ "method": "part", "column": "local", "part": part, "into": "n" }]),
            &[
                Some("2027-01-03 13:05:07.000009"),
                Some("1969-12-31 23:59:59.999999"),
            ],
        );
        assert_eq!(
            output.columns[0].values::<i32>().to_vec(),
            expected,
            "{part}"
        );
    }
}

#[test]
fn columns_come_in_the_order_of_the_output() {
    let rules = json!([
        { "method": "part", "column": "at", "part": "hour", "into": "hour" },
        { "method": "truncate", "column": "local", "unit": "day" },
        { "method": "truncate", "column": "at", "unit": "year" },
    ]);
    let (_, binding) = bind(rules.clone()).expect("it binds");
    assert_eq!(binding.reads, [1, 2]);
    let output = processed(rules, &[Some("2026-05-14 13:00:00")]);
    let texts: Vec<_> = output.columns.iter().flat_map(shown).collect();
    assert_eq!(texts, ["2026-01-01 00:00:00", "2026-05-14 00:00:00", "13"]);
}

#[test]
fn what_can_not_be_meant_is_refused() {
    for (rule, reason) in [
        (
            json!({ "method": "zone", "column": "at", "to": "Europe/Berlni" }),
            "`Europe/Berlni` is no zone",
        ),
        (
            json!({ "method": "zone", "column": "local", "to": "UTC" }),
            "without a zone",
        ),
        (
            json!({ "method": "zone", "column": "at", "from": "UTC", "to": "UTC" }),
            "need no `from`",
        ),
        (
            json!({ "method": "zone", "column": "day", "to": "UTC" }),
            "of no zone",
        ),
        (
            json!({ "method": "part", "column": "name", "part": "day", "into": "x" }),
            "neither dates nor moments",
        ),
        (
            json!({ "method": "part", "column": "at", "part": "day", "into": "name" }),
            "two columns would be named `name`",
        ),
        (
            json!({ "method": "truncate", "column": "day", "unit": "month" }),
            "is a key column",
        ),
    ] {
        let error = format!("{:?}", bind(json!([rule])).expect_err(reason));
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_key_keeps_its_clock() {
    // Both of 2026-10-25 00:30 and 01:30 UTC are 02:30 in Berlin.
    let bound = |rule: serde_json::Value| {
        let keyed = Table {
            key: vec![1, 2],
            ..table()
        };
        let config = serde_json::from_value(json!({ "columns": [rule] }));
        DateTime::bind(&keyed, config.expect("a configuration"))
    };
    for rule in [
        json!({ "method": "zone", "column": "at", "to": "Europe/Berlin" }),
        json!({ "method": "zone", "column": "local", "from": "Europe/Berlin", "to": "UTC" }),
        json!({ "method": "zone", "column": "local", "from": "UTC", "to": "Asia/Tokyo" }),
    ] {
        let error = format!("{:?}", bound(rule).expect_err("it is refused"));
        assert!(error.contains("is a key column"), "{error}");
    }
    for rule in [
        json!({ "method": "zone", "column": "at", "to": "UTC" }),
        json!({ "method": "zone", "column": "local", "from": "UTC", "to": "utc" }),
        json!({ "method": "zone", "column": "at", "to": "Europe/Berlin", "into": "berlin" }),
    ] {
        bound(rule).expect("it binds");
    }
}

proptest! {
    #[test]
    fn a_week_is_what_jiff_says(days in -700_000..2_900_000_i32) {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).expect("a date");
        let us = i64::from(days) * DAY_US;
        prop_assert_eq!(Part::Week.of(us), i32::from(date.iso_week_date().week()));
        prop_assert_eq!(Part::Weekday.of(us), i32::from(date.weekday().to_monday_one_offset()));
        prop_assert_eq!(Part::Yearday.of(us), i32::from(date.day_of_year()));
        prop_assert_eq!(parse_date(&Date(days).to_string()), Some(days));
        for unit in [Unit::Week, Unit::Month, Unit::Quarter, Unit::Year] {
            let first = unit.truncated(us);
            prop_assert!(first <= us && unit.truncated(first) == first);
        }
    }

    #[test]
    fn there_and_back_is_the_same(us in -2_000_000_000_000_000..4_000_000_000_000_000_i64) {
        let zone = Zone::new("America/St_Johns").expect("a zone");
        let there = zone.clock(us).expect("it is shown");
        let back = [Ambiguous::Earlier, Ambiguous::Later].map(|which| zone.instant(there, which));
        prop_assert!(back.contains(&Ok(us)), "{:?}", back);
    }
}
