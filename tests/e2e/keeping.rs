//! What a resync keeps: soft-deleted rows, and what users added to the original.

use crate::shop;
use crate::support::{Flavor, World};

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
