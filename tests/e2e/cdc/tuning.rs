//! Settings that change while the pipe is at work, by its file.

use std::time::{Duration, Instant};

use crate::shop;
use crate::support::follow::follows;
use crate::support::{Flavor, Following, World};

#[test]
fn the_pace_and_the_readers_of_a_load_change_while_it_runs() {
    let slow = "[snapshot]\nchunk_rows = 1000\nbatch_rows = 100\nparallel_chunks = 1\nrows_per_second = 200\n";
    let mut world = shop::with_mappings(World::new(Flavor::MySql).with_sentinel("")).settings(slow);
    let mut pipe = Following::begin(&world, "run");
    pipe.await_status(&world, "the load has begun", |status| {
        status["resync"]["phase"] == "snapshot"
    });
    std::thread::sleep(Duration::from_secs(2));
    // At 200 rows a second the load would take more than a minute.
    world.replace_settings(
        slow,
        "[snapshot]\nchunk_rows = 1000\nbatch_rows = 1000\nparallel_chunks = 3\n",
    );
    world.write_pipe();
    let began = Instant::now();
    pipe.await_status(&world, "it follows", follows);
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
    pipe.caught_up(&world);
    shop::assert_shop(&world);
}

#[test]
fn brakes_are_told_and_let_go_by_the_pipe_file() {
    let brakes = "[brakes]\nthreads_running = 1\nevery = \"100ms\"\n";
    let mut world = shop::with_mappings(World::new(Flavor::MariaDb).with_sentinel(""))
        .settings(&format!("{}{brakes}", shop::SMALL_CHUNKS));
    let gate = format!("gate of {}", world.mysql.database);
    let hold = world
        .mysql
        .session(&format!("SELECT GET_LOCK('{gate}', 0)"));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut connection = world.mysql.session("SELECT 1;\n");
            let wait = format!("SELECT GET_LOCK('{gate}', 600), RELEASE_LOCK('{gate}')");
            std::thread::spawn(move || {
                use mysql_async::prelude::Queryable;
                crate::support::block_on(async { connection.query_drop(wait).await }).unwrap();
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let mut pipe = Following::begin(&world, "run");
    let status = pipe.await_status(&world, "the load is held", |status| {
        status["brakes"]["held"] == true
    });
    let reason = status["brakes"]["reason"].as_str().unwrap();
    assert!(reason.contains("brakes.threads_running is 1"), "{reason}");
    world.replace_settings(brakes, "");
    world.write_pipe();
    pipe.await_status(&world, "it follows", follows);
    assert!(
        waiting.iter().all(|thread| !thread.is_finished()),
        "the threads ended first"
    );
    drop(hold);
    shop::assert_shop(&world);
    waiting
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}
