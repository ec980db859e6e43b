//! What the pipe says of the destination's tables beside their types: keys, codecs, lifetimes, indexes, comments.

use crate::support::{Flavor, World};

const SETTINGS: &str = "[verify]\nmode = \"full\"\n";

/// The statement that ClickHouse would make the table with.
fn ddl(world: &World, table: &str) -> String {
    world
        .clickhouse
        .query(&format!("SHOW CREATE TABLE {{db}}.{table} FORMAT TSVRaw"))
}

#[test]
fn every_clause_can_be_stated_and_survives_a_resync() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).settings(SETTINGS).table(
            "events",
            r#"
engine = "MergeTree"
order_by = ["tenant", "region", "id"]
primary_key = ["tenant"]
partition_by = "toYYYYMM(at)"
ttl = "toDateTime(at) + INTERVAL 900 YEAR"
comment = "what happened; it's \\ `all`"
settings = { index_granularity = 1024, min_bytes_for_wide_part = 0 }

[[table.indexes]]
name = "by word"
expression = "lower(word)"
type = "bloom_filter(0.01)"
granularity = 3

[[table.indexes]]
name = "amounts"
expression = "amount"
type = "minmax"

[table.types.word]
type = "LowCardinality(String)"
codec = "ZSTD(5)"
comment = "one of a few"

[table.types.at]
codec = "Delta, LZ4"

[table.types.note]
ttl = "toDateTime(at) + INTERVAL 800 YEAR"

[table.types.region]
comment = ""
"#,
        );
        world.mysql.run(
            "CREATE TABLE events (id INT PRIMARY KEY, tenant INT NOT NULL, region VARCHAR(9) NULL COMMENT 'not carried', at DATETIME NOT NULL, \
               word VARCHAR(9) NOT NULL COMMENT 'the source''s', amount DECIMAL(9,2) COMMENT 'in euros; \\'gross\\' \\\\ `x` äß日', note TEXT) COMMENT 'of the source';\n\
             INSERT INTO events VALUES (1, 1, NULL, '2026-01-01 00:00:00', 'a', 1.5, 'x'), (2, 1, 'eu', '2026-02-01 00:00:00', 'b', NULL, NULL);\n",
        );
        for command in [&["run"][..], &["resync", "--yes"]] {
            world.tidemill(command).ok();
            let ddl = ddl(&world, "events");
            for clause in [
                "ENGINE = MergeTree",
                "ORDER BY (tenant, region, id)",
                "PRIMARY KEY (tenant)",
                "PARTITION BY toYYYYMM(at)",
                "TTL toDateTime(at) + toIntervalYear(900)",
                "`note` Nullable(String) TTL toDateTime(at) + toIntervalYear(800)",
                "`word` LowCardinality(String) COMMENT 'one of a few' CODEC(ZSTD(5))",
                "CODEC(Delta(8), LZ4)",
                "`region` Nullable(String),",
                "INDEX `by word` lower(word) TYPE bloom_filter(0.01) GRANULARITY 3",
                "INDEX amounts amount TYPE minmax GRANULARITY 1",
                "index_granularity = 1024",
                "min_bytes_for_wide_part = 0",
                "allow_nullable_key = 1",
                r"COMMENT 'what happened; it\'s \\ `all`'",
                r"COMMENT 'in euros; \'gross\' \\ `x` äß日'",
            ] {
                assert!(
                    ddl.contains(clause),
                    "{command:?}: {clause} is not in: {ddl}"
                );
            }
            assert!(
                !ddl.contains("of the source") && !ddl.contains("not carried"),
                "{ddl}"
            );
            world.assert_same_cells(&["events"]);
        }
    }
}

#[test]
fn comments_come_from_the_source() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).settings(SETTINGS).table(
            "t",
            "[[table.transform]]\nplugin = \"columns\"\nconfig = { rename = { a = \"b\" } }",
        );
        world.mysql.run(
            "CREATE TABLE t (id INT PRIMARY KEY COMMENT 'the key', a INT COMMENT 'it''s \"a\"\\n2nd line') COMMENT = 'all of them; the ''t''s';\n",
        );
        world.tidemill(&["run"]).ok();
        let ddl = ddl(&world, "t");
        for clause in [
            "`id` Int32 COMMENT 'the key'",
            r#"`b` Nullable(Int32) COMMENT 'it\'s "a"\n2nd line'"#,
            r"COMMENT 'all of them; the \'t\'s'",
        ] {
            assert!(ddl.contains(clause), "{clause} is not in: {ddl}");
        }
    }
}

#[test]
fn a_clause_that_clickhouse_refuses_is_told_and_nothing_is_lost() {
    for (toml, words) in [
        ("ttl = \"nonsense\"", &["nonsense"][..]),
        ("types = { v = { codec = \"Nope\" } }", &["Nope"]),
        (
            "indexes = [{ name = \"i\", expression = \"v\", type = \"nope\" }]",
            &["nope"],
        ),
        ("order_by = [\"id\", \"missing\"]", &["missing"]),
    ] {
        let mut world = World::new(Flavor::MySql).table("t", "");
        world
            .mysql
            .run("CREATE TABLE t (id INT PRIMARY KEY, v INT);\nINSERT INTO t VALUES (1, 2);\n");
        world.tidemill(&["run"]).ok();
        world.clear_tables();
        world.add_table("t", toml);
        world.tidemill(&["resync", "--yes"]).fails(7, words);
        assert_eq!(world.clickhouse.query("SELECT id, v FROM {db}.t"), "1\t2");
    }
}
