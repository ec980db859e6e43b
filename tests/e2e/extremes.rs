//! Extremes: tables of very many columns, and of huge rows.

use crate::shapes::with_table;
use crate::support::Flavor;

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
