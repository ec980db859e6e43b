//! The benchmark: TPC-H `lineitem` from a real MySQL into a real ClickHouse, in one run, alternating, several rounds.
//!
//! ```text
//! tests/bench/run [--scale 1] [--rounds 3]           # following: see following.rs
//! ```
//! (a) the `mysql` client reads the table to /dev/null: the source's own floor; (b) ClickHouse's `INSERT INTO … SELECT * FROM mysql(…)`;
//! (c) a resync without transforms; (d) with a filter and a mask; (e) with a plugin that takes in and gives back every column.
//! Claims are ratios of one run: the machine, the servers and the data are the same for all.
#![allow(missing_docs, clippy::unwrap_used, dead_code, reason = "a benchmark")]

#[path = "../support/mod.rs"]
mod support;

mod lineitem;
mod measure;

use std::process::{Command, Stdio};

use measure::{Measured, Processes};
use support::{ClickHouse, Flavor, MySql, World, servers};

const FILTER_AND_MASK: &str = r#"
[[table.transform]]
plugin = "filter"
config = { where = "l_quantity <= 40" }
[[table.transform]]
plugin = "mask"
config = { key = "benchmark", columns = [{ column = "l_comment", method = "redact", text = "***" }] }
"#;

fn main() {
    let scale: f64 = measure::argument("--scale").unwrap_or(1.0);
    let rounds: usize = measure::argument("--rounds").unwrap_or(3);
    let mysql = MySql::new(Flavor::MySql);
    let clickhouse = ClickHouse::new();
    let rows = lineitem::load(&mysql, scale);
    println!(
        "lineitem at scale {scale}: {rows} rows, {rounds} rounds, medians; {}",
        measure::machine()
    );

    let processes = Processes {
        mysql: mysql.server.process(),
        clickhouse: servers::start("clickhouse", "clickhouse").process(),
    };
    let world = World::of(mysql, clickhouse).settings("[swap]\nmax_shrink = \"100%\"\n");
    let mut plain = world.table("lineitem", "");
    let mut results: Vec<(&str, Vec<Measured>)> = ["a", "b", "c", "d", "e"]
        .map(|name| (name, Vec::new()))
        .into();
    for _ in 0..rounds {
        for (name, measured) in &mut results {
            let result = match *name {
                "a" => processes.measure(&plain.clickhouse, &mut client(&plain)),
                "b" => {
                    plain.clickhouse.run(&target_table());
                    processes.measure(&plain.clickhouse, &mut insert_select(&plain))
                }
                "c" => resync(&processes, &mut plain, ""),
                "d" => resync(&processes, &mut plain, FILTER_AND_MASK),
                _ => resync(
                    &processes,
                    &mut plain,
                    "[[table.transform]]\nplugin = \"passthrough\"\n",
                ),
            };
            eprintln!("({name}) {:.2} s", result.wall.as_secs_f64());
            measured.push(result);
        }
    }
    report(rows, &results);
}

fn client(world: &World) -> Command {
    let mut command = Command::new(world.mysql.server.get("client"));
    command
        .args([
            "--no-defaults",
            "--user=root",
            "--host=127.0.0.1",
            "--ssl-mode=DISABLED",
            "--quick",
            "--batch",
            "--skip-column-names",
        ])
        .arg(format!("--port={}", world.mysql.port()))
        .args([&world.mysql.database, "-e", "SELECT * FROM lineitem"])
        .stdout(Stdio::null());
    command
}

/// The table that (b) fills: the one that Tidemill creates, without its metadata columns.
fn target_table() -> String {
    "CREATE DATABASE IF NOT EXISTS {db} ENGINE = Atomic;\n\
     CREATE OR REPLACE TABLE {db}.by_clickhouse (l_orderkey Int64, l_partkey Int64, l_suppkey Int64, l_linenumber Int32, l_quantity Decimal(15, 2),
       l_extendedprice Decimal(15, 2), l_discount Decimal(15, 2), l_tax Decimal(15, 2), l_returnflag String, l_linestatus String, l_shipdate Date32,
       l_commitdate Date32, l_receiptdate Date32, l_shipinstruct String, l_shipmode String, l_comment String)
     ENGINE = ReplacingMergeTree ORDER BY (l_orderkey, l_linenumber);\n"
        .to_owned()
}

fn insert_select(world: &World) -> Command {
    let (port, database) = (world.mysql.port(), &world.mysql.database);
    let query = format!(
        "INSERT INTO {}.by_clickhouse SELECT * FROM mysql('127.0.0.1:{port}', '{database}', 'lineitem', 'root', '')",
        world.clickhouse.database
    );
    // The query runs in the server; what sends it costs nothing.
    let mut command = Command::new("python3");
    command.args(["-c", "import sys, urllib.request as r; r.urlopen(sys.argv[1], data=sys.argv[2].encode(), timeout=3600).read()"]);
    command.args([&world.clickhouse.url(), &query]);
    command
}

fn resync(processes: &Processes, world: &mut World, transforms: &str) -> Measured {
    world.clear_tables();
    world.add_table("lineitem", transforms);
    let mut command = world.command(&["resync", "--yes"]);
    processes.measure(&world.clickhouse, &mut command)
}

fn report(rows: u64, results: &[(&str, Vec<Measured>)]) {
    let medians: Vec<(&str, Measured)> = results
        .iter()
        .map(|(name, measured)| (*name, measure::median(measured)))
        .collect();
    println!(
        "\n| | way | million rows/s | wall, s | CPU, s: MySQL | ClickHouse | its merges afterwards | client | client's peak, MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let ways = [
        "`mysql` to /dev/null",
        "`INSERT … SELECT FROM mysql()`",
        "resync",
        "resync, filter and mask",
        "resync, pass-through plugin",
    ];
    for ((name, m), way) in medians.iter().zip(ways) {
        println!(
            "| {name} | {way} | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} |",
            rows as f64 / m.wall.as_secs_f64() / 1e6,
            m.wall.as_secs_f64(),
            m.mysql_cpu,
            m.clickhouse_cpu,
            m.merges_cpu,
            m.client_cpu,
            m.client_peak_mib
        );
    }
    let speed = |i: usize| rows as f64 / medians[i].1.wall.as_secs_f64();
    for (name, of, to) in [
        ("(c)/(b)", 2, 1),
        ("(c)/(a)", 2, 0),
        ("(d)/(c)", 3, 2),
        ("(e)/(c)", 4, 2),
    ] {
        println!("\n{name}: {:.2}", speed(of) / speed(to));
    }
}
