//! The tables that most tests are about: small, but of several chunks, with a filter, a mask and a composite key.

use crate::support::{Flavor, World};

/// Rows of `orders` at the start.
pub(crate) const ORDERS: u64 = 5_000;
/// Rows of `orders` that the filter keeps at the start.
pub(crate) const KEPT_ORDERS: u64 = ORDERS - ORDERS / 20;
/// Rows of `items`.
pub(crate) const ITEMS: u64 = 2 * ORDERS;

/// Chunks of 1000 rows, so that a table has several.
pub(crate) const SMALL_CHUNKS: &str = "[snapshot]\nchunk_rows = 1000\n";

/// A world with the tables in MySQL, and the pipe's mappings for them.
pub(crate) fn shop(flavor: Flavor) -> World {
    with_mappings(World::new(flavor)).settings(SMALL_CHUNKS)
}

/// Fills a world's source and adds the mappings.
pub(crate) fn with_mappings(world: World) -> World {
    fill(&world);
    world
        .table(
            "orders",
            "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"status <> 'test'\" }\n\
             [[table.transform]]\nplugin = \"mask\"\nconfig = { key = \"secret\", columns = [{ column = \"email\", method = \"hash\", length = 24 }] }",
        )
        .table("items", "")
}

/// Creates and fills the tables.
pub(crate) fn fill(world: &World) {
    let recursion = world.mysql.flavor.deep_recursion();
    world.mysql.run(&format!(
        "{recursion};
         CREATE TABLE orders (id INT UNSIGNED NOT NULL PRIMARY KEY, status VARCHAR(8) NOT NULL, email VARCHAR(80), total DECIMAL(10, 2) NOT NULL, note TEXT);
         INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ORDERS})
           SELECT i, IF(i % 20 = 0, 'test', 'paid'), IF(i % 9 = 0, NULL, CONCAT('c', i, '@example.com')), i * 1.01, IF(i % 3 = 0, NULL, REPEAT('x', i % 50)) FROM n;
         CREATE TABLE items (order_id INT UNSIGNED NOT NULL, line TINYINT NOT NULL, sku VARCHAR(12) NOT NULL, PRIMARY KEY (order_id, line));
         INSERT INTO items SELECT id, 1, CONCAT('s', id % 100) FROM orders UNION ALL SELECT id, 2, CONCAT('t', id % 7) FROM orders;\n"
    ));
}

/// Loads the pipe for the first time.
pub(crate) fn loaded(world: World) -> World {
    world.tidemill(&["run"]).ok();
    world
}

/// Expects that both tables show exactly the source's rows, through the transforms.
#[track_caller]
pub(crate) fn assert_shop(world: &World) {
    world.assert_same_rows(
        "SELECT id, status, total, note, email IS NULL FROM orders WHERE status <> 'test' ORDER BY id",
        "SELECT id, status, toDecimalString(total, 2), note, email IS NULL FROM {db}.orders FINAL ORDER BY id",
    );
    world.assert_same_rows(
        "SELECT order_id, line, sku FROM items ORDER BY order_id, line",
        "SELECT order_id, line, sku FROM {db}.items FINAL ORDER BY order_id, line",
    );
    assert_eq!(
        world
            .clickhouse
            .query("SELECT count() FROM {db}.orders WHERE email LIKE '%@%'"),
        "0",
        "addresses are masked"
    );
}

/// A digest of all that a reader of both tables sees.
pub(crate) fn visible(world: &World) -> String {
    let columns = |table: &str, columns: &str| {
        world.clickhouse.query(&format!("SELECT count(), sum(cityHash64({columns})), any(toTypeName(tuple({columns}))) FROM {{db}}.{table} FINAL"))
    };
    format!(
        "{} {}",
        columns("orders", "id, status, email, total, note"),
        columns("items", "order_id, line, sku")
    )
}
