//! Servers that die, connections that are cut, answers that are lost.

use std::time::{Duration, Instant};

use crate::shop;
use crate::support::world::answer;
use crate::support::{ClickHouse, Flavor, MySql, Proxy, World};

#[test]
fn an_exchange_whose_answer_is_lost_is_not_done_twice() {
    let clickhouse = ClickHouse::new();
    let proxy = Proxy::new(clickhouse.http_port);
    let world = World::of(MySql::new(Flavor::MySql), clickhouse).destination_through(proxy.port);
    let world = shop::loaded(shop::with_mappings(world));
    world.mysql.run("UPDATE orders SET total = 3;\n");
    proxy.lose_answer_to("EXCHANGE TABLES");
    world.tidemill(&["resync", "--yes"]).ok();
    assert_eq!(proxy.answers_lost(), 1);
    shop::assert_shop(&world);
    assert_eq!(
        world
            .clickhouse
            .query("SELECT DISTINCT toDecimalString(total, 2) FROM {db}.orders"),
        "3.00"
    );
}

#[test]
fn a_clickhouse_that_is_killed_in_the_middle_of_an_insert_is_waited_for() {
    let world = World::of(MySql::new(Flavor::MySql), ClickHouse::disposable());
    let world = shop::loaded(shop::with_mappings(world)).settings(
        "[snapshot]\nchunk_rows = 1000\nrows_per_second = 4000\n[verify]\nmode = \"full\"\n",
    );
    world.mysql.run("UPDATE orders SET total = 4;\n");
    let running = world.spawn(&["resync", "--yes"]);
    await_rows(&world, 0);
    world.clickhouse.kill();
    std::thread::sleep(Duration::from_secs(1));
    world.clickhouse.start();
    answer(running.wait_with_output().unwrap()).ok();
    shop::assert_shop(&world);
}

#[test]
fn a_mysql_connection_that_is_cut_in_the_middle_of_a_chunk_is_made_again() {
    for flavor in Flavor::ALL {
        let mysql = MySql::new(flavor);
        let proxy = Proxy::new(mysql.port());
        let world = World::of(mysql, ClickHouse::new()).source_through(proxy.port);
        shop::fill(&world);
        world
            .mysql
            .run("CREATE TABLE log AS SELECT * FROM orders;\n");
        let world = world.table("orders", "engine = \"MergeTree\"").table("log", "").settings("[snapshot]\nchunk_rows = 1000\nbatch_rows = 100\nrows_per_second = 4000\n[verify]\nmode = \"full\"\n");
        let running = world.spawn(&["run"]);
        for _ in 0..3 {
            await_rows(&world, 0);
            proxy.cut();
            std::thread::sleep(Duration::from_millis(400));
        }
        answer(running.wait_with_output().unwrap()).ok();
        for table in ["orders", "log"] {
            world.assert_same_rows(
                &format!("SELECT id, status, total, note, email FROM {table} ORDER BY id"),
                &format!("SELECT id, status, toDecimalString(total, 2), note, email FROM {{db}}.{table} ORDER BY id"),
            );
        }
    }
}

#[test]
fn where_readers_see_different_moments_a_cut_connection_leaves_nothing_behind() {
    let mysql = MySql::new(Flavor::MySql);
    let proxy = Proxy::new(mysql.port());
    let world = World::of(mysql, ClickHouse::new()).source_through(proxy.port);
    shop::fill(&world);
    // Without the rights to lock anything.
    let user = format!("u{}", &world.mysql.database[2..]);
    world.mysql.run(&format!(
        "CREATE USER {user};\nGRANT SELECT ON {}.* TO {user};\n",
        world.mysql.database
    ));
    let world = world
        .login(&format!("user = \"{user}\""))
        .table("orders", "engine = \"MergeTree\"")
        .settings("[snapshot]\nchunk_rows = 1000\nbatch_rows = 100\nblock = \"1MiB\"\nrows_per_second = 400\n");
    let running = world.spawn(&["run"]);
    await_rows(&world, 0);
    world.mysql.run("DELETE FROM orders WHERE id % 2 = 0;\n");
    proxy.cut();
    answer(running.wait_with_output().unwrap()).ok();
    world.assert_same_rows(
        "SELECT id, status FROM orders ORDER BY id",
        "SELECT id, status FROM {db}.orders ORDER BY id",
    );
    world.mysql.run(&format!("DROP USER {user};\n"));
}

#[test]
fn a_source_that_went_on_after_a_crash_is_loaded_from_the_beginning() {
    let world = shop::shop(Flavor::MySql).settings("rows_per_second = 3000\n");
    let mut running = world.spawn(&["run"]);
    // More than a chunk: rows are to be seen a moment before their chunk is journalled.
    await_rows(&world, 1000);
    running.kill().unwrap();
    running.wait().unwrap();
    world.mysql.run(
        "UPDATE orders SET total = total + 1000;\nDELETE FROM items WHERE order_id % 50 = 0;\n",
    );
    let resumed = world.tidemill(&["resume"]).ok();
    assert!(
        resumed.json["result"]["notes"]
            .to_string()
            .contains("began again"),
        "{resumed:#?}"
    );
    shop::assert_shop(&world);
}

/// Waits until the shadow has more than so many rows.
fn await_rows(world: &World, rows: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let query = format!("SELECT count() > {rows} FROM {{db}}.orders_resync");
    while world.clickhouse.try_query(&query).as_deref() != Ok("1") {
        assert!(Instant::now() < deadline, "no rows arrive");
        std::thread::sleep(Duration::from_millis(20));
    }
}
