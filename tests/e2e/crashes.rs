//! Kill -9 on both sides of every journalled step: the next process ends with the result of an undisturbed run.

use crate::support::{Flavor, World};
use crate::{gates, shop};

/// Kills `command` at its n-th crash point. Whether it came so far.
pub(crate) fn killed_at(world: &World, command: &[&str], n: u32) -> bool {
    let output = world
        .command(command)
        .env("TIDEMILL_CRASH_AT", n.to_string())
        .output()
        .unwrap();
    let answer = crate::support::world::answer(output);
    match answer.code {
        None => {
            // Shown where the test fails.
            eprintln!("{}", answer.stderr.trim());
            true
        }
        Some(0) => false,
        _ => panic!("neither killed nor done at crash point {n}: {answer:#?}"),
    }
}

/// Goes on after a crash, as a person would: with what there is to go on with, or from the beginning.
pub(crate) fn go_on(world: &World, from_the_beginning: &[&str]) {
    let status = world.tidemill(&["status"]).ok();
    match status.json["result"]["resync"]["phase"].as_str() {
        Some("setup" | "snapshot" | "resync" | "failed") => {
            world.tidemill(&["resume"]).ok();
        }
        // Only the process's end is missing.
        Some("completed") if from_the_beginning == ["run"] => {}
        _ => {
            world.tidemill(from_the_beginning).ok();
        }
    }
}

#[test]
fn a_load_survives_a_kill_at_every_step() {
    for n in 1.. {
        let world = shop::shop(Flavor::MySql);
        if !killed_at(&world, &["run"], n) {
            assert!(n > 20, "only {n} crash points were met");
            return;
        }
        go_on(&world, &["run"]);
        shop::assert_shop(&world);
    }
}

#[test]
fn a_resync_survives_a_kill_at_every_step() {
    let world = shop::loaded(shop::shop(Flavor::MySql).settings("[verify]\nmode = \"full\"\n"));
    for n in 1.. {
        // Each round has something to carry over, and something that differs from the last.
        world.mysql.run(&format!(
            "UPDATE orders SET total = {n} WHERE id % 3 = 0;\nDELETE FROM orders WHERE id = {n};\n"
        ));
        world.clickhouse.run(&format!(
            "INSERT INTO {{db}}.orders SELECT * REPLACE (1 AS _peerdb_is_deleted, 1 AS _peerdb_version) FROM {{db}}.orders WHERE id = {n};\n"
        ));
        let killed = killed_at(&world, &["resync", "--yes"], n);
        if killed {
            go_on(&world, &["resync", "--yes"]);
        }
        shop::assert_shop(&world);
        let carried = (1..=n).filter(|id| id % 20 != 0).count();
        assert_eq!(
            world
                .clickhouse
                .query("SELECT count() FROM {db}.orders WHERE _peerdb_is_deleted = 1"),
            carried.to_string(),
            "soft-deleted rows after crash point {n}"
        );
        let leftover = world.clickhouse.query(
            "SELECT count() FROM system.tables WHERE database = '{db}' AND name LIKE '%_resync'",
        );
        assert_eq!(leftover, "0", "shadows after crash point {n}");
        if !killed {
            assert!(n > 30, "only {n} crash points were met");
            return;
        }
    }
}

#[test]
fn a_rollback_survives_a_kill_at_every_step() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    for n in 1.. {
        let before = shop::visible(&world);
        world
            .mysql
            .run(&format!("UPDATE orders SET total = {n};\n"));
        world.tidemill(&["resync", "--yes"]).ok();
        let killed = killed_at(&world, &["rollback", "--yes"], n);
        if killed && world.tidemill(&["status"]).json["result"]["resync"]["phase"] == "completed" {
            world.tidemill(&["rollback", "--yes"]).ok();
        }
        assert_eq!(shop::visible(&world), before, "crash point {n}");
        if !killed {
            assert!(n > 4, "only {n} crash points were met");
            return;
        }
    }
}

#[test]
fn what_a_first_chunk_left_of_an_older_snapshot_is_wiped() {
    for flavor in Flavor::ALL {
        let world = shop::loaded(shop::shop(flavor));
        // Its rows are written, and no chunk is journalled as done.
        gates::stop_at(&world, |place| {
            place.contains("before `chunk ") && place.contains(" done ")
        });
        world
            .mysql
            .run("DELETE FROM orders WHERE id < 300;\nDELETE FROM items WHERE order_id < 300;\n");
        world.tidemill(&["resume"]).ok();
        shop::assert_shop(&world);
    }
}
