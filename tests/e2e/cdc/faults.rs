//! Servers that end and come back, and connections that are cut, under a pipe that follows: nothing lost, nothing doubled, and the process goes on.

use std::time::Duration;

use super::reference::{assert_same, events_once};
use super::sampler::Sampler;
use super::writer::{Pace, Writer};
use super::{QUICK, written};
use crate::support::{ClickHouse, Dice, Flavor, Following, MySql, Proxy, World, servers, unique};

const APPLY: &str = "every = \"50ms\"\nrows = 1000";

fn pace(noted: bool) -> Pace {
    Pace {
        connections: 3,
        rate: 1_500,
        noted,
    }
}

/// Writers at work, and this done again and again; at the end all is there, once.
fn disturbed(
    world: &World,
    writer: &mut Writer,
    times: u32,
    mut disturb: impl FnMut(u32, &mut Dice),
) {
    let mut dice = Dice::new(writer.seed, 1_000_000);
    let mut pipe = Following::start(world);
    let sampler = Sampler::start(world, writer.seed);
    writer.start();
    for n in 0..times {
        pipe.tend_for(world, Duration::from_millis(200 + dice.below(800)));
        disturb(n, &mut dice);
    }
    pipe.tend_for(world, Duration::from_millis(500));
    writer.stop();
    pipe.caught_up(world);
    assert_same(world, writer);
    let seed = writer.seed;
    assert_eq!(
        events_once(world),
        writer.event_rows(),
        "TIDEMILL_SEED={seed}"
    );
    sampler.stop();
    assert!(pipe.exits.is_empty(), "it gave up: {:#?}", pipe.exits);
}

#[test]
fn a_clickhouse_that_is_killed_is_waited_for() {
    let world = World::of(MySql::new(Flavor::MySql), ClickHouse::disposable());
    let (world, mut writer) = written(world.with_sentinel(APPLY).settings(QUICK), pace(false));
    disturbed(&world, &mut writer, 5, |_, dice| {
        world.clickhouse.kill();
        std::thread::sleep(Duration::from_millis(dice.below(1500)));
        world.clickhouse.start();
    });
}

#[test]
fn answers_of_clickhouse_that_are_lost_double_nothing() {
    let clickhouse = ClickHouse::new();
    let proxy = Proxy::new(clickhouse.http_port);
    let world = World::of(MySql::new(Flavor::MariaDb), clickhouse).destination_through(proxy.port);
    let (world, mut writer) = written(world.with_sentinel(APPLY).settings(QUICK), pace(false));
    disturbed(&world, &mut writer, 15, |n, _| match n % 2 {
        0 => proxy.lose_answer_to("INSERT"),
        _ => proxy.cut(),
    });
    assert!(proxy.answers_lost() > 3, "{}", proxy.answers_lost());
}

#[test]
fn a_mysql_connection_that_is_cut_is_made_again() {
    for flavor in Flavor::ALL {
        let mysql = MySql::new(flavor);
        let proxy = Proxy::new(mysql.port());
        let world = World::of(mysql, ClickHouse::new()).source_through(proxy.port);
        let (world, mut writer) = written(world.with_sentinel(APPLY).settings(QUICK), pace(false));
        disturbed(&world, &mut writer, 20, |n, dice| {
            match n % 2 {
                0 => proxy.cut(),
                _ => proxy.cut_within_an_answer(),
            }
            if n % 5 == 0 {
                proxy.refuse(true);
                std::thread::sleep(Duration::from_millis(dice.below(1000)));
                proxy.refuse(false);
            }
        });
    }
}

#[test]
fn a_mysql_that_is_restarted_is_waited_for() {
    restarted(Flavor::MySql);
}

#[test]
fn a_mariadb_that_is_restarted_is_waited_for() {
    restarted(Flavor::MariaDb);
}

fn restarted(flavor: Flavor) {
    let (script, name) = match flavor {
        Flavor::MySql => ("mysql", unique("cdc-mysql")),
        Flavor::MariaDb => ("mariadb", unique("cdc-mariadb")),
    };
    let world = World::of(MySql::disposable(flavor, &name), ClickHouse::new());
    let (world, mut writer) = written(world.with_sentinel(APPLY).settings(QUICK), pace(true));
    disturbed(&world, &mut writer, 4, |n, _| {
        match n % 2 {
            0 => servers::stop(script, &name),
            _ => world.mysql.kill(),
        }
        servers::start(script, &name);
    });
    drop(world);
    servers::remove(script, &name);
}
