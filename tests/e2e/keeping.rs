//! What a resync keeps: soft-deleted rows, and what users added to the original.

use crate::gates;
use crate::shop;
use crate::support::{ClickHouse, Flavor, MySql, World};

/// Marks rows of `orders` as CDC would: the same row again, with a higher version.
fn soft_delete(world: &World, condition: &str) {
    world.clickhouse.run(&format!(
        "INSERT INTO {{db}}.orders SELECT * REPLACE (1 AS _peerdb_is_deleted, _peerdb_version + 1 AS _peerdb_version) FROM {{db}}.orders WHERE {condition};\n"
    ));
}

#[test]
fn soft_deleted_rows_move_over_unless_they_live_again() {
    for flavor in Flavor::ALL {
        let world = shop::loaded(shop::shop(flavor));
        soft_delete(&world, "id IN (1, 2, 3)");
        // Inserted again at the destination, as CDC would: its latest version is no deletion.
        world.clickhouse.run(
            "INSERT INTO {db}.orders SELECT * REPLACE (0 AS _peerdb_is_deleted, 7 AS _peerdb_version) FROM {db}.orders WHERE id = 2 LIMIT 1;\n",
        );
        // Row 3 was deleted and is at the source again; row 2 is gone at the source, and nobody told the destination.
        world.mysql.run("DELETE FROM orders WHERE id IN (1, 2);\n");
        let resynced = world.tidemill(&["resync", "--yes"]).ok();
        assert_eq!(
            resynced.json["result"]["tables"][0]["carried_over"], 1,
            "{flavor:?}"
        );
        assert_eq!(
            world.clickhouse.query("SELECT id, _peerdb_is_deleted, _peerdb_version FROM {db}.orders WHERE id <= 4 ORDER BY id"),
            "1\t1\t1\n3\t0\t0\n4\t0\t0"
        );
        shop::assert_shop(&world);
    }
}

#[test]
fn carried_rows_fit_a_schema_that_changed() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    soft_delete(&world, "id = 1");
    world.mysql.run(
        "DELETE FROM orders WHERE id = 1;\nALTER TABLE orders MODIFY COLUMN id BIGINT NOT NULL, DROP COLUMN note, ADD COLUMN channel VARCHAR(9) NOT NULL DEFAULT 'web';\n",
    );
    world.tidemill(&["resync", "--yes"]).ok();
    assert_eq!(
        world.clickhouse.query("SELECT id, toTypeName(id), status, channel FROM {db}.orders WHERE _peerdb_is_deleted = 1"),
        "1\tInt64\tpaid\t"
    );
}

#[test]
fn a_cast_that_would_lose_a_carried_value_stops_before_the_swap() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    world.clickhouse.run("INSERT INTO {db}.orders (id, status, total, _peerdb_is_deleted, _peerdb_version) VALUES (70000, 'paid', 99999999.99, 1, 3);\n");
    world.mysql.run("UPDATE orders SET total = total / 100;\nALTER TABLE orders MODIFY COLUMN total DECIMAL(6, 2) NOT NULL;\n");
    let before = shop::visible(&world);
    world
        .tidemill(&["resync", "--yes"])
        .fails(7, &["total", "70000"]);
    assert_eq!(shop::visible(&world), before, "the original is untouched");
    // The copy is what it was proved to be: with the value mended, the resync goes on from there.
    let status = world.tidemill(&["status"]).ok();
    assert_eq!(
        status.json["result"]["resync"]["tables"][0]["state"],
        "verified"
    );
    world.clickhouse.run(
        "ALTER TABLE {db}.orders UPDATE total = 1 WHERE id = 70000 SETTINGS mutations_sync = 2;\n",
    );
    world.tidemill(&["resume"]).ok();
    assert_eq!(
        world
            .clickhouse
            .query("SELECT total FROM {db}.orders WHERE _peerdb_is_deleted = 1"),
        "1"
    );
}

#[test]
fn tuning_of_the_original_survives() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    world.clickhouse.run(
        "ALTER TABLE {db}.orders MODIFY TTL toDateTime(_peerdb_synced_at) + INTERVAL 10 YEAR;\n\
         ALTER TABLE {db}.orders ADD INDEX by_status status TYPE set(10) GRANULARITY 2;\n\
         ALTER TABLE {db}.orders MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';\n\
         ALTER TABLE {db}.orders ADD PROJECTION by_total (SELECT id, total ORDER BY total);\n\
         ALTER TABLE {db}.orders MODIFY COLUMN note CODEC(ZSTD(9));\n\
         ALTER TABLE {db}.orders MODIFY COMMENT 'mind the gap';\n\
         ALTER TABLE {db}.orders ADD COLUMN cents UInt64 MATERIALIZED toUInt64(total * 100);\n",
    );
    let plan = world.tidemill(&["plan"]).ok();
    assert_eq!(
        plan.json["result"]["tables"][0]["lost"]
            .as_array()
            .unwrap()
            .len(),
        0,
        "{plan:#?}"
    );
    world.tidemill(&["resync", "--yes"]).ok();
    let ddl = world
        .clickhouse
        .query("SHOW CREATE TABLE {db}.orders")
        .replace("\\n", "\n")
        .replace("\\'", "'");
    for kept in [
        "toIntervalYear(10)",
        "INDEX by_status status TYPE set(10) GRANULARITY 2",
        "PROJECTION by_total",
        "ZSTD(9)",
        "COMMENT 'mind the gap'",
        "MATERIALIZED toUInt64(total * 100)",
    ] {
        assert!(ddl.contains(kept), "{kept}: {ddl}");
    }
    assert_eq!(
        world
            .clickhouse
            .query("SELECT cents FROM {db}.orders WHERE id = 1"),
        "101"
    );
    shop::assert_shop(&world);
}

/// Lets the rows of `orders` up to this id expire, at once.
fn expire(world: &World, id: u32) {
    world.clickhouse.run(&format!(
        "ALTER TABLE {{db}}.orders MODIFY TTL toDateTime('2030-01-01 00:00:00') - toIntervalYear(if(id <= {id}, 20, 0));\n\
         ALTER TABLE {{db}}.orders MODIFY COLUMN note TTL toDateTime('2030-01-01 00:00:00') - toIntervalYear(if(id <= 100, 20, 0));\n"
    ));
}

#[test]
fn rows_expire_after_the_proof_and_not_before() {
    let world = shop::loaded(shop::shop(Flavor::MySql).settings("[verify]\nmode = \"full\"\n"));
    expire(&world, 70);
    gates::stop_before_verification(&world);
    world
        .clickhouse
        .run("OPTIMIZE TABLE {db}.orders_resync FINAL;\n");
    world.tidemill(&["resume"]).ok();
    world.clickhouse.run("OPTIMIZE TABLE {db}.orders FINAL;\n");
    assert_eq!(
        world
            .clickhouse
            .query("SELECT min(id), countIf(note IS NOT NULL AND id <= 100) FROM {db}.orders"),
        "71\t0"
    );
}

#[test]
fn a_user_without_system_rights_loads_but_is_told_where_a_ttl_needs_them() {
    let clickhouse = ClickHouse::with_limited_user(&[
        "SELECT, INSERT, CREATE DATABASE, CREATE TABLE, DROP TABLE, TRUNCATE, ALTER ON {db}.*",
        "TABLE ENGINE ON *",
        "SELECT ON system.data_skipping_indices",
        "SELECT ON system.projections",
    ]);
    let world = World::of(MySql::new(Flavor::MySql), clickhouse).destination_user("limited");
    let world = shop::loaded(shop::with_mappings(world));
    world.tidemill(&["resync", "--yes"]).ok();
    shop::assert_shop(&world);
    expire(&world, 0);
    world
        .tidemill(&["resync", "--yes"])
        .fails(7, &["SYSTEM TTL MERGES", "orders_resync"]);
    world.tidemill(&["abort", "--yes"]).ok();
    assert_eq!(world.clickhouse.count("orders"), shop::KEPT_ORDERS);
}

#[test]
fn what_a_swap_would_destroy_and_is_not_its_own_is_left_alone() {
    let world = shop::shop(Flavor::MySql);
    world.clickhouse.run("CREATE DATABASE {db};\nCREATE TABLE {db}.orders (id UInt32, n UInt64) ENGINE = SummingMergeTree ORDER BY id;\n");
    for (command, code) in [
        (&["resync", "--yes"][..], 7),
        (&["check"], 11),
        (&["plan"], 11),
    ] {
        let refused = world.tidemill(command);
        assert_eq!(refused.code, Some(code), "{refused:#?}");
        assert!(refused.json.to_string().contains("engine SummingMergeTree"));
    }
    world
        .clickhouse
        .run("DROP TABLE {db}.orders;\nCREATE VIEW {db}.orders AS SELECT 1 AS id;\n");
    world
        .tidemill(&["resync", "--yes"])
        .fails(7, &["`orders`", "engine View"]);
    world.clickhouse.run("DROP TABLE {db}.orders;\nCREATE TABLE {db}.orders_resync_old ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n;\n");
    world
        .tidemill(&["resync", "--yes"])
        .fails(7, &["`orders_resync_old`", "rename it"]);
    assert_eq!(
        world
            .clickhouse
            .query("SELECT n FROM {db}.orders_resync_old"),
        "7"
    );
    world.clickhouse.run("DROP TABLE {db}.orders_resync_old;\n");
    // The pipe's own old tables make way for newer ones.
    for _ in 0..3 {
        world.tidemill(&["resync", "--yes"]).ok();
    }
    shop::assert_shop(&world);
}
