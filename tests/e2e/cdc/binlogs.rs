//! Kinds of binlogs: without GTIDs, with compressed transactions, in many files.

use crate::support::{ClickHouse, Flavor, Following, MySql, World};

#[test]
fn a_source_without_gtids_is_followed_by_file_and_offset() {
    let options = "--gtid-mode=OFF --enforce-gtid-consistency=OFF";
    let mysql = MySql::mysql_with(options, "mysql_without_gtids");
    let world = table_of_numbers(World::of(mysql, ClickHouse::new()));
    let mut pipe = Following::start(&world);
    changed_while_it_is_killed(&world, &mut pipe, "");
    let status = world.tidemill(&["status"]).ok();
    let position = &status.json["result"]["cdc"]["position"];
    assert!(
        position["gtid"].is_null() && position["offset"].is_u64(),
        "{position}"
    );
}

#[test]
fn compressed_transactions_are_followed() {
    let compressed = "SET SESSION binlog_transaction_compression = ON;\n";
    let world = table_of_numbers(World::new(Flavor::MySql));
    let mut pipe = Following::start(&world);
    changed_while_it_is_killed(&world, &mut pipe, compressed);
    drop((pipe, world));

    let mariadb = MySql::mariadb_with("--log-bin-compress=ON", "mariadb_compressed");
    let world = table_of_numbers(World::of(mariadb, ClickHouse::new()));
    let mut pipe = Following::start(&world);
    changed_while_it_is_killed(&world, &mut pipe, "");
}

fn table_of_numbers(world: World) -> World {
    world.mysql.run(
        "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, s TEXT);\nINSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b');\n",
    );
    world.with_sentinel("every = \"50ms\"").table("t", "")
}

/// Transactions of many rows in several files of the binlog, some of them while nobody follows.
#[track_caller]
fn changed_while_it_is_killed(world: &World, pipe: &mut Following, session: &str) {
    for round in 1..=4 {
        let first = round * 1000;
        let rows: Vec<String> = (first..first + 500)
            .map(|id| format!("({id}, {round}, REPEAT('x', {}))", id % 300))
            .collect();
        world.mysql.run(&format!(
            "{session}BEGIN;\nINSERT INTO t VALUES {};\nUPDATE t SET n = n + 1 WHERE id % 3 = 0;\nDELETE FROM t WHERE id % 7 = 0;\nCOMMIT;\nFLUSH BINARY LOGS;\n",
            rows.join(", ")
        ));
        match round {
            2 => pipe.kill(),
            3 => pipe.go_on(world, "run"),
            _ => {}
        }
    }
    pipe.caught_up(world);
    world.assert_same_rows(
        "SELECT id, n, s FROM t ORDER BY id",
        "SELECT id, n, s FROM {db}.t FINAL ORDER BY id",
    );
}
