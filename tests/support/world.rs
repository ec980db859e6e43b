//! A test's world: a MySQL database, a ClickHouse database, a pipe between them, and the command line.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::mysql::quoted;
use super::oracle::{self, Compared};
use super::{ClickHouse, Flavor, MySql, root, tidemill};

/// A source, a destination and a pipe file.
#[derive(Debug)]
pub struct World {
    /// The source.
    pub mysql: MySql,
    /// The destination.
    pub clickhouse: ClickHouse,
    folder: tempfile::TempDir,
    source_port: u16,
    login: String,
    destination_port: u16,
    destination_user: String,
    follows: bool,
    top: String,
    settings: String,
    tables: String,
    variables: Vec<(String, PathBuf)>,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code; none if it was killed.
    pub code: Option<i32>,
    /// The JSON envelope; null if it printed none.
    pub json: Value,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Expects success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Expects an exit code and words of the error's message.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let message = self.message();
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
        self
    }

    /// The error's message.
    pub fn message(&self) -> String {
        self.json["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl World {
    /// Empty databases on the shared servers.
    pub fn new(flavor: Flavor) -> Self {
        Self::of(MySql::new(flavor), ClickHouse::new())
    }

    /// A world of these two.
    pub fn of(mysql: MySql, clickhouse: ClickHouse) -> Self {
        let (source_port, destination_port) = (mysql.port(), clickhouse.http_port);
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            mysql,
            clickhouse,
            folder,
            source_port,
            login: "user = \"root\"".to_owned(),
            destination_port,
            destination_user: "default".to_owned(),
            follows: false,
            top: String::new(),
            settings: String::new(),
            tables: String::new(),
            variables: Vec::new(),
        }
    }

    /// Sets an environment variable of all commands to a path.
    pub fn variable(mut self, name: &str, path: PathBuf) -> Self {
        self.variables.push((name.to_owned(), path));
        self
    }

    /// Reaches the source through another port: a proxy's.
    pub fn source_through(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    /// Says who reads the source, and how it is connected to, in TOML; without it: root.
    pub fn login(mut self, toml: &str) -> Self {
        self.set_login(toml);
        self
    }

    /// The same.
    pub fn set_login(&mut self, toml: &str) {
        toml.clone_into(&mut self.login);
    }

    /// Reaches the destination through another port: a proxy's.
    pub fn destination_through(mut self, port: u16) -> Self {
        self.destination_port = port;
        self
    }

    /// Writes to the destination as another user than `default`.
    pub fn destination_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.destination_user);
        self
    }

    /// Leaves change data capture on, as it is where the pipe file says nothing of it; without this the pipe ends with its load.
    pub fn following(mut self) -> Self {
        self.follows = true;
        self
    }

    /// The same, with this in the section `[apply]`, and with a table `sentinel`, by which [`super::Following`] sees how far the pipe is.
    pub fn with_sentinel(self, apply: &str) -> Self {
        self.mysql
            .run("CREATE TABLE sentinel (id INT PRIMARY KEY, rev CHAR(32) NOT NULL);\n");
        // Tests that run side by side read the same server, which knows its readers by this number.
        let reader = uuid::Uuid::new_v4().as_u64_pair().0 % 4_000_000_000 + 1_000;
        self.following()
            .settings(&format!("[apply]\nserver_id = {reader}\n{apply}\n"))
            .table("sentinel", "")
    }

    /// Adds keys at the top of the pipe file, in TOML.
    pub fn top(mut self, toml: &str) -> Self {
        self.top.push_str(toml);
        self
    }

    /// Adds sections to the pipe file, in TOML.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self
    }

    /// Puts other sections in the place of some.
    pub fn replace_settings(&mut self, from: &str, to: &str) {
        assert!(self.settings.contains(from), "{}", self.settings);
        self.settings = self.settings.replace(from, to);
    }

    /// Adds a table mapping, and what stands below it, in TOML.
    pub fn table(mut self, name: &str, toml: &str) -> Self {
        self.add_table(name, toml);
        self
    }

    /// Adds a table mapping, and what stands below it, in TOML.
    pub fn add_table(&mut self, name: &str, toml: &str) {
        let database = &self.mysql.database;
        self.tables.push_str(&format!(
            "\n[[table]]\nsource = \"{database}.{name}\"\n{toml}\n"
        ));
    }

    /// Adds a mapping of a table of whatever name, and what stands below it, in TOML.
    pub fn add_mapping(&mut self, database: &str, table: &str, toml: &str) {
        let source = toml::Value::String(format!("{}.{}", quoted(database), quoted(table)));
        self.tables
            .push_str(&format!("\n[[table]]\nsource = {source}\n{toml}\n"));
    }

    /// Adds a mapping of any table of the source server, as somebody writes it who has read what `check` says of the table: without
    /// a key it needs a MergeTree, and a TINYINT(1) that is no boolean is an Int8.
    pub fn add_source(&mut self, database: &str, table: &str) {
        let name = format!("{}.{}", quoted(database), quoted(table));
        let mut toml = String::new();
        if !oracle::has_key(&self.mysql, database, table) {
            toml += "engine = \"MergeTree\"\n";
        }
        let numbers = oracle::booleans(&self.mysql, database, table).into_iter();
        let numbers = numbers.filter(|column| {
            let column = quoted(column);
            let other = format!("SELECT EXISTS(SELECT 1 FROM {name} WHERE {column} NOT IN (0, 1))");
            self.mysql.value(&other) == "1"
        });
        let types: toml::Table = numbers.map(|column| (column, "Int8".into())).collect();
        if !types.is_empty() {
            toml += &format!("types = {}\n", toml::Value::from(types));
        }
        self.add_mapping(database, table, &toml);
    }

    /// Whether these tables of the source's database arrived in every cell: what was compared.
    #[track_caller]
    pub fn assert_same_cells(&self, tables: &[impl AsRef<str>]) -> Compared {
        let (mysql, clickhouse) = (&self.mysql, &self.clickhouse);
        oracle::assert_same_cells(mysql, &mysql.database, clickhouse, tables)
    }

    /// Forgets the table mappings.
    pub fn clear_tables(&mut self) {
        self.tables.clear();
    }

    /// The folder of the pipe file.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The pipe file's text, of a pipe of this name.
    pub fn pipe_text(&self, name: &str) -> String {
        format!(
            "name = \"{name}\"\n{}{}\n[source]\nport = {}\n{}\n\n[destination]\nurl = \"http://127.0.0.1:{}\"\nuser = \"{}\"\ndatabase = {}\n\n{}\n{}",
            self.top,
            if self.follows { "" } else { "cdc = false" },
            self.source_port,
            self.login,
            self.destination_port,
            self.destination_user,
            // Whatever the name has in it.
            toml::Value::String(self.clickhouse.database.clone()),
            self.settings,
            self.tables
        )
    }

    /// Writes the pipe file.
    pub fn write_pipe(&self) -> PathBuf {
        let text = self.pipe_text("test");
        let path = self.folder.path().join("pipe.toml");
        // At once: another process may be about to read it.
        let new = self.folder.path().join("pipe.toml.new");
        std::fs::write(&new, text).expect("the folder is writable");
        std::fs::rename(&new, &path).expect("the folder is writable");
        path
    }

    /// Waits until the pipe's resync is in a phase, and returns its record.
    #[track_caller]
    pub fn await_phase(&self, phase: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.tidemill(&["status"]).ok();
            let resync = &status.json["result"]["resync"];
            if resync["phase"] == phase {
                return resync.clone();
            }
            assert!(
                Instant::now() < deadline,
                "not in the phase {phase}: {status:#?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The command, not started yet; the pipe file is as the world describes it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tidemill());
        command
            .arg("--pipe")
            .arg(self.write_pipe())
            .args(["--output", "json"])
            .args(arguments)
            .env("TIDEMILL_PLUGIN_PATH", root().join("target/plugins"))
            .envs(self.variables.iter().map(|(name, path)| (name, path)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn tidemill(&self, arguments: &[&str]) -> Answer {
        answer(self.command(arguments).output().expect("the binary runs"))
    }

    /// What the pipe's history has, the newest first: `resync`, `load`.
    #[track_caller]
    pub fn history(&self) -> Vec<String> {
        let history = self.tidemill(&["history"]).ok();
        let resyncs = history.json["result"].as_array().expect("a list");
        let kind = |resync: &serde_json::Value| resync["kind"].as_str().expect("a text").to_owned();
        resyncs.iter().map(kind).collect()
    }

    /// Starts a command.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the binary runs")
    }

    /// Whether the destination's table has, under `FINAL`, exactly the rows of the source's; both queries give text columns in one order.
    #[track_caller]
    pub fn assert_same_rows(&self, source_query: &str, destination_query: &str) {
        let source = self.mysql.rows(source_query);
        let lines = source.iter().map(|row| {
            let cells = row
                .iter()
                .map(|cell| cell.clone().unwrap_or_else(|| "\\N".to_owned()));
            cells.collect::<Vec<_>>().join("\t")
        });
        let expected = lines.collect::<Vec<_>>();
        let text = self.clickhouse.query(destination_query);
        let found: Vec<&str> = if text.is_empty() {
            Vec::new()
        } else {
            text.split('\n').collect()
        };
        assert_eq!(found.len(), expected.len(), "rows of {destination_query}");
        if let Some(i) = (0..found.len()).find(|&i| found[i] != expected[i]) {
            panic!(
                "row {i} differs: expected `{}`, found `{}`",
                expected[i], found[i]
            );
        }
    }
}

/// A command's answer.
pub fn answer(output: Output) -> Answer {
    Answer {
        code: output.status.code(),
        json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
