//! That the oracle sees what it is for: a copy in which one thing is not as it was.

use crate::support::oracle::{Compared, compare};
use crate::support::{Flavor, World};

/// Name, type, value in SQL, and in ClickHouse's SQL another one that is as near as can be.
type Changed = (&'static str, &'static str, &'static str, &'static str);

/// A column of each kind of value.
const COLUMNS: &[Changed] = &[
    ("i", "BIGINT UNSIGNED", "18446744073709551615", "i - 1"),
    ("z", "INT(7) ZEROFILL", "42", "z + 1"),
    ("bits", "BIT(64)", "18446744073709551615", "bits - 1"),
    ("flag", "BOOL", "1", "NOT flag"),
    (
        "amount",
        "DECIMAL(65, 30)",
        "0.000000000000000000000000000001",
        "-amount",
    ),
    ("ratio", "FLOAT", "16777216", "ratio + 2"),
    ("wide", "DOUBLE", "0.1", "0.10000000000000002"),
    ("zero", "DOUBLE", "0", "-zero"),
    ("made", "YEAR", "2024", "made + 1"),
    ("day", "DATE", "'2024-02-29'", "day + 1"),
    (
        "wall",
        "DATETIME(6)",
        "'9999-12-31 23:59:59.999998'",
        "toDateTime64('9999-12-31 23:59:59.999999', 6, 'UTC')",
    ),
    (
        "instant",
        "TIMESTAMP NULL",
        "'2024-02-29 12:00:00'",
        "instant + 1",
    ),
    (
        "span",
        "TIME(1)",
        "'-00:00:00.1'",
        "CAST('00:00:00.1' AS Time64(1))",
    ),
    ("name", "VARCHAR(9) CHARACTER SET latin1", "'é '", "'é'"),
    ("blank", "TEXT", "''", "NULL"),
    ("none", "TEXT", "NULL", "''"),
    ("raw", "VARBINARY(9)", "X'00FF00'", "unhex('00FF')"),
    ("fixed", "BINARY(3)", "X'01'", "unhex('01')"),
    ("color", "ENUM('a', 'A,b')", "'A,b'", "'a,b'"),
    ("tags", "SET('x', 'y')", "'x,y'", "'y,x'"),
    ("doc", "JSON", r#"'{"a": 1.0}'"#, r#"'{"a": 1}'"#),
    (
        "place",
        "POINT",
        "ST_GeomFromText('POINT(0.1 2)')",
        "'POINT(0.10000000000000002 2)'",
    ),
];

/// Types of one of the servers.
const OF_MYSQL: &[Changed] = &[
    (
        "v",
        "VECTOR(2) NOT NULL",
        "TO_VECTOR('[1, 2]')",
        "[1, 2.0000002]",
    ),
    (
        "there",
        "POINT",
        "ST_GeomFromText('POINT(1 2)', 4326)",
        "'SRID=4327;POINT(2 1)'",
    ),
];
const OF_MARIADB: &[Changed] = &[
    (
        "u",
        "UUID",
        "'6ccd780c-baba-1026-9564-5b8c656024db'",
        "toUUID('6ccd780c-baba-1026-9564-5b8c656024dc')",
    ),
    ("v4", "INET4", "'192.0.2.1'", "toIPv4('192.0.2.2')"),
    ("v6", "INET6", "'2001:db8::1'", "toIPv6('2001:db8::2')"),
];

#[test]
fn one_changed_cell_is_found_whatever_its_type() {
    for (flavor, more) in [(Flavor::MySql, OF_MYSQL), (Flavor::MariaDb, OF_MARIADB)] {
        let columns = || COLUMNS.iter().chain(more);
        let listed =
            |part: &dyn Fn(&Changed) -> String| columns().map(part).collect::<Vec<_>>().join(", ");
        let world = World::new(flavor).table("t", "");
        world.mysql.run(&format!(
            "CREATE TABLE t (id INT PRIMARY KEY, {});\nINSERT INTO t VALUES (1, {values}), (2, {values})",
            listed(&|(name, kind, ..)| format!("{name} {kind}")),
            values = listed(&|(_, _, value, _)| (*value).to_owned()),
        ));
        world.tidemill(&["run"]).ok();
        let compare = |destination: &str| {
            let (mysql, clickhouse) = (&world.mysql, &world.clickhouse);
            compare(mysql, &mysql.database, "t", clickhouse, destination)
        };
        let (tables, rows) = (1, 2);
        let cells = rows * (1 + columns().count() as u64);
        assert_eq!(
            compare("t"),
            Ok(Compared {
                tables,
                rows,
                cells
            })
        );
        for (name, _, _, other) in columns() {
            world.clickhouse.run(&format!(
                "CREATE OR REPLACE TABLE {{db}}.changed AS {{db}}.t;\n\
                 INSERT INTO {{db}}.changed SELECT * REPLACE (if(id = 2, {other}, {name}) AS {name}) FROM {{db}}.t"
            ));
            let told = compare("changed").expect_err(name);
            assert_eq!(told.len(), 1, "{name}: {told:#?}");
            let found = (told[0].column.as_str(), told[0].row.as_str());
            assert_eq!(found, (&*format!("`{name}`"), "`2`"));
        }
    }
}

#[test]
fn a_row_or_a_column_too_many_or_too_few_is_found() {
    let world = World::new(Flavor::MySql)
        .table("keyed", "")
        .table("keyless", "engine = \"MergeTree\"");
    for (table, key) in [("keyed", "PRIMARY KEY"), ("keyless", "")] {
        world.mysql.run(&format!(
            "CREATE TABLE {table} (id INT {key}, v INT);\nINSERT INTO {table} VALUES (1, 1), (2, 2)"
        ));
    }
    world.tidemill(&["run"]).ok();
    for (table, change, column, source, destination) in [
        (
            "keyed",
            "DELETE WHERE id = 2",
            "all columns",
            "1 such",
            "0 such",
        ),
        (
            "keyless",
            "DELETE WHERE id = 2",
            "all columns",
            "1 such",
            "0 such",
        ),
        ("keyed", "UPDATE v = 3 WHERE id = 2", "`v`", "`2`", "`3`"),
        (
            "keyless",
            "UPDATE v = 1, id = 1 WHERE id = 2",
            "all columns",
            "1 such",
            "2 such",
        ),
        (
            "keyed",
            "DROP COLUMN v",
            "all columns",
            "\"v\"]",
            "[\"id\"]",
        ),
        (
            "keyed",
            "ADD COLUMN w Int8",
            "all columns",
            "\"v\"]",
            "\"w\"]",
        ),
    ] {
        world.clickhouse.run(&format!(
            "CREATE OR REPLACE TABLE {{db}}.changed AS {{db}}.{table};\nINSERT INTO {{db}}.changed SELECT * FROM {{db}}.{table};\n\
             ALTER TABLE {{db}}.changed {change} SETTINGS mutations_sync = 2"
        ));
        let (mysql, clickhouse) = (&world.mysql, &world.clickhouse);
        let told = compare(mysql, &mysql.database, table, clickhouse, "changed");
        let first = &told.expect_err(change)[0];
        assert_eq!(first.column, column, "{change}");
        assert!(first.source.contains(source), "{change}: {first}");
        assert!(first.destination.contains(destination), "{change}: {first}");
    }
}
