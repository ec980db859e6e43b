//! Other ClickHouse types than the default, on a real ClickHouse, read back column by column.

use crate::support::{Flavor, World};

const SETTINGS: &str = "[verify]\nmode = \"full\"\n";

/// A column type, what the pipe says of it in TOML, values in SQL, and what ClickHouse shows: its type, then the values.
type Choice<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, &'a [&'a str]);

const CHOICES: &[Choice<'_>] = &[
    (
        "TINYINT(1)",
        "\"Int8\"",
        &["-128", "2", "127"],
        "Int8",
        &["-128", "2", "127"],
    ),
    (
        "TINYINT(1)",
        "\"UInt16\"",
        &["0", "7"],
        "UInt16",
        &["0", "7"],
    ),
    ("INT", "\"Bool\"", &["0", "1"], "Bool", &["false", "true"]),
    (
        "BIGINT UNSIGNED",
        "\"Int64\"",
        &["0", "9223372036854775807"],
        "Int64",
        &["0", "9223372036854775807"],
    ),
    (
        "BIGINT UNSIGNED",
        "\"Int128\"",
        &["0", "18446744073709551615"],
        "Int128",
        &["0", "18446744073709551615"],
    ),
    ("BIGINT", "\"UInt8\"", &["0", "255"], "UInt8", &["0", "255"]),
    (
        "BIT(1)",
        "\"UInt8\"",
        &["b'0'", "b'1'"],
        "UInt8",
        &["0", "1"],
    ),
    ("YEAR", "\"Int16\"", &["0", "2155"], "Int16", &["0", "2155"]),
    (
        "DECIMAL(10,2)",
        "\"Decimal(20, 4)\"",
        &["-1.25", "99999999.99"],
        "Decimal(20, 4)",
        &["-1.25", "99999999.99"],
    ),
    (
        "DECIMAL(65,30)",
        "\"Decimal(9, 2)\"",
        &["1234567.89"],
        "Decimal(9, 2)",
        &["1234567.89"],
    ),
    (
        "DECIMAL(20,0)",
        "\"Int64\"",
        &["-9223372036854775808"],
        "Int64",
        &["-9223372036854775808"],
    ),
    (
        "DECIMAL(10,2)",
        "\"String\"",
        &["1.50", "0"],
        "String",
        &["1.50", "0.00"],
    ),
    (
        "FLOAT",
        "\"Float64\"",
        &["0.1"],
        "Float64",
        &["0.10000000149011612"],
    ),
    ("DOUBLE", "\"Float32\"", &["0.5"], "Float32", &["0.5"]),
    (
        "DATE",
        "\"Date\"",
        &["'1970-01-01'", "'2149-06-06'"],
        "Date",
        &["1970-01-01", "2149-06-06"],
    ),
    (
        "DATE",
        "\"String\"",
        &[
            "'0001-01-01'",
            "'0000-00-00'",
            "'2023-00-00'",
            "'9999-12-31'",
        ],
        "String",
        &["0001-01-01", "0000-00-00", "2023-00-00", "9999-12-31"],
    ),
    (
        "DATETIME(3)",
        "\"DateTime64(3, 'Europe/Berlin')\"",
        &["'2026-07-01 12:00:00.123'", "'1900-01-01 00:00:00'"],
        "DateTime64(3, 'Europe/Berlin')",
        &["2026-07-01 12:00:00.123", "1900-01-01 00:00:00.000"],
    ),
    (
        "DATETIME",
        "\"DateTime64(9, 'America/New_York')\"",
        &["'2026-11-01 01:30:00'"],
        "DateTime64(9, 'America/New_York')",
        &["2026-11-01 01:30:00.000000000"],
    ),
    (
        "DATETIME",
        "\"DateTime('Asia/Kolkata')\"",
        &["'2026-01-01 05:30:00'"],
        "DateTime('Asia/Kolkata')",
        &["2026-01-01 05:30:00"],
    ),
    (
        "DATETIME(6)",
        "\"String\"",
        &["'0000-00-00 00:00:00'", "'2024-02-29 01:02:03.000004'"],
        "String",
        &["0000-00-00 00:00:00.000000", "2024-02-29 01:02:03.000004"],
    ),
    (
        "TIMESTAMP(2) NULL",
        "\"DateTime64(3, 'Asia/Tokyo')\"",
        &["'2026-01-01 00:00:00.25'"],
        "DateTime64(3, 'Asia/Tokyo')",
        &["2026-01-01 09:00:00.250"],
    ),
    (
        "TIMESTAMP NULL",
        "\"DateTime('Asia/Tokyo')\"",
        &["'2026-01-01 00:00:00'"],
        "DateTime('Asia/Tokyo')",
        &["2026-01-01 09:00:00"],
    ),
    (
        "TIMESTAMP NULL",
        "\"String\"",
        &["'2026-01-01 00:00:00'"],
        "String",
        &["2026-01-01 00:00:00"],
    ),
    (
        "TIME(6)",
        "\"Int64\"",
        &["'-838:59:58.999999'", "'00:00:01'"],
        "Int64",
        &["-3020398999999", "1000000"],
    ),
    (
        "TIME",
        "\"Time\"",
        &["'-838:59:59'", "'00:00:01'"],
        "Time",
        &["-838:59:59", "00:00:01"],
    ),
    (
        "TIME(3)",
        "\"Time64(6)\"",
        &["'-00:00:00.001'"],
        "Time64(6)",
        &["-00:00:00.001000"],
    ),
    (
        "TIME(2)",
        "\"String\"",
        &["'-838:59:59'", "'1:2:3.45'"],
        "String",
        &["-838:59:59.00", "01:02:03.45"],
    ),
    (
        "VARCHAR(9)",
        "\"LowCardinality(String)\"",
        &["''", "'a'"],
        "LowCardinality(String)",
        &["", "a"],
    ),
    (
        "VARCHAR(9)",
        "\"FixedString(4)\"",
        &["'abcd'", "'é'"],
        "FixedString(4)",
        &["abcd", "é\\0\\0"],
    ),
    (
        "BINARY(3)",
        "\"FixedString(3)\"",
        &["X'00FF00'"],
        "FixedString(3)",
        &["\\0\u{fffd}\\0"],
    ),
    (
        "VARCHAR(9)",
        "\"Enum8('x' = -1, 'it''s' = 5)\"",
        &["'x'", "'it''s'"],
        "Enum8('x' = -1, 'it\\'s' = 5)",
        &["x", "it\\'s"],
    ),
    (
        "ENUM('b','a,c','it''s')",
        "\"Enum\"",
        &["0", "'a,c'", "'it''s'"],
        "Enum8('' = 0, 'b' = 1, 'a,c' = 2, 'it\\'s' = 3)",
        &["", "a,c", "it\\'s"],
    ),
    ("ENUM('b','a')", "\"String\"", &["'a'"], "String", &["a"]),
    (
        "SET('x','y','z')",
        "\"Array(LowCardinality(String))\"",
        &["'x,z'", "''"],
        "Array(LowCardinality(String))",
        &["['x','z']", "[]"],
    ),
    (
        "JSON",
        "\"JSON\"",
        &[
            "'{\"b\": 1.50, \"a\": {\"c\": [1, null, {\"d\": true}]}}'",
            "'{\"day\": \"2024-01-01\"}'",
        ],
        "JSON",
        &[
            "{\"a\":{\"c\":[1,null,{\"d\":true}]},\"b\":1.5}",
            "{\"day\":\"2024-01-01\"}",
        ],
    ),
    (
        "POINT",
        "\"Point\"",
        &["ST_GeomFromText('POINT(1.5 -2)')"],
        "Point",
        &["(1.5,-2)"],
    ),
    (
        "POLYGON",
        "\"Polygon\"",
        &["ST_GeomFromText('POLYGON((0 0,9 0,9 9,0 0),(1 1,2 1,2 2,1 1))')"],
        "Polygon",
        &["[[(0,0),(9,0),(9,9),(0,0)],[(1,1),(2,1),(2,2),(1,1)]]"],
    ),
    (
        "GEOMETRY",
        "\"LineString\"",
        &["ST_GeomFromText('LINESTRING(0 0,1 1)')"],
        "LineString",
        &["[(0,0),(1,1)]"],
    ),
    (
        "MULTILINESTRING",
        "\"MultiLineString\"",
        &["ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))')"],
        "MultiLineString",
        &["[[(0,0),(1,1)],[(2,2),(3,3)]]"],
    ),
    (
        "MULTIPOLYGON",
        "\"MultiPolygon\"",
        &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))')"],
        "MultiPolygon",
        &["[[[(0,0),(1,0),(1,1),(0,0)]]]"],
    ),
];

/// What only MariaDB has.
const MARIADB: &[Choice<'_>] = &[
    (
        "UUID",
        "\"String\"",
        &["'6ccd780c-baba-1026-9564-5b8c656024db'"],
        "String",
        &["6ccd780c-baba-1026-9564-5b8c656024db"],
    ),
    (
        "INET4",
        "\"String\"",
        &["'192.0.2.1'"],
        "String",
        &["192.0.2.1"],
    ),
    (
        "INET6",
        "\"String\"",
        &["'::1.2.3.4'"],
        "String",
        &["::1.2.3.4"],
    ),
];

#[test]
fn every_choice_of_type_holds_its_values() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        let own = if flavor == Flavor::MariaDb {
            MARIADB
        } else {
            &[]
        };
        let choices: Vec<_> = CHOICES.iter().chain(own).collect();
        for (i, (kind, choice, values, ..)) in choices.iter().enumerate() {
            let rows: Vec<String> = values
                .iter()
                .enumerate()
                .map(|(id, value)| format!("({id}, {value})"))
                .collect();
            // Spaces and dots in the name of the column: it is quoted in the file, too.
            world.mysql.run(&format!(
                "SET SESSION sql_mode = '';\nCREATE TABLE t{i} (id INT PRIMARY KEY, `v.1 x` {} NOT NULL);\nINSERT INTO t{i} VALUES {};\n",
                kind.replace(" NULL", ""),
                rows.join(", ")
            ));
            world.add_table(
                &format!("t{i}"),
                &format!("types = {{ \"v.1 x\" = {choice} }}"),
            );
        }
        // Of a TINYINT(1) that is copied as a number, too, nothing stands in the way.
        world.tidemill(&["check"]).ok();
        world.tidemill(&["run"]).ok();
        for (i, (kind, choice, _, clickhouse, expected)) in choices.iter().enumerate() {
            let found = world.clickhouse.query(&format!(
                "SELECT type FROM system.columns WHERE database = '{{db}}' AND table = 't{i}' AND name = 'v.1 x' FORMAT TSVRaw"
            ));
            assert_eq!(found, *clickhouse, "{flavor:?} {kind} as {choice}");
            let found = world
                .clickhouse
                .query(&format!("SELECT `v.1 x` FROM {{db}}.t{i} ORDER BY id"));
            assert_eq!(found, expected.join("\n"), "{flavor:?} {kind} as {choice}");
        }
    }
}

/// Zones whose clocks were set in odd ways: by half an hour, by a whole day, from offsets with odd seconds, or by rules that editions of the tz
/// database disagree about.
const ZONES: [&str; 12] = [
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/New_York",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Amsterdam",
    "Europe/Dublin",
    "Pacific/Apia",
];

#[test]
fn a_wall_clock_is_shown_as_it_was_in_every_zone() {
    for flavor in Flavor::ALL {
        let columns = |kind: &str| {
            let columns = (0..ZONES.len()).map(|i| format!("z{i}{kind}"));
            columns.collect::<Vec<_>>().join(", ")
        };
        let types: Vec<String> = ZONES
            .iter()
            .enumerate()
            .map(|(i, zone)| format!("z{i} = \"DateTime64(1, '{zone}')\""))
            .collect();
        let world = World::new(flavor).settings(SETTINGS).table(
            "t",
            &format!(
                "on_out_of_range = \"null\"\ntypes = {{ {} }}",
                types.join(", ")
            ),
        );
        // 20,000 wall clocks from the first second of 1900 to the last of 2299.
        let clock =
            "'1900-01-01' + INTERVAL (n * 631138) SECOND - INTERVAL (n % 10) * 100000 MICROSECOND";
        world.mysql.run(&format!(
            "{};\nCREATE TABLE t (id INT PRIMARY KEY, w DATETIME(1), {});\n\
             INSERT INTO t WITH RECURSIVE x (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM x WHERE n < 19999) SELECT n, {} FROM x;\n\
             INSERT INTO t VALUES (20000, '1900-01-01'{});\nINSERT INTO t VALUES (20001, '2299-12-31 23:59:59.9'{});\n",
            flavor.deep_recursion(),
            columns(" DATETIME(1)"),
            vec![clock; ZONES.len() + 1].join(", "),
            ", '1900-01-01'".repeat(ZONES.len()),
            ", '2299-12-31 23:59:59.9'".repeat(ZONES.len()),
        ));
        world.tidemill(&["run"]).ok();
        for (i, zone) in ZONES.iter().enumerate() {
            let changed = format!(
                "SELECT countIf(toString(z{i}) != toString(w)), countIf(isNull(z{i})) < 12, count() FROM {{db}}.t"
            );
            assert_eq!(world.clickhouse.query(&changed), "0\t1\t20002", "{zone}");
        }
    }
}

#[test]
fn bytes_instead_of_text() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).settings(SETTINGS).table(
            "t",
            "types = { place = { format = \"wkb\" }, text = { format = \"bytes\", type = \"String\" } }",
        );
        world.mysql.run(
            "CREATE TABLE t (id INT PRIMARY KEY, place GEOMETRY NULL, text VARCHAR(9) CHARACTER SET sjis);
             INSERT INTO t VALUES (1, ST_GeomFromText('POINT(1 2)'), X'8140'), (2, ST_GeomFromText('POINT(1 2)', 4326), NULL), (3, NULL, 'x');\n",
        );
        world.tidemill(&["run"]).ok();
        let point = "000000000000F03F0000000000000040";
        assert_eq!(
            world
                .clickhouse
                .query("SELECT hex(place), hex(text) FROM {db}.t ORDER BY id"),
            format!(
                "0101000000{point}\t8140\n0101000020E6100000{}\t\\N\n\\N\t78",
                match flavor {
                    // Of SRID 4326 MySQL's text is latitude first, and stored longitude first.
                    Flavor::MySql => "0000000000000040000000000000F03F",
                    Flavor::MariaDb => point,
                }
            )
        );
        // Which is what the server itself calls its WKB.
        let wkb = world
            .mysql
            .value("SELECT HEX(ST_AsBinary(place)) FROM t WHERE id = 1");
        assert_eq!(
            world
                .clickhouse
                .query("SELECT hex(place) FROM {db}.t WHERE id = 1"),
            wkb
        );
    }
}

#[test]
fn a_choice_that_is_none_is_refused_with_its_line() {
    let world = |types: &str| {
        let world = World::new(Flavor::MySql).table("t", types);
        world.mysql.run("CREATE TABLE t (id INT PRIMARY KEY, y YEAR, d DATE NOT NULL, s VARCHAR(9), p POINT);\n");
        world
    };
    for (types, words) in [
        (
            "types = { y = \"String\" }",
            &["types.y", "YEAR", "Int8"][..],
        ),
        ("types = { y = \"Nullable(Int8)\" }", &["nullable = true"]),
        ("types = { y = \"Int7\" }", &["Int7", "tidemill types"]),
        ("types = { z = \"Int8\" }", &["no column `z`"]),
        ("types = { y = { typ = \"Int8\" } }", &["typ"]),
        (
            "types = { s = { type = \"JSON\", on_out_of_range = \"clamp\" } }",
            &["JSON", "nearest"],
        ),
        ("types = { y = { default = 70000 } }", &["70000", "UInt16"]),
        (
            "types = { p = { type = \"Point\", nullable = true } }",
            &["Point can't be NULL"],
        ),
        ("types = { id = { nullable = true } }", &["key"]),
        (
            "types = { d = { zero_dates = \"never\" } }",
            &["never", "1970-01-01"],
        ),
        ("types = { d = \"DateTime\" }", &["DATE", "Date32"]),
        ("types = { s = { format = \"wkb\" } }", &["format", "bytes"]),
        ("primary_key = [\"s\"]", &["primary_key", "sorting key"]),
        ("on_out_of_range = \"sometimes\"", &["sometimes"]),
    ] {
        let failed = world(types).tidemill(&["check"]).fails(3, words);
        assert!(
            failed.json["error"]["where"]["line"].as_u64().is_some(),
            "{types}"
        );
    }
}

#[test]
fn a_column_that_a_transform_computed_has_choices_too() {
    let world = World::new(Flavor::MySql).settings(SETTINGS).table(
        "t",
        "types = { renamed = \"Int64\", both = { type = \"LowCardinality(String)\", codec = \"ZSTD(3)\" } }\n\
         [[table.transform]]\nplugin = \"columns\"\nconfig = { rename = { a = \"renamed\" }, concat = { both = { columns = [\"b\", \"b\"], separator = \"\" } } }",
    );
    world.mysql.run("CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL, b VARCHAR(9) NOT NULL);\nINSERT INTO t VALUES (1, 2, 'x');\n");
    world.tidemill(&["run"]).ok();
    assert_eq!(
        world
            .clickhouse
            .query("SELECT toTypeName(renamed), toTypeName(both), renamed, both FROM {db}.t"),
        "Int64\tLowCardinality(String)\t2\txx"
    );
}
