//! Databases that others wrote, where they are at hand: a folder of SQL files beside the repository, or the one that `TIDEMILL_CASES` names.

use std::path::{Path, PathBuf};

use crate::support::oracle::Compared;
use crate::support::{Flavor, MySql, World, oracle, root, unique};

/// The files that have tests of their own.
const KNOWN: [&str; 3] = ["sakila.sql", "world.sql", "column_type_test.sql"];

fn folder() -> PathBuf {
    let folder = std::env::var_os("TIDEMILL_CASES").map(PathBuf::from);
    folder.unwrap_or_else(|| root().join("../shared/cases"))
}

/// A file of the folder; none, with a message, where there is no such folder.
fn case(name: &str) -> Option<String> {
    let folder = folder();
    let text = std::fs::read_to_string(folder.join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: there is no {name} in {}", folder.display());
    }
    text
}

/// Feeds a dump to MySQL's own client, in the world's database. The client stops at the first error.
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

/// Loads all these tables in full verification, twice, and compares their numbers of rows and every cell.
fn load_and_compare(mut world: World, tables: &[(&str, u64)]) {
    for (table, _) in tables {
        world.add_table(table, "");
    }
    world.tidemill(&["run"]).ok();
    world.tidemill(&["resync", "--yes"]).ok();
    for (table, rows) in tables {
        assert_eq!(world.clickhouse.count(table), *rows, "{table}");
    }
    let names: Vec<_> = tables.iter().map(|(table, _)| table).collect();
    let compared = world.assert_same_cells(&names);
    assert_eq!(
        compared.rows,
        tables.iter().map(|(_, rows)| rows).sum::<u64>()
    );
    eprintln!("{:?}: {compared:?}", world.mysql.flavor);
}

#[test]
fn sakila_is_copied_and_proved() {
    let Some(sql) = case("sakila.sql") else {
        return;
    };
    let world = World::new(Flavor::MySql)
        .settings("[verify]\nmode = \"full\"\n[snapshot]\nchunk_rows = 3000\n");
    feed(&world, &sql.replace("sakila", &world.mysql.database));
    load_and_compare(
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
        load_and_compare(
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
        // What is display only (zeros in front), or written in another way (shapes), the oracle compares below.
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

#[test]
fn the_common_types_are_the_same_in_every_cell() {
    let Some(sql) = case("column_type_test.sql") else {
        return;
    };
    for flavor in Flavor::ALL {
        let world = World::new(flavor)
            .settings("[verify]\nmode = \"full\"\n")
            .table("full_types", "types = { tiny1_c = \"Int8\" }")
            .table("user_info", "");
        feed(&world, &sql);
        world.tidemill(&["run"]).ok();
        let compared = world.assert_same_cells(&["full_types", "user_info"]);
        assert_eq!(compared.cells, 59, "{flavor:?}");
    }
}

#[test]
fn whatever_else_is_there_is_the_same_in_every_cell() {
    for path in unknown_files(&folder()) {
        let sql = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let flavor = match name.contains("mariadb") {
            true => Flavor::MariaDb,
            false => Flavor::MySql,
        };
        let compared = load_unknown(flavor, &sql);
        eprintln!("{name}, {flavor:?}: {compared:?}");
        assert!(compared.tables > 0, "{name} made no table");
    }
}

/// The SQL files of a folder that have no test of their own.
fn unknown_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        eprintln!("skipped: there is no folder {}", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "sql"));
    paths.retain(|path| !KNOWN.iter().any(|known| path.ends_with(known)));
    paths.sort();
    paths
}

/// Databases that a file made, dropped at the end whatever happens.
struct Made<'a> {
    mysql: &'a MySql,
    databases: Vec<String>,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for database in &self.databases {
            self.mysql.run(&format!("DROP DATABASE `{database}`"));
        }
    }
}

/// Feeds a file that nobody looked at, copies all tables that it made, wherever it made them, and compares every cell.
fn load_unknown(flavor: Flavor, sql: &str) -> Compared {
    let given = World::new(flavor);
    let mysql = &given.mysql;
    let databases = || {
        let rows = mysql.rows("SELECT schema_name FROM information_schema.schemata");
        rows.into_iter().flatten().flatten().collect::<Vec<_>>()
    };
    let before = databases();
    feed(&given, sql);
    let mut made = Made {
        mysql,
        databases: databases(),
    };
    // Other tests make databases, too, but not by a name that stands in the file.
    made.databases
        .retain(|name| !before.contains(name) && sql.contains(name.as_str()));
    let mut compared = Compared::default();
    for database in made.databases.iter().chain([&mysql.database]) {
        compared += load_database(flavor, database);
    }
    compared
}

/// Copies all tables of a database that others made, in full verification, and compares every cell.
fn load_database(flavor: Flavor, database: &str) -> Compared {
    let mut world = World::new(flavor)
        .settings("[verify]\nmode = \"full\"\n[snapshot]\nchunk_rows = 1000\nbatch_rows = 300\n");
    let tables = world.mysql.rows(&format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = '{database}' AND table_type = 'BASE TABLE'"
    ));
    let tables: Vec<String> = tables.into_iter().flatten().flatten().collect();
    if tables.is_empty() {
        return Compared::default();
    }
    for table in &tables {
        world.add_source(database, table);
    }
    world.tidemill(&["run"]).ok();
    oracle::assert_same_cells(&world.mysql, database, &world.clickhouse, &tables)
}

#[test]
fn a_file_that_nobody_looked_at_is_copied_from_wherever_it_puts_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, sql: &str| std::fs::write(folder.path().join(name), sql).unwrap();
    write("world.sql", "this is known");
    write("notes.txt", "this is no SQL");
    write(
        "in_place.sql",
        "CREATE TABLE `odd name` (id INT PRIMARY KEY, level TINYINT(1), flag BOOL);\n\
         INSERT INTO `odd name` VALUES (1, 7, 1), (2, NULL, 0);\n\
         CREATE VIEW seen AS SELECT * FROM `odd name`;\n",
    );
    let database = unique("case");
    write(
        "its_own.sql",
        &format!(
            "CREATE DATABASE `{database}`;\nUSE `{database}`;\n\
             CREATE TABLE keyless (v VARCHAR(9), d DATETIME);\n\
             INSERT INTO keyless VALUES ('a', NULL), ('a', NULL), ('', '2024-02-29 01:02:03');\n\
             DELIMITER //\nCREATE PROCEDURE nothing() BEGIN SELECT 1; END//\nDELIMITER ;\n"
        ),
    );
    let files = unknown_files(folder.path());
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["in_place.sql", "its_own.sql"]);
    for flavor in Flavor::ALL {
        for (path, rows, cells) in [(&files[0], 2, 6), (&files[1], 3, 6)] {
            let compared = load_unknown(flavor, &std::fs::read_to_string(path).unwrap());
            assert_eq!(
                compared,
                Compared {
                    tables: 1,
                    rows,
                    cells
                }
            );
        }
        let left = MySql::new(flavor).rows(&format!("SHOW DATABASES LIKE '{database}'"));
        assert!(left.is_empty(), "{left:?}");
    }
}
