//! Orders to pipes: one after the other, refused before anything is done for nothing, and never lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Flavor, Reply, Service, World};

/// A table of so many rows, loaded in chunks of a thousand.
fn numbers(rows: u32, settings: &str) -> World {
    let world = World::new(Flavor::MySql)
        .settings(&format!(
            "[snapshot]\nchunk_rows = 1000\nparallel_chunks = 1\n{settings}\n"
        ))
        .table("numbers", "");
    world.mysql.run(&format!(
        "CREATE TABLE numbers (id INT PRIMARY KEY, text VARCHAR(40)); SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO numbers WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT i, HEX(i * 7919) FROM n;\n"
    ));
    world
}

fn order(client: &Client, pipe: &str, state: &str) -> Reply {
    client.order(pipe, &json!({ "state": state }))
}

/// Waits until a load is at work and has loaded something.
fn await_rows(client: &Client, pipe: &str) {
    client.await_pipe(pipe, "loading", |_| {
        let tables = client.get(&format!("/v1/pipes/{pipe}/tables")).is(200).json;
        tables["items"][0]["chunks_done"].as_u64() > Some(0)
    });
}

#[test]
fn what_was_started_last_runs_after_a_restart_however_quickly_it_was_stopped_before() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let world = numbers(2_000, "").with_sentinel("");
    client.create(&world.pipe_text("p")).is(201);
    order(&client, "p", "start").is(202);
    client.await_state("p", "running");
    for _ in 0..3 {
        order(&client, "p", "stop").is(202);
        order(&client, "p", "start").is(202);
    }
    let pipe = client.await_state("p", "running");
    assert_eq!(pipe["wanted"], "running");
    service.kill();
    service.start_again();
    assert_eq!(client.await_state("p", "running")["error"], Value::Null);
    // And the other way round.
    order(&client, "p", "stop").is(202);
    client.await_state("p", "stopped");
    assert_eq!(client.get("/v1/pipes/p").json["wanted"], "stopped");
}

#[test]
fn a_stop_while_a_pipe_is_being_started_stops_it() {
    let service = Service::start();
    let client = service.tenant("acme");
    let world = numbers(60_000, "rows_per_second = 2000");
    client.create(&world.pipe_text("slow")).is(201);
    // At whatever moment of the start it comes.
    for pause in [0, 5, 20, 60, 120, 250] {
        order(&client, "slow", "start").is(202);
        std::thread::sleep(Duration::from_millis(pause));
        order(&client, "slow", "stop").is(202);
        let began = Instant::now();
        client.await_pipe("slow", "stopped", |pipe| {
            ["stopped", "new"].contains(&pipe["state"].as_str().unwrap_or_default())
        });
        assert!(began.elapsed() < Duration::from_secs(10), "{pause} ms");
    }
    let pipe = client.get("/v1/pipes/slow").is(200).json;
    assert_eq!(
        (&pipe["wanted"], &pipe["error"]),
        (&json!("stopped"), &Value::Null)
    );
    order(&client, "slow", "start").is(202);
    await_rows(&client, "slow");
    let began = Instant::now();
    client.delete("/v1/pipes/slow").is(204);
    assert!(began.elapsed() < Duration::from_secs(10));
    client.get("/v1/pipes/slow").problem(404, "not_found");
}

#[test]
fn what_nothing_can_come_of_is_refused_at_once_and_changes_nothing() {
    let service = Service::start();
    let client = service.tenant("acme");
    let world = numbers(1_000, "");
    client.create(&world.pipe_text("once")).is(201);
    order(&client, "once", "approve").problem(409, "nothing_to_do");
    order(&client, "once", "rollback").problem(409, "nothing_to_do");
    order(&client, "once", "start").is(202);
    client.await_state("once", "completed");
    for state in ["start", "approve", "abort"] {
        order(&client, "once", state).problem(409, "nothing_to_do");
    }
    let unknown = json!({ "table": "nobody.knows" });
    let refused = client.post("/v1/pipes/once/tables", &unknown);
    assert!((400..500).contains(&refused.status), "{refused:#?}");
    let pipe = client.get("/v1/pipes/once").is(200).json;
    assert_eq!(pipe["state"], "completed", "{pipe}");
    assert_eq!(
        (&pipe["wanted"], &pipe["error"]),
        (&json!("stopped"), &Value::Null)
    );
    // An unfinished resync is finished or given up first.
    let slow = numbers(60_000, "rows_per_second = 2000");
    client.create(&slow.pipe_text("slow")).is(201);
    order(&client, "slow", "start").is(202);
    await_rows(&client, "slow");
    order(&client, "slow", "rollback").problem(409, "nothing_to_do");
    await_rows(&client, "slow");
    order(&client, "slow", "stop").is(202);
    client.await_state("slow", "stopped");
    order(&client, "slow", "resync").problem(409, "unfinished");
    assert_eq!(client.get("/v1/pipes/slow").json["wanted"], "stopped");
    order(&client, "slow", "abort").is(202);
    client.await_pipe("slow", "given up", |pipe| pipe["state"] == "stopped");
}

#[test]
fn a_resync_of_a_pipe_that_does_not_follow_goes_on_after_a_kill() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let world = numbers(20_000, "rows_per_second = 8000");
    client.create(&world.pipe_text("p")).is(201);
    order(&client, "p", "start").is(202);
    client.await_state("p", "completed");
    order(&client, "p", "resync").is(202);
    client.await_pipe("p", "resyncing", |pipe| pipe["state"] == "snapshot");
    service.kill();
    service.start_again();
    let pipe = client.await_state("p", "completed");
    assert_eq!(pipe["error"], Value::Null, "{pipe}");
    let resyncs = client.get("/v1/pipes/p/resyncs").is(200).json;
    assert_eq!(resyncs["items"].as_array().map(Vec::len), Some(2));
    world.assert_same_cells(&["numbers"]);
}

#[test]
fn a_table_that_waits_for_approval_is_told_wherever_one_looks() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let world = numbers(1_000, "").with_sentinel("");
    client.create(&world.pipe_text("p")).is(201);
    order(&client, "p", "start").is(202);
    client.await_state("p", "running");
    world.mysql.run("DELETE FROM numbers WHERE id > 10;\n");
    world.clickhouse.await_query(
        "SELECT count() FROM {db}.numbers FINAL WHERE id > 10 AND NOT _peerdb_is_deleted",
        "0",
    );
    // The rows that are gone are soft-deleted there: what is compared is what readers see.
    world.clickhouse.query("INSERT INTO {db}.numbers (id, text, _peerdb_version) SELECT number + 100000, 'x', 1 FROM numbers(5000)");
    let (code, answer) = client.command(&["--pipe", "p", "resync", "--yes"]);
    assert_eq!(code, Some(8), "{answer}");
    let state = || client.get("/v1/pipes/p").is(200).json["state"].clone();
    assert_eq!(state(), "needs_approval");
    let listed = client.get("/v1/pipes").is(200).json;
    assert_eq!(listed["items"][0]["state"], "needs_approval");
    let metrics = client.get("/metrics").is(200).text;
    let told = metrics.lines().any(|line| {
        line.contains("tidemill_pipe_state")
            && line.contains("needs_approval")
            && line.ends_with(" 1.0")
    });
    assert!(told, "{metrics}");
    // After a restart it still waits, and the pipe follows meanwhile.
    service.kill();
    service.start_again();
    client.await_state("p", "needs_approval");
    world
        .mysql
        .run("INSERT INTO numbers VALUES (7777, 'new');\n");
    world.clickhouse.await_query(
        "SELECT count() FROM {db}.numbers FINAL WHERE id = 7777",
        "1",
    );
    order(&client, "p", "approve").is(202);
    client.await_state("p", "running");
    let left = "SELECT count() FROM {db}.numbers FINAL WHERE id >= 100000";
    assert_eq!(world.clickhouse.query(left), "0");
}

#[test]
fn orders_of_many_at_once_come_one_after_the_other() {
    let service = Service::start();
    let client = service.tenant("acme");
    let world = numbers(3_000, "").with_sentinel("");
    client.create(&world.pipe_text("p")).is(201);
    let states = [
        "start", "stop", "start", "resync", "stop", "start", "resync", "start",
    ];
    std::thread::scope(|scope| {
        for state in states {
            let client = client.clone();
            scope.spawn(move || {
                let reply = order(&client, "p", state);
                assert!([202, 409].contains(&reply.status), "{state}: {reply:#?}");
            });
        }
    });
    // Whatever came last, the pipe does what is wanted of it.
    let pipe = client.await_pipe("p", "as it is wanted", |pipe| {
        let state = pipe["state"].as_str().unwrap_or_default();
        match pipe["wanted"].as_str() {
            Some("running") => state == "running",
            _ => ["stopped", "new", "failed"].contains(&state),
        }
    });
    assert_eq!(pipe["error"], Value::Null, "{pipe}");
    // One removes it, the other finds nothing any more.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let client = client.clone();
            scope.spawn(move || {
                let reply = client.delete("/v1/pipes/p");
                assert!([204, 404].contains(&reply.status), "{reply:#?}");
            });
        }
        scope.spawn(|| {
            let reply = order(&client, "p", "start");
            assert!([202, 404, 409].contains(&reply.status), "{reply:#?}");
        });
    });
    client.get("/v1/pipes/p").is(404);
    assert!(!service.data().join("tenants/acme/pipes/p").exists());
}
