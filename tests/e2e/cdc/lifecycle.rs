//! The life of a pipe that follows, and of those that don't: with no changes, with changes alone, paused, with tables added and removed, behind a
//! binlog that was purged.

use super::reference::assert_same;
use super::writer::Pace;
use super::{QUICK, written};
use crate::shop;
use crate::support::follow::{follows, table_of};
use crate::support::{ClickHouse, Flavor, Following, MySql, World, servers, unique};

const APPLY: &str = "every = \"50ms\"";

/// A table `t` that follows.
fn one_table(world: World) -> World {
    let world = world.with_sentinel(APPLY).settings(QUICK).table("t", "");
    world
        .mysql
        .run("CREATE TABLE t (id INT PRIMARY KEY, v INT);\nINSERT INTO t VALUES (1, 1), (2, 2);\n");
    world
}

#[track_caller]
fn assert_t(world: &World) {
    world.assert_same_rows(
        "SELECT id, v FROM t ORDER BY id",
        "SELECT id, v FROM {db}.t FINAL ORDER BY id",
    );
}

#[test]
fn a_pipe_without_changes_ends_with_its_load() {
    let world = shop::shop(Flavor::MySql);
    let loaded = world.tidemill(&["run"]).ok();
    assert_eq!(loaded.json["result"]["phase"], "completed", "{loaded:#?}");
    world.tidemill(&["run"]).fails(9, &["loaded already"]);
    shop::assert_shop(&world);
}

#[test]
fn a_pipe_of_changes_alone_loads_nothing() {
    for flavor in Flavor::ALL {
        let world = one_table(World::new(flavor)).top("cdc_only = true\n");
        let mut pipe = Following::start(&world);
        world
            .mysql
            .run("INSERT INTO t VALUES (3, 3);\nUPDATE t SET v = 20 WHERE id = 2;\n");
        pipe.caught_up(&world);
        let rows = || {
            world
                .clickhouse
                .query("SELECT id, v FROM {db}.t FINAL ORDER BY id")
        };
        assert_eq!(rows(), "2\t20\n3\t3", "{flavor:?}");
        pipe.kill();
        world.mysql.run("DELETE FROM t WHERE id = 3;\n");
        pipe.go_on(&world, "run");
        pipe.caught_up(&world);
        assert_eq!(rows(), "2\t20", "{flavor:?}");
    }
}

#[test]
fn a_pipe_that_was_paused_goes_on_where_it_was() {
    for flavor in Flavor::ALL {
        let pace = Pace {
            connections: 2,
            rate: 3_000,
            noted: false,
        };
        let world = World::new(flavor).with_sentinel(APPLY).settings(QUICK);
        let (world, mut writer) = written(world, pace);
        let mut pipe = Following::start(&world);
        writer.start();
        for round in 1..4 {
            writer.await_events(3_000 * round);
            pipe.pause(&world);
            let status = world.tidemill(&["status"]).ok();
            assert_eq!(status.json["result"]["cdc"]["phase"], "paused");
            let count = || world.clickhouse.query("SELECT max(rev) FROM {db}.points");
            let then = count();
            writer.await_events(3_000 * round + 1_000);
            assert_eq!(count(), then, "{flavor:?}: it rests");
            pipe.go_on(&world, "resume");
            // Whoever pauses it sooner pauses what isn't at work yet.
            pipe.await_status(&world, "it follows", follows);
        }
        writer.stop();
        pipe.caught_up(&world);
        assert_same(&world, &writer);
        assert_eq!(super::reference::events_once(&world), writer.event_rows());
        // One process at a time.
        world.tidemill(&["run"]).fails(9, &[]);
        assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
    }
}

#[test]
fn tables_come_and_go_while_the_others_follow() {
    for flavor in Flavor::ALL {
        let pace = Pace {
            connections: 2,
            rate: 2_000,
            noted: false,
        };
        let world = World::new(flavor).with_sentinel(APPLY).settings(QUICK);
        let (mut world, mut writer) = written(world, pace);
        world.mysql.run("CREATE TABLE late (id INT PRIMARY KEY, v INT);\nINSERT INTO late VALUES (1, 1), (2, 2);\n");
        let mut pipe = Following::start(&world);
        writer.start();
        let late = format!("{}.late", world.mysql.database);
        world.tidemill(&["add-table", &late]).fails(9, &["late"]);
        world.add_table("late", "");
        world.tidemill(&["add-table", &late]).ok();
        world
            .mysql
            .run("UPDATE late SET v = 10 WHERE id = 1;\nDELETE FROM late WHERE id = 2;\nINSERT INTO late VALUES (3, 3);\n");
        pipe.caught_up(&world);
        let rows = || {
            world
                .clickhouse
                .query("SELECT id, v FROM {db}.late FINAL ORDER BY id")
        };
        assert_eq!(rows(), "1\t10\n3\t3");
        world.tidemill(&["remove-table", &late, "--yes"]).ok();
        world.mysql.run("DELETE FROM late;\n");
        pipe.caught_up(&world);
        assert_eq!(rows(), "1\t10\n3\t3", "it follows no longer");
        let status = world.tidemill(&["status"]).ok();
        assert_ne!(
            table_of(&status.json["result"], "late")["state"],
            "following"
        );
        writer.stop();
        pipe.caught_up(&world);
        assert_same(&world, &writer);
        assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
    }
}

#[test]
fn a_position_that_was_purged_asks_for_a_resync() {
    for flavor in Flavor::ALL {
        let (script, name) = match flavor {
            Flavor::MySql => ("mysql", unique("cdc-mysql")),
            Flavor::MariaDb => ("mariadb", unique("cdc-mariadb")),
        };
        let world = one_table(World::of(
            MySql::disposable(flavor, &name),
            ClickHouse::new(),
        ));
        let mut pipe = Following::start(&world);
        pipe.caught_up(&world);
        // Nobody else writes to this server.
        let status = pipe.await_status(&world, "no lag", |status| status["cdc"]["lag_bytes"] == 0);
        assert!(
            status["cdc"]["lag_seconds"]
                .as_u64()
                .is_some_and(|lag| lag < 10),
            "{status:#}"
        );
        pipe.pause(&world);
        world.mysql.run("INSERT INTO t VALUES (3, 3);\n");
        for _ in 0..3 {
            world.mysql.run("FLUSH BINARY LOGS;\n");
        }
        // As long as the server has not seen that the reader is gone, MariaDB keeps its files.
        super::await_that("the binlog is purged", || {
            let logs = world.mysql.rows("SHOW BINARY LOGS");
            let last = logs.last().unwrap()[0].clone().unwrap();
            world
                .mysql
                .run(&format!("PURGE BINARY LOGS TO '{last}';\n"));
            logs.len() == 1
        });
        pipe.go_on(&world, "resume");
        let ended = pipe.end(&world);
        assert_eq!(ended.code, Some(4), "{ended:#?}");
        let told = ended.json["error"].to_string();
        assert!(told.contains("purged") && told.contains("resync"), "{told}");
        let status = world.tidemill(&["status"]).ok();
        assert_eq!(
            status.json["result"]["cdc"]["phase"], "failed",
            "{status:#?}"
        );
        world.tidemill(&["resync", "--yes"]).ok();
        assert_t(&world);
        pipe.go_on(&world, "run");
        world.mysql.run("INSERT INTO t VALUES (4, 4);\n");
        pipe.caught_up(&world);
        assert_t(&world);
        drop((pipe, world));
        servers::remove(script, &name);
    }
}
