//! Kill -9 of the process that follows, at random moments: nothing is lost, and nothing doubled.

use std::time::Duration;

use super::reference::{assert_same, events_once};
use super::sampler::Sampler;
use super::writer::Pace;
use super::{SMALL, written};
use crate::support::follow::follows;
use crate::support::{Dice, Flavor, Following, World};

/// Kills while the pipe follows, and while it is resynced.
const KILLS: u32 = 40;
const KILLS_OF_A_RESYNC: u32 = 15;

#[test]
fn nothing_is_lost_or_doubled_by_kills_on_mysql() {
    nothing_is_lost_or_doubled_by_kills(Flavor::MySql);
}

#[test]
fn nothing_is_lost_or_doubled_by_kills_on_mariadb() {
    nothing_is_lost_or_doubled_by_kills(Flavor::MariaDb);
}

fn nothing_is_lost_or_doubled_by_kills(flavor: Flavor) {
    let pace = Pace {
        connections: 3,
        rate: 2_500,
        noted: false,
    };
    // Blocks of a few rows, so that there is nearly always one on its way.
    let world = World::new(flavor).with_sentinel("every = \"50ms\"\nrows = 300");
    let (world, mut writer) = written(world.settings(SMALL), pace);
    let mut dice = Dice::new(writer.seed, 1_000_000);
    let mut pipe = Following::start(&world);
    let sampler = Sampler::start(&world, writer.seed);
    writer.start();
    for _ in 0..KILLS {
        pipe.tend_for(&world, Duration::from_millis(100 + dice.below(1200)));
        pipe.kill();
        pipe.go_on(&world, "run");
    }
    writer.stop();
    pipe.caught_up(&world);
    let exits = std::mem::take(&mut pipe.exits);
    assert!(exits.is_empty(), "it ended by itself: {exits:#?}");
    assert_same(&world, &writer);
    assert_eq!(
        events_once(&world),
        writer.event_rows(),
        "rows of events, TIDEMILL_SEED={}",
        writer.seed
    );

    // The process that resyncs is killed, whoever it is: the one that follows, which was asked to.
    let id = || world.tidemill(&["history"]).json["result"][0]["id"].to_string();
    let before = id();
    writer.start();
    let mut asked = world.spawn(&["resync", "--yes"]);
    for _ in 0..KILLS_OF_A_RESYNC {
        pipe.tend_for(&world, Duration::from_millis(200 + dice.below(1500)));
        pipe.kill();
        pipe.go_on(&world, "run");
        if asked.try_wait().unwrap().is_some() {
            asked = world.spawn(&["resync", "--yes"]);
        }
    }
    // Who is asked now has nothing to ask for.
    let _ = asked.kill();
    asked.wait().unwrap();
    let status = pipe.await_status(&world, "it follows", follows);
    assert_ne!(id(), before, "a resync was made: {status:#?}");
    writer.stop();
    pipe.caught_up(&world);
    assert_same(&world, &writer);
    events_once(&world);
    sampler.stop();
}
