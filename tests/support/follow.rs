//! A pipe that follows its source in a process of its own, tended as a supervisor would: started again whenever it ends, and what is unfinished
//! is resumed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::World;

/// How long a pipe may take to show what was written, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(420);
/// The table whose rows are written last.
const SENTINEL: &str = "sentinel";

/// A process that follows, and those that take its place.
#[derive(Debug)]
pub struct Following {
    child: Child,
    command: &'static str,
    folder: PathBuf,
    started: u32,
    /// Exit codes and messages of the processes that ended by themselves.
    pub exits: Vec<(Option<i32>, String)>,
}

impl Following {
    /// Starts `run`, and waits until it has loaded and follows.
    #[track_caller]
    pub fn start(world: &World) -> Self {
        let mut pipe = Self::begin(world, "run");
        pipe.await_status(world, "it follows", follows);
        assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
        pipe
    }

    /// Starts a command, `run` or `resume`, and waits for nothing.
    pub fn begin(world: &World, command: &'static str) -> Self {
        let folder = world.folder().to_owned();
        let started = 1 + std::fs::read_dir(&folder).map_or(0, |files| {
            let logs = files.flatten();
            logs.filter(|file| file.path().extension().is_some_and(|end| end == "err"))
                .count() as u32
        });
        Self {
            child: spawn(world, command, started),
            command,
            folder,
            started,
            exits: Vec::new(),
        }
    }

    /// Kills the process, as a crash would.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("it ends");
    }

    /// Starts the next process, after a kill.
    pub fn go_on(&mut self, world: &World, command: &'static str) {
        self.started += 1;
        self.command = command;
        self.child = spawn(world, command, self.started);
    }

    /// What a supervisor does now and then: a process that has ended is followed by the next one. `run` that is refused because something is
    /// unfinished is followed by `resume`, all else by `run`.
    pub fn tend(&mut self, world: &World) {
        let Some(status) = self.child.try_wait().expect("a child") else {
            return;
        };
        let answer = self.answer();
        self.exits.push((status.code(), answer));
        assert!(
            self.exits.len() < 1000,
            "it ends again and again: {:#?}",
            &self.exits[995..]
        );
        let refused = self.command == "run" && status.code() == Some(9);
        std::thread::sleep(Duration::from_millis(100));
        self.go_on(world, if refused { "resume" } else { "run" });
    }

    /// Tends the pipe for some time.
    pub fn tend_for(&mut self, world: &World, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tend(world);
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }

    /// Waits for the process to end by itself: its exit code and its JSON envelope.
    #[track_caller]
    pub fn end(&mut self, world: &World) -> super::world::Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                let text = |end: &str| std::fs::read_to_string(self.log(end)).unwrap_or_default();
                return super::world::Answer {
                    code: status.code(),
                    json: serde_json::from_str(&text("out")).unwrap_or(Value::Null),
                    stderr: text("err"),
                };
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {:#?}",
                world.tidemill(&["status"]).json["result"]["cdc"]
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks for a pause, and waits until the process has ended by it.
    #[track_caller]
    pub fn pause(&mut self, world: &World) {
        world.tidemill(&["pause"]).ok();
        let answer = self.end(world);
        assert_eq!(answer.code, Some(10), "{answer:#?}");
    }

    /// Waits until everything that is committed at the source by now is in the destination.
    ///
    /// The sentinel's row is written twice: where the second has arrived, what was flushed together with the first is in all tables.
    #[track_caller]
    pub fn caught_up(&mut self, world: &World) {
        for _ in 0..2 {
            let rev = uuid::Uuid::new_v4().simple().to_string();
            world.mysql.run(&format!(
                "INSERT INTO {SENTINEL} VALUES (1, '{rev}') ON DUPLICATE KEY UPDATE rev = '{rev}';\n"
            ));
            let query = format!("SELECT count() FROM {{db}}.{SENTINEL} FINAL WHERE rev = '{rev}'");
            let deadline = Instant::now() + PATIENCE;
            while world.clickhouse.try_query(&query).as_deref() != Ok("1") {
                self.tend(world);
                assert!(
                    Instant::now() < deadline,
                    "the destination does not catch up: {:#?}; ended by themselves: {:#?}",
                    world.tidemill(&["status"]),
                    self.exits
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Waits until the result of `status` is as it is wanted, and returns it.
    #[track_caller]
    pub fn await_status(
        &mut self,
        world: &World,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Taken before the question: an answer of a process that has ended since is not waited for in vain.
            self.tend(world);
            let status = world.tidemill(&["status"]);
            if wanted(&status.json["result"]) {
                return status.json["result"].clone();
            }
            assert!(
                Instant::now() < deadline,
                "{what} was not to be seen: {status:#?}; ended by themselves: {:#?}",
                self.exits
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a table, by the name that it has in both databases, is in a state, and returns what `status` says of it.
    #[track_caller]
    pub fn await_table(&mut self, world: &World, name: &str, state: &str) -> Value {
        let found = self.await_status(world, &format!("{name} in the state {state}"), |status| {
            table_of(status, name)["state"] == state
        });
        table_of(&found, name).clone()
    }

    fn log(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{:03}.{end}", self.started))
    }

    /// What the process printed, in short.
    fn answer(&self) -> String {
        let text = |end: &str| std::fs::read_to_string(self.log(end)).unwrap_or_default();
        let (out, err) = (text("out"), text("err"));
        let json: Value = serde_json::from_str(&out).unwrap_or(Value::Null);
        match json["error"]["message"].as_str() {
            Some(message) => format!("{}: {message}", self.command),
            None => format!("{}: {out}\n{err}", self.command),
        }
    }
}

/// Whether a pipe has loaded and follows, by the result of `status`.
pub fn follows(status: &Value) -> bool {
    let resync = &status["resync"];
    status["cdc"]["phase"] == "running" && (resync.is_null() || resync["phase"] == "running")
}

/// What `status` says of a table that follows, by its destination's name.
pub fn table_of<'a>(status: &'a Value, name: &str) -> &'a Value {
    let tables = status["cdc"]["tables"].as_array();
    let mut tables = tables.into_iter().flatten();
    tables
        .find(|table| table["destination"] == name)
        .unwrap_or(&Value::Null)
}

/// Its output goes to files: a pipe that nobody reads would hold it up.
fn spawn(world: &World, command: &str, number: u32) -> Child {
    let file = |end: &str| {
        let path = world.folder().join(format!("{number:03}.{end}"));
        Stdio::from(File::create(path).expect("the folder is writable"))
    };
    let mut process = world.command(&[command]);
    process.stdout(file("out")).stderr(file("err"));
    if std::env::var_os("TIDEMILL_LOG").is_none() {
        process.env("TIDEMILL_LOG", "warn");
    }
    process.spawn().expect("the binary runs")
}

impl Drop for Following {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            for number in self.started.saturating_sub(2)..=self.started {
                let path = self.folder.join(format!("{number:03}.err"));
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(30).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                eprintln!("the log of process {number}:\n{}", tail.join("\n"));
            }
            eprintln!("ended by themselves: {:#?}", self.exits);
            // The journal and all logs, for whoever looks into it.
            if let Some(kept) = std::env::var_os("TIDEMILL_KEEP") {
                let copied = Command::new("cp")
                    .arg("-a")
                    .arg(&self.folder)
                    .arg(&kept)
                    .status();
                eprintln!("{:?} is kept in {kept:?}: {:?}", self.folder, copied);
            }
        }
    }
}
