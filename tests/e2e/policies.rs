//! Every policy, on a real ClickHouse: the value, the policy, and what became of it. There is no other way for a value to change.

use crate::support::{Flavor, World};

const SETTINGS: &str = "[verify]\nmode = \"full\"\n";

/// A value that the chosen type has no place for.
struct Outside {
    /// The column's type in SQL.
    kind: &'static str,
    /// The choice.
    choice: &'static str,
    /// A value that fits, in SQL, and what ClickHouse shows for it.
    inside: (&'static str, &'static str),
    /// A value that doesn't, in SQL, and the nearest one that does, as ClickHouse shows it, where there is one.
    outside: (&'static str, Option<&'static str>),
}

const fn outside(
    kind: &'static str,
    choice: &'static str,
    inside: (&'static str, &'static str),
    value: &'static str,
    nearest: Option<&'static str>,
) -> Outside {
    Outside {
        kind,
        choice,
        inside,
        outside: (value, nearest),
    }
}

const CASES: &[Outside] = &[
    outside("INT", "UInt8", ("7", "7"), "-1", Some("0")),
    outside("INT", "UInt8", ("255", "255"), "256", Some("255")),
    outside("INT", "Bool", ("1", "true"), "2", Some("true")),
    outside(
        "BIGINT",
        "Int32",
        ("-7", "-7"),
        "-9223372036854775808",
        Some("-2147483648"),
    ),
    outside(
        "BIGINT UNSIGNED",
        "Int64",
        ("7", "7"),
        "18446744073709551615",
        Some("9223372036854775807"),
    ),
    outside(
        "BIT(64)",
        "UInt16",
        ("7", "7"),
        "18446744073709551615",
        Some("65535"),
    ),
    outside("YEAR", "UInt8", ("0", "0"), "1901", Some("255")),
    outside(
        "DECIMAL(10,2)",
        "Decimal(5, 1)",
        ("1.20", "1.2"),
        "-1.25",
        Some("-1.3"),
    ),
    outside(
        "DECIMAL(10,2)",
        "Decimal(5, 1)",
        ("9999.90", "9999.9"),
        "10000.00",
        Some("9999.9"),
    ),
    outside(
        "DECIMAL(65,30)",
        "Decimal(38, 10)",
        ("0.5", "0.5"),
        "-1e34",
        Some("-9999999999999999999999999999.9999999999"),
    ),
    outside("DECIMAL(10,2)", "Int64", ("-3.00", "-3"), "2.50", Some("3")),
    outside(
        "DECIMAL(30,0)",
        "Int64",
        ("7", "7"),
        "9223372036854775808",
        Some("9223372036854775807"),
    ),
    outside("DOUBLE", "Float32", ("0.5", "0.5"), "0.1", Some("0.1")),
    outside(
        "DOUBLE",
        "Float32",
        ("0", "0"),
        "-1e300",
        Some("-3.4028235e38"),
    ),
    outside(
        "DATE",
        "Date32",
        ("'1900-01-01'", "1900-01-01"),
        "'1899-12-31'",
        Some("1900-01-01"),
    ),
    outside(
        "DATE",
        "Date32",
        ("'2299-12-31'", "2299-12-31"),
        "'2300-01-01'",
        Some("2299-12-31"),
    ),
    outside(
        "DATE",
        "Date",
        ("'2149-06-06'", "2149-06-06"),
        "'1969-12-31'",
        Some("1970-01-01"),
    ),
    outside(
        "DATETIME(6)",
        "DateTime64(3, 'UTC')",
        ("'2026-01-01 00:00:00.123'", "2026-01-01 00:00:00.123"),
        "'1969-12-31 23:59:59.9999'",
        Some("1969-12-31 23:59:59.999"),
    ),
    outside(
        "DATETIME",
        "DateTime('UTC')",
        ("'2106-02-07 06:28:15'", "2106-02-07 06:28:15"),
        "'2106-02-07 06:28:16'",
        Some("2106-02-07 06:28:15"),
    ),
    outside(
        "DATETIME",
        "DateTime('UTC')",
        ("'1970-01-01 00:00:00'", "1970-01-01 00:00:00"),
        "'1000-01-01 00:00:00'",
        Some("1970-01-01 00:00:00"),
    ),
    outside(
        "DATETIME",
        "DateTime64(0, 'Europe/Berlin')",
        ("'2026-03-29 01:59:59'", "2026-03-29 01:59:59"),
        "'2026-03-29 02:30:00'",
        Some("2026-03-29 03:30:00"),
    ),
    outside(
        "DATETIME",
        "DateTime64(3, 'Asia/Tokyo')",
        ("'1900-01-01 00:00:00'", "1900-01-01 00:00:00.000"),
        "'1899-12-31 23:59:59'",
        Some("1900-01-01 00:00:00.000"),
    ),
    outside(
        "DATETIME(6)",
        "DateTime64(9, 'UTC')",
        ("'2262-04-11 23:47:16'", "2262-04-11 23:47:16.000000000"),
        "'9999-12-31 23:59:59'",
        Some("2262-04-11 23:47:16.854775000"),
    ),
    outside(
        "TIMESTAMP(3) NULL",
        "DateTime('UTC')",
        ("'2026-01-01 00:00:00'", "2026-01-01 00:00:00"),
        "'2026-01-01 00:00:00.999'",
        Some("2026-01-01 00:00:00"),
    ),
    outside(
        "TIME(3)",
        "Time",
        ("'-00:00:01'", "-00:00:01"),
        "'-00:00:01.500'",
        Some("-00:00:01"),
    ),
    outside(
        "TIME(6)",
        "Time64(3)",
        ("'00:00:01.5'", "00:00:01.500"),
        "'00:00:01.500001'",
        Some("00:00:01.500"),
    ),
    outside(
        "VARCHAR(9)",
        "FixedString(4)",
        ("'ab'", "ab\\0\\0"),
        "'abcdé'",
        Some("abcd"),
    ),
    outside(
        "VARCHAR(9)",
        "FixedString(4)",
        ("'abcd'", "abcd"),
        "'abcé'",
        Some("abc\\0"),
    ),
    outside(
        "VARBINARY(9)",
        "FixedString(2)",
        ("X'6100'", "a\\0"),
        "X'616263'",
        Some("ab"),
    ),
    outside(
        "VARBINARY(9)",
        "FixedString(4)",
        ("X'61'", "a\\0\\0\\0"),
        "X'6100'",
        None,
    ),
    outside(
        "VARCHAR(9)",
        "Enum8('a' = 1, 'b' = 2)",
        ("'b'", "b"),
        "'c'",
        None,
    ),
    outside(
        "ENUM('a', 'b')",
        "Enum8('a' = 1)",
        ("'a'", "a"),
        "'b'",
        None,
    ),
    outside("JSON", "JSON", ("'{\"a\": 1}'", "{\"a\":1}"), "'[1]'", None),
    outside("VARCHAR(99)", "JSON", ("'{}'", "{}"), "'no document'", None),
];

/// A world with a table for each of these cases: row 1 fits, row 2 doesn't.
fn world(flavor: Flavor, cases: &[&Outside], toml: impl Fn(&Outside) -> String) -> World {
    let mut world = World::new(flavor).settings(SETTINGS);
    for (i, case) in cases.iter().enumerate() {
        let kind = case.kind.replace(" NULL", "");
        world.mysql.run(&format!(
            "CREATE TABLE t{i} (id INT PRIMARY KEY, v {kind} NULL);\nINSERT INTO t{i} VALUES (1, {}), (2, {});\n",
            case.inside.0, case.outside.0
        ));
        world.add_table(&format!("t{i}"), &toml(case));
    }
    world
}

/// The rows of a case's table, as `id value`.
fn rows(world: &World, i: usize) -> String {
    world
        .clickhouse
        .query(&format!("SELECT id, v FROM {{db}}.t{i} FINAL ORDER BY id"))
}

fn of_type(case: &Outside) -> String {
    format!("v = {{ type = \"{}\" }}", case.choice)
}

/// Those of the cases that a ClickHouse with NULL, or a nearest value, has.
fn cases(filter: impl Fn(&Outside) -> bool) -> Vec<&'static Outside> {
    CASES.iter().filter(|case| filter(case)).collect()
}

#[test]
fn error_stops_at_the_value_and_names_it() {
    for case in CASES {
        let world = world(Flavor::MySql, &[case], |case| {
            format!("types = {{ {} }}", of_type(case))
        });
        let failed = world
            .tidemill(&["run"])
            .fails(7, &["t0", "`v`", "id = 2", "on_out_of_range"]);
        assert!(
            failed
                .message()
                .contains(case.choice.split('(').next().unwrap()),
            "{}",
            failed.message()
        );
        assert_eq!(
            world.clickhouse.query("EXISTS {db}.t0"),
            "0",
            "{}",
            case.kind
        );
    }
}

#[test]
fn null_puts_null_in_its_place() {
    for flavor in Flavor::ALL {
        let cases = cases(|_| true);
        let world = world(flavor, &cases, |case| {
            format!(
                "on_out_of_range = \"null\"\ntypes = {{ {} }}",
                of_type(case)
            )
        });
        world.tidemill(&["run"]).ok();
        for (i, case) in cases.iter().enumerate() {
            let expected = format!("1\t{}\n2\t\\N", case.inside.1);
            assert_eq!(
                rows(&world, i),
                expected,
                "{flavor:?} {} as {}",
                case.kind,
                case.choice
            );
        }
    }
}

#[test]
fn clamp_puts_the_nearest_value_in_its_place() {
    for flavor in Flavor::ALL {
        let cases = cases(|case| case.outside.1.is_some());
        let world = world(flavor, &cases, |case| {
            format!(
                "on_out_of_range = \"clamp\"\ntypes = {{ {} }}",
                of_type(case)
            )
        });
        world.tidemill(&["run"]).ok();
        for (i, case) in cases.iter().enumerate() {
            let expected = format!("1\t{}\n2\t{}", case.inside.1, case.outside.1.unwrap());
            assert_eq!(
                rows(&world, i),
                expected,
                "{flavor:?} {} as {}",
                case.kind,
                case.choice
            );
        }
    }
}

#[test]
fn reject_puts_the_row_into_the_table_of_rejected_rows() {
    for flavor in Flavor::ALL {
        let cases = cases(|_| true);
        let world = world(flavor, &cases, |case| {
            format!(
                "on_out_of_range = \"reject\"\ntypes = {{ {} }}",
                of_type(case)
            )
        });
        // A second time, too: the rows of each resync are told apart.
        for (command, times) in [(&["run"][..], 1), (&["resync", "--yes"], 2)] {
            let answer = world.tidemill(command).ok();
            let tables = answer.json["result"]["tables"].as_array().unwrap();
            for (i, case) in cases.iter().enumerate() {
                let what = format!("{flavor:?} {} as {}", case.kind, case.choice);
                assert_eq!(rows(&world, i), format!("1\t{}", case.inside.1), "{what}");
                let ledger = &tables[i]["ledger"];
                assert_eq!(
                    (&ledger["read"], &ledger["written"], &ledger["rejected"]),
                    (&2.into(), &1.into(), &1.into()),
                    "{what}"
                );
                let rejected = world.clickhouse.query(&format!(
                    "SELECT count(), uniqExact(resync), any(key), any(column), any(plugin), any(JSONExtractString(row, 'id')), \
                       countIf(position(reason, splitByChar('(', '{}')[1]) > 0) FROM {{db}}.t{i}_rejected",
                    case.choice.replace('\'', "\\'")
                ));
                assert_eq!(
                    rejected,
                    format!("{times}\t{times}\t{{\"id\":\"2\"}}\tv\t\t2\t{times}"),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn the_narrowest_setting_counts() {
    let world = World::new(Flavor::MySql)
        .settings("[verify]\nmode = \"full\"\n[values]\non_out_of_range = \"clamp\"\nzero_dates = \"1970-01-01\"\n")
        .table("pipes", "types = { v = \"UInt8\" }")
        .table("tables", "on_out_of_range = \"null\"\nzero_dates = \"1980-01-01\"\ntypes = { v = \"UInt8\" }")
        .table(
            "columns",
            "on_out_of_range = \"null\"\nzero_dates = \"1980-01-01\"\n\
             types = { v = { type = \"UInt8\", on_out_of_range = \"reject\" }, d = { zero_dates = \"1990-01-01\" } }",
        );
    for table in ["pipes", "tables", "columns"] {
        world.mysql.run(&format!(
            "SET SESSION sql_mode = '';\nCREATE TABLE {table} (id INT PRIMARY KEY, v INT, d DATE NOT NULL);\n\
             INSERT INTO {table} VALUES (1, 7, '0000-00-00'), (2, 300, '2024-02-29');\n"
        ));
    }
    world.tidemill(&["run"]).ok();
    let rows = |table: &str| {
        world
            .clickhouse
            .query(&format!("SELECT id, v, d FROM {{db}}.{table} ORDER BY id"))
    };
    assert_eq!(rows("pipes"), "1\t7\t1970-01-01\n2\t255\t2024-02-29");
    assert_eq!(rows("tables"), "1\t7\t1980-01-01\n2\t\\N\t2024-02-29");
    assert_eq!(rows("columns"), "1\t7\t1990-01-01");
}

#[test]
fn dates_that_are_no_days_follow_zero_dates() {
    const NONE: &[&str] = &["0000-00-00", "2023-00-00", "2023-01-00", "2023-02-31"];
    for flavor in Flavor::ALL {
        for (zero_dates, expected) in [("null", "\\N"), ("2001-02-03", "2001-02-03")] {
            let world = World::new(flavor)
                .settings(SETTINGS)
                .table("t", &format!("zero_dates = \"{zero_dates}\""));
            world.mysql.run(
                "SET SESSION sql_mode = 'ALLOW_INVALID_DATES';\n\
                 CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, d DATE NOT NULL, w DATETIME(3) NOT NULL, n DATE NULL);\n",
            );
            for none in NONE {
                world.mysql.run(&format!(
                    "SET SESSION sql_mode = 'ALLOW_INVALID_DATES';\nINSERT INTO t (d, w, n) VALUES ('{none}', '{none} 00:00:00', '{none}');\n"
                ));
            }
            world.mysql.run(
                "INSERT INTO t (d, w, n) VALUES ('2024-02-29', '2024-02-29 01:02:03.004', NULL);\n",
            );
            world.tidemill(&["run"]).ok();
            let clock = if expected == "\\N" {
                expected.to_owned()
            } else {
                format!("{expected} 00:00:00.000")
            };
            let line = format!("{expected}\t{clock}\t{expected}\n");
            assert_eq!(
                world
                    .clickhouse
                    .query("SELECT d, w, n FROM {db}.t ORDER BY id"),
                format!(
                    "{}2024-02-29\t2024-02-29 01:02:03.004\t\\N",
                    line.repeat(NONE.len())
                ),
                "{flavor:?} {zero_dates}"
            );
        }
        // TIMESTAMP has the zero date alone, and a column that may be NULL can be made to refuse it, too.
        let world = World::new(flavor).settings(SETTINGS);
        world.mysql.run(
            "SET SESSION sql_mode = '';\nCREATE TABLE t (id INT PRIMARY KEY, v TIMESTAMP NULL);\nINSERT INTO t VALUES (1, '2024-02-29 00:00:00'), (2, '0000-00-00');\n",
        );
        let mut world = world.table("t", "types = { v = { zero_dates = \"1970-01-01\" } }");
        world.tidemill(&["run"]).ok();
        assert_eq!(
            rows_of(&world),
            "1\t2024-02-29 00:00:00\n2\t1970-01-01 00:00:00"
        );
        world.clear_tables();
        world.add_table("t", "zero_dates = \"error\"");
        world
            .tidemill(&["resync", "--yes"])
            .fails(4, &["t", "`v`", "id = 2", "zero_dates"]);
        // Nothing of it is seen, and with the choice taken back the resync goes through.
        assert_eq!(
            rows_of(&world),
            "1\t2024-02-29 00:00:00\n2\t1970-01-01 00:00:00"
        );
    }
}

fn rows_of(world: &World) -> String {
    world
        .clickhouse
        .query("SELECT id, v FROM {db}.t FINAL ORDER BY id")
}

#[test]
fn a_default_stands_for_null_and_for_what_does_not_fit() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).settings(SETTINGS).table(
            "t",
            "types = { n = { nullable = false, default = -1 }, s = { nullable = false, default = \"\" }, d = { default = \"1970-01-01\", on_out_of_range = \"null\" }, \
             p = { type = \"Point\", default = \"POINT(0 0)\" } }",
        );
        world.mysql.run(
            "CREATE TABLE t (id INT PRIMARY KEY, n INT, s VARCHAR(9), d DATE, p POINT);\n\
             INSERT INTO t VALUES (1, NULL, NULL, NULL, NULL), (2, 0, 'x', '9999-12-31', ST_GeomFromText('POINT(1 2)'));\n",
        );
        world.tidemill(&["run"]).ok();
        assert_eq!(
            world
                .clickhouse
                .query("SELECT id, n, s, d, p FROM {db}.t ORDER BY id"),
            "1\t-1\t\t1970-01-01\t(0,0)\n2\t0\tx\t1970-01-01\t(1,2)"
        );
        let types = "SELECT arrayStringConcat(groupArray(type), ' ') FROM system.columns WHERE database = '{db}' AND table = 't' AND name IN ('n', 's', 'd', 'p')";
        assert_eq!(world.clickhouse.query(types), "Int32 String Date32 Point");
    }
}

#[test]
fn null_that_has_no_place_is_told_before_and_stops_the_load() {
    for (toml, expected) in [
        ("", None),
        (
            "types = { v = { default = \"[]\" } }",
            Some("1\t[1,2]\n2\t[]"),
        ),
        ("on_out_of_range = \"reject\"", Some("1\t[1,2]")),
    ] {
        let world = World::new(Flavor::MySql)
            .settings(SETTINGS)
            .table("t", toml);
        world.mysql.run(
            "CREATE TABLE t (id INT PRIMARY KEY, v VECTOR(2));\nINSERT INTO t VALUES (1, STRING_TO_VECTOR('[1,2]')), (2, NULL);\n",
        );
        let check = world.tidemill(&["check"]).ok();
        let findings = check.json["result"]["findings"].to_string();
        let is_told = findings.contains("t.v")
            && findings.contains("the first NULL")
            && findings.contains("`default`");
        assert_eq!(is_told, expected.is_none(), "{findings}");
        match expected {
            None => {
                world
                    .tidemill(&["run"])
                    .fails(7, &["`v`", "id = 2", "NULL", "default"]);
            }
            Some(expected) => {
                world.tidemill(&["run"]).ok();
                assert_eq!(rows_of(&world), expected);
            }
        }
    }
}

#[test]
fn text_that_unicode_does_not_have_is_refused_or_copied_as_bytes() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS).table("t", "");
        // A pair of bytes that is well-formed, and that Unicode has no character for.
        world.mysql.run(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET sjis);\n\
             INSERT INTO t VALUES (1, '日本?'), (2, NULL), (3, _sjis X'8540');\n",
        );
        world
            .tidemill(&["run"])
            .fails(4, &["`v`", "id = 3", "format = \"bytes\""]);
        world.clear_tables();
        world.add_table("t", "types = { v = { format = \"bytes\" } }");
        world.tidemill(&["run"]).ok();
        assert_eq!(
            world
                .clickhouse
                .query("SELECT id, hex(v) FROM {db}.t ORDER BY id"),
            "1\t93FA967B3F\n2\t\\N\n3\t8540"
        );
    }
}
