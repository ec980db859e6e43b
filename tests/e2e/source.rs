//! What is read from a source: keys of every kind, dates that are none, and the ways to connect.

use crate::support::{ClickHouse, Flavor, MySql, World, servers};

/// Small chunks and batches, every column read back.
const SETTINGS: &str =
    "[snapshot]\nchunk_rows = 1000\nbatch_rows = 300\n[verify]\nmode = \"full\"\n";

#[test]
fn a_boolean_that_is_none_is_told_before_anything_is_made() {
    let world = World::new(Flavor::MySql).table("flags", "");
    world.mysql.run("CREATE TABLE flags (id INT PRIMARY KEY, flag TINYINT(1));\nINSERT INTO flags VALUES (1, 1), (2, 7);\n");
    world
        .tidemill(&["run"])
        .fails(4, &["flags", "`flag`", "Int8"]);
    let world = {
        let mut world = world;
        world.clear_tables();
        world.add_table("flags", "types = { flag = \"Int8\" }");
        world
    };
    world.tidemill(&["run"]).ok();
    assert_eq!(
        world
            .clickhouse
            .query("SELECT flag FROM {db}.flags ORDER BY id"),
        "1\n7"
    );
}

/// Tables of 5,000 rows whose keys are all that a key can be: name, key columns, key values by a row's number `i`.
const KEYS: &[(&str, &str, &str, &str)] = &[
    ("gaps", "k BIGINT NOT NULL", "k", "i * 1000003"),
    (
        "skewed",
        "k INT NOT NULL",
        "k",
        "IF(i < 4990, i, i * 400000)",
    ),
    ("negative", "k INT NOT NULL", "k", "i - 2500"),
    (
        "unsigned64",
        "k BIGINT UNSIGNED NOT NULL",
        "k",
        "18446744073709551615 - i * 7",
    ),
    (
        "composite",
        "a SMALLINT NOT NULL, b VARCHAR(10) NOT NULL",
        "a, b",
        "i DIV 2000, CONCAT('b', i)",
    ),
    (
        "one_first",
        "a INT NOT NULL, b INT NOT NULL",
        "a, b",
        "1, i",
    ),
    (
        "text",
        "k VARCHAR(70) CHARACTER SET utf8mb4 NOT NULL",
        "k",
        "CONCAT(ELT(1 + i % 4, 'ä', 'A', 'z', '日'), SHA2(i, 256))",
    ),
    (
        "folded",
        "k VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL",
        "k",
        "CONCAT(CHAR(97 + i % 26), '\\'', i)",
    ),
    (
        "bytes",
        "k BINARY(16) NOT NULL",
        "k",
        "LEFT(UNHEX(SHA2(i, 256)), 16)",
    ),
    (
        "decimals",
        "k DECIMAL(20, 6) NOT NULL",
        "k",
        "i * 1.000001 - 300",
    ),
    (
        "moments",
        "k DATETIME(6) NOT NULL",
        "k",
        "'2026-01-01' + INTERVAL i * 777777 MICROSECOND",
    ),
    (
        "days",
        "k DATE NOT NULL",
        "k",
        "'2020-01-01' + INTERVAL i DAY",
    ),
    // 1 to 99 would mean other years.
    (
        "years",
        "y YEAR NOT NULL, n INT NOT NULL",
        "y, n",
        "IF(i % 3 = 0, 0, 1901 + i % 255), i",
    ),
    (
        "enums",
        "a ENUM('z', 'a', 'm') NOT NULL, b INT NOT NULL",
        "a, b",
        "1 + i % 3, i",
    ),
];

#[test]
fn a_table_is_split_by_whatever_key_it_has() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        let recursion = flavor.deep_recursion();
        for (name, columns, key, values) in KEYS {
            world.mysql.run(&format!(
                "{recursion};\nCREATE TABLE {name} ({columns}, v INT NOT NULL, PRIMARY KEY ({key}));\n\
                 INSERT INTO {name} WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT {values}, i FROM n;\n"
            ));
            world.add_table(name, "");
        }
        let loaded = world.tidemill(&["run"]).ok();
        for (i, (name, ..)) in KEYS.iter().enumerate() {
            assert_eq!(
                world.clickhouse.query(&format!(
                    "SELECT count(), uniqExact(v), sum(v) FROM {{db}}.{name}"
                )),
                "5000\t5000\t12502500",
                "{flavor:?} {name}"
            );
            let chunks = loaded.json["result"]["tables"][i]["chunks_total"]
                .as_u64()
                .unwrap();
            assert!(
                (if *name == "enums" { 1 } else { 3 }..=40).contains(&chunks),
                "{flavor:?} {name}: {chunks} chunks"
            );
        }
    }
}

#[test]
fn a_table_is_split_also_while_its_statistics_are_made_anew() {
    // How many of the 5,000 rows information_schema knows, which keeps what it was told for a day, and how many the optimizer:
    // none or a part, as in the midst of a bulk load.
    for (known, seen) in [(5000, 1), (1, 1), (800, 800), (1200, 1200), (1900, 1900)] {
        let world = World::new(Flavor::MySql).settings(SETTINGS).table("t", "");
        let database = &world.mysql.database;
        let statistics = |rows| {
            format!(
                "UPDATE mysql.innodb_table_stats SET n_rows = {rows} WHERE database_name = '{database}';
                 FLUSH TABLE t;"
            )
        };
        world.mysql.run(&format!(
            "{};
             CREATE TABLE t (id INT PRIMARY KEY) STATS_AUTO_RECALC = 0;
             INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n;
             {}
             SELECT table_rows FROM information_schema.tables WHERE table_schema = '{database}';
             {}\n",
            Flavor::MySql.deep_recursion(),
            statistics(known),
            statistics(seen)
        ));
        let loaded = world.tidemill(&["run"]).ok();
        assert_eq!(
            loaded.json["result"]["tables"][0]["chunks_total"], 5,
            "{known}, {seen}"
        );
        assert_eq!(world.clickhouse.count("t"), 5000);
    }
}

#[test]
fn dates_that_are_no_days_are_null_or_refused_also_as_a_bound() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS).table("nullable", "");
        world.mysql.run(
            "SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
             CREATE TABLE nullable (id INT PRIMARY KEY, d DATE, m DATETIME);
             INSERT INTO nullable VALUES (1, '2023-02-31', '2023-04-31 01:02:03'), (2, '2024-02-29', '2024-02-29 00:00:00');
             CREATE TABLE keyed (d DATE NOT NULL, n INT NOT NULL, PRIMARY KEY (d, n));\n",
        );
        world.tidemill(&["run"]).ok();
        assert_eq!(
            world
                .clickhouse
                .query("SELECT d, m FROM {db}.nullable ORDER BY id"),
            "\\N\t\\N\n2024-02-29\t2024-02-29 00:00:00"
        );
        // A chunk's bound falls on such a day: the rows behind it must not be taken for read.
        let rows: Vec<String> = (0..3000)
            .map(|n| format!("('2023-02-3{}', {n})", n / 1500))
            .collect();
        world.mysql.run(&format!(
            "SET SESSION sql_mode = 'ALLOW_INVALID_DATES';\nINSERT INTO keyed VALUES {};\nANALYZE TABLE keyed;\n",
            rows.join(", ")
        ));
        world.clear_tables();
        world.add_table("keyed", "");
        world
            .tidemill(&["resync", "--yes"])
            .fails(4, &["`d`", "keyed", "impossible date"]);
        assert_eq!(
            world.tidemill(&["plan"]).ok().json["result"]["tables"][0]["chunks"],
            3,
            "{flavor:?}"
        );
    }
}

#[test]
fn a_binlog_that_leaves_databases_out_is_no_proof_of_one_moment() {
    // Servers of their own: on a shared one, others write between the two positions.
    let consistency = |mysql: MySql| {
        let process = mysql.server.process();
        let world = World::of(mysql, ClickHouse::new())
            .table("t", "")
            .table("u", "");
        world.mysql.run("CREATE TABLE t (id INT PRIMARY KEY);\nCREATE TABLE u LIKE t;\nINSERT INTO t VALUES (1), (2);\n");
        let found = world.tidemill(&["run"]).ok().json["result"]["consistency"].to_string();
        drop(world);
        servers::kill(process);
        found
    };
    let whole = consistency(MySql::disposable(Flavor::MariaDb, "mariadb-whole"));
    assert!(whole.contains("one binlog position"), "{whole}");
    let found = consistency(MySql::mariadb_with(
        "--binlog-ignore-db=scratch",
        "mariadb-filtered",
    ));
    assert!(found.contains("FLUSH TABLES WITH READ LOCK"), "{found}");
}

#[test]
fn a_user_who_may_only_read_gets_a_copy_and_a_warning() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor)
            .settings(SETTINGS)
            .table("t", "")
            .table("u", "");
        let user = format!("u{}", &world.mysql.database[2..]);
        world.mysql.run(&format!(
            "CREATE TABLE t (id INT PRIMARY KEY);\nINSERT INTO t VALUES (1), (2), (3);\nCREATE TABLE u LIKE t;\n\
             CREATE USER {user} IDENTIFIED BY 'p@ss \"word\"';\nGRANT SELECT ON {}.* TO {user};\n",
            world.mysql.database
        ));
        let world = world.login(&format!("user = \"{user}\"\npassword = 'p@ss \"word\"'"));
        let loaded = world.tidemill(&["run"]).ok();
        let notes = loaded.json["result"]["notes"].to_string();
        assert_eq!(world.clickhouse.count("t"), 3);
        if flavor == Flavor::MySql {
            assert!(notes.contains("not one moment"), "{notes}");
        }
        world.mysql.run(&format!("DROP USER {user};\n"));
    }
}

#[test]
fn passwords_come_from_where_the_pipe_says() {
    let mut world = World::new(Flavor::MySql).table("t", "");
    let user = format!("u{}", &world.mysql.database[2..]);
    world.mysql.run(&format!(
        "CREATE TABLE t (id INT PRIMARY KEY);\nCREATE USER {user} IDENTIFIED BY 'hunter2';\nGRANT ALL ON *.* TO {user};\n"
    ));
    let file = world.folder().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let socket = world.mysql.server.get("socket").to_owned();
    let ca = world.mysql.server.get("ca").to_owned();

    world.set_login(&format!(
        "user = \"{user}\"\npassword_file = \"{}\"",
        file.display()
    ));
    world.tidemill(&["check"]).ok();
    world.set_login(&format!(
        "user = \"{user}\"\npassword_env = \"TIDEMILL_TEST_PASSWORD\""
    ));
    let mut command = world.command(&["check"]);
    command.env("TIDEMILL_TEST_PASSWORD", "hunter2");
    crate::support::world::answer(command.output().unwrap()).ok();
    world
        .tidemill(&["check"])
        .fails(3, &["TIDEMILL_TEST_PASSWORD"]);

    // TLS: the server's certificate is for localhost and 127.0.0.1, by an authority of its own.
    let password = "password = \"hunter2\"";
    for (tls, works) in [
        ("tls = \"disabled\"".to_owned(), true),
        ("tls = \"required\"".to_owned(), true),
        (format!("tls = \"verify_ca\"\nca = \"{ca}\""), true),
        (format!("tls = \"verify_identity\"\nca = \"{ca}\""), true),
        (
            format!("tls = \"verify_identity\"\nca = \"{ca}\"\nhost = \"localhost\""),
            true,
        ),
        ("tls = \"verify_ca\"".to_owned(), false),
        ("tls = \"verify_identity\"".to_owned(), false),
    ] {
        world.set_login(&format!("user = \"{user}\"\n{password}\n{tls}"));
        let tried = world.tidemill(&["check"]);
        if works {
            tried.ok();
        } else {
            tried.fails(4, &["certificate"]);
        }
    }
    world.set_login(&format!(
        "user = \"{user}\"\n{password}\nsocket = \"{socket}\""
    ));
    world.tidemill(&["check"]).ok();
    world.mysql.run(&format!("DROP USER {user};\n"));
}
