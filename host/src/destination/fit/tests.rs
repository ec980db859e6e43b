//! Every policy on every kind of type: the value, the policy, the result.

use std::sync::Arc;

use arrow::array::{
    AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::util::display::array_value_to_string;

use super::*;
use crate::schema::{ClickHouseType, Engine, MetadataNames};

/// A column of this type, NULL where it is nullable.
fn column(clickhouse: &str, policy: OutOfRange, nullable: bool) -> TargetColumn {
    let plain: ClickHouseType = clickhouse.parse().expect(clickhouse);
    TargetColumn {
        name: "c".to_owned(),
        clickhouse_type: plain.full(nullable),
        plain,
        nullable,
        digits: 6,
        on_out_of_range: policy,
        default: None,
        codec: None,
        ttl: None,
        comment: String::new(),
        comment_stated: false,
    }
}

fn table(column: TargetColumn) -> TargetTable {
    TargetTable {
        database: "d".to_owned(),
        name: "t".to_owned(),
        columns: vec![column],
        key: Vec::new(),
        engine: Engine::MergeTree,
        order_by: Vec::new(),
        primary_key: None,
        partition_by: None,
        ttl: None,
        indexes: Vec::new(),
        settings: Vec::new(),
        comment: String::new(),
        comment_stated: false,
        metadata: MetadataNames::default(),
    }
}

/// Berlin's clocks in 2026.
fn berlin() -> Zones {
    let changes = [
        (-2_209_075_200, 3600),
        (1_774_746_000, 7200),
        (1_792_890_000, 3600),
    ];
    Zones::of("Europe/Berlin", &changes)
}

/// What becomes of the values: one text a row that is left, `!` before the rows that were rejected, or why the batch is refused.
fn fitted(array: ArrayRef, column: TargetColumn) -> String {
    let schema = Schema::new(vec![Field::new("c", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![array]).expect("one column");
    let fitter = match Fitter::new(&table(column), &schema, &berlin()) {
        Ok(fitter) => fitter,
        Err(unfit) => return unfit.reason,
    };
    match fitter.fit(&batch) {
        Err(misfit) => format!("row {}: {misfit}", misfit.row),
        Ok(fitted) => {
            assert_eq!(fitted.batch.schema(), *fitter.schema());
            let column = fitted.batch.column(0);
            let text = |row| match column.is_null(row) {
                true => "NULL".to_owned(),
                false => array_value_to_string(column, row).expect("printable"),
            };
            let rows = (0..column.len()).map(text);
            let rejected = fitted
                .rejected
                .iter()
                .map(|misfit| format!("!{}", misfit.row));
            rows.chain(rejected).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The same under each policy: error (its first words), null, clamp, reject.
fn under_each_policy(array: &ArrayRef, clickhouse: &str) -> [String; 4] {
    [
        OutOfRange::Error,
        OutOfRange::Null,
        OutOfRange::Clamp,
        OutOfRange::Reject,
    ]
    .map(|policy| {
        let result = fitted(array.clone(), column(clickhouse, policy, true));
        match result.starts_with("row ") {
            true => result[..6].to_owned(),
            false => result,
        }
    })
}

#[test]
fn numbers() {
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![Some(1), None, Some(u64::MAX)]));
    assert_eq!(
        under_each_policy(&unsigned, "Int64"),
        [
            "row 2:",
            "1 NULL NULL",
            "1 NULL 9223372036854775807",
            "1 NULL !2"
        ]
    );
    assert_eq!(
        under_each_policy(&unsigned, "Int128"),
        ["1 NULL 18446744073709551615"; 4]
    );
    let signed: ArrayRef = Arc::new(Int64Array::from(vec![-1, 255, 256, -300]));
    assert_eq!(
        under_each_policy(&signed, "UInt8"),
        [
            "row 0:",
            "NULL 255 NULL NULL",
            "0 255 255 0",
            "255 !0 !2 !3"
        ]
    );
    assert_eq!(
        under_each_policy(&signed, "Bool"),
        [
            "row 0:",
            "NULL NULL NULL NULL",
            "false true true false",
            "!0 !1 !2 !3"
        ]
    );
    let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    assert_eq!(under_each_policy(&truths, "UInt8"), ["1 0"; 4]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 0.1, 1e300, -0.0]));
    assert_eq!(
        under_each_policy(&floats, "Float32"),
        [
            "row 1:",
            "0.5 NULL NULL -0.0",
            "0.5 0.1 3.4028235e38 -0.0",
            "0.5 -0.0 !1 !2"
        ]
    );
}

#[test]
fn decimals() {
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![125, 120, 99_999, -99_999])
            .with_precision_and_scale(10, 2)
            .expect("they fit"),
    );
    assert_eq!(
        under_each_policy(&decimals, "Decimal(3, 1)"),
        [
            "row 0:",
            "NULL 1.2 NULL NULL",
            "1.3 1.2 99.9 -99.9",
            "1.2 !0 !2 !3"
        ]
    );
    assert_eq!(
        under_each_policy(&decimals, "Decimal(60, 30)")[0],
        "1.250000000000000000000000000000 1.200000000000000000000000000000 \
         999.990000000000000000000000000000 -999.990000000000000000000000000000"
    );
    assert_eq!(
        under_each_policy(&decimals, "Int16"),
        [
            "row 0:",
            "NULL NULL NULL NULL",
            "1 1 1000 -1000",
            "!0 !1 !2 !3"
        ]
    );
}

#[test]
fn dates_and_times() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![-25_568, 0, 120_530]));
    assert_eq!(
        under_each_policy(&dates, "Date32"),
        [
            "row 0:",
            "NULL 1970-01-01 NULL",
            "1900-01-01 1970-01-01 2299-12-31",
            "1970-01-01 !0 !2"
        ]
    );
    assert_eq!(
        under_each_policy(&dates, "Date")[2],
        "1970-01-01 1970-01-01 2149-06-06"
    );
    let clocks: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        1_500_000, -500_000, 2_000_000,
    ]));
    assert_eq!(
        under_each_policy(&clocks, "DateTime64(0)"),
        [
            "row 0:",
            "NULL NULL 1970-01-01T00:00:02",
            "1970-01-01T00:00:01 1969-12-31T23:59:59 1970-01-01T00:00:02",
            "1970-01-01T00:00:02 !0 !1"
        ]
    );
    assert_eq!(
        under_each_policy(&clocks, "DateTime"),
        ["row 0:", "NULL NULL 2", "1 0 2", "2 !0 !1"]
    );
    let far: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        253_402_300_799_999_999,
    ]));
    assert_eq!(under_each_policy(&far, "DateTime64(9)")[0], "row 0:");
    assert_eq!(
        under_each_policy(&far, "DateTime64(6)")[0],
        "9999-12-31T23:59:59.999999"
    );
    let times: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1_000_000, 1_000_001]));
    assert_eq!(
        under_each_policy(&times, "Time"),
        ["row 1:", "1 NULL", "1 1", "1 !1"]
    );
    assert_eq!(under_each_policy(&times, "Int64"), ["1000000 1000001"; 4]);
}

#[test]
fn a_wall_clock_in_a_zone() {
    let clock = |text: &str| {
        let clock: jiff::civil::DateTime = text.parse().expect("a time");
        jiff::tz::TimeZone::UTC
            .to_timestamp(clock)
            .expect("in range")
            .as_microsecond()
    };
    let clocks: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        clock("2026-07-01T12:00:00"),
        // Skipped when summer time begins, and shown twice when it ends.
        clock("2026-03-29T02:30:00"),
        clock("2026-10-25T02:30:00"),
        clock("1850-01-01T00:00:00"),
    ]));
    let zone = "DateTime64(6, 'Europe/Berlin')";
    assert_eq!(
        under_each_policy(&clocks, zone),
        [
            "row 1:",
            "2026-07-01T10:00:00 NULL 2026-10-25T00:30:00 NULL",
            "2026-07-01T10:00:00 2026-03-29T01:30:00 2026-10-25T00:30:00 1899-12-31T23:00:00",
            "2026-07-01T10:00:00 2026-10-25T00:30:00 !1 !3"
        ]
    );
    let instants =
        TimestampMicrosecondArray::from(vec![clock("2026-03-29T02:30:00")]).with_timezone("UTC");
    assert_eq!(
        under_each_policy(&(Arc::new(instants) as ArrayRef), zone),
        ["2026-03-29T02:30:00"; 4]
    );
    assert_eq!(
        fitted(
            clocks,
            column("DateTime64(0, 'Mars/Base')", OutOfRange::Error, true)
        ),
        "`Mars/Base` is no time zone of the destination; it is named as `Europe/Berlin`"
    );
}

#[test]
fn texts() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("ab"),
        Some("aéé"),
        Some("a\0"),
        None,
    ]));
    assert_eq!(
        under_each_policy(&texts, "FixedString(4)"),
        [
            "row 1:",
            "61620000 NULL NULL NULL",
            "61620000 61c3a900 61000000 NULL",
            "61620000 NULL !1 !2"
        ]
    );
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "c", ""]));
    assert_eq!(
        under_each_policy(&names, "Enum8('' = 0, 'a' = 1)"),
        ["row 1:", "a NULL ", "row 1:", "a  !1"],
        "there is no nearest name"
    );
    let documents: ArrayRef = Arc::new(StringArray::from(vec![r#"{"a": 1}"#, "[1]"]));
    assert_eq!(
        under_each_policy(&documents, "JSON"),
        ["row 1:", r#"{"a":1} NULL"#, "row 1:", r#"{"a":1} !1"#]
    );
    let sets: ArrayRef = Arc::new(StringArray::from(vec!["a,b", ""]));
    assert_eq!(
        fitted(
            sets,
            column("Array(LowCardinality(String))", OutOfRange::Error, false)
        ),
        "[a, b] []"
    );
}

#[test]
fn null_becomes_the_default_or_is_refused() {
    let with_default = |clickhouse: &str, default: &str, policy| TargetColumn {
        default: Some(default.to_owned()),
        ..column(clickhouse, policy, false)
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(300)]));
    assert_eq!(
        fitted(
            numbers.clone(),
            with_default("UInt8", "7", OutOfRange::Null)
        ),
        "1 7 7"
    );
    assert_eq!(
        fitted(
            numbers.clone(),
            with_default("UInt8", "7", OutOfRange::Clamp)
        ),
        "1 7 255"
    );
    assert_eq!(
        fitted(
            numbers.clone(),
            with_default("UInt8", "700", OutOfRange::Null)
        ),
        "the default `700` is no value of UInt8"
    );
    let refused = fitted(numbers.clone(), column("Int64", OutOfRange::Error, false));
    assert!(
        refused.starts_with("row 1: NULL does not fit Int64"),
        "{refused}"
    );
    assert_eq!(
        fitted(numbers, column("Int64", OutOfRange::Reject, false)),
        "1 300 !1"
    );
    let shapes: ArrayRef = Arc::new(StringArray::from(vec![None, Some("POINT(1 2)")]));
    assert_eq!(
        fitted(
            shapes,
            with_default("Point", "POINT(0 0)", OutOfRange::Error)
        ),
        "{1: 0.0, 2: 0.0} {1: 1.0, 2: 2.0}"
    );
    let days: ArrayRef = Arc::new(Date32Array::from(vec![None, Some(1)]));
    assert_eq!(
        fitted(days, with_default("Date", "2000-01-01", OutOfRange::Error)),
        "2000-01-01 1970-01-02"
    );
}

#[test]
fn nothing_out_of_range_hides_below_null() {
    let hidden = Date32Array::new(vec![i32::MAX, 1].into(), Some(vec![false, true].into()));
    for array in [hidden, Date32Array::from(vec![i32::MIN, 1])] {
        let schema = Schema::new(vec![Field::new("c", DataType::Date32, true)]);
        let fitter = Fitter::new(
            &table(column("Date32", OutOfRange::Null, true)),
            &schema,
            &berlin(),
        );
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(array)]);
        let fitted = fitter
            .expect("fits")
            .fit(&batch.expect("one column"))
            .expect("a policy");
        let days: &Date32Array = fitted.batch.column(0).as_primitive();
        assert_eq!((&days.values()[..], days.null_count()), (&[0, 1][..], 1));
    }
}
