//! Databases that others wrote, where they are at hand: a folder of SQL files beside the repository, or the one that `TIDEMILL_CASES` names.

use std::path::PathBuf;

use crate::support::{Flavor, World, root};

/// A file of the folder; none, with a message, where there is no such folder.
fn case(name: &str) -> Option<String> {
    let folder = std::env::var_os("TIDEMILL_CASES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| root().join("../shared/cases"));
    let text = std::fs::read_to_string(folder.join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: there is no {name} in {}", folder.display());
    }
    text
}

/// Feeds a dump to MySQL's own client, in the world's database.
fn feed(world: &World, sql: &str) {
    use std::io::Write;
    let mut client = std::process::Command::new(world.mysql.server.get("client"))
        .args([
            "--no-defaults",
            "--user=root",
            "--host=127.0.0.1",
            "--default-character-set=utf8mb4",
        ])
        .arg(format!("--port={}", world.mysql.port()))
        .arg(&world.mysql.database)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"SET time_zone = '+00:00';\n").unwrap();
    input.write_all(sql.as_bytes()).unwrap();
    drop(input);
    assert!(client.wait().unwrap().success());
}

/// Loads all these tables in full verification, and compares their numbers of rows.
fn load_and_count(mut world: World, tables: &[(&str, u64)]) {
    for (table, _) in tables {
        world.add_table(table, "");
    }
    world.tidemill(&["run"]).ok();
    world.tidemill(&["resync", "--yes"]).ok();
    for (table, rows) in tables {
        assert_eq!(world.clickhouse.count(table), *rows, "{table}");
    }
}

#[test]
fn sakila_is_copied_and_proved() {
    let Some(sql) = case("sakila.sql") else {
        return;
    };
    let world = World::new(Flavor::MySql)
        .settings("[verify]\nmode = \"full\"\n[snapshot]\nchunk_rows = 3000\n");
    feed(&world, &sql.replace("sakila", &world.mysql.database));
    load_and_count(
        world,
        &[
            ("actor", 200),
            ("address", 603),
            ("category", 16),
            ("city", 600),
            ("country", 109),
            ("customer", 599),
            ("film", 1000),
            ("film_actor", 5462),
            ("film_category", 1000),
            ("film_text", 1000),
            ("inventory", 4581),
            ("language", 6),
            ("payment", 16044),
            ("rental", 16044),
            ("staff", 2),
            ("store", 2),
        ],
    );
}

#[test]
fn world_is_copied_and_proved() {
    let Some(sql) = case("world.sql") else { return };
    for flavor in Flavor::ALL {
        let world = World::new(flavor)
            .settings("[verify]\nmode = \"full\"\n[snapshot]\nchunk_rows = 1000\n");
        feed(
            &world,
            &sql.replace("DROP DATABASE IF EXISTS `world`", "")
                .replace("`world`", &format!("`{}`", world.mysql.database)),
        );
        load_and_count(
            world,
            &[("city", 4079), ("country", 239), ("countrylanguage", 984)],
        );
    }
}

#[test]
fn the_common_types_are_the_values_that_mysql_shows() {
    let (Some(sql), Some(expected)) = (
        case("column_type_test.sql"),
        case("column_type_test.expected.mysql97.tsv"),
    ) else {
        return;
    };
    let world = World::new(Flavor::MySql)
        .settings("[verify]\nmode = \"full\"\n")
        .table("full_types", "types = { tiny1_c = \"Int8\" }");
    feed(&world, &sql);
    world.tidemill(&["run"]).ok();
    let mut lines = expected
        .lines()
        .skip_while(|line| *line != "## full_types")
        .skip(1);
    let names: Vec<&str> = lines.next().unwrap()[2..]
        .split('\t')
        .map(|column| column.split(' ').next().unwrap())
        .collect();
    let values: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut compared = 0;
    for (name, value) in names.into_iter().zip(values) {
        // What is display only (zeros in front), or written in another way (shapes), is compared by other tests.
        if name.contains("_z_") || value.starts_with("wkb:") {
            continue;
        }
        let column = match value.starts_with("x:") {
            true => format!("concat('x:', lower(hex({name})))"),
            false => format!("toString({name})"),
        };
        let found = world
            .clickhouse
            .query(&format!("SELECT {column} FROM {{db}}.full_types"));
        let expected = match (name, value) {
            ("bit1_c" | "boolean_c", "0") => "false",
            ("bit1_c" | "boolean_c", "1") => "true",
            (_, value) => value,
        };
        assert_eq!(found, expected, "{name}");
        compared += 1;
    }
    assert!(compared > 35, "{compared}");
}
