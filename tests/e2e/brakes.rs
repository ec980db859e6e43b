//! A load spares its source: it is held while the source is busy or a replica is behind, and goes on.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{ClickHouse, Flavor, MySql, World, servers};

/// Small chunks, so that a load that isn't held would be over at once.
const SMALL: &str =
    "[snapshot]\nchunk_rows = 1000\nbatch_rows = 300\n[brakes]\nevery = \"100ms\"\n";
const ROWS: u64 = 20_000;

fn fill(world: &World) {
    world.mysql.run(&format!(
        "{};\nCREATE TABLE t (id INT PRIMARY KEY);\n\
         INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i FROM n;\n",
        world.mysql.flavor.deep_recursion()
    ));
}

/// A command at work, and what it says.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(world: &World, command: &str) -> Self {
        let mut child = world.spawn(&["--log", "info", command]);
        let (said, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Self { child, lines }
    }

    /// Waits for a line with these words.
    #[track_caller]
    fn says(&self, words: &str) -> String {
        let mut said = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if line.contains(words) {
                return line;
            }
            said.push(line);
        }
        panic!("`{words}` is not said: {said:#?}");
    }

    /// It is still at work a while later.
    #[track_caller]
    fn stands_still(&mut self) {
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(self.child.try_wait().unwrap(), None, "it is held");
    }

    /// How it ends; what it says until then stands in the failure if it doesn't.
    #[track_caller]
    fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                let said: Vec<String> = self.lines.try_iter().collect();
                panic!("it does not end: {said:#?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_load_is_held_while_the_source_runs_many_threads() {
    let mysql = MySql::disposable(Flavor::MariaDb, "mariadb-busy");
    let process = mysql.server.process();
    let world = World::of(mysql, ClickHouse::new())
        .settings(SMALL)
        .settings("threads_running = 1\n")
        .table("t", "");
    fill(&world);
    let gate = world.mysql.session("SELECT GET_LOCK('gate', 0)");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| world.mysql.run("SELECT GET_LOCK('gate', 600);\n"));
        }
        let running = "SHOW GLOBAL STATUS LIKE 'Threads_running'";
        while world.mysql.rows(running)[0][1].as_deref() != Some("4") {
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut load = Running::start(&world, "run");
        let held = load.says("the load is held: the source runs ");
        // At least the three, and another of the server's own at times.
        assert!(
            held.contains(" threads, and brakes.threads_running is 1"),
            "{held}"
        );
        load.stands_still();
        // A pause gets through.
        world.tidemill(&["pause"]).ok();
        assert_eq!(load.end().code(), Some(10));
        let mut load = Running::start(&world, "resume");
        load.says("is held");
        load.stands_still();
        drop(gate);
        load.says("the load goes on");
        assert_eq!(load.end().code(), Some(0));
    });
    assert_eq!(world.clickhouse.count("t"), ROWS);
    drop(world);
    servers::kill(process);
}

#[test]
fn a_load_is_held_while_a_replica_is_behind() {
    let world = World::new(Flavor::MySql).table("t", "");
    fill(&world);
    let database = world.mysql.database.clone();
    let world = world.settings(SMALL).settings(&format!(
        "replica_lag = \"10s\"\nreplica_lag_query = \"SELECT seconds FROM {database}.behind\"\n"
    ));
    world
        .mysql
        .run("CREATE TABLE behind (seconds DOUBLE);\nINSERT INTO behind VALUES (11.5);\n");
    let mut load = Running::start(&world, "run");
    load.says("the load is held: the replica is 12 s behind, and brakes.replica_lag is 10s");
    load.stands_still();
    // A replica that has stopped is as far behind as can be.
    world.mysql.run("UPDATE behind SET seconds = NULL;\n");
    load.stands_still();
    world.mysql.run("UPDATE behind SET seconds = 9.9;\n");
    load.says("the load goes on");
    assert_eq!(load.end().code(), Some(0));
    assert_eq!(world.clickhouse.count("t"), ROWS);
}

#[test]
fn a_source_that_is_a_replica_is_asked_itself() {
    for flavor in Flavor::ALL {
        // It replicates nothing, and keeps even that out of its own binlog.
        let options = "--server-id=77 --replicate-wild-do-table=nothing.% --skip-log-slave-updates";
        let (replica, upstream, forget, change, position, start) = match flavor {
            Flavor::MySql => (
                MySql::mysql_with(options, "mysql-replica"),
                "mysql-upstream",
                "STOP REPLICA;\nRESET REPLICA ALL;\n",
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_USER = 'root', GET_SOURCE_PUBLIC_KEY = 1, SOURCE",
                "SHOW BINARY LOG STATUS",
                "START REPLICA;\n",
            ),
            Flavor::MariaDb => (
                MySql::mariadb_with(options, "mariadb-replica"),
                "mariadb-upstream",
                "STOP SLAVE;\nRESET SLAVE ALL;\n",
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'root', MASTER",
                "SHOW MASTER STATUS",
                "START SLAVE;\n",
            ),
        };
        // Not the shared one: a replica stops at what other tests write there and its filters don't keep out, such as a procedure.
        let upstream = MySql::disposable(flavor, upstream);
        let processes = [&replica, &upstream].map(|mysql| mysql.server.process());
        let place = upstream.rows(position)[0].clone();
        let (file, offset) = (place[0].as_deref().unwrap(), place[1].as_deref().unwrap());
        let (prefix, port) = (change.rsplit(' ').next().unwrap(), upstream.port());
        // A server of an earlier run may still know its source.
        replica.run(forget);
        replica.run(&format!(
            "{change}_PORT = {port}, {prefix}_LOG_FILE = '{file}', {prefix}_LOG_POS = {offset};\n"
        ));
        let world = World::of(replica, ClickHouse::new())
            .following()
            .table("t", "");
        fill(&world);
        let check = world.tidemill(&["check"]);
        assert_eq!(check.code, Some(11), "{check:#?}");
        let findings = check.json["result"]["findings"].to_string();
        assert!(
            findings.contains("a replica with log_replica_updates"),
            "{findings}"
        );

        let world = World::of(world.mysql, world.clickhouse)
            .settings(SMALL)
            .settings("replica_lag = \"5m\"\n")
            .table("t", "");
        let mut load = Running::start(&world, "run");
        load.says("the load is held: nobody knows how far the replica is behind");
        load.stands_still();
        world.mysql.run(start);
        load.says("the load goes on");
        assert_eq!(load.end().code(), Some(0), "{flavor:?}");
        assert_eq!(world.clickhouse.count("t"), ROWS);
        drop((world, upstream));
        processes.into_iter().for_each(servers::kill);
    }
}

#[test]
fn a_source_that_is_no_replica_or_can_not_be_asked_holds_nothing() {
    for (settings, words) in [
        ("replica_lag = \"0s\"\n", "is no replica"),
        (
            "replica_lag = \"0s\"\nreplica_lag_query = \"SELECT lag FROM nowhere.nothing\"\n",
            "can't be asked for the brakes",
        ),
        (
            "replica_lag = \"0s\"\nreplica_lag_query = \"SELECT 'soon'\"\n",
            "no number of seconds",
        ),
    ] {
        let world = World::new(Flavor::MySql)
            .settings(SMALL)
            .settings(settings)
            .table("t", "");
        fill(&world);
        let load = Running::start(&world, "run");
        load.says(words);
        assert_eq!(load.end().code(), Some(0), "{settings}");
        assert_eq!(world.clickhouse.count("t"), ROWS);
    }
}

#[test]
fn a_load_with_a_low_ceiling_is_paused_at_once() {
    let world = World::new(Flavor::MySql)
        .settings("[snapshot]\nrows_per_second = 1\nbatch_rows = 300\n")
        .table("t", "");
    fill(&world);
    let load = Running::start(&world, "run");
    world.await_phase("snapshot");
    // Its second batch is due in five minutes.
    std::thread::sleep(Duration::from_secs(1));
    world.tidemill(&["pause"]).ok();
    let began = Instant::now();
    assert_eq!(load.end().code(), Some(10));
    assert!(began.elapsed() < Duration::from_secs(60));
}
