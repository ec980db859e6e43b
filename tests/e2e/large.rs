//! A table of millions of rows in bounded memory.

use crate::support::{Flavor, World};

const ROWS: u64 = 3_000_000;

#[test]
fn three_million_rows_take_less_than_512_mib() {
    let world = World::new(Flavor::MySql).table(
        "big",
        "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"id >= 0\" }",
    );
    world.mysql.run(&format!(
        "{};\n\
         CREATE TABLE big (id INT UNSIGNED NOT NULL PRIMARY KEY, a BIGINT NOT NULL, b DOUBLE NOT NULL, c VARCHAR(60) NOT NULL, d DATETIME NOT NULL, e VARCHAR(60));\n\
         INSERT INTO big WITH RECURSIVE x (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM x WHERE i < 1732)
           SELECT p.i * 1733 + q.i, p.i * 100000007, q.i / 3, CONCAT('row ', p.i, ' of ', q.i, ' with some text'), '2026-01-01' + INTERVAL q.i SECOND, IF(q.i % 2, NULL, REPEAT('y', q.i % 60))
           FROM x p JOIN x q WHERE p.i * 1733 + q.i < {ROWS};\n",
        world.mysql.flavor.deep_recursion()
    ));
    let peak = crate::extremes::peak_of(&world, &["run"]);
    assert_eq!(world.clickhouse.count("big"), ROWS);
    assert!(
        peak > 0 && peak < 512 << 20,
        "peak memory: {} MiB",
        peak >> 20
    );
    assert_eq!(
        world
            .clickhouse
            .query("SELECT sum(a), toString(sum(length(c))), countIf(e IS NULL) FROM {db}.big"),
        world
            .mysql
            .rows("SELECT SUM(a), SUM(LENGTH(c)), SUM(e IS NULL) FROM big")[0]
            .iter()
            .map(|cell| cell.clone().unwrap())
            .collect::<Vec<_>>()
            .join("\t")
    );
}
