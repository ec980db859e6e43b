//! Statements in the stream that change a table. What can be followed is; what can't stops that table alone, with its reason, and a
//! resync of it mends it. Never is a value shown in a column that it was not written to.

use super::QUICK;
use crate::support::follow::table_of;
use crate::support::{Flavor, Following, World};

const APPLY: &str = "every = \"50ms\"";

/// A table `t` with two rows, and `other`, which must go on whatever happens to `t`.
fn two_tables(flavor: Flavor, mapping: &str) -> World {
    let world = World::new(flavor)
        .with_sentinel(APPLY)
        .settings(QUICK)
        .settings("[swap]\nmax_shrink = \"100%\"\nmax_growth = \"1000%\"\n")
        .table("t", mapping)
        .table("other", "");
    world.mysql.run(
        "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT NOT NULL, b INT NOT NULL, c VARCHAR(20));\n\
         CREATE TABLE other (id INT NOT NULL PRIMARY KEY, n INT);\n\
         INSERT INTO t VALUES (1, 10, 100, 'one'), (2, 20, 200, NULL);\n\
         INSERT INTO other VALUES (1, 1);\n",
    );
    world
}

/// Expects that these columns of `t` are the same on both sides.
#[track_caller]
fn assert_t(world: &World, columns: &str) {
    world.assert_same_rows(
        &format!("SELECT {columns} FROM t ORDER BY id"),
        &format!("SELECT {columns} FROM {{db}}.t FINAL ORDER BY id"),
    );
}

/// Expects that `other` goes on.
#[track_caller]
fn assert_other_goes_on(world: &World, pipe: &mut Following) {
    world.mysql.run(
        "INSERT INTO other SELECT MAX(id) + 1, RAND() * 1000 FROM other;\nUPDATE other SET n = n + 1 WHERE id = 1;\n",
    );
    pipe.caught_up(world);
    world.assert_same_rows(
        "SELECT id, n FROM other ORDER BY id",
        "SELECT id, n FROM {db}.other FINAL ORDER BY id",
    );
}

/// Expects that `t` is in a state for a reason with these words in it, that the rows that it had are as they were, that `other` goes on, and that a
/// resync of `t` mends it: then these columns are the same again, and stay it.
#[track_caller]
fn assert_mended_by_a_resync(
    world: &World,
    pipe: &mut Following,
    (state, words): (&str, &[&str]),
    before: &str,
    columns: &str,
) {
    let table = pipe.await_table(world, "t", state);
    let reason = table["reason"].as_str().expect("a reason");
    for word in words {
        assert!(reason.contains(word), "`{word}` is not in: {reason}");
    }
    assert_other_goes_on(world, pipe);
    assert_eq!(rows_of_t(world), before, "{reason}");
    let table = format!("{}.t", world.mysql.database);
    world.tidemill(&["resync", "--table", &table, "--yes"]).ok();
    pipe.await_table(world, "t", "following");
    assert_t(world, columns);
    let key = columns.split(',').next().unwrap();
    world
        .mysql
        .run(&format!("DELETE FROM t WHERE {key} = 1;\n"));
    assert_other_goes_on(world, pipe);
    assert_t(world, columns);
    assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
}

/// What `t` shows in the columns that it had at first.
fn rows_of_t(world: &World) -> String {
    world
        .clickhouse
        .query("SELECT id, a, b, c FROM {db}.t FINAL ORDER BY id")
}

const FIRST: &str = "1\t10\t100\tone\n2\t20\t200\t\\N";

/// Columns that can be added in the stream: definition, name, a value, and how it is asked for at the source and at the destination.
const ADDED: &[(&str, &str, &str, [&str; 2])] = &[
    ("INT", "n", "7", ["n", "n"]),
    ("INT NOT NULL DEFAULT 7", "d", "8", ["d", "d"]),
    (
        "VARCHAR(9) NOT NULL DEFAULT 'é''\\\\'",
        "e",
        "'z'",
        ["HEX(e)", "hex(e)"],
    ),
    (
        "BIGINT UNSIGNED NOT NULL",
        "f",
        "18446744073709551615",
        ["f", "f"],
    ),
    ("TEXT NOT NULL", "g", "'g'", ["g", "g"]),
    (
        "DECIMAL(9, 3) DEFAULT -1.5",
        "h",
        "NULL",
        ["h", "toDecimalString(h, 3)"],
    ),
    (
        "DATETIME(3) DEFAULT '2024-02-29 01:02:03.004'",
        "i",
        "NULL",
        ["i", "i"],
    ),
    (
        "ENUM('x', 'ü') NOT NULL DEFAULT 'ü' AFTER a",
        "j",
        "'x'",
        ["j", "j"],
    ),
];

#[test]
fn a_column_that_is_added_arrives() {
    let masked = "[[table.transform]]\nplugin = \"mask\"\nconfig = { key = \"k\", columns = [{ column = \"c\", method = \"redact\", text = \"x\" }] }";
    for flavor in Flavor::ALL {
        for mapping in ["", masked] {
            let world = two_tables(flavor, mapping);
            let mut pipe = Following::start(&world);
            let (mut source, mut destination) = ("id, a, b".to_owned(), "id, a, b".to_owned());
            for (definition, name, value, [asked, held]) in ADDED {
                world.mysql.run(&format!(
                    "SET SESSION sql_mode = '';\nALTER TABLE t ADD COLUMN {name} {definition};\n\
                     INSERT INTO t (id, a, b, c, {name}) SELECT MAX(id) + 1, 1, 2, 'c', {value} FROM t;\n\
                     INSERT INTO t (id, a, b, c) SELECT MAX(id) + 1, 1, 2, 'c' FROM t;\n\
                     UPDATE t SET {name} = {value} WHERE id = 2;\n"
                ));
                pipe.caught_up(&world);
                source += &format!(", {asked}");
                destination += &format!(", {held}");
                let table = pipe.await_table(&world, "t", "following");
                assert_eq!(table["reason"], serde_json::Value::Null, "{definition}");
                world.assert_same_rows(
                    &format!("SELECT {source} FROM t ORDER BY id"),
                    &format!("SELECT {destination} FROM {{db}}.t FINAL ORDER BY id"),
                );
            }
            assert_other_goes_on(&world, &mut pipe);
            assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
        }
    }
}

#[test]
fn a_column_that_the_transforms_refuse_needs_a_resync() {
    for flavor in Flavor::ALL {
        // What comes out is called `n` already.
        let mapping =
            "[[table.transform]]\nplugin = \"columns\"\nconfig = { rename = { c = \"n\" } }";
        let mut world = two_tables(flavor, mapping);
        let mut pipe = Following::start(&world);
        world.mysql.run(
            "ALTER TABLE t ADD COLUMN n INT;\nINSERT INTO t VALUES (3, 30, 300, 'three', 3);\n",
        );
        let table = pipe.await_table(&world, "t", "needs_resync");
        let reason = table["reason"].as_str().unwrap();
        assert!(
            reason.contains("refuse") && reason.contains("`n`"),
            "{reason}"
        );
        assert_other_goes_on(&world, &mut pipe);
        assert_eq!(world.clickhouse.count("t"), 2);
        world.clear_tables();
        world.add_table("sentinel", "");
        world.add_table("other", "");
        world.add_table("t", "");
        let table = format!("{}.t", world.mysql.database);
        world.tidemill(&["resync", "--table", &table, "--yes"]).ok();
        assert_other_goes_on(&world, &mut pipe);
        assert_t(&world, "id, a, b, c, n");
    }
}

/// What can't be followed: statements, the words of the reason, and the columns afterwards.
const NEEDS_RESYNC: &[(&str, &[&str], &str)] = &[
    (
        "ALTER TABLE t DROP COLUMN b;\nINSERT INTO t VALUES (3, 30, 'three');\n",
        &["`b`"],
        "id, a, c",
    ),
    (
        "ALTER TABLE t RENAME COLUMN b TO d;\nINSERT INTO t VALUES (3, 30, 300, 'three');\n",
        &["`b`"],
        "id, a, d, c",
    ),
    (
        "ALTER TABLE t MODIFY COLUMN b BIGINT NOT NULL;\nINSERT INTO t VALUES (3, 30, 3000000000, 'three');\n",
        &["`b`"],
        "id, a, b, c",
    ),
    (
        "ALTER TABLE t MODIFY COLUMN c TEXT CHARACTER SET latin1;\nINSERT INTO t VALUES (3, 30, 300, 'é');\n",
        &["`c`"],
        "id, a, b, c",
    ),
    (
        "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (a);\nINSERT INTO t VALUES (3, 30, 300, 'three');\n",
        &["key"],
        "a, id, b, c",
    ),
    // Each of the same type, so that the images alone would not tell.
    (
        "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a;\nINSERT INTO t VALUES (3, 30, 300, 'three');\n",
        &["`a`"],
        "id, a, b, c",
    ),
    // Another column of the name and the type of the old one.
    (
        "ALTER TABLE t DROP COLUMN b, ADD COLUMN b INT NOT NULL DEFAULT 6 AFTER a;\nINSERT INTO t VALUES (3, 30, 300, 'three');\n",
        &["`b`"],
        "id, a, b, c",
    ),
    // What the rows that are there have in it can't be known.
    (
        "ALTER TABLE t ADD COLUMN w DATETIME DEFAULT CURRENT_TIMESTAMP;\nINSERT INTO t VALUES (3, 30, 300, 'three', NULL);\n",
        &["`w`"],
        "id, a, b, c, w",
    ),
    // It might be followed; what counts is that nothing wrong is shown.
    (
        "ALTER TABLE t MODIFY COLUMN a INT NOT NULL AFTER b;\nINSERT INTO t VALUES (3, 300, 30, 'three');\n",
        &[],
        "id, a, b, c",
    ),
];

#[test]
fn a_column_that_becomes_another_needs_a_resync() {
    for flavor in Flavor::ALL {
        for (statements, words, columns) in NEEDS_RESYNC {
            eprintln!("{flavor:?}: {statements}");
            let world = two_tables(flavor, "");
            let mut pipe = Following::start(&world);
            world.mysql.run(statements);
            if words.is_empty() {
                pipe.caught_up(&world);
                let status = world.tidemill(&["status"]).ok();
                if table_of(&status.json["result"], "t")["state"] == "following" {
                    assert_t(&world, columns);
                    continue;
                }
            }
            let state = ("needs_resync", *words);
            assert_mended_by_a_resync(&world, &mut pipe, state, FIRST, columns);
        }
    }
}

#[test]
fn a_table_that_changes_while_the_pipe_rests_never_shows_wrong_values() {
    for flavor in Flavor::ALL {
        for (statements, _, columns) in NEEDS_RESYNC {
            eprintln!("{flavor:?}: {statements}");
            let world = two_tables(flavor, "");
            let mut pipe = Following::start(&world);
            pipe.pause(&world);
            // Before and behind the change there are rows; those before it may still arrive.
            world
                .mysql
                .run("INSERT INTO t VALUES (4, 40, 400, 'four');\n");
            world.mysql.run(statements);
            pipe.go_on(&world, "resume");
            pipe.caught_up(&world);
            let status = world.tidemill(&["status"]).ok();
            if table_of(&status.json["result"], "t")["state"] == "following" {
                assert_t(&world, columns);
                continue;
            }
            let shown = rows_of_t(&world);
            let with_four = format!("{FIRST}\n4\t40\t400\tfour");
            assert!(
                shown == FIRST || shown == with_four,
                "{statements}: {shown}"
            );
            let state = ("needs_resync", &[][..]);
            assert_mended_by_a_resync(&world, &mut pipe, state, &shown, columns);
        }
    }
}

#[test]
fn changes_that_are_undone_before_they_are_read_show_nothing_wrong() {
    for flavor in Flavor::ALL {
        for statements in [
            // At the end the columns are those of the beginning, and in between they are not.
            "ALTER TABLE t DROP COLUMN b, ADD COLUMN x INT NOT NULL DEFAULT 5;\nINSERT INTO t (id, a, x) VALUES (3, 30, 333);\n\
             ALTER TABLE t DROP COLUMN x, ADD COLUMN b INT NOT NULL DEFAULT 6 AFTER a;\nINSERT INTO t VALUES (4, 40, 400, 'four');\n",
            "ALTER TABLE t ADD COLUMN x INT;\nINSERT INTO t VALUES (3, 30, 300, 'three', 5);\nALTER TABLE t DROP COLUMN x;\nINSERT INTO t VALUES (4, 40, 400, 'four');\n",
            "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a;\nINSERT INTO t VALUES (3, 300, 30, 'three');\n\
             ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a;\nINSERT INTO t VALUES (4, 40, 400, 'four');\n",
            "ALTER TABLE t MODIFY COLUMN a BIGINT NOT NULL;\nINSERT INTO t VALUES (3, 30, 300, 'three');\nALTER TABLE t MODIFY COLUMN a INT NOT NULL;\n",
            "ALTER TABLE t ADD COLUMN x INT;\nALTER TABLE t ADD COLUMN y INT NOT NULL DEFAULT 3;\nINSERT INTO t VALUES (3, 30, 300, 'three', 1, 2);\n",
            "DROP TABLE t;\nCREATE TABLE t (id INT NOT NULL PRIMARY KEY, b INT NOT NULL, a INT NOT NULL, c VARCHAR(20));\nINSERT INTO t VALUES (3, 300, 30, 'three');\n",
        ] {
            for paused in [false, true] {
                eprintln!("{flavor:?}, paused {paused}: {statements}");
                let world = two_tables(flavor, "");
                let mut pipe = Following::start(&world);
                if paused {
                    pipe.pause(&world);
                }
                world.mysql.run(statements);
                if paused {
                    pipe.go_on(&world, "resume");
                }
                pipe.caught_up(&world);
                let status = world.tidemill(&["status"]).ok();
                let table = table_of(&status.json["result"], "t").clone();
                // Rows that are there are right, if not the last ones: no value was written to `b` that is shown in `a`.
                let mixed = "SELECT count() FROM {db}.t FINAL WHERE a >= 100 OR b NOT IN (5, 6, 100, 200, 300, 400)";
                assert_eq!(world.clickhouse.query(mixed), "0", "{}", rows_of_t(&world));
                let columns = world.mysql.value(&format!(
                    "SELECT GROUP_CONCAT(column_name) FROM information_schema.columns WHERE table_schema = '{}' AND table_name = 't'",
                    world.mysql.database
                ));
                if table["state"] == "following" {
                    assert_t(&world, &columns);
                } else {
                    let name = format!("{}.t", world.mysql.database);
                    world.tidemill(&["resync", "--table", &name, "--yes"]).ok();
                }
                assert_other_goes_on(&world, &mut pipe);
                assert_t(&world, &columns);
                assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
            }
        }
    }
}

#[test]
fn a_default_that_changes_right_after_its_column_was_added_is_not_that_of_older_rows() {
    for flavor in Flavor::ALL {
        let world = two_tables(flavor, "");
        let mut pipe = Following::start(&world);
        pipe.pause(&world);
        world.mysql.run(
            "ALTER TABLE t ADD COLUMN x INT NOT NULL DEFAULT 5;\nALTER TABLE t ALTER COLUMN x SET DEFAULT 9;\nINSERT INTO t (id, a, b) VALUES (3, 30, 300);\n",
        );
        pipe.go_on(&world, "resume");
        pipe.caught_up(&world);
        let status = world.tidemill(&["status"]).ok();
        if table_of(&status.json["result"], "t")["state"] == "following" {
            assert_t(&world, "id, a, b, c, x");
        }
    }
}

#[test]
fn a_truncate_means_what_the_pipe_says() {
    for flavor in Flavor::ALL {
        for (answer, rows) in [
            ("", FIRST),
            ("on_truncate = \"stop\"", FIRST),
            ("on_truncate = \"apply\"", "3\t30\t300\tthree"),
            (
                "on_truncate = \"ignore\"",
                "1\t10\t100\tone\n2\t20\t200\t\\N\n3\t30\t300\tthree",
            ),
        ] {
            let world = two_tables(flavor, answer);
            let mut pipe = Following::start(&world);
            world.mysql.run(
                "INSERT INTO t VALUES (9, 9, 900, 'nine');\nDELETE FROM t WHERE id = 9;\nTRUNCATE TABLE t;\nINSERT INTO t VALUES (3, 30, 300, 'three');\n",
            );
            if rows == FIRST {
                let state = ("stopped", &["truncated", "on_truncate"][..]);
                assert_mended_by_a_resync(&world, &mut pipe, state, rows, "id, a, b, c");
                continue;
            }
            assert_other_goes_on(&world, &mut pipe);
            pipe.await_table(&world, "t", "following");
            assert_eq!(rows_of_t(&world), rows, "{flavor:?}: {answer}");
        }
    }
}

#[test]
fn a_drop_means_what_the_pipe_says() {
    for flavor in Flavor::ALL {
        for (answer, state) in [("", "stopped"), ("on_drop = \"ignore\"", "following")] {
            let world = two_tables(flavor, answer);
            let mut pipe = Following::start(&world);
            world
                .mysql
                .run("UPDATE t SET c = 'last' WHERE id = 1;\nDROP TABLE t;\n");
            let table = pipe.await_table(&world, "t", state);
            assert_other_goes_on(&world, &mut pipe);
            assert_eq!(rows_of_t(&world), FIRST.replace("one", "last"));
            if state == "stopped" {
                let reason = table["reason"].as_str().unwrap();
                assert!(reason.contains("dropped"), "{reason}");
            }
            // Where it is made again, a resync takes it up.
            world.mysql.run(
                "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT NOT NULL, b INT NOT NULL, c VARCHAR(20));\nINSERT INTO t VALUES (5, 50, 500, 'five');\n",
            );
            let name = format!("{}.t", world.mysql.database);
            world.tidemill(&["resync", "--table", &name, "--yes"]).ok();
            assert_other_goes_on(&world, &mut pipe);
            assert_t(&world, "id, a, b, c");
            assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
        }
    }
}

#[test]
fn a_table_that_is_renamed_stops() {
    for flavor in Flavor::ALL {
        let world = two_tables(flavor, "");
        let mut pipe = Following::start(&world);
        world
            .mysql
            .run("RENAME TABLE t TO u;\nINSERT INTO u VALUES (3, 30, 300, 'three');\n");
        let table = pipe.await_table(&world, "t", "stopped");
        let reason = table["reason"].as_str().unwrap();
        assert!(reason.contains("renamed"), "{reason}");
        assert_other_goes_on(&world, &mut pipe);
        assert_eq!(rows_of_t(&world), FIRST);
        // Another table gets its name, as tools for online schema changes do it.
        world
            .mysql
            .run("ALTER TABLE u ADD COLUMN d INT;\nRENAME TABLE u TO t;\n");
        assert_other_goes_on(&world, &mut pipe);
        let name = format!("{}.t", world.mysql.database);
        world.tidemill(&["resync", "--table", &name, "--yes"]).ok();
        assert_t(&world, "id, a, b, c, d");
    }
}
