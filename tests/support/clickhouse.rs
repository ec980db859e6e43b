//! A database of its own on a real ClickHouse, which `tidemill clickhouse` runs.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clickhouse::Client;

use super::{block_on, servers, tidemill, unique};

/// A database on a ClickHouse server.
#[derive(Debug)]
pub struct ClickHouse {
    /// The server's HTTP port.
    pub http_port: u16,
    /// The database's name; a pipe creates it.
    pub database: String,
    own: Option<OwnServer>,
}

/// A server that the test may kill.
#[derive(Debug)]
struct OwnServer {
    tcp_port: u16,
    data: tempfile::TempDir,
    child: Mutex<Option<Child>>,
}

impl ClickHouse {
    /// A new database's name on the shared server.
    pub fn new() -> Self {
        let server = servers::start("clickhouse", "clickhouse");
        Self {
            http_port: server.port("http_port"),
            database: unique("t"),
            own: None,
        }
    }

    /// A server of the test's own.
    pub fn disposable() -> Self {
        Self::disposable_with("")
    }

    /// A server of the test's own that knows a user `limited` without a password, too, who has these grants alone. `{db}` stands for
    /// the test's database.
    pub fn with_limited_user(grants: &[&str]) -> Self {
        let user = |name: &str, grants: &str| {
            format!(
                "<{name}><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>{grants}</{name}>"
            )
        };
        let grants = grants
            .iter()
            .map(|grant| format!("<query>GRANT {grant}</query>"));
        let grants = format!("<grants>{}</grants>", grants.collect::<String>());
        Self::disposable_with(&format!(
            "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>{}{}</users></clickhouse>",
            user("default", ""),
            user("limited", &grants)
        ))
    }

    /// The users are those of `users.xml`, if there is a text for it.
    fn disposable_with(users: &str) -> Self {
        let data = tempfile::tempdir_in(super::root().join("target")).expect("a folder");
        let database = unique("t");
        if !users.is_empty() {
            // clickhouse-local takes a `config.xml` of its folder for its own.
            let path = data.path().join("users.xml");
            let config = format!(
                "<clickhouse><users_config>{}</users_config></clickhouse>",
                path.display()
            );
            std::fs::write(&path, users.replace("{db}", &database))
                .expect("the folder is writable");
            std::fs::write(data.path().join("config.xml"), config).expect("the folder is writable");
        }
        let own = OwnServer {
            tcp_port: free_port(),
            data,
            child: Mutex::new(None),
        };
        let server = Self {
            http_port: free_port(),
            database,
            own: Some(own),
        };
        server.start();
        server
    }

    /// Starts the test's own server, at the same ports and with the same data as before.
    pub fn start(&self) {
        let own = self.own.as_ref().expect("a server of its own");
        let child = Command::new(tidemill())
            .arg("clickhouse")
            .current_dir(own.data.path())
            .arg("--data")
            .arg(own.data.path())
            .args([
                "--http-port",
                &self.http_port.to_string(),
                "--tcp-port",
                &own.tcp_port.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        *own.child.lock().expect("not poisoned") = Some(child.expect("the server starts"));
        let deadline = Instant::now() + Duration::from_secs(60);
        while block_on(self.client().query("SELECT 1").execute()).is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills the test's own server, as a crash would.
    pub fn kill(&self) {
        let own = self.own.as_ref().expect("a server of its own");
        let child = own.child.lock().expect("not poisoned").take();
        let mut child = child.expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// The server's HTTP address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    fn client(&self) -> Client {
        Client::default()
            .with_url(self.url())
            // A list of thousands of columns.
            .with_setting("max_query_size", "4000000")
    }

    /// Runs statements, separated by lines that end with a semicolon. `{db}` stands for the test's database.
    pub fn run(&self, script: &str) {
        for statement in script
            .split(";\n")
            .map(str::trim)
            .filter(|statement| !statement.is_empty())
        {
            let statement = statement
                .trim_end_matches(';')
                .replace("{db}", &self.database);
            let done = block_on(self.client().query(&statement.replace('?', "??")).execute());
            done.unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
    }

    /// The answer of a query as tab-separated values, without the last line end. `{db}` stands for the test's database.
    pub fn query(&self, query: &str) -> String {
        self.try_query(query)
            .unwrap_or_else(|error| panic!("{error}: {query}"))
    }

    /// Waits until a query has this answer.
    #[track_caller]
    pub fn await_query(&self, query: &str, expected: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let found = self.query(query);
            if found == expected {
                return;
            }
            let is_late = std::time::Instant::now() > deadline;
            assert!(!is_late, "{query}: {found} is not {expected}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// The answer of a query, or the server's error.
    pub fn try_query(&self, query: &str) -> Result<String, String> {
        self.reader().try_query(query)
    }

    /// A reader for another thread.
    pub fn reader(&self) -> Reader {
        Reader {
            client: self.client(),
            database: self.database.clone(),
        }
    }

    /// The number of a table's visible rows.
    pub fn count(&self, table: &str) -> u64 {
        self.query(&format!("SELECT count() FROM {{db}}.`{table}` FINAL"))
            .parse()
            .expect("a number")
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        let child = self.own.as_mut().map(|own| own.child.get_mut());
        match child.and_then(|mut child| child.as_mut().ok()?.take()) {
            Some(mut child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            None if self.own.is_none() && !std::thread::panicking() => {
                let name = quoted(&self.database);
                self.run(&format!("DROP DATABASE IF EXISTS {name} SYNC"));
            }
            None => {}
        }
    }
}

/// Asks the server, from whatever thread.
#[derive(Clone)]
pub struct Reader {
    client: Client,
    database: String,
}

impl Reader {
    /// The answer of a query as tab-separated values, without the last line end, or the server's error. `{db}` stands for the test's database.
    pub fn try_query(&self, query: &str) -> Result<String, String> {
        let query = query.replace("{db}", &self.database).replace('?', "??");
        block_on(async {
            let mut cursor = self
                .client
                .query(&query)
                .fetch_bytes("TabSeparated")
                .map_err(|error| error.to_string())?;
            let mut text = Vec::new();
            while let Some(part) = cursor.next().await.map_err(|error| error.to_string())? {
                text.extend_from_slice(&part);
            }
            Ok(String::from_utf8_lossy(&text)
                .trim_end_matches('\n')
                .to_owned())
        })
    }
}

/// A name as ClickHouse's SQL writes it.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
