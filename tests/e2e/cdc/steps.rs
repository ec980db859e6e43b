//! Kill -9 at the journalled steps of a pipe that follows, and of its resync: the next process ends with the result of an undisturbed run.

use crate::crashes::killed_at;
use crate::shop;
use crate::support::follow::follows;
use crate::support::{Flavor, Following, World};

/// Every fifth place: what lies between two is done again, or is done already.
const STEP: usize = 5;

#[test]
fn a_resync_of_a_pipe_that_follows_survives_a_kill_at_each_step() {
    let world = shop(Flavor::MariaDb);
    settled(&world);
    for n in (1..).step_by(STEP) {
        world.mysql.run(&format!(
            "UPDATE orders SET total = {n} WHERE id % 3 = 0;\nDELETE FROM orders WHERE id = {n};\n"
        ));
        if !killed_at(&world, &["resync", "--yes"], n as u32) {
            assert!(n > 60, "only {n} crash points were met");
            return;
        }
        settled(&world);
        let leftover = world.clickhouse.query(
            "SELECT count() FROM system.tables WHERE database = '{db}' AND name LIKE '%_resync'",
        );
        assert_eq!(leftover, "0", "shadows after crash point {n}");
    }
}

/// The shop in a pipe that follows.
fn shop(flavor: Flavor) -> World {
    let world = World::new(flavor).with_sentinel("every = \"50ms\"");
    shop::with_mappings(world).settings(shop::SMALL_CHUNKS)
}

/// Goes on, as a supervisor would, until the destination is the source; then the process is ended.
#[track_caller]
fn settled(world: &World) {
    let mut pipe = Following::begin(world, "run");
    pipe.await_status(world, "it follows", follows);
    pipe.caught_up(world);
    shop::assert_shop(world);
    pipe.kill();
}
