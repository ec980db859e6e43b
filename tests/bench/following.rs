//! The benchmark of following: how many row events a second a pipe applies, and how far it is behind while they come.
//!
//! ```text
//! tests/bench/run --following [--events 1000000] [--rounds 3]
//! ```
//! The same binlog is read by `mysqlbinlog` to /dev/null, the floor, and applied by `tidemill run`: narrow rows (a key and two numbers), wide
//! rows (TPC-H `lineitem`), and narrow rows in transactions of one row each. Then rows are written at a steady rate, and the time from a commit
//! until ClickHouse shows the row is measured.
#![allow(missing_docs, clippy::unwrap_used, dead_code, reason = "a benchmark")]

#[path = "../support/mod.rs"]
mod support;

mod lineitem;
mod measure;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use measure::{Cost, Processes};
use support::{ClickHouse, Flavor, MySql, World, servers};

/// Rows of one statement, and of one transaction.
const STATEMENT_ROWS: u64 = 1_000;
/// Row events a second while the lag is measured.
const STEADY: u64 = 10_000;
/// How often the lag is measured.
const SAMPLES: usize = 30;

/// A kind of binlog.
struct Kind {
    name: &'static str,
    table: &'static str,
    /// Row events, as a share of what is asked for.
    share: f64,
    write: fn(&World, u64),
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "narrow rows, 1,000 a transaction",
        table: "narrow",
        share: 1.0,
        write: write_narrow,
    },
    Kind {
        name: "wide rows, 1,000 a transaction",
        table: "wide",
        share: 0.5,
        write: write_wide,
    },
    Kind {
        name: "narrow rows, one a transaction",
        table: "single",
        share: 0.2,
        write: write_single,
    },
];

fn main() {
    let events: u64 = measure::argument("--events").unwrap_or(1_000_000);
    let rounds: usize = measure::argument("--rounds").unwrap_or(3);
    let mysql = MySql::new(Flavor::MySql);
    // What wide rows are copied from.
    lineitem::load(&mysql, events as f64 * KINDS[1].share / 6_000_000.0);
    mysql.run(
        "CREATE TABLE narrow (id BIGINT PRIMARY KEY AUTO_INCREMENT, a INT NOT NULL, b BIGINT NOT NULL);\n\
         CREATE TABLE single LIKE narrow;\n\
         CREATE TABLE wide LIKE lineitem;\n\
         CREATE TABLE mark (id INT PRIMARY KEY, n INT NOT NULL);\n",
    );
    let processes = Processes {
        mysql: mysql.server.process(),
        clickhouse: servers::start("clickhouse", "clickhouse").process(),
    };
    let mut world = World::of(mysql, ClickHouse::new()).following();
    for table in ["narrow", "single", "wide", "mark"] {
        world.add_table(table, "");
    }
    println!("{rounds} rounds, medians; {}", measure::machine());
    println!(
        "\n| binlog | row events | MiB | `mysqlbinlog`, events/s | `tidemill run`, events/s | share | CPU, s: MySQL | ClickHouse | tidemill | its peak, MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut mark = 0;
    for kind in &KINDS {
        let count = (events as f64 * kind.share) as u64 / STATEMENT_ROWS * STATEMENT_ROWS;
        let mut results = Vec::new();
        for _ in 0..rounds {
            // The pipe is loaded, and stands where the binlog begins.
            follow_until(&world, &mut mark, None);
            let file = new_binlog(&world);
            (kind.write)(&world, count);
            set_mark(&world, &mut mark);
            let (read, mib) = read_binlog(&world, &file);
            let applied = follow_until(&world, &mut mark, Some(&processes));
            eprintln!(
                "{}: read {:.2} s, applied {:.2} s",
                kind.name,
                read.as_secs_f64(),
                applied.wall.as_secs_f64()
            );
            world
                .mysql
                .run(&format!("TRUNCATE TABLE {};\n", kind.table));
            results.push((read, mib, applied));
        }
        report(kind, count, results);
    }
    lag(&world, &mut mark);
}

fn report(kind: &Kind, count: u64, mut results: Vec<(Duration, f64, Cost)>) {
    let middle = results.len() / 2;
    results.sort_by_key(|(read, ..)| *read);
    let read = count as f64 / results[middle].0.as_secs_f64();
    results.sort_by_key(|(_, _, applied)| applied.wall);
    let (_, mib, cost) = results[middle];
    let applied = count as f64 / cost.wall.as_secs_f64();
    println!(
        "| {} | {count} | {mib:.0} | {read:.0} | {applied:.0} | {:.2} | {:.1} | {:.1} | {:.1} | {:.0} |",
        kind.name,
        applied / read,
        cost.mysql_cpu,
        cost.clickhouse_cpu,
        cost.client_cpu,
        cost.client_peak_mib
    );
}

fn write_narrow(world: &World, events: u64) {
    let values: Vec<String> = (0..STATEMENT_ROWS)
        .map(|i| format!("({i}, {})", i * 1_000_003))
        .collect();
    let insert = format!("INSERT INTO narrow (a, b) VALUES {};\n", values.join(", "));
    for _ in 0..events / STATEMENT_ROWS {
        world.mysql.run(&insert);
    }
}

fn write_wide(world: &World, events: u64) {
    let keys = world
        .mysql
        .rows("SELECT l_orderkey, l_linenumber FROM lineitem ORDER BY 1, 2");
    let keys: Vec<(String, String)> = keys
        .into_iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
        .collect();
    for part in keys
        .chunks(STATEMENT_ROWS as usize)
        .take((events / STATEMENT_ROWS) as usize)
    {
        let ((first, first_line), (last, last_line)) = (&part[0], &part[part.len() - 1]);
        world.mysql.run(&format!(
            "INSERT INTO wide SELECT * FROM lineitem WHERE (l_orderkey > {first} OR (l_orderkey = {first} AND l_linenumber >= {first_line})) \
             AND (l_orderkey < {last} OR (l_orderkey = {last} AND l_linenumber <= {last_line}));\n"
        ));
    }
}

fn write_single(world: &World, events: u64) {
    let statement = "INSERT INTO single (a, b) VALUES (1, 2);\n";
    for _ in 0..events / STATEMENT_ROWS {
        world.mysql.run(&statement.repeat(STATEMENT_ROWS as usize));
    }
}

/// Begins a new file of the binlog; its name.
fn new_binlog(world: &World) -> String {
    world.mysql.run("FLUSH BINARY LOGS;\n");
    let logs = world.mysql.rows("SHOW BINARY LOGS");
    logs.last().unwrap()[0].clone().unwrap()
}

/// Reads the binlog from this file on to /dev/null, as MySQL's own tool does. How long that took, and how much it is.
fn read_binlog(world: &World, file: &str) -> (Duration, f64) {
    let client = std::path::Path::new(world.mysql.server.get("client"));
    let mut command = Command::new(client.with_file_name("mysqlbinlog"));
    command
        .args([
            "--no-defaults",
            "--user=root",
            "--host=127.0.0.1",
            "--ssl-mode=DISABLED",
        ])
        .args(["--read-from-remote-server", "--to-last-log"])
        .arg(format!("--port={}", world.mysql.port()))
        .arg(file)
        .stdout(Stdio::null());
    let began = Instant::now();
    assert!(command.status().unwrap().success(), "{command:?}");
    let wall = began.elapsed();
    let logs = world.mysql.rows("SHOW BINARY LOGS");
    let sizes = logs
        .iter()
        .skip_while(|log| log[0].as_deref() != Some(file));
    let bytes: f64 = sizes
        .map(|log| log[1].as_ref().unwrap().parse::<f64>().unwrap())
        .sum();
    (wall, bytes / 1_048_576.0)
}

/// Writes the row that is the last one.
fn set_mark(world: &World, mark: &mut u32) {
    *mark += 1;
    world
        .mysql
        .run(&format!("REPLACE INTO mark VALUES (1, {mark});\n"));
}

fn mark_is_there(world: &World, mark: u32) -> bool {
    let query = format!("SELECT count() FROM {{db}}.mark FINAL WHERE n = {mark}");
    world.clickhouse.try_query(&query).as_deref() == Ok("1")
}

fn start(world: &World) -> Child {
    let mut command = world.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn stop(mut child: Child) {
    let id = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Follows from where the pipe stands until the last mark is there; what it cost, from the start of the process on.
fn follow_until(world: &World, mark: &mut u32, processes: Option<&Processes>) -> Cost {
    if processes.is_none() {
        set_mark(world, mark);
    }
    let meter = processes.map(Processes::meter);
    let child = start(world);
    let mut cost = Cost::default();
    while !mark_is_there(world, *mark) {
        if let Some(meter) = &meter {
            cost = meter.read(child.id());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Some(meter) = &meter {
        cost = meter.read(child.id());
    }
    stop(child);
    cost
}

/// The time from a commit until ClickHouse shows its row, while rows are written at a steady rate.
fn lag(world: &World, mark: &mut u32) {
    let child = start(world);
    set_mark(world, mark);
    while !mark_is_there(world, *mark) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut samples: Vec<Duration> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let values = vec!["(1, 2)"; 100].join(", ");
            let insert = format!("INSERT INTO narrow (a, b) VALUES {values};\n");
            let (began, mut written) = (Instant::now(), 0u64);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                world.mysql.run(&insert);
                written += 100;
                let due = Duration::from_secs_f64(written as f64 / STEADY as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        });
        for _ in 0..SAMPLES {
            set_mark(world, mark);
            let committed = Instant::now();
            while !mark_is_there(world, *mark) {
                std::thread::sleep(Duration::from_millis(5));
            }
            samples.push(committed.elapsed());
            std::thread::sleep(Duration::from_millis(130));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    stop(child);
    samples.sort();
    println!(
        "\nlag at {STEADY} row events a second, apply.every = 1s: median {:.0} ms, most {:.0} ms",
        samples[SAMPLES / 2].as_secs_f64() * 1e3,
        samples[SAMPLES - 1].as_secs_f64() * 1e3
    );
}
