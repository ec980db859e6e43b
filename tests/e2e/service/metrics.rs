//! `/metrics`: what is counted, and who is told of what; and whether the service says of itself that it is ready.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::service::POLICY;
use crate::support::{Client, Flavor, Service, World};

const OPERATOR: &str = "an-operators-token-0123456789";

/// The value of a series with these labels among its own.
fn value(text: &str, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let has =
        |line: &str, (name, value): &(&str, &str)| line.contains(&format!("{name}=\"{value}\""));
    let line = text.lines().find(|line| {
        let is_it = line.strip_prefix(metric);
        is_it.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| has(line, label))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

fn told(client: &Client) -> String {
    let reply = client.get("/metrics").is(200);
    let kind = reply.header("content-type").expect("a type");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    reply.text
}

/// Waits until a series has a value.
#[track_caller]
fn await_value(client: &Client, metric: &str, labels: &[(&str, &str)], wanted: f64) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = told(client);
        if value(&text, metric, labels) == Some(wanted) {
            return text;
        }
        assert!(
            Instant::now() < deadline,
            "{metric} {labels:?} is not {wanted}:\n{text}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A table of so many orders, whose addresses are masked.
fn shop(orders: u32, settings: &str) -> World {
    let world = World::new(Flavor::MySql)
        .with_sentinel("")
        .settings(&format!("[snapshot]\nchunk_rows = 1000\n{settings}\n"))
        .table(
            "orders",
            "[[table.transform]]\nplugin = \"mask\"\nconfig = { columns = [{ column = \"email\", method = \"redact\" }] }\n",
        );
    world.mysql.run(&format!(
        "CREATE TABLE orders (id INT PRIMARY KEY, email VARCHAR(60)); SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {orders}) \
         SELECT i, CONCAT('buyer', i, '@example.com') FROM n;\n"
    ));
    world
}

#[test]
fn loads_changes_plugins_and_requests_are_counted() {
    let (world, service) = (shop(5_000, ""), Service::start());
    let client = service.tenant("acme");
    client.upload("mask");
    client.create(&world.pipe_text("shop")).is(201);
    assert_eq!(
        value(&told(&client), "tidemill_pipe_state", &[("state", "new")]),
        Some(1.0)
    );
    client.order("shop", &json!({ "state": "start" })).is(202);
    client.await_state("shop", "running");

    let table = format!("{}.orders", world.mysql.database);
    let of = |more: &[(&'static str, &'static str)]| {
        let own = [
            ("tenant", "acme"),
            ("pipe", "shop"),
            ("table", table.as_str()),
        ];
        own.into_iter()
            .chain(more.iter().copied())
            .collect::<Vec<_>>()
    };
    let text = told(&client);
    let counted =
        |metric: &str, more: &[(&'static str, &'static str)]| value(&text, metric, &of(more));
    assert_eq!(counted("tidemill_load_rows_read_total", &[]), Some(5_000.0));
    let rows = "tidemill_load_rows_total";
    assert_eq!(counted(rows, &[("outcome", "written")]), Some(5_000.0));
    assert_eq!(counted(rows, &[("outcome", "rejected")]), Some(0.0));
    assert!(counted("tidemill_load_bytes_total", &[]) > Some(5_000.0));
    assert!(counted("tidemill_load_chunks_total", &[]) >= Some(5.0));
    let pipe = [("tenant", "acme"), ("pipe", "shop")];
    let of_pipe = |metric: &str, more: (&'static str, &'static str)| {
        value(&text, metric, &[pipe[0], pipe[1], more])
    };
    assert_eq!(
        of_pipe("tidemill_pipe_state", ("state", "running")),
        Some(1.0)
    );
    assert_eq!(
        of_pipe("tidemill_resyncs_total", ("outcome", "completed")),
        Some(1.0)
    );
    for phase in ["setup", "snapshot", "resync"] {
        assert!(
            of_pipe("tidemill_resync_phase_seconds_total", ("phase", phase)) > Some(0.0),
            "{phase}"
        );
    }
    assert!(
        of_pipe("tidemill_plugin_cpu_seconds_total", ("plugin", "mask")) > Some(0.0),
        "{text}"
    );
    assert_eq!(
        value(&text, "tidemill_pipes_running", &[("tenant", "acme")]),
        Some(1.0)
    );

    world.mysql.run(
        "INSERT INTO orders VALUES (7001, 'a'), (7002, 'b'), (7003, 'c'); UPDATE orders SET email = 'd' WHERE id = 7001; \
         DELETE FROM orders WHERE id < 5;\n",
    );
    let changes = "tidemill_changes_total";
    await_value(&client, changes, &of(&[("kind", "delete")]), 4.0);
    let text = await_value(&client, "tidemill_pipe_lag_seconds", &pipe, 0.0);
    assert_eq!(value(&text, changes, &of(&[("kind", "insert")])), Some(3.0));
    assert_eq!(value(&text, changes, &of(&[("kind", "update")])), Some(1.0));
    assert!(value(&text, "tidemill_pipe_position_age_seconds", &pipe) < Some(60.0));

    let route = [
        ("tenant", "acme"),
        ("method", "PATCH"),
        ("route", "/v1/pipes/{pipe}/state"),
    ];
    let answered = [route[0], route[1], route[2], ("status", "202")];
    assert_eq!(
        value(&text, "tidemill_http_requests_total", &answered),
        Some(1.0)
    );
    assert_eq!(
        value(
            &text,
            "tidemill_http_request_duration_seconds_count",
            &route
        ),
        Some(1.0)
    );

    client.order("shop", &json!({ "state": "stop" })).is(202);
    client.await_state("shop", "stopped");
    let text = told(&client);
    // What was counted stays.
    assert_eq!(
        value(&text, "tidemill_load_rows_read_total", &of(&[])),
        Some(5_000.0)
    );
    assert_eq!(
        value(
            &text,
            "tidemill_pipe_state",
            &[pipe[0], pipe[1], ("state", "stopped")]
        ),
        Some(1.0)
    );
    assert_eq!(value(&text, "tidemill_pipe_lag_seconds", &pipe), None);
    client.delete("/v1/pipes/shop").is(204);
    assert!(!told(&client).contains("shop"));
}

#[test]
fn a_tenant_is_told_of_its_own_and_the_operator_of_all() {
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), format!("{OPERATOR}\n")).expect("it is writable");
    let file = token.path().to_str().expect("text");
    let service = Service::start_with(POLICY, &["--metrics-token-file", file], &[]);
    let (acme, other) = (service.tenant("acme"), service.tenant("other"));
    let toml = "[source]\nhost = \"203.0.113.9\"\nuser = \"u\"\n[destination]\nurl = \"http://203.0.113.9\"\ndatabase = \"d\"\n[[table]]\nsource = \"a.b\"\n";
    acme.create(&format!("name = \"secret-pipe\"\n{toml}"))
        .is(201);
    other.create(&format!("name = \"mine\"\n{toml}")).is(201);
    other.get("/v1/pipes/none").is(404);

    let text = told(&other.role("viewer"));
    assert!(text.contains("\"mine\""));
    for hidden in [
        "acme",
        "secret-pipe",
        "process_",
        "tidemill_store_",
        "tenant=\"\"",
    ] {
        assert!(!text.contains(hidden), "{hidden}:\n{text}");
    }
    for token in [
        "",
        "nonsense",
        "tm_0000_1111",
        &OPERATOR[1..],
        "an-operators-token",
    ] {
        acme.with(token).get("/metrics").problem(401, "token");
    }
    let text = told(&acme.with(OPERATOR));
    let state = "tidemill_pipe_state";
    assert_eq!(
        value(&text, state, &[("tenant", "acme"), ("pipe", "secret-pipe")]),
        Some(1.0)
    );
    assert_eq!(
        value(&text, state, &[("tenant", "other"), ("pipe", "mine")]),
        Some(1.0)
    );
    for metric in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "tidemill_store_writes_total",
        "tidemill_store_write_seconds_total",
    ] {
        assert!(value(&text, metric, &[]) > Some(0.0), "{metric}:\n{text}");
    }
    // Its token is for metrics alone.
    acme.with(OPERATOR).get("/v1/pipes").is(401);
    // Each metric is described once, and each series told once.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let all = lines.len();
    lines.dedup_by_key(|line| line.rsplit_once(' ').map_or(*line, |(series, _)| series));
    assert_eq!(lines.len(), all);
}

#[test]
fn a_token_for_metrics_that_is_too_short_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(crate::support::tidemill())
        .args([
            "--output",
            "json",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(folder.path())
        .env("TIDEMILL_KEY", "5a".repeat(32))
        .env("TIDEMILL_METRICS_TOKEN", "short")
        .output()
        .expect("it ends");
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("16 characters") && !text.contains("short"),
        "{text}"
    );
}

#[test]
fn a_service_that_drains_is_alive_and_not_ready() {
    let mut service = Service::start_with(POLICY, &["--drain"], &[]);
    let client = service.tenant("acme");
    let nobody = client.with("");
    let slow = shop(20_000, "parallel_chunks = 1\nrows_per_second = 5000");
    client.upload("mask");
    client.create(&slow.pipe_text("slow")).is(201);
    client.order("slow", &json!({ "state": "start" })).is(202);
    client.await_state("slow", "snapshot");
    nobody.get("/readyz").is(200);
    let left = [("tenant", "acme"), ("pipe", "slow")];
    let text = told(&client);
    assert_eq!(
        value(
            &text,
            "tidemill_pipe_state",
            &[left[0], left[1], ("state", "snapshot")]
        ),
        Some(1.0)
    );
    service.ask_to_end();
    let deadline = Instant::now() + Duration::from_secs(10);
    while nobody.get("/readyz").status == 200 {
        assert!(Instant::now() < deadline, "it is still ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    nobody.get("/readyz").problem(503, "ending");
    nobody.get("/healthz").is(200);
    assert_eq!(service.await_end(), Some(0));
    let rows = "SELECT count() FROM {db}.orders FINAL";
    assert_eq!(slow.clickhouse.query(rows), "20000");
}

#[test]
fn a_service_whose_store_cannot_be_written_is_not_ready() {
    let service = Service::start();
    let client = service.tenant("acme");
    let nobody = client.with("");
    nobody.get("/readyz").is(200);
    let store = rusqlite::Connection::open(service.data().join("service.sqlite"));
    let store = store.expect("the store");
    store.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    // What was found a moment ago counts for a second.
    std::thread::sleep(Duration::from_millis(1_100));
    nobody.get("/readyz").problem(503, "store");
    nobody.get("/healthz").is(200);
    store.execute_batch("ROLLBACK").expect("the end of it");
    nobody.get("/readyz").is(200);
}
