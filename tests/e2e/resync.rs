//! The steps of a resync, undisturbed.

use crate::shop::{self, ITEMS, KEPT_ORDERS};
use crate::support::{ClickHouse, Flavor, MySql, World};

#[test]
fn a_pipe_is_loaded_and_resynced() {
    for flavor in Flavor::ALL {
        let world = shop::shop(flavor);
        let loaded = world.tidemill(&["run"]).ok();
        assert_eq!(
            loaded.json["result"]["phase"], "completed",
            "{flavor:?}: {loaded:#?}"
        );
        shop::assert_shop(&world);
        let first = world
            .clickhouse
            .query("SELECT uuid FROM system.tables WHERE database = '{db}' AND name = 'orders'");

        world.mysql.run("UPDATE orders SET total = total + 1 WHERE id % 2 = 0;\nDELETE FROM items WHERE order_id > 4000;\n");
        // A deletion of more than the gate allows is not what this test is about.
        let world = world.settings("[swap]\nmax_shrink = \"50%\"\n");
        let resynced = world.tidemill(&["resync", "--yes"]).ok();
        shop::assert_shop(&world);
        let second = world
            .clickhouse
            .query("SELECT uuid FROM system.tables WHERE database = '{db}' AND name = 'orders'");
        assert_ne!(first, second, "another table bears the name");
        assert_eq!(
            world.clickhouse.query("SELECT uuid FROM system.tables WHERE database = '{db}' AND name = 'orders_resync_old'"),
            first,
            "the old one is kept"
        );
        let orders = &resynced.json["result"]["tables"][0];
        assert_eq!(orders["ledger"]["written"], KEPT_ORDERS);
        assert_eq!(
            orders["ledger"]["filtered"].as_u64().unwrap() + KEPT_ORDERS,
            orders["ledger"]["read"].as_u64().unwrap()
        );
        assert!(orders["chunks_total"].as_u64().unwrap() > 2, "{orders}");
        assert_eq!(
            resynced.json["result"]["consistency"]
                .as_str()
                .map(|text| text.contains("one moment")),
            Some(true)
        );
    }
}

#[test]
fn statistics_start_afresh_and_the_old_ones_are_history() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    world
        .tidemill(&[
            "resync",
            "--yes",
            "--table",
            &format!("{}.items", world.mysql.database),
        ])
        .ok();
    let tables = world.tidemill(&["tables"]).ok();
    let rows = tables.json["result"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{tables:#?}");
    assert_eq!(rows[0]["ledger"]["written"], ITEMS);
    assert_eq!(world.history(), ["resync", "load"]);
    world.tidemill(&["status"]).ok();
}

#[test]
fn a_schema_that_changed_at_the_source_arrives() {
    for flavor in Flavor::ALL {
        let world = shop::loaded(shop::shop(flavor));
        world.mysql.run(
            "ALTER TABLE orders ADD COLUMN channel VARCHAR(10) NOT NULL DEFAULT 'web', DROP COLUMN note, MODIFY COLUMN total DECIMAL(20, 4) NOT NULL;\n\
             UPDATE orders SET total = 9999999999999999.1234 WHERE id = 1;\n",
        );
        let plan = world.tidemill(&["plan"]).ok();
        let changes = plan.json["result"]["tables"][0]["changes"].to_string();
        for change in [
            "\"added\"",
            "\"channel\"",
            "\"dropped\"",
            "\"note\"",
            "\"retyped\"",
            "Decimal(20, 4)",
        ] {
            assert!(changes.contains(change), "{change}: {changes}");
        }
        world.tidemill(&["resync", "--yes"]).ok();
        world.assert_same_rows(
            "SELECT id, status, total, channel FROM orders WHERE status <> 'test' ORDER BY id",
            "SELECT id, status, toDecimalString(total, 4), channel FROM {db}.orders FINAL ORDER BY id",
        );
        assert_eq!(world.clickhouse.query("SELECT count() FROM system.columns WHERE database = '{db}' AND table = 'orders' AND name = 'note'"), "0");
    }
}

#[test]
fn order_by_and_partitions_can_change() {
    let mut world = shop::loaded(shop::shop(Flavor::MySql));
    world.clear_tables();
    world.add_table(
        "items",
        "order_by = [\"sku\", \"order_id\", \"line\"]\npartition_by = \"line\"",
    );
    world.tidemill(&["resync", "--yes"]).ok();
    assert_eq!(
        world.clickhouse.query("SELECT sorting_key, partition_key FROM system.tables WHERE database = '{db}' AND name = 'items'"),
        "sku, order_id, line\tline"
    );
    world.assert_same_rows(
        "SELECT order_id, line, sku FROM items ORDER BY order_id, line",
        "SELECT order_id, line, sku FROM {db}.items FINAL ORDER BY order_id, line",
    );
}

#[test]
fn an_order_by_without_the_key_is_refused() {
    let mut world = shop::shop(Flavor::MySql);
    world.clear_tables();
    world.add_table("items", "order_by = [\"sku\", \"order_id\"]");
    world.tidemill(&["run"]).fails(
        3,
        &["table[0].order_by", "the key column `line` is not in it"],
    );
}

#[test]
fn an_original_that_does_not_exist_is_made() {
    let world = shop::shop(Flavor::MySql);
    world.tidemill(&["resync", "--yes"]).ok();
    shop::assert_shop(&world);
    world
        .tidemill(&["rollback", "--yes"])
        .fails(9, &["no old table to go back to"]);
}

#[test]
fn empty_tables_and_tables_without_a_key_are_copied() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor)
            .settings("[verify]\nmode = \"full\"\n")
            .table("nothing", "")
            .table("log", "");
        shop::fill(&world);
        world.mysql.run(
            "CREATE TABLE nothing (id INT PRIMARY KEY, a TEXT);\nCREATE TABLE log (line VARCHAR(40), at DATETIME(6));\n\
             INSERT INTO log SELECT status, '2026-01-02 03:04:05.678901' FROM orders;\n",
        );
        for command in [&["run"][..], &["resync", "--yes"]] {
            world.tidemill(command).ok();
            assert_eq!(
                world.clickhouse.query("SELECT count() FROM {db}.nothing"),
                "0"
            );
            assert_eq!(
                world
                    .clickhouse
                    .query("SELECT count(), uniqExact(line), any(at) FROM {db}.log"),
                "5000\t2\t2026-01-02 03:04:05.678901"
            );
            assert_eq!(
                world.clickhouse.query(
                    "SELECT engine FROM system.tables WHERE database = '{db}' AND name = 'log'"
                ),
                "MergeTree"
            );
        }
    }
}

#[test]
fn a_second_resync_is_refused_with_the_id_of_the_first() {
    let slow = "rows_per_second = 500\n";
    let mut world = shop::loaded(shop::shop(Flavor::MySql)).settings(slow);
    let first = world.spawn(&["resync", "--yes"]);
    let resync = world.await_phase("snapshot");
    let id = resync["id"].as_str().unwrap();
    world
        .tidemill(&["resync", "--yes"])
        .fails(9, &[id, "not finished"]);
    world.replace_settings(slow, "");
    world.write_pipe();
    crate::support::world::answer(first.wait_with_output().unwrap()).ok();
    shop::assert_shop(&world);
}

#[test]
fn a_resync_is_paused_and_resumed() {
    let slow = "rows_per_second = 500\n";
    let mut world = shop::loaded(shop::shop(Flavor::MySql)).settings(slow);
    world.mysql.run("UPDATE orders SET total = total + 5;\n");
    let running = world.spawn(&["resync", "--yes"]);
    world.await_phase("snapshot");
    world.tidemill(&["pause"]).ok();
    let paused = crate::support::world::answer(running.wait_with_output().unwrap());
    assert_eq!(paused.code, Some(10), "{paused:#?}");
    assert_eq!(
        world.tidemill(&["status"]).json["result"]["resync"]["phase"],
        "paused"
    );
    world
        .tidemill(&["resync", "--yes"])
        .fails(9, &["not finished (phase Paused)"]);
    world.replace_settings(slow, "");
    world.write_pipe();
    world.tidemill(&["resume"]).ok();
    shop::assert_shop(&world);
}

#[test]
fn the_old_tables_come_back() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    let before = shop::visible(&world);
    world.mysql.run("UPDATE orders SET total = 0;\n");
    world.tidemill(&["resync", "--yes"]).ok();
    let after = shop::visible(&world);
    assert_ne!(before, after);
    world.tidemill(&["rollback", "--yes"]).ok();
    assert_eq!(shop::visible(&world), before);
    world
        .tidemill(&["rollback", "--yes"])
        .fails(9, &["no completed resync"]);
    // The pipe can be resynced again and again.
    world.tidemill(&["resync", "--yes"]).ok();
    assert_eq!(shop::visible(&world), after);
}

#[test]
fn an_embedded_clickhouse_serves_a_pipe() {
    let world = World::of(MySql::new(Flavor::MySql), ClickHouse::new()).table("items", "");
    shop::fill(&world);
    let path = world.write_pipe();
    let text = std::fs::read_to_string(&path).unwrap();
    let url = format!("url = \"{}\"", world.clickhouse.url());
    std::fs::write(&path, text.replace(&url, "url = \"embedded\"")).unwrap();
    let tidemill = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::tidemill());
        command
            .arg("--pipe")
            .arg(&path)
            .args(["--output", "json"])
            .args(arguments);
        crate::support::world::answer(command.output().unwrap())
    };
    tidemill(&["run"]).ok();
    tidemill(&["resync", "--yes"]).ok();
    let rows = tidemill(&[
        "query",
        &format!("SELECT count() FROM {}.items", world.clickhouse.database),
    ])
    .ok();
    assert!(
        rows.json["result"].to_string().contains(&ITEMS.to_string()),
        "{rows:#?}"
    );
}
