//! Names: whatever MySQL allows is a database, a table and a column of the copy, under the same name; and what can't be is told before
//! anything is made.

use crate::support::clickhouse::quoted;
use crate::support::mysql::quoted as in_mysql;
use crate::support::{Flavor, World};

/// Small chunks, so that keys are bounds, too; every column read back.
const SETTINGS: &str = "[snapshot]\nchunk_rows = 1000\n[verify]\nmode = \"full\"\n";

/// Names that quoting, escaping, binding of parameters or a parser could trip over.
const NAMES: &[&str] = &[
    "back`quote",
    "``",
    "two words",
    "it's",
    "say \"hi\"",
    "a.b",
    "a.c",
    ".dots.",
    "back\\slash",
    "ends with\\",
    "\\n",
    "schön",
    "日本語",
    "select",
    "from",
    "null",
    "1st",
    "1",
    "100%",
    "%2F",
    "and/or",
    "..",
    "why?",
    "??",
    "{x}",
    "{x:String}",
    "$1",
    "a;b",
    ":named",
    "@@version",
    "#hash",
    "-- dash",
    "/* comment */",
    "a,b",
    "(a)",
    "line\nbreak",
    "tab\there",
    " leading",
    "*",
    "count()",
    "key k1",
    "sixty-four characters, which is the most that MySQL allows name.",
];

/// A TOML string.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[test]
fn a_column_may_have_any_name() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor);
        let columns: Vec<String> = NAMES
            .iter()
            .map(|name| format!("{} INT", in_mysql(name)))
            .collect();
        let values: Vec<String> = (0..NAMES.len()).map(|i| format!("n + {i}")).collect();
        world.mysql.run(&format!(
            "{};\nCREATE TABLE t (id INT NOT NULL PRIMARY KEY, {});\n\
             INSERT INTO t WITH RECURSIVE x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 2500) SELECT n, {} FROM x;\n",
            flavor.deep_recursion(),
            columns.join(", "),
            values.join(", ")
        ));
        let world = world.settings(SETTINGS).table("t", "");
        world.tidemill(&["run"]).ok();
        world.tidemill(&["resync", "--yes"]).ok();
        let list = |quote: fn(&str) -> String| {
            let names: Vec<String> = NAMES.iter().map(|name| quote(name)).collect();
            names.join(", ")
        };
        world.assert_same_rows(
            &format!("SELECT id, {} FROM t ORDER BY id", list(in_mysql)),
            &format!("SELECT id, {} FROM {{db}}.t ORDER BY id", list(quoted)),
        );
        let plan = world.tidemill(&["plan"]).ok();
        let changes = &plan.json["result"]["tables"][0]["changes"];
        assert_eq!(changes.as_array().unwrap().len(), 0, "{changes:#}");
    }
}

#[test]
fn deleted_rows_are_carried_over_whatever_the_columns_names_are() {
    for pair in NAMES.chunks(2) {
        let (first, second) = (pair[0], *pair.get(1).unwrap_or(&"b"));
        let (a, b) = (in_mysql(first), in_mysql(second));
        let world = World::new(Flavor::MySql)
            .settings(SETTINGS)
            .settings("[swap]\nmax_shrink = \"100%\"\n")
            .table("t", "");
        world.mysql.run(&format!(
            "CREATE TABLE t ({a} INT NOT NULL PRIMARY KEY, {b} INT);\nINSERT INTO t VALUES (1, 10), (2, 20), (3, 30);\n"
        ));
        world.tidemill(&["run"]).ok();
        let (x, y) = (quoted(first), quoted(second));
        world.clickhouse.run(&format!(
            "INSERT INTO {{db}}.t ({x}, {y}, _peerdb_is_deleted, _peerdb_version) VALUES (1, 10, 1, 1), (2, 20, 1, 1);\n\
             INSERT INTO {{db}}.t ({x}, {y}, _peerdb_is_deleted, _peerdb_version) VALUES (2, 21, 0, 1);\n"
        ));
        // As after a change of its type: each value is cast, and looked at.
        world.mysql.run(&format!(
            "DELETE FROM t WHERE {a} < 3;\nALTER TABLE t MODIFY COLUMN {b} BIGINT;\n"
        ));
        world.tidemill(&["resync", "--yes"]).ok();
        let found = world.clickhouse.query(&format!(
            "SELECT {x}, {y}, _peerdb_is_deleted FROM {{db}}.t ORDER BY {x}"
        ));
        assert_eq!(found, "1\t10\t1\n3\t30\t0", "{first}, {second}");
    }
}

#[test]
fn a_key_and_a_partition_may_have_any_name() {
    for flavor in Flavor::ALL {
        for names in NAMES.chunks(4) {
            let mut names = names.to_vec();
            names.extend(["b", "c", "d"]);
            let all = &names[..4];
            let list = |quote: fn(&str) -> String| {
                let names: Vec<String> = all.iter().map(|name| quote(name)).collect();
                names.join(", ")
            };
            let order: Vec<String> = all.iter().rev().map(|name| toml_text(name)).collect();
            let world = World::new(flavor).settings(SETTINGS).table(
                "t",
                &format!(
                    "order_by = [{}]\npartition_by = {}",
                    order.join(", "),
                    toml_text(all[1])
                ),
            );
            // The text is walked for its bounds, and compared as a parameter.
            world.mysql.run(&format!(
                "{};\nCREATE TABLE t ({} VARCHAR(20) NOT NULL, {} INT NOT NULL, {} INT NOT NULL, {} INT NOT NULL, v INT, PRIMARY KEY ({}));\n\
                 INSERT INTO t WITH RECURSIVE x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 2500) \
                   SELECT CONCAT('k', n DIV 10), n % 3, n, 1, n FROM x;\n",
                flavor.deep_recursion(),
                in_mysql(all[0]), in_mysql(all[1]), in_mysql(all[2]), in_mysql(all[3]),
                list(in_mysql)
            ));
            world.tidemill(&["run"]).ok();
            world.tidemill(&["resync", "--yes"]).ok();
            world.assert_same_rows(
                &format!("SELECT {}, v FROM t ORDER BY v", list(in_mysql)),
                &format!("SELECT {}, v FROM {{db}}.t ORDER BY v", list(quoted)),
            );
            let parts = "SELECT uniqExact(partition) FROM system.parts WHERE database = '{db}' AND table = 't' AND active";
            assert_eq!(world.clickhouse.query(parts), "3", "{all:?}");
        }
    }
}

#[test]
fn a_table_may_have_any_name() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        let database = world.mysql.database.clone();
        // On these servers names differ also by case.
        for (i, name) in NAMES
            .iter()
            .chain(&["Case", "case", "CASE", "Orders"])
            .enumerate()
        {
            let (table, twin) = (in_mysql(name), in_mysql(&format!("{i}")));
            world.mysql.run(&format!(
                "CREATE TABLE {table} ({twin} INT NOT NULL PRIMARY KEY, name VARCHAR(100));\nINSERT INTO {table} VALUES ({i}, 'x');\n"
            ));
            world.add_mapping(&database, name, "");
        }
        world.tidemill(&["check"]).ok();
        world.tidemill(&["run"]).ok();
        world.tidemill(&["resync", "--yes"]).ok();
        for (i, name) in NAMES
            .iter()
            .chain(&["Case", "case", "CASE", "Orders"])
            .enumerate()
        {
            let found = world.clickhouse.query(&format!(
                "SELECT * EXCEPT (_peerdb_synced_at, _peerdb_is_deleted, _peerdb_version) FROM {{db}}.{}",
                quoted(name)
            ));
            assert_eq!(found, format!("{i}\tx"), "{flavor:?} {name}");
        }
        world.tidemill(&["rollback", "--yes"]).ok();
    }
}

/// A database of the test's own whose name has all of this one in it, as far as there is room.
fn database_like(world: &World, name: &str) -> String {
    let start: String = name.chars().take(56).collect();
    format!("{start}_{}", &world.mysql.database[2..8])
}

#[test]
fn a_source_database_may_have_any_name() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        let databases: Vec<String> = NAMES
            .iter()
            .map(|name| database_like(&world, name))
            .collect();
        for (i, database) in databases.iter().enumerate() {
            let own = in_mysql(database);
            world.mysql.run(&format!(
                "CREATE DATABASE {own};\nCREATE TABLE {own}.t (id INT NOT NULL PRIMARY KEY);\nINSERT INTO {own}.t VALUES ({i});\n"
            ));
            world.add_mapping(database, "t", &format!("destination = \"t{i}\""));
        }
        world.tidemill(&["run"]).ok();
        world.tidemill(&["resync", "--yes"]).ok();
        for (i, database) in databases.iter().enumerate() {
            let found = world
                .clickhouse
                .query(&format!("SELECT id FROM {{db}}.t{i}"));
            assert_eq!(found, i.to_string(), "{flavor:?} {database}");
            world
                .mysql
                .run(&format!("DROP DATABASE {};\n", in_mysql(database)));
        }
    }
}

#[test]
fn a_destination_database_may_have_any_name() {
    for names in NAMES.chunks(4) {
        let mut world = World::new(Flavor::MySql).settings(SETTINGS).table("t", "");
        world
            .mysql
            .run("CREATE TABLE t (id INT NOT NULL PRIMARY KEY);\nINSERT INTO t VALUES (7);\n");
        let packed: String = names.concat();
        world.clickhouse.database = database_like(&world, &packed);
        world.tidemill(&["run"]).ok();
        world.tidemill(&["resync", "--yes"]).ok();
        let database = quoted(&world.clickhouse.database);
        let found = world
            .clickhouse
            .query(&format!("SELECT id FROM {database}.t"));
        assert_eq!(found, "7", "{packed}");
        world.tidemill(&["rollback", "--yes"]).ok();
    }
}

/// A world with one table, of these columns and a row of zeros.
fn one_table(columns: &str) -> World {
    let world = World::new(Flavor::MySql).settings(SETTINGS).table("t", "");
    world.mysql.run(&format!("CREATE TABLE t ({columns});\n"));
    world
}

/// The number of the first line of the pipe file that begins so.
fn line_of(world: &World, start: &str) -> usize {
    let text = std::fs::read_to_string(world.write_pipe()).unwrap();
    1 + text
        .lines()
        .position(|line| line.starts_with(start))
        .expect("it is there")
}

#[test]
fn columns_that_clash_are_told_with_the_line() {
    for (column, section, words) in [
        (
            "_peerdb_version",
            "[metadata]",
            ["`_peerdb_version`", "metadata column"],
        ),
        ("_row_exists", "[[table]]", ["`_row_exists`", "rename"]),
        ("_block_number", "[[table]]", ["`_block_number`", "rename"]),
        ("_block_offset", "[[table]]", ["`_block_offset`", "rename"]),
        ("_part", "[[table]]", ["`_part`", "rename"]),
        ("_part_offset", "[[table]]", ["`_part_offset`", "rename"]),
    ] {
        let world = one_table(&format!("id INT PRIMARY KEY, {column} INT"))
            .settings("[metadata]\nsynced_at = \"_synced\"\n");
        for command in [&["check"][..], &["plan"], &["run"]] {
            let refused = world.tidemill(command).fails(3, &words);
            assert!(refused.message().contains("the column `"), "{refused:#?}");
            let expected = format!("pipe.toml:{}:", line_of(&world, section));
            assert!(refused.message().contains(&expected), "{refused:#?}");
        }
        assert!(!has_database(&world), "nothing is made");
    }
    let mut world = one_table("id INT PRIMARY KEY, _row_exists INT");
    world.clear_tables();
    world.add_table("t", "[[table.transform]]\nplugin = \"columns\"\nconfig = { rename = { _row_exists = \"row_exists\" } }");
    world.tidemill(&["run"]).ok();
}

#[test]
fn arrays_that_clickhouse_would_take_for_one_are_told() {
    let mut world = one_table("id INT PRIMARY KEY, `n.a` VECTOR(2), `n.b` VECTOR(3), m VECTOR(4)");
    world.mysql.run(
        "INSERT INTO t VALUES (1, STRING_TO_VECTOR('[1,2]'), STRING_TO_VECTOR('[1,2,3]'), STRING_TO_VECTOR('[1,2,3,4]'));\n",
    );
    world
        .tidemill(&["check"])
        .fails(3, &["`n.a`", "`n.b`", "dot", "rename"]);
    world.clear_tables();
    world.add_table(
        "t",
        "[[table.transform]]\nplugin = \"columns\"\nconfig = { rename = { \"n.a\" = \"n_a\" } }",
    );
    world.tidemill(&["run"]).ok();
    assert_eq!(
        world.clickhouse.query("SELECT n_a, `n.b`, m FROM {db}.t"),
        "[1,2]\t[1,2,3]\t[1,2,3,4]"
    );
}

#[test]
fn a_column_named_as_a_part_of_another_is_told() {
    let world = one_table("id INT PRIMARY KEY, a INT, `a.null` INT");
    world.tidemill(&["check"]).fails(
        3,
        &["`a.null`", "part of what `a` is", "rename", "pipe.toml:"],
    );
    // Those of which ClickHouse has no parts are columns like any other.
    let world = one_table("id INT PRIMARY KEY, a INT, `a.size` INT, `id.null` INT, `a.b` INT");
    world
        .mysql
        .run("INSERT INTO t VALUES (1, NULL, 7, 8, 9), (2, 1, NULL, NULL, NULL);\n");
    world.tidemill(&["run"]).ok();
    let columns = "id, a, `a.size`, `id.null`, `a.b`";
    world.assert_same_rows(
        &format!("SELECT {columns} FROM t ORDER BY id"),
        &format!("SELECT {columns} FROM {{db}}.t ORDER BY id"),
    );
}

fn has_database(world: &World) -> bool {
    let name = &world.clickhouse.database;
    world.clickhouse.query(&format!(
        "SELECT count() FROM system.databases WHERE name = '{name}'"
    )) == "1"
}

#[test]
fn a_name_that_is_too_long_for_clickhouse_is_told_before_anything_is_made() {
    let long = "ä".repeat(64);
    let world = World::new(Flavor::MySql)
        .settings(SETTINGS)
        .table(&long, "");
    world
        .mysql
        .run(&format!("CREATE TABLE {long} (id INT PRIMARY KEY);\n"));
    for command in [&["check"][..], &["plan"], &["run"]] {
        // 64 letters of 2 bytes, each of which is written in 3; a database of 14.
        world.tidemill(command).fails(
            3,
            &[
                &format!("`{long}_resync_old`"),
                "395 bytes",
                "room for 199",
                "destination = \"short_name\"",
                "pipe.toml:",
            ],
        );
    }
    assert!(!has_database(&world), "nothing is made");
}

#[test]
fn the_longest_name_that_is_allowed_works() {
    let destination = |length: usize| format!("destination = \"{}\"", "x".repeat(length));
    let mut world = one_table("id INT PRIMARY KEY");
    let room = 255 - 42 - world.clickhouse.database.len() - "_resync_old".len();
    world.clear_tables();
    world.add_table("t", &destination(room + 1));
    world.tidemill(&["check"]).fails(3, &["bytes"]);
    world.clear_tables();
    world.add_table("t", &destination(room));
    world.tidemill(&["run"]).ok();
    world.tidemill(&["resync", "--yes"]).ok();
    world.tidemill(&["resync", "--yes"]).ok();
    world.tidemill(&["rollback", "--yes"]).ok();
}

#[test]
fn the_same_table_of_two_databases_needs_another_name() {
    let mut world = one_table("id INT PRIMARY KEY");
    let other = database_like(&world, "other");
    world.mysql.run(&format!(
        "INSERT INTO t VALUES (1);\nCREATE DATABASE {other};\nCREATE TABLE {other}.t (id INT PRIMARY KEY);\nINSERT INTO {other}.t VALUES (2);\n"
    ));
    let mut with_other = |toml: &str| {
        world.clear_tables();
        world.add_table("t", "");
        world.add_mapping(&other, "t", toml);
        world.tidemill(&["run"])
    };
    with_other("").fails(3, &["`t` clashes", "table[0]", "`destination`"]);
    with_other("destination = \"t_rejected\"").fails(3, &["`t_rejected` clashes"]);
    with_other("destination = \"t2\"").ok();
    assert_eq!(
        world
            .clickhouse
            .query("SELECT (SELECT id FROM {db}.t), (SELECT id FROM {db}.t2)"),
        "1\t2"
    );
    world.mysql.run(&format!("DROP DATABASE {other};\n"));
}

#[test]
fn somebody_elses_table_of_a_shadows_name_is_left_alone() {
    let world = one_table("id INT PRIMARY KEY");
    for theirs in [
        "TABLE {db}.t_resync ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n",
        "VIEW {db}.t_resync AS SELECT 7 AS n",
    ] {
        world.clickhouse.run(&format!(
            "CREATE DATABASE IF NOT EXISTS {{db}};\nCREATE {theirs};\n"
        ));
        world
            .tidemill(&["run"])
            .fails(7, &["`t_resync`", "was not made by this pipe", "rename it"]);
        for command in ["check", "plan"] {
            let refused = world.tidemill(&[command]);
            assert_eq!(refused.code, Some(11), "{refused:#?}");
            assert!(refused.json.to_string().contains("`t_resync`"));
        }
        assert_eq!(world.clickhouse.query("SELECT n FROM {db}.t_resync"), "7");
        world.clickhouse.run("DROP TABLE {db}.t_resync;\n");
    }
    world.tidemill(&["run"]).ok();
    world
        .clickhouse
        .run("CREATE TABLE {db}.t_resync ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n;\n");
    world
        .tidemill(&["resync", "--yes"])
        .fails(7, &["`t_resync`"]);
    assert_eq!(world.clickhouse.query("SELECT n FROM {db}.t_resync"), "7");
}

#[test]
fn a_shadow_that_a_crash_has_left_is_replaced() {
    let world = one_table("id INT PRIMARY KEY");
    world.tidemill(&["run"]).ok();
    // Made, and not journalled yet.
    crate::gates::stop_at(&world, |place| place.contains("`creates the shadow of"));
    let shadows = "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 't_resync'";
    world
        .clickhouse
        .run("CREATE TABLE IF NOT EXISTS {db}.t_resync AS {db}.t;\n");
    std::fs::remove_dir_all(world.folder().join(".tidemill")).unwrap();
    assert_eq!(world.clickhouse.query(shadows), "1");
    world.tidemill(&["check"]).ok();
    world.tidemill(&["resync", "--yes"]).ok();
    assert_eq!(world.clickhouse.query(shadows), "0");
}
