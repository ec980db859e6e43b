//! The benchmark of the service: how quickly it answers while it has much to do.
//!
//! ```text
//! tests/bench/run --service [--idle 1000] [--resyncs 50] [--rounds 3]
//! ```
//! Ten tenants share the pipes: idle ones follow a table that nobody changes, the others resync a small table, all at once, each round anew. Meanwhile
//! people of four tenants look at pages and programs ask the API, and the time to each answer is measured.
//!
//! Then a tenant's table is resynced, alone and beside another tenant's plugin that burns all the CPU that it gets, without a quota and with one.
#![allow(missing_docs, clippy::unwrap_used, dead_code, reason = "a benchmark")]

#[path = "../support/mod.rs"]
mod support;

mod measure;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use measure::Processes;
use serde_json::json;
use support::service::POLICY;
use support::{ClickHouse, Client, Flavor, MySql, Service, World, servers};

const TENANTS: usize = 10;
/// Rows of a table that is resynced.
const ROWS: u32 = 20_000;
/// Rows of the table that is resynced beside a burning plugin.
const LARGE: u32 = 1_000_000;
/// Tenants whose people look at pages.
const ASKERS: usize = 4;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Api,
    Page,
}

/// How long each answer took.
type Times = Vec<(Asked, Duration)>;

/// A pipe of the benchmark, and its tenant.
struct Pipe {
    client: Client,
    name: String,
}

fn main() {
    let idle: usize = measure::argument("--idle").unwrap_or(1_000);
    let resyncs: usize = measure::argument("--resyncs").unwrap_or(50);
    let rounds: usize = measure::argument("--rounds").unwrap_or(3);
    let mysql = MySql::new(Flavor::MySql);
    mysql.run(&format!(
        "CREATE TABLE idle (id INT PRIMARY KEY, text VARCHAR(20)); INSERT INTO idle VALUES (1, 'a'), (2, 'b'); \
         CREATE TABLE small (id INT PRIMARY KEY, email VARCHAR(60), total DECIMAL(10, 2)); \
         SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO small WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) \
         SELECT i, CONCAT('buyer', i, '@example.com'), i / 4 FROM n; \
         CREATE TABLE large LIKE small; CREATE TABLE burnt LIKE small; \
         INSERT INTO large WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LARGE}) \
         SELECT i, CONCAT('buyer', i, '@example.com'), i / 4 FROM n; \
         INSERT INTO burnt SELECT * FROM large LIMIT 100000;\n"
    ));
    let processes = Processes {
        mysql: mysql.server.process(),
        clickhouse: servers::start("clickhouse", "clickhouse").process(),
    };
    let world = World::of(mysql, ClickHouse::new()).following();
    let service = Service::start_with(POLICY, &[], &[]);
    let tenants: Vec<Client> = (0..TENANTS)
        .map(|i| {
            let client = service.tenant(&format!("tenant-{i}"));
            service.tenant_command(&["set", &format!("tenant-{i}"), "--pipes", "1000"]);
            client
        })
        .collect();
    println!(
        "{idle} idle pipes, {resyncs} resyncs of {ROWS} rows at a time, {TENANTS} tenants; {}",
        measure::machine()
    );

    let began = Instant::now();
    let followers = make(&world, &tenants, ("idle", idle), ONE, "");
    let workers = make(&world, &tenants, ("small", resyncs), ONE, MASK);
    println!("made and started in {:.1} s", began.elapsed().as_secs_f64());
    for pipe in followers.iter().chain(&workers) {
        pipe.client.await_state(&pipe.name, "running");
    }
    println!(
        "all follow after {:.1} s; {}",
        began.elapsed().as_secs_f64(),
        memory(service.process())
    );

    // What they cost while nothing happens.
    let meter = processes.meter();
    let before = meter.read(service.process());
    std::thread::sleep(Duration::from_secs(20));
    let after = meter.read(service.process());
    let share = |cpu: f64| 100.0 * cpu / (after.wall - before.wall).as_secs_f64();
    println!(
        "idle, in % of a core: the service {:.1}, MySQL {:.1}, ClickHouse {:.1}",
        share(after.client_cpu - before.client_cpu),
        share(after.mysql_cpu - before.mysql_cpu),
        share(after.clickhouse_cpu - before.clickhouse_cpu)
    );
    tell(
        "answers while all are idle",
        &ask_for(&tenants[0], &followers[0].name, Duration::from_secs(5)),
    );

    for round in 1..=rounds {
        let (done, began) = (AtomicBool::new(false), Instant::now());
        let times = std::thread::scope(|scope| {
            let done = &done;
            let asks: Vec<_> = (0..ASKERS)
                .map(|i| (&tenants[i], &workers[i].name))
                .map(|(client, pipe)| {
                    scope.spawn(move || ask_until(client, pipe, || done.load(Ordering::Relaxed)))
                })
                .collect();
            resync_all(&workers);
            done.store(true, Ordering::Relaxed);
            let times = asks.into_iter().map(|asks| asks.join().unwrap());
            times.collect::<Vec<Times>>().concat()
        });
        println!(
            "round {round}: {resyncs} resyncs in {:.1} s; {}",
            began.elapsed().as_secs_f64(),
            memory(service.process())
        );
        tell("answers meanwhile", &times);
    }
    for pipe in followers.iter().chain(&workers) {
        pipe.client
            .order(&pipe.name, &json!({ "state": "stop" }))
            .is(202);
    }
    for pipe in followers.iter().chain(&workers) {
        pipe.client.await_state(&pipe.name, "stopped");
    }
    beside_a_burner(&world, &service, rounds);
}

/// Resyncs all, and waits until they are done.
fn resync_all(pipes: &[Pipe]) {
    let begin = |pipe: &Pipe| {
        let ordered = pipe.client.order(&pipe.name, &json!({ "state": "resync" }));
        ordered.is(202).json["resync"].as_str().unwrap().to_owned()
    };
    let ids: Vec<String> = pipes.iter().map(begin).collect();
    for (pipe, id) in pipes.iter().zip(&ids) {
        pipe.client.await_pipe(&pipe.name, "resynced", |pipe| {
            pipe["last_resync"]["id"] == **id && pipe["last_resync"]["phase"] == "running"
        });
    }
}

/// What a tenant has left beside one whose plugin burns.
fn beside_a_burner(world: &World, service: &Service, rounds: usize) {
    let (victim, burner) = (service.tenant("victim"), service.tenant("burner"));
    burner.upload("hostile");
    let victims = make(world, &[victim], ("large", 1), "", MASK);
    victims[0].client.await_state(&victims[0].name, "running");
    let time = || {
        let began = Instant::now();
        resync_all(&victims);
        began.elapsed().as_secs_f64()
    };
    let times = |rounds| (0..rounds).map(|_| time()).collect::<Vec<f64>>();
    let alone = times(rounds);
    let burn = "[[table.transform]]\nplugin = \"hostile\"\nconfig = { mode = \"burn\" }\nlimits = { deadline = \"60s\" }\n";
    let burners = make(world, &[burner], ("burnt", 1), BURNING, burn);
    burners[0].client.await_state(&burners[0].name, "snapshot");
    std::thread::sleep(Duration::from_secs(5));
    let beside = times(rounds);
    service.tenant_command(&["set", "burner", "--plugin-cpu", "12000"]);
    std::thread::sleep(Duration::from_secs(70));
    let bounded = times(rounds);
    println!(
        "a resync of {LARGE} rows: alone {alone:.1?} s, beside a plugin that burns {beside:.1?} s, beside one that may have 0.2 of a core {bounded:.1?} s"
    );
}

const MASK: &str = "[[table.transform]]\nplugin = \"mask\"\n\
     config = { key = \"00112233445566778899aabbccddeeff\", columns = [{ column = \"email\", method = \"hash\", length = 24 }] }\n";

/// A chunk at a time.
const ONE: &str = "parallel_chunks = 1";
/// Eight chunks at a time, in batches that take about a second.
const BURNING: &str = "parallel_chunks = 8\nchunk_rows = 1000\nbatch_rows = 100";

/// Makes and starts pipes of a table, shared out among the tenants, each into a table of its own.
fn make(
    world: &World,
    tenants: &[Client],
    (table, count): (&str, usize),
    snapshot: &str,
    toml: &str,
) -> Vec<Pipe> {
    (0..count)
        .map(|i| {
            let (client, name) = (tenants[i % tenants.len()].clone(), format!("{table}-{i}"));
            let server = uuid::Uuid::new_v4().as_u64_pair().0 % 4_000_000_000 + 1_000;
            let text = world.pipe_text(&name);
            let text = format!(
                "{text}\n[apply]\nserver_id = {server}\n[snapshot]\n{snapshot}\n\
                 [[table]]\nsource = \"{}.{table}\"\ndestination = \"{table}_{i}\"\n{toml}",
                world.mysql.database
            );
            client.create(&text).is(201);
            client.order(&name, &json!({ "state": "start" })).is(202);
            Pipe { client, name }
        })
        .collect()
}

fn ask_for(client: &Client, pipe: &str, time: Duration) -> Times {
    let began = Instant::now();
    ask_until(client, pipe, || began.elapsed() > time)
}

/// Asks for what programs and pages show, one after the other, until it is over: how long each answer took.
fn ask_until(client: &Client, pipe: &str, over: impl Fn() -> bool) -> Times {
    let api = [
        "/v1/pipes".to_owned(),
        format!("/v1/pipes/{pipe}"),
        format!("/v1/pipes/{pipe}/status"),
        format!("/v1/pipes/{pipe}/tables"),
        format!("/v1/pipes/{pipe}/resyncs"),
        format!("/v1/pipes/{pipe}/metrics"),
        format!("/v1/pipes/{pipe}/events"),
        "/v1/tenant".to_owned(),
    ];
    let pages = [
        "/".to_owned(),
        format!("/pipes/{pipe}"),
        format!("/pipes/{pipe}/tables"),
        format!("/pipes/{pipe}/metrics"),
        format!("/pipes/{pipe}/settings"),
        format!("/pipes/{pipe}/logs"),
    ];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let token = format!("token={}", client.token);
    let session = client
        .send("POST", "/login", &form, Some(token.into()))
        .is(303);
    let cookie = session.header("set-cookie").unwrap();
    let cookie = [("cookie", cookie.split(';').next().unwrap())];
    let mut times = Vec::new();
    while !over() {
        for path in &api {
            let began = Instant::now();
            client.get(path).is(200);
            times.push((Asked::Api, began.elapsed()));
        }
        for path in &pages {
            let began = Instant::now();
            client.send("GET", path, &cookie, None).is(200);
            times.push((Asked::Page, began.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    times
}

fn tell(what: &str, times: &Times) {
    for (kind, name) in [(Asked::Api, "the API"), (Asked::Page, "pages")] {
        let of_kind = times.iter().filter(|(asked, _)| *asked == kind);
        let mut sorted: Vec<Duration> = of_kind.map(|(_, time)| *time).collect();
        sorted.sort();
        let at = |share: f64| {
            let last = sorted.len().saturating_sub(1);
            sorted[((last as f64) * share) as usize].as_secs_f64() * 1000.0
        };
        println!(
            "  {what}, {name}: {} answers, median {:.1} ms, 99th percentile {:.1} ms, longest {:.1} ms",
            sorted.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

/// The memory of a process.
fn memory(process: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.map_or("?", |line| line.split(':').nth(1).unwrap_or("?").trim())
            .to_owned()
    };
    format!("resident {}, {} threads", field("VmRSS"), field("Threads"))
}
