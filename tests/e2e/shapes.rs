//! Shapes: tables of one column and of no rows, with every kind of key and with none, and all that is called a table, or looks like one.

use crate::support::{Flavor, MySql, World};

/// Small chunks, so that keys are bounds, too; every column read back.
const SETTINGS: &str = "[snapshot]\nchunk_rows = 1000\n[verify]\nmode = \"full\"\n";

/// A table of a shape.
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    /// What stands in its parentheses and behind.
    pub(crate) definition: &'static str,
    /// The statements that fill it; in the table `x` a column `n` counts to 2,500.
    pub(crate) rows: &'static str,
    /// The columns that are compared, the first of which order the rows; as the order `1, 2, 3`.
    pub(crate) columns: &'static str,
    pub(crate) order: &'static str,
    /// The key that it is copied by.
    pub(crate) key: &'static [&'static str],
}

/// Shapes that both servers have.
const SHAPES: &[Shape] = &[
    Shape {
        table: "one_column",
        definition: "(id INT NOT NULL PRIMARY KEY)",
        rows: "INSERT INTO one_column (id) SELECT n FROM x",
        columns: "id",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "one_nullable_column",
        definition: "(a INT)",
        rows: "INSERT INTO one_nullable_column VALUES (NULL), (NULL), (0), (0), (1)",
        columns: "a IS NULL, a",
        order: "1, 2",
        key: &[],
    },
    Shape {
        table: "no_rows",
        definition: "(id INT NOT NULL PRIMARY KEY, v TEXT)",
        rows: "",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "no_rows_and_no_key",
        definition: "(v TEXT)",
        rows: "",
        columns: "v",
        order: "1",
        key: &[],
    },
    Shape {
        table: "one_row",
        definition: "(id BIGINT NOT NULL PRIMARY KEY, v TEXT)",
        rows: "INSERT INTO one_row VALUES (-7, 'alone')",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "no_key",
        definition: "(a INT, b VARCHAR(9))",
        rows: "INSERT INTO no_key (a, b) SELECT n % 10, IF(n % 3, 'b', NULL) FROM x",
        columns: "a, b IS NULL, b",
        order: "1, 2",
        key: &[],
    },
    Shape {
        table: "nullable_unique",
        definition: "(a INT, b INT NOT NULL, UNIQUE KEY (a), KEY (b))",
        rows: "INSERT INTO nullable_unique (a, b) SELECT IF(n % 2, n, NULL), n FROM x",
        columns: "b, a",
        order: "1",
        key: &[],
    },
    Shape {
        table: "second_unique",
        definition: "(a INT, b INT NOT NULL, UNIQUE KEY a (a), UNIQUE KEY z (b))",
        rows: "INSERT INTO second_unique (a, b) SELECT IF(n % 2, n, NULL), n FROM x",
        columns: "b, a",
        order: "1",
        key: &["b"],
    },
    Shape {
        table: "sixteen",
        definition: "(a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, d INT NOT NULL, e INT NOT NULL, f INT NOT NULL, g INT NOT NULL, h INT NOT NULL, \
                      i INT NOT NULL, j INT NOT NULL, k INT NOT NULL, l VARCHAR(9) NOT NULL, m DATE NOT NULL, n DECIMAL(9, 2) NOT NULL, o TINYINT NOT NULL, \
                      p INT NOT NULL, v INT, PRIMARY KEY (p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a))",
        rows: "INSERT INTO sixteen SELECT n, 2, n, 4, n, 6, n, 8, n, 10, n, CONCAT('l', n), '2026-01-01', n / 100, n % 100, n DIV 1000, -n FROM x",
        columns: "v, a, b, l, m, o, p",
        order: "1",
        key: &[
            "p", "o", "n", "m", "l", "k", "j", "i", "h", "g", "f", "e", "d", "c", "b", "a",
        ],
    },
    Shape {
        table: "prefix",
        definition: "(c VARCHAR(40) NOT NULL, v INT, PRIMARY KEY (c(5)))",
        rows: "INSERT INTO prefix SELECT CONCAT(LPAD(n, 5, '0'), 'xyz', n), n FROM x",
        columns: "v, c",
        order: "1",
        key: &["c"],
    },
    Shape {
        table: "prefix_of_a_blob",
        definition: "(a INT NOT NULL, c BLOB NOT NULL, v INT, PRIMARY KEY (a, c(4)))",
        rows: "INSERT INTO prefix_of_a_blob SELECT n % 3, LPAD(n, 4, '0'), n FROM x",
        columns: "v, a, c",
        order: "1",
        key: &["a", "c"],
    },
    Shape {
        table: "descending",
        definition: "(a INT NOT NULL, b VARCHAR(9) NOT NULL, v INT, PRIMARY KEY (a DESC, b DESC))",
        rows: "INSERT INTO descending SELECT n DIV 10, CONCAT('b', n), n FROM x",
        columns: "v, a, b",
        order: "1",
        key: &["a", "b"],
    },
    Shape {
        table: "mixed",
        definition: "(a INT NOT NULL, b INT NOT NULL, v INT, PRIMARY KEY (a DESC, b ASC))",
        rows: "INSERT INTO mixed SELECT n DIV 10, n, n FROM x",
        columns: "v, a, b",
        order: "1",
        key: &["a", "b"],
    },
    Shape {
        table: "invisible",
        definition: "(id INT NOT NULL PRIMARY KEY, seen INT, unseen INT INVISIBLE)",
        rows: "INSERT INTO invisible (id, seen, unseen) SELECT n, n + 1, n + 2 FROM x",
        columns: "id, seen, unseen",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "invisible_key",
        definition: "(seen INT, id INT NOT NULL AUTO_INCREMENT INVISIBLE, PRIMARY KEY (id))",
        rows: "INSERT INTO invisible_key (seen) SELECT n FROM x",
        columns: "id, seen",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "computed",
        definition: "(id INT NOT NULL PRIMARY KEY, a INT, kept INT AS (a + 1) STORED, made VARCHAR(20) AS (CONCAT('a', a)) VIRTUAL, doubled BIGINT AS (kept * 2) VIRTUAL)",
        rows: "INSERT INTO computed (id, a) SELECT n, IF(n % 5, n * 2, NULL) FROM x",
        columns: "id, a, kept, made, doubled",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "by_range",
        definition: "(id INT NOT NULL, d DATE NOT NULL, v INT, PRIMARY KEY (id, d)) PARTITION BY RANGE (YEAR(d)) \
                     (PARTITION a VALUES LESS THAN (2020), PARTITION b VALUES LESS THAN (2024), PARTITION c VALUES LESS THAN MAXVALUE)",
        rows: "INSERT INTO by_range SELECT n, '2018-01-01' + INTERVAL n DAY, n FROM x",
        columns: "id, d, v",
        order: "1",
        key: &["id", "d"],
    },
    Shape {
        table: "by_list",
        definition: "(id INT NOT NULL, k INT NOT NULL, PRIMARY KEY (k, id)) PARTITION BY LIST (k) (PARTITION a VALUES IN (0, 2), PARTITION b VALUES IN (1))",
        rows: "INSERT INTO by_list SELECT n, n % 3 FROM x",
        columns: "id, k",
        order: "1",
        key: &["k", "id"],
    },
    Shape {
        table: "by_hash",
        definition: "(id INT NOT NULL PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 7",
        rows: "INSERT INTO by_hash SELECT n * 3, n FROM x",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "by_key",
        definition: "(id VARCHAR(20) NOT NULL PRIMARY KEY, v INT) PARTITION BY KEY (id) PARTITIONS 5",
        rows: "INSERT INTO by_key SELECT CONCAT('k', n), n FROM x",
        columns: "v, id",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "sub_partitions_without_a_key",
        definition: "(v INT, d DATE) PARTITION BY RANGE (TO_DAYS(d)) SUBPARTITION BY HASH (v) SUBPARTITIONS 2 \
                     (PARTITION a VALUES LESS THAN (TO_DAYS('2020-01-01')), PARTITION b VALUES LESS THAN MAXVALUE)",
        rows: "INSERT INTO sub_partitions_without_a_key SELECT n, '2018-01-01' + INTERVAL n DAY FROM x",
        columns: "v, d",
        order: "1",
        key: &[],
    },
    Shape {
        table: "empty_is_not_null",
        definition: "(id INT NOT NULL PRIMARY KEY, a VARCHAR(9), b CHAR(9), c TEXT, d VARBINARY(9), e BLOB, f SET('x', 'y'), g VARCHAR(9) NOT NULL)",
        rows: "INSERT INTO empty_is_not_null VALUES (1, '', '', '', '', '', '', ''), (2, NULL, NULL, NULL, NULL, NULL, NULL, ''), (3, ' ', 'x', ' ', ' ', ' ', 'x', ' ')",
        columns: "id, a, b, c, d, e, f, g",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "without_transactions",
        definition: "(id INT NOT NULL PRIMARY KEY, v INT) ENGINE = MyISAM",
        rows: "INSERT INTO without_transactions SELECT n, n FROM x",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "in_memory",
        definition: "(id INT NOT NULL, v INT, PRIMARY KEY USING HASH (id)) ENGINE = MEMORY",
        rows: "INSERT INTO in_memory SELECT n, n FROM x",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
];

/// Shapes of MySQL's own.
const MYSQL_SHAPES: &[Shape] = &[
    Shape {
        table: "functional",
        definition: "(a INT NOT NULL, b INT NOT NULL, UNIQUE KEY ((a + b)))",
        rows: "INSERT INTO functional SELECT n, n * 2 FROM x",
        columns: "a, b",
        order: "1",
        key: &[],
    },
    Shape {
        table: "half_functional",
        definition: "(a INT NOT NULL, b INT NOT NULL, UNIQUE KEY f (a, (b + 1)))",
        rows: "INSERT INTO half_functional SELECT n % 10, n FROM x",
        columns: "b, a",
        order: "1",
        key: &[],
    },
    Shape {
        table: "functional_and_plain",
        definition: "(a INT NOT NULL, b INT NOT NULL, UNIQUE KEY a (a, (b + 1)), UNIQUE KEY b (b))",
        rows: "INSERT INTO functional_and_plain SELECT n % 10, n FROM x",
        columns: "b, a",
        order: "1",
        key: &["b"],
    },
    Shape {
        table: "generated_key",
        definition: "(a INT NOT NULL, k INT AS (a * 2) STORED NOT NULL PRIMARY KEY, w INT AS (a + 1) VIRTUAL NOT NULL UNIQUE)",
        rows: "INSERT INTO generated_key (a) SELECT n FROM x",
        columns: "a, k, w",
        order: "1",
        key: &["k"],
    },
    Shape {
        table: "invisible_index",
        definition: "(a INT NOT NULL, b INT NOT NULL, UNIQUE KEY b (b), UNIQUE KEY a (a) INVISIBLE)",
        rows: "INSERT INTO invisible_index SELECT n, -n FROM x",
        columns: "a, b",
        order: "1",
        key: &["b"],
    },
];

/// Shapes of MariaDB's own.
const MARIADB_SHAPES: &[Shape] = &[
    Shape {
        table: "aria",
        definition: "(id INT NOT NULL PRIMARY KEY, v INT) ENGINE = Aria",
        rows: "INSERT INTO aria SELECT n, n FROM x",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "versioned",
        definition: "(id INT NOT NULL PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
        rows: "INSERT INTO versioned SELECT n, n FROM x;\nUPDATE versioned SET v = -v WHERE id % 2;\nDELETE FROM versioned WHERE id % 5 = 0",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "versioned_openly",
        definition: "(id INT NOT NULL PRIMARY KEY, v INT, began TIMESTAMP(6) GENERATED ALWAYS AS ROW START INVISIBLE, \
                     ended TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (began, ended)) WITH SYSTEM VERSIONING",
        rows: "INSERT INTO versioned_openly (id, v) SELECT n, n FROM x;\nUPDATE versioned_openly SET v = -v WHERE id % 2;\nDELETE FROM versioned_openly WHERE id % 5 = 0",
        columns: "id, v, began, ended",
        order: "1",
        // The server itself adds it; of the current rows it is always the same.
        key: &["id", "ended"],
    },
    Shape {
        table: "versioned_by_partition",
        definition: "(id INT NOT NULL PRIMARY KEY, v INT) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION old HISTORY, PARTITION now CURRENT)",
        rows: "INSERT INTO versioned_by_partition SELECT n, n FROM x;\nUPDATE versioned_by_partition SET v = -v WHERE id % 2",
        columns: "id, v",
        order: "1",
        key: &["id"],
    },
    Shape {
        table: "versioned_without_a_key",
        definition: "(v INT) WITH SYSTEM VERSIONING",
        rows: "INSERT INTO versioned_without_a_key SELECT n FROM x;\nUPDATE versioned_without_a_key SET v = -v WHERE v % 2",
        columns: "v",
        order: "1",
        key: &[],
    },
    Shape {
        table: "overlapping",
        definition: "(id INT NOT NULL, a DATE NOT NULL, b DATE NOT NULL, v INT, PERIOD FOR p (a, b), UNIQUE KEY (id, p WITHOUT OVERLAPS))",
        rows: "INSERT INTO overlapping SELECT n DIV 10, '2020-01-01' + INTERVAL n DAY, '2020-01-02' + INTERVAL n DAY, n FROM x",
        columns: "v, id, a, b",
        order: "1",
        key: &["id", "b", "a"],
    },
    Shape {
        table: "long_unique",
        definition: "(c TEXT NOT NULL, v INT, UNIQUE KEY (c))",
        rows: "INSERT INTO long_unique SELECT CONCAT(n, REPEAT('x', 4000)), n FROM x",
        columns: "v, LENGTH(c)",
        order: "1",
        key: &["c"],
    },
];

impl Shape {
    /// The shapes that a server has.
    pub(crate) fn all(flavor: Flavor) -> impl Iterator<Item = &'static Self> {
        SHAPES.iter().chain(match flavor {
            Flavor::MySql => MYSQL_SHAPES,
            Flavor::MariaDb => MARIADB_SHAPES,
        })
    }

    fn create(&self, mysql: &MySql) {
        let (table, definition, rows) = (self.table, self.definition, self.rows);
        mysql.run(&format!("CREATE TABLE {table} {definition};\n{rows};\n"));
    }
}

/// The table `x`, whose column counts.
pub(crate) fn count_in_x(mysql: &MySql) {
    mysql.run(&format!(
        "{};\nCREATE TABLE x (n INT);\n\
         INSERT INTO x WITH RECURSIVE x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 2500) SELECT n FROM x;\n",
        mysql.flavor.deep_recursion()
    ));
}

#[test]
fn every_shape_of_a_table_is_copied_as_it_is() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).settings(SETTINGS);
        count_in_x(&world.mysql);
        let shapes = || Shape::all(flavor);
        for shape in shapes() {
            shape.create(&world.mysql);
            world.add_table(shape.table, "");
        }
        let plan = world.tidemill(&["plan"]).ok();
        for (i, shape) in shapes().enumerate() {
            let key = plan.json["result"]["tables"][i]["key"].as_array().unwrap();
            assert_eq!(key, shape.key, "{flavor:?} {}", shape.table);
        }
        world.tidemill(&["run"]).ok();
        world.tidemill(&["resync", "--yes"]).ok();
        for Shape {
            table,
            columns,
            order,
            key,
            ..
        } in shapes()
        {
            let modifier = if key.is_empty() { "" } else { " FINAL" };
            world.assert_same_rows(
                &format!("SELECT {columns} FROM {table} ORDER BY {order}"),
                &format!("SELECT {columns} FROM {{db}}.{table}{modifier} ORDER BY {order}"),
            );
        }
    }
}

/// A world with this table alone in its pipe, made by these statements.
pub(crate) fn with_table(flavor: Flavor, table: &str, script: &str) -> World {
    let world = World::new(flavor).settings(SETTINGS).table(table, "");
    world.mysql.run(script);
    world
}

#[test]
fn a_primary_key_that_mysql_made_and_hides_is_the_key() {
    let world = with_table(
        Flavor::MySql,
        "hidden",
        "SET SESSION sql_generate_invisible_primary_key = ON;\nCREATE TABLE hidden (v INT);\nINSERT INTO hidden VALUES (7), (7), (NULL);\n",
    );
    let user = format!("u{}", &world.mysql.database[2..]);
    world.mysql.run(&format!(
        "CREATE USER {user};\nGRANT SELECT ON {}.* TO {user};\n",
        world.mysql.database
    ));
    let world = world.login(&format!("user = \"{user}\""));
    // Also where the server is told to hide it from whoever looks.
    for show in ["OFF", "ON"] {
        world.mysql.run(&format!(
            "SET GLOBAL show_gipk_in_create_table_and_information_schema = {show};\n"
        ));
        let plan = world.tidemill(&["plan"]).ok();
        assert_eq!(
            plan.json["result"]["tables"][0]["key"],
            serde_json::json!(["my_row_id"]),
            "{show}"
        );
        let command = if show == "OFF" {
            vec!["run"]
        } else {
            vec!["resync", "--yes"]
        };
        world.tidemill(&command).ok();
        world.assert_same_rows(
            "SELECT my_row_id, v FROM hidden ORDER BY 1",
            "SELECT my_row_id, v FROM {db}.hidden FINAL ORDER BY 1",
        );
    }
    world.mysql.run(&format!("DROP USER {user};\n"));
}

#[test]
fn what_is_no_table_is_refused_with_a_sentence() {
    let refused = |flavor, table: &str, script: &str, words: &[&str]| {
        let world = with_table(flavor, table, script);
        for command in [&["check"][..], &["run"]] {
            world.tidemill(command).fails(4, words);
        }
    };
    for flavor in Flavor::ALL {
        let script = "CREATE TABLE t (id INT PRIMARY KEY);\nCREATE VIEW v AS SELECT * FROM t;\n";
        refused(
            flavor,
            "v",
            script,
            &["v is a view", "the tables behind it"],
        );
    }
    let script = "CREATE SEQUENCE s START WITH 7;\n";
    refused(
        Flavor::MariaDb,
        "s",
        script,
        &["s is a sequence", "leave it out"],
    );
}

#[test]
fn what_is_temporary_is_another_session_s_and_not_there() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor).settings(SETTINGS).table("t", "");
        let _session = world
            .mysql
            .session("CREATE TEMPORARY TABLE t (id INT PRIMARY KEY);\n");
        world
            .tidemill(&["check"])
            .fails(4, &["there is no table", ".t "]);
    }
    let world = World::new(Flavor::MariaDb)
        .settings(SETTINGS)
        .table("s", "");
    let _session = world.mysql.session("CREATE TEMPORARY SEQUENCE s;\n");
    world
        .tidemill(&["check"])
        .fails(4, &["there is no table", ".s "]);
}

#[test]
fn a_temporary_table_does_not_hide_the_real_one_of_its_name() {
    let world = with_table(
        Flavor::MariaDb,
        "t",
        "CREATE TABLE t (id INT PRIMARY KEY);\nINSERT INTO t VALUES (7);\n",
    );
    let _session = world
        .mysql
        .session("CREATE TEMPORARY TABLE t (other VARCHAR(9));\nINSERT INTO t VALUES ('x');\n");
    world.tidemill(&["run"]).ok();
    assert_eq!(world.clickhouse.query("SELECT id FROM {db}.t"), "7");
}

#[test]
fn init_lists_what_can_be_copied() {
    let world = World::new(Flavor::MariaDb);
    world.mysql.run(
        "CREATE TABLE plain (id INT PRIMARY KEY);\nCREATE TABLE versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING;\n\
         CREATE SEQUENCE s;\nCREATE VIEW v AS SELECT * FROM plain;\n",
    );
    let database = &world.mysql.database;
    let file = world.folder().join("new.toml");
    let mut command = std::process::Command::new(crate::support::tidemill());
    command
        .arg("--pipe")
        .arg(&file)
        .args(["--output", "json", "init"]);
    command.args(["--port", &world.mysql.port().to_string()]);
    command.args(["--user", "root", "--database", database]);
    let answer = crate::support::world::answer(command.output().unwrap()).ok();
    assert_eq!(answer.json["result"]["tables"], 2);
    let text = std::fs::read_to_string(file).unwrap();
    for listed in ["plain\"", "versioned\"", "v is a view"] {
        assert!(
            text.contains(&format!("{database}.{listed}")),
            "{listed}: {text}"
        );
    }
    assert!(!text.contains(&format!("{database}.s\"")), "{text}");
}
