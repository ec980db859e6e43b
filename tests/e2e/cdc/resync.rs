//! Resyncs of a pipe that lives, with writers at work.

use super::reference::assert_same;
use super::sampler::Sampler;
use super::writer::Pace;
use super::{SMALL, written};
use crate::support::follow::follows;
use crate::support::world::answer;
use crate::support::{Flavor, Following, World};

/// Row events that are written, at least.
const EVENTS: u64 = 200_000;

/// How often changes are written: now and again in the middle of a chunk.
const APPLY: &str = "every = \"200ms\"\nrows = 5000";

#[test]
fn writers_and_a_resync_on_mysql() {
    writers_and_a_resync(Flavor::MySql);
}

#[test]
fn writers_and_a_resync_on_mariadb() {
    writers_and_a_resync(Flavor::MariaDb);
}

/// The first load, a resync and a `--live` one, all three while writers write and a reader reads.
fn writers_and_a_resync(flavor: Flavor) {
    let pace = Pace {
        connections: 4,
        // A resync ends only where following is faster than writing, also on a machine that is busy with other tests.
        rate: 2_500,
        noted: false,
    };
    let (world, mut writer) = written(
        World::new(flavor).with_sentinel(APPLY).settings(SMALL),
        pace,
    );
    writer.start();
    let sampler = Sampler::start(&world, writer.seed);
    let before = writer.events();
    let mut pipe = Following::start(&world);
    let during = writer.events() - before;
    assert!(during > 5_000, "only {during} events during the load");
    for (resync, until) in [
        (&["resync", "--yes"][..], EVENTS / 2),
        (&["resync", "--live", "--yes"], EVENTS),
    ] {
        let before = writer.events();
        let done = answer(world.spawn(resync).wait_with_output().unwrap()).ok();
        let during = writer.events() - before;
        eprintln!("{flavor:?}, {resync:?}: {during} events during it");
        assert!(during > 5_000, "only {during} events during {resync:?}");
        assert_eq!(done.json["result"]["phase"], "running", "{done:#?}");
        writer.await_events(until);
    }
    writer.stop();
    pipe.caught_up(&world);
    assert_same(&world, &writer);
    let sampled = sampler.stop();
    assert!(sampled.changes > 10_000, "{sampled:?}");
    assert_eq!(sampled.broken, 0, "a reader met an error: {sampled:?}");
    assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
}

#[test]
fn a_table_is_resynced_while_the_others_go_on() {
    for flavor in Flavor::ALL {
        let pace = Pace {
            connections: 2,
            rate: 2_000,
            noted: false,
        };
        let (world, mut writer) = written(
            World::new(flavor).with_sentinel(APPLY).settings(SMALL),
            pace,
        );
        let mut pipe = Following::start(&world);
        writer.start();
        let sampler = Sampler::start(&world, writer.seed);
        let uuid = |table: &str| {
            world.clickhouse.query(&format!(
                "SELECT uuid FROM system.tables WHERE database = '{{db}}' AND name = '{table}'"
            ))
        };
        let tables = ["orders", "points", "wide", "stock", "events"];
        let before = tables.map(uuid);
        let orders = format!("{}.orders", world.mysql.database);
        let newest = || world.clickhouse.query("SELECT max(rev) FROM {db}.points");
        let resync = world.spawn(&["resync", "--table", &orders, "--yes"]);
        let shadow =
            "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'orders_resync'";
        let shadow = || world.clickhouse.query(shadow) == "1";
        super::await_that("the shadow is there", shadow);
        let then = newest();
        let mut seen = (false, true);
        super::await_that("another table goes on", || {
            // In this order: what was newer while the shadow was still there.
            seen = (newest() != then, shadow());
            seen.0 || !seen.1
        });
        assert_eq!(
            seen,
            (true, true),
            "{flavor:?}: the others waited for the resync"
        );
        answer(resync.wait_with_output().unwrap()).ok();
        let after = tables.map(uuid);
        assert_ne!(before[0], after[0], "orders is another table");
        assert_eq!(before[1..], after[1..], "the others are the same");
        writer.stop();
        pipe.caught_up(&world);
        assert_same(&world, &writer);
        sampler.stop();
    }
}

#[test]
fn statistics_of_a_living_pipe_start_at_zero() {
    let pace = Pace {
        connections: 2,
        rate: 5_000,
        noted: false,
    };
    let world = World::new(Flavor::MySql).with_sentinel(APPLY);
    let (world, mut writer) = written(world.settings(super::QUICK), pace);
    let mut pipe = Following::start(&world);
    writer.start();
    writer.await_events(5_000);
    writer.stop();
    pipe.caught_up(&world);
    let counted = |pipe: &mut Following| -> u64 {
        let status = pipe.await_status(&world, "it follows", follows);
        let tables = status["cdc"]["tables"].as_array().unwrap();
        let counters = ["inserts", "updates", "deletes"];
        let of_table = |table: &serde_json::Value| -> u64 {
            (counters.iter())
                .map(|counter| table[*counter].as_u64().expect("a number"))
                .sum()
        };
        let tables = tables.iter();
        let written = tables.filter(|table| table["destination"] != "sentinel");
        written.map(of_table).sum()
    };
    assert_eq!(
        counted(&mut pipe),
        writer.events(),
        "events that were counted"
    );
    world.tidemill(&["resync", "--yes"]).ok();
    assert_eq!(counted(&mut pipe), 0, "the counters start at zero");
    let tables = world.tidemill(&["tables"]).ok();
    let read = |row: &serde_json::Value| row["ledger"]["read"].as_u64().expect("a number");
    let read: u64 = tables.json["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(read)
        .sum();
    let rows: u64 = super::Table::ALL
        .iter()
        .map(|table| {
            let count = format!("SELECT COUNT(*) FROM {}", table.name());
            world.mysql.value(&count).parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(
        read,
        rows + 1,
        "the rows that the resync loaded, and the sentinel"
    );
    assert_eq!(world.history(), ["resync", "load"]);
    assert_same(&world, &writer);
}
