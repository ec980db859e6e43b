//! What is told of a row that does not fit: its key, its reason, how many there are, and what a preview makes of it.

use crate::support::{Flavor, World};

const SETTINGS: &str = "[verify]\nmode = \"full\"\n";

#[test]
fn rejected_rows_are_counted_once_whatever_happens() {
    for n in 1.. {
        let world = World::new(Flavor::MySql)
            .settings("[snapshot]\nchunk_rows = 1000\nparallel_chunks = 1\n")
            .table(
                "t",
                "types = { v = { type = \"UInt8\", on_out_of_range = \"reject\" } }",
            );
        world.mysql.run(&format!(
            "{};\nCREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL);\n\
             INSERT INTO t WITH RECURSIVE x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 3000) SELECT n, n % 300 FROM x;\n",
            world.mysql.flavor.deep_recursion()
        ));
        if !crate::crashes::killed_at(&world, &["run"], n) {
            assert!(n > 10, "only {n} crash points were met");
            return;
        }
        crate::crashes::go_on(&world, &["run"]);
        let rejected = world.mysql.value("SELECT COUNT(*) FROM t WHERE v > 255");
        assert_eq!(
            world.clickhouse.query(
                "SELECT count(), uniqExact(key), (SELECT count() FROM {db}.t) FROM {db}.t_rejected"
            ),
            format!(
                "{rejected}\t{rejected}\t{}",
                3000 - rejected.parse::<u32>().unwrap()
            ),
            "crash point {n}"
        );
    }
}

#[test]
fn a_row_is_named_by_its_key_whatever_that_is() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor)
            .settings(SETTINGS)
            .table("t", "types = { v = \"UInt8\" }");
        world.mysql.run(
            "CREATE TABLE t (`k 1` TIME(2) NOT NULL, b VARBINARY(9) NOT NULL, d DATE NOT NULL, v INT, PRIMARY KEY (`k 1`, b, d));\n\
             INSERT INTO t VALUES ('-100:00:00.5', X'00FF', '2024-02-29', 300);\n",
        );
        let name = "k 1 = -100:00:00.500000, b = 00ff, d = 2024-02-29";
        world.tidemill(&["run"]).fails(7, &[name]);
        world.clear_tables();
        world.add_table(
            "t",
            "on_out_of_range = \"reject\"\ntypes = { v = \"UInt8\" }",
        );
        world.tidemill(&["run"]).ok();
        assert_eq!(
            world.clickhouse.query(
                "SELECT key, JSONExtractString(row, 'v') FROM {db}.t_rejected FORMAT TSVRaw"
            ),
            "{\"k 1\":\"-100:00:00.500000\",\"b\":\"00ff\",\"d\":\"2024-02-29\"}\t300"
        );
        // A value that can't even be decoded: the key is named all the same.
        world.clear_tables();
        world.add_table("u", "");
        world.mysql.run(
            "SET SESSION sql_mode = '';\nCREATE TABLE u (k TIME NOT NULL PRIMARY KEY, d DATE NOT NULL);\nINSERT INTO u VALUES ('-99:00:00', '0000-00-00');\n",
        );
        world
            .tidemill(&["resync", "--yes"])
            .fails(4, &["`d`", "k = -99:00:00"]);
    }
}

#[test]
fn a_key_of_an_enum_with_two_values_of_one_text_is_told() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).table("t", "");
        world.mysql.run(
            "SET SESSION sql_mode = '';\nCREATE TABLE t (e ENUM('', 'a') NOT NULL PRIMARY KEY);\nINSERT INTO t VALUES ('a'), (''), ('none of them');\n",
        );
        let check = world.tidemill(&["check"]).ok();
        assert!(
            check.json["result"]["findings"]
                .to_string()
                .contains("the ENUM `e` of its key")
        );
        world.tidemill(&["run"]).fails(
            6,
            &["3 rows were written", "it has 2 by key", "the same key"],
        );
    }
}

#[test]
fn a_preview_says_what_becomes_of_each_row() {
    for (policy, words) in [
        ("error", "{\"stops\":\"`v`: the number is out of range"),
        ("reject", "{\"rejected\":\"`v`: the number is out of range"),
        ("null", "{\"row\":[\"2\",\"300\"]}"),
    ] {
        let world = World::new(Flavor::MySql).table(
            "t",
            &format!("on_out_of_range = \"{policy}\"\ntypes = {{ v = \"UInt8\" }}"),
        );
        world.mysql.run(
            "CREATE TABLE t (id INT PRIMARY KEY, v INT);\nINSERT INTO t VALUES (1, 7), (2, 300);\n",
        );
        let table = format!("{}.t", world.mysql.database);
        let preview = world.tidemill(&["preview", &table]).ok();
        let rows = &preview.json["result"]["rows"];
        assert_eq!(rows[0]["after"].to_string(), "{\"row\":[\"1\",\"7\"]}");
        let after = rows[1]["after"].to_string();
        assert!(after.starts_with(words), "{policy}: {after}");
    }
}
