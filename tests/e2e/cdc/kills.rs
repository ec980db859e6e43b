//! Kill -9 of the process that follows, at random moments: nothing is lost, and nothing doubled.

use std::time::Duration;

use super::reference::{assert_same, events_once};
use super::sampler::Sampler;
use super::writer::Pace;
use super::{QUICK, written};
use serde_json::Value;

use crate::support::follow::follows;
use crate::support::world::answer;
use crate::support::{Dice, Flavor, Following, World};

/// Kills while the pipe follows, and while it is resynced.
const KILLS: u32 = 40;
const KILLS_OF_A_RESYNC: u32 = 15;

const RESYNC: &[&str] = &["resync", "--yes"];

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
        rate: 1_500,
        noted: false,
    };
    // Blocks of a few rows, so that there is nearly always one on its way.
    let world = World::new(flavor).with_sentinel("every = \"50ms\"\nrows = 1000");
    let (world, mut writer) = written(world.settings(QUICK), pace);
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

    // The process that resyncs is killed, whoever it is: the one that follows, which was asked to. As soon as it is done it is asked again.
    let done = || {
        let history = world.tidemill(&["history"]).json["result"].clone();
        let over = |resync: &&Value| resync["kind"] == "resync" && !resync["ended"].is_null();
        history.as_array().unwrap().iter().filter(over).count()
    };
    writer.start();
    let mut answers = Vec::new();
    let mut asked = world.spawn(RESYNC);
    for _ in 0..KILLS_OF_A_RESYNC {
        pipe.tend_for(&world, Duration::from_millis(300 + dice.below(3500)));
        pipe.kill();
        pipe.go_on(&world, "run");
        if asked.try_wait().unwrap().is_some() {
            let asked = std::mem::replace(&mut asked, world.spawn(RESYNC));
            answers.push(answer(asked.wait_with_output().unwrap()));
        }
    }
    // The last resync has the source for itself: on a slow machine the kills have left much to catch up with.
    // The one that was asked for last is waited for: an order stands, whatever becomes of who left it.
    writer.stop();
    while asked.try_wait().unwrap().is_none() {
        pipe.tend_for(&world, Duration::from_millis(100));
    }
    answers.push(answer(asked.wait_with_output().unwrap()));
    let status = pipe.await_status(&world, "it follows", follows);
    eprintln!("{} resyncs were done in spite of the kills", done());
    let before = done();
    world.tidemill(RESYNC).ok();
    assert_eq!(done(), before + 1, "{status:#?}, {answers:#?}");
    pipe.caught_up(&world);
    assert_same(&world, &writer);
    events_once(&world);
    sampler.stop();
}
