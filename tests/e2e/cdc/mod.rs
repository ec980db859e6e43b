//! Change data capture: writers at work, a pipe that follows, and everything that may go wrong meanwhile. At the end the destination is
//! the source, row for row, through a reference of the transforms; and whoever reads meanwhile never sees data go back.

mod binlogs;
mod faults;
mod hand;
mod harness;
mod kills;
mod lifecycle;
mod reference;
mod resync;
mod sampler;
mod schema;
mod steps;
mod tables;
mod tuning;
mod types;
mod writer;

use std::time::{Duration, Instant};

use crate::support::World;
use tables::Table;
use writer::{Pace, Writer};

/// Chunks and batches so small, and a load so slow, that hundreds of events fall between and into them.
const SMALL: &str = "[snapshot]\nchunk_rows = 1000\nbatch_rows = 300\nrows_per_second = 3000\n";
/// The same in no hurry and in no delay.
const QUICK: &str = "[snapshot]\nchunk_rows = 1000\nbatch_rows = 300\n";

/// The writers' tables, with their first rows, in this world and its pipe.
fn written(world: World, pace: Pace) -> (World, Writer) {
    let writer = Writer::new(&world, pace);
    // A table of events is smaller when it is loaded afresh: then it has a row for each row, and none for what has happened.
    let world = world.settings("[swap]\nmax_shrink = \"100%\"\nmax_growth = \"1000%\"\n");
    (Table::map_all(world), writer)
}

/// Waits until something is so.
#[track_caller]
fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
