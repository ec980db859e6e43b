//! Extremes: tables of very many columns, and of huge rows.

use crate::shapes::with_table;
use crate::support::{Flavor, World};

#[test]
fn tables_have_as_many_columns_as_a_server_allows() {
    /// A name of so many characters.
    fn name(i: usize, length: usize) -> String {
        format!("c{i:04}{}", "_".repeat(length - 5))
    }
    for (flavor, engine, columns, length) in [
        (Flavor::MySql, "InnoDB", 1017, 64),
        (Flavor::MySql, "MyISAM", 4096, 64),
        // MariaDB keeps all the names of a table within 64 KiB.
        (Flavor::MariaDb, "InnoDB", 1017, 40),
        (Flavor::MariaDb, "Aria", 2500, 5),
        (Flavor::MariaDb, "MyISAM", 2500, 5),
    ] {
        let names: Vec<String> = (0..columns).map(|i| name(i, length)).collect();
        let nullable = names[1..].iter().map(|name| format!(", {name} TINYINT"));
        let values = |row: usize| {
            let value = |i: usize| match (i + row) % 5 {
                0 if i > 0 => "NULL".to_owned(),
                _ => ((i * 7 + row) % 128).to_string(),
            };
            (0..columns).map(value).collect::<Vec<_>>().join(", ")
        };
        let rows: Vec<String> = (1..=20).map(|row| format!("({})", values(row))).collect();
        let world = with_table(
            flavor,
            "wide",
            &format!(
                "CREATE TABLE wide ({} TINYINT NOT NULL PRIMARY KEY {}) ENGINE = {engine} CHARACTER SET latin1;\nINSERT INTO wide VALUES {};\n",
                names[0],
                nullable.collect::<String>(),
                rows.join(", ")
            ),
        );
        world.tidemill(&["run"]).ok();
        world.tidemill(&["resync", "--yes"]).ok();
        let list = names.join(", ");
        world.assert_same_rows(
            &format!("SELECT {list} FROM wide ORDER BY 1"),
            &format!("SELECT {list} FROM {{db}}.wide FINAL ORDER BY 1"),
        );
    }
}
/// Runs a command to its end, and says how much memory it had at most, in bytes.
pub(crate) fn peak_of(world: &World, arguments: &[&str]) -> u64 {
    let mut child = world.spawn(arguments);
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak_kib = high
            .and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(peak_kib)
            .max(peak_kib);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    crate::support::world::answer(child.wait_with_output().unwrap()).ok();
    peak_kib << 10
}

/// The size of a huge value.
const HUGE: u64 = 64 << 20;

#[test]
fn a_load_of_huge_rows_takes_less_than_eight_times_a_row() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor)
            .settings("[verify]\nmode = \"full\"\n")
            .table("huge", "");
        // For the sessions to come, this test's and others'.
        world
            .mysql
            .run("SET GLOBAL max_allowed_packet = 1073741824;\n");
        world.mysql.run(&format!(
            "CREATE TABLE huge (id INT NOT NULL PRIMARY KEY, t LONGTEXT, b LONGBLOB);\n\
             INSERT INTO huge SELECT 1, REPEAT(SHA2(1, 256), {0} / 64), NULL;\n\
             INSERT INTO huge SELECT 2, NULL, REPEAT(UNHEX(SHA2(2, 512)), {0} / 64);\n\
             INSERT INTO huge VALUES (3, '', ''), (4, NULL, NULL);\n\
             INSERT INTO huge SELECT 5, REPEAT(SHA2(5, 256), {0} / 64), '';\n\
             INSERT INTO huge SELECT 6, REPEAT('\u{e4}', {0} / 2), NULL;\n\
             INSERT INTO huge SELECT 7, NULL, REPEAT(UNHEX(SHA2(7, 512)), {0} / 64);\n",
            HUGE
        ));
        for command in [&["run"][..], &["resync", "--yes"]] {
            let peak = peak_of(&world, command);
            // Its batch, and its block in the encoder and out of it; or the block before it, its wire form and its batch: measured were 5.0 to 6.8.
            assert!(
                0 < peak && peak < 8 * HUGE,
                "{flavor:?} {command:?}: {} MiB",
                peak >> 20
            );
        }
        world.assert_same_rows(
            "SELECT id, LENGTH(t), SHA2(t, 256), LENGTH(b), SHA2(b, 256) FROM huge ORDER BY id",
            "SELECT id, length(t), lower(hex(SHA256(t))), length(b), lower(hex(SHA256(b))) FROM {db}.huge FINAL ORDER BY id",
        );
    }
}
