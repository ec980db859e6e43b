//! Every type: its values written by SQL, copied, and compared with what MySQL itself says of them.

use tidemill::schema::samples::{Sample, Servers, samples};

use crate::support::{Flavor, World};

/// Small chunks and batches, every column read back.
const SETTINGS: &str =
    "[snapshot]\nchunk_rows = 1000\nbatch_rows = 300\n[verify]\nmode = \"full\"\n";

/// How many random values a type has, beside those of the type table.
const RANDOM: usize = 200;

/// A table of a type of the type table.
pub(crate) struct Sampled {
    pub(crate) table: String,
    sample: &'static Sample,
}

impl Sampled {
    /// A table for each type that the server has.
    pub(crate) fn all(flavor: Flavor) -> Vec<Self> {
        let other = match flavor {
            Flavor::MySql => Servers::MariaDb,
            Flavor::MariaDb => Servers::Mysql,
        };
        let samples = samples().filter(|sample| sample.servers != other);
        let sampled = samples.enumerate().map(|(i, sample)| Self {
            table: format!("t{i}"),
            sample,
        });
        sampled.collect()
    }

    /// An empty table with a column that may be NULL, unless ClickHouse has no NULL of the type, and one that may not.
    pub(crate) fn create(&self, world: &World) {
        let null = if self.has_null() { "NULL" } else { "NOT NULL" };
        let (table, kind) = (&self.table, self.sample.sql);
        world.mysql.run(&format!(
            "CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY AUTO_INCREMENT, v {kind} {null}, w {kind} NOT NULL);\n"
        ));
    }

    fn has_null(&self) -> bool {
        !self.sample.sql.starts_with("VECTOR")
    }

    /// Least, greatest, zero and boundary values, NULL, and random values; how many rows.
    pub(crate) fn fill(&self, world: &World) -> u64 {
        let Sampled { table, sample } = self;
        let mut rows: Vec<String> = (sample.values.iter())
            .map(|value| format!("({value}, {value})"))
            .collect();
        if self.has_null() {
            rows.push(format!("(NULL, {})", sample.values[0]));
        }
        let random = sample.random;
        // MariaDB computes an expression without columns once a statement, so each row is one of its own.
        let random = format!("INSERT INTO {table} (v, w) VALUES ({random}, {random});\n");
        world.mysql.run(&format!(
            "BEGIN;\nINSERT INTO {table} (v, w) VALUES {};\n{}COMMIT;\n",
            rows.join(", "),
            random.repeat(RANDOM)
        ));
        (rows.len() + RANDOM) as u64
    }
}

#[test]
fn every_type_of_the_table_makes_the_round_trip() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        let all = Sampled::all(flavor);
        for sampled in &all {
            sampled.create(&world);
            world.add_table(&sampled.table, "");
        }
        let rows: u64 = all.iter().map(|sampled| sampled.fill(&world)).sum();
        world.tidemill(&["run"]).ok();
        let tables: Vec<&str> = all.iter().map(|sampled| sampled.table.as_str()).collect();
        let compared = world.assert_same_cells(&tables);
        assert_eq!((compared.tables, compared.rows), (all.len() as u64, rows));
    }
}

/// The first and the last of Unicode's planes that have characters of scripts.
const PLANES: std::ops::RangeInclusive<u32> = 1..=0x2_FFFF;

/// A table for each character set of the server, empty and in the pipe, and `characters` with all of Unicode's: the names of the sets.
pub(crate) fn character_tables(world: &mut World) -> Vec<String> {
    let characters: Vec<String> = PLANES
        .filter_map(char::from_u32)
        .map(|c| format!("({}, X'{}')", u32::from(c), hex::encode(c.to_string())))
        .collect();
    world.mysql.run("CREATE TABLE characters (n INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL);\n");
    for some in characters.chunks(20_000) {
        world.mysql.run(&format!(
            "INSERT INTO characters VALUES {};\n",
            some.join(", ")
        ));
    }
    let sets = world.mysql.rows("SELECT character_set_name FROM information_schema.character_sets WHERE character_set_name <> 'binary'");
    let sets: Vec<String> = sets.into_iter().flatten().flatten().collect();
    for set in &sets {
        world.mysql.run(&format!(
            "CREATE TABLE {set} (id INT PRIMARY KEY, v TEXT CHARACTER SET {set} NOT NULL);\n"
        ));
        world.add_table(set, "");
    }
    sets
}

/// Fills the tables of character sets with the characters that each of them has, 64 a row.
pub(crate) fn fill_character_tables(world: &World, sets: &[String]) {
    for set in sets {
        world.mysql.run(&format!(
            "SET SESSION sql_mode = '';\n\
             SET SESSION group_concat_max_len = 1000000;\n\
             INSERT INTO {set} SELECT n DIV 64, CONVERT(GROUP_CONCAT(c ORDER BY n SEPARATOR '') USING {set}) FROM characters \
               WHERE CAST(CONVERT(CONVERT(c USING {set}) USING utf8mb4) AS BINARY) = CAST(c AS BINARY) GROUP BY n DIV 64;\n"
        ));
    }
}

/// Expects that all the characters of these sets have arrived.
#[track_caller]
pub(crate) fn assert_characters(world: &World, sets: &[String]) {
    let compared = world.assert_same_cells(sets);
    assert!(
        compared.tables > 35 && compared.rows > 10_000,
        "{compared:?}"
    );
    for set in sets {
        let found = world
            .clickhouse
            .query(&format!("SELECT sum(lengthUTF8(v)) FROM {{db}}.{set}"));
        assert!(
            found.parse::<u64>().is_ok_and(|characters| characters > 90),
            "{set}: {found}"
        );
    }
}

#[test]
fn every_character_of_every_character_set_arrives() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        let sets = character_tables(&mut world);
        fill_character_tables(&world, &sets);
        world.tidemill(&["run"]).ok();
        assert_characters(&world, &sets);
    }
}

/// Columns of every type that both servers know: name, type, two values in SQL, and what ClickHouse shows for them.
const TYPES: &[(&str, &str, [&str; 2], [&str; 2])] = &[
    ("tiny", "TINYINT", ["-128", "127"], ["-128", "127"]),
    (
        "utiny",
        "TINYINT UNSIGNED ZEROFILL",
        ["7", "255"],
        ["7", "255"],
    ),
    ("small", "SMALLINT", ["-32768", "NULL"], ["-32768", "\\N"]),
    (
        "usmall",
        "SMALLINT UNSIGNED",
        ["0", "65535"],
        ["0", "65535"],
    ),
    (
        "medium",
        "MEDIUMINT",
        ["-8388608", "8388607"],
        ["-8388608", "8388607"],
    ),
    (
        "umedium",
        "MEDIUMINT UNSIGNED",
        ["0", "16777215"],
        ["0", "16777215"],
    ),
    (
        "plain",
        "INT",
        ["-2147483648", "2147483647"],
        ["-2147483648", "2147483647"],
    ),
    (
        "uplain",
        "INT UNSIGNED",
        ["0", "4294967295"],
        ["0", "4294967295"],
    ),
    (
        "big",
        "BIGINT",
        ["-9223372036854775808", "NULL"],
        ["-9223372036854775808", "\\N"],
    ),
    (
        "ubig",
        "BIGINT UNSIGNED",
        ["0", "18446744073709551615"],
        ["0", "18446744073709551615"],
    ),
    ("flag", "BOOLEAN", ["TRUE", "FALSE"], ["true", "false"]),
    ("bit1", "BIT(1)", ["b'1'", "NULL"], ["true", "\\N"]),
    (
        "bits",
        "BIT(64)",
        ["b'1010'", "18446744073709551615"],
        ["10", "18446744073709551615"],
    ),
    (
        "price",
        "DECIMAL(10, 2)",
        ["-12345678.90", "0.01"],
        ["-12345678.9", "0.01"],
    ),
    (
        "huge",
        "DECIMAL(65, 30)",
        [
            "12345678901234567890123456789012345.123456789012345678901234567891",
            "-0.000000000000000000000000000001",
        ],
        [
            "12345678901234567890123456789012345.123456789012345678901234567891",
            "-0.000000000000000000000000000001",
        ],
    ),
    ("ratio", "FLOAT", ["1.5", "-0.1"], ["1.5", "-0.1"]),
    ("wide", "DOUBLE", ["1e300", "0.1"], ["1e300", "0.1"]),
    ("made", "YEAR", ["1901", "2155"], ["1901", "2155"]),
    (
        "day",
        "DATE",
        ["'1900-01-01'", "'2299-12-31'"],
        ["1900-01-01", "2299-12-31"],
    ),
    (
        "zero",
        "DATE",
        ["NULL", "'2024-02-29'"],
        ["\\N", "2024-02-29"],
    ),
    (
        "wall",
        "DATETIME(6)",
        [
            "'1000-01-01 00:00:00.000001'",
            "'9999-12-31 23:59:59.999999'",
        ],
        ["1000-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"],
    ),
    (
        "second",
        "DATETIME",
        ["'2026-01-02 03:04:05'", "NULL"],
        ["2026-01-02 03:04:05", "\\N"],
    ),
    (
        "instant",
        "TIMESTAMP(3) NULL",
        ["'1970-01-01 00:00:01.5'", "'2038-01-19 03:14:07.999'"],
        ["1970-01-01 00:00:01.500", "2038-01-19 03:14:07.999"],
    ),
    (
        "span",
        "TIME(6)",
        ["'-838:59:58.999999'", "'00:00:00.000001'"],
        ["-838:59:58.999999", "0:00:00.000001"],
    ),
    ("name", "VARCHAR(40)", ["'Zoë 🦀'", "''"], ["Zoë 🦀", ""]),
    (
        "latin",
        "CHAR(5) CHARACTER SET latin1",
        ["'é'", "NULL"],
        ["é", "\\N"],
    ),
    (
        "wide_text",
        "VARCHAR(20) CHARACTER SET utf16",
        ["'日本'", "'x'"],
        ["日本", "x"],
    ),
    (
        "story",
        "LONGTEXT",
        ["REPEAT('ab', 40000)", "'\\t\\n'"],
        ["", ""],
    ),
    ("raw", "VARBINARY(10)", ["X'00FF7F'", "X''"], ["00FF7F", ""]),
    (
        "fixed",
        "BINARY(4)",
        ["X'0100'", "NULL"],
        ["01000000", "\\N"],
    ),
    (
        "blob_c",
        "BLOB",
        ["X'DEADBEEF'", "NULL"],
        ["DEADBEEF", "\\N"],
    ),
    (
        "color",
        "ENUM('red', 'grün')",
        ["'grün'", "NULL"],
        ["grün", "\\N"],
    ),
    ("tags", "SET('a', 'b', 'c')", ["'a,c'", "''"], ["a,c", ""]),
    (
        "doc",
        "JSON",
        ["'{\"a\": [1, null]}'", "NULL"],
        ["{\"a\": [1, null]}", "\\N"],
    ),
    (
        "place",
        "POINT",
        ["ST_GeomFromText('POINT(1.5 -2)')", "NULL"],
        ["POINT(1.5 -2)", "\\N"],
    ),
    (
        "doubled",
        "INT AS (tiny * 2) STORED",
        ["", ""],
        ["-256", "254"],
    ),
];

/// How a column is asked for, so that every byte can be seen.
fn shown(name: &str) -> String {
    match name {
        "raw" | "fixed" | "blob_c" => format!("hex({name})"),
        "story" => "''".to_owned(),
        "span" => format!("toString({name})"),
        name => format!("`{name}`"),
    }
}

#[test]
fn every_type_arrives_as_it_is() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).settings(SETTINGS).table("types", "");
        let columns: Vec<String> = TYPES
            .iter()
            .map(|(name, kind, ..)| format!("`{name}` {kind}"))
            .collect();
        let values = |i: usize| {
            let given = TYPES.iter().filter(|(_, kind, ..)| !kind.contains(" AS "));
            given
                .map(|(_, _, values, _)| values[i])
                .collect::<Vec<_>>()
                .join(", ")
        };
        let names: Vec<&str> = TYPES
            .iter()
            .filter(|(_, kind, ..)| !kind.contains(" AS "))
            .map(|(name, ..)| *name)
            .collect();
        world.mysql.run(&format!(
            "CREATE TABLE types (id INT NOT NULL PRIMARY KEY, {});\nINSERT INTO types (id, `{}`) VALUES (1, {}), (2, {});\n",
            columns.join(", "),
            names.join("`, `"),
            values(0),
            values(1)
        ));
        world.tidemill(&["run"]).ok();
        for (i, id) in [(0, 1), (1, 2)] {
            for (name, kind, _, expected) in TYPES {
                let found = world.clickhouse.query(&format!(
                    "SELECT {} FROM {{db}}.types WHERE id = {id}",
                    shown(name)
                ));
                let mut expected = expected[i].to_owned();
                if *name == "span" {
                    // ClickHouse writes hours with as many digits as it has room for.
                    expected = expected.replace("0:00:00.", "000:00:00.");
                    assert_eq!(
                        found.trim_start_matches('0'),
                        expected.trim_start_matches('0'),
                        "{flavor:?} {kind}"
                    );
                } else {
                    assert_eq!(found, expected, "{flavor:?} {name} {kind}");
                }
            }
        }
        let length = world.clickhouse.query("SELECT length(story), cityHash64(story) = cityHash64(repeat('ab', 40000)) FROM {db}.types WHERE id = 1");
        assert_eq!(length, "80000\t1");
        assert_eq!(
            world
                .clickhouse
                .query("SELECT story = '\\t\\n' FROM {db}.types WHERE id = 2"),
            "1"
        );
    }
}

#[test]
fn mariadb_has_types_of_its_own() {
    let world = World::new(Flavor::MariaDb)
        .settings(SETTINGS)
        .table("own", "");
    world.mysql.run(
        "CREATE TABLE own (id UUID NOT NULL PRIMARY KEY, v4 INET4, v6 INET6);\n\
         INSERT INTO own VALUES ('6ccd780c-baba-1026-9564-5b8c656024db', '192.0.2.1', '2001:db8::1'), ('00000000-0000-0000-0000-000000000001', NULL, NULL);\n",
    );
    world.tidemill(&["run"]).ok();
    assert_eq!(
        world.clickhouse.query("SELECT * EXCEPT (_peerdb_synced_at, _peerdb_is_deleted, _peerdb_version) FROM {db}.own ORDER BY v4 NULLS LAST"),
        "6ccd780c-baba-1026-9564-5b8c656024db\t192.0.2.1\t2001:db8::1\n00000000-0000-0000-0000-000000000001\t\\N\t\\N"
    );
}
