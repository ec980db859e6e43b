//! A database of its own on a real MySQL or MariaDB.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};

use super::servers::{self, Server};
use super::{block_on, unique};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Oracle's MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Flavor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MySql, Self::MariaDb];

    fn script(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
        }
    }

    /// The statement that lets a recursive query of the session count to 100,000; both servers stop at 1,000 by themselves.
    pub fn deep_recursion(self) -> &'static str {
        match self {
            Self::MySql => "SET SESSION cte_max_recursion_depth = 100000",
            Self::MariaDb => "SET SESSION max_recursive_iterations = 100000",
        }
    }
}

/// A name as MySQL's SQL writes it.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A database on a server, dropped at the end.
#[derive(Debug)]
pub struct MySql {
    /// The server.
    pub server: Server,
    /// Which server it is.
    pub flavor: Flavor,
    /// The database's name.
    pub database: String,
}

impl MySql {
    /// A new database on the shared server.
    pub fn new(flavor: Flavor) -> Self {
        Self::on(servers::start(flavor.script(), flavor.script()), flavor)
    }

    /// A new database on a server of its own, which the test may kill: `name` is the server's.
    pub fn disposable(flavor: Flavor, name: &str) -> Self {
        Self::on(servers::start(flavor.script(), name), flavor)
    }

    /// A new database on a MySQL of its own with these options: `name` is the server's.
    pub fn mysql_with(options: &str, name: &str) -> Self {
        Self::on(servers::start_with("mysql", name, options), Flavor::MySql)
    }

    /// A new database on a MariaDB of its own with these options: `name` is the server's.
    pub fn mariadb_with(options: &str, name: &str) -> Self {
        Self::on(
            servers::start_with("mariadb", name, options),
            Flavor::MariaDb,
        )
    }

    fn on(server: Server, flavor: Flavor) -> Self {
        let database = unique("t");
        let mysql = Self {
            server,
            flavor,
            database,
        };
        mysql.run_in(
            "mysql",
            &format!("CREATE DATABASE `{}` CHARACTER SET utf8mb4", mysql.database),
        );
        mysql
    }

    /// The server's TCP port.
    pub fn port(&self) -> u16 {
        self.server.port("port")
    }

    /// Kills the server, as a crash would, and waits for its end.
    pub fn kill(&self) {
        let process = self.server.process();
        servers::kill(process);
        let alive = std::path::PathBuf::from(format!("/proc/{process}/stat"));
        // A process that is dead and not yet buried has let go of its files.
        while std::fs::read_to_string(&alive).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Runs statements, separated by lines that end with a semicolon, in the test's database.
    pub fn run(&self, script: &str) {
        self.run_in(&self.database, script);
    }

    fn run_in(&self, database: &str, script: &str) {
        block_on(async {
            let mut connection = self.connect(database).await;
            for statement in script
                .split(";\n")
                .map(str::trim)
                .filter(|statement| !statement.is_empty())
            {
                let done = connection.query_drop(statement.trim_end_matches(';')).await;
                done.unwrap_or_else(|error| {
                    panic!("{error}: {}", &statement[..statement.len().min(200)])
                });
            }
            connection.disconnect().await.expect("a clean end");
        });
    }

    /// Runs statements as [`MySql::run`] does, in a session that lives on until it is dropped: what is temporary is there as long.
    pub fn session(&self, script: &str) -> Conn {
        block_on(async {
            let mut connection = self.connect(&self.database).await;
            for statement in script.split(";\n").filter(|text| !text.trim().is_empty()) {
                connection
                    .query_drop(statement)
                    .await
                    .unwrap_or_else(|error| panic!("{error}: {statement}"));
            }
            connection
        })
    }

    /// The rows of a query, each value as the server's text; none for NULL.
    pub fn rows(&self, query: &str) -> Vec<Vec<Option<String>>> {
        block_on(async {
            let mut connection = self.connect(&self.database).await;
            let rows: Vec<Row> = connection
                .query(query)
                .await
                .unwrap_or_else(|error| panic!("{error}: {query}"));
            let text = |value: Value| match value {
                Value::NULL => None,
                Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                other => panic!("the text protocol sends text, not {other:?}"),
            };
            rows.into_iter()
                .map(|row| row.unwrap().into_iter().map(text).collect())
                .collect()
        })
    }

    /// A single value.
    pub fn value(&self, query: &str) -> String {
        self.rows(query)[0][0].clone().expect("not NULL")
    }

    /// How a session in the test's database is begun, from whatever thread.
    pub fn options(&self) -> OptsBuilder {
        self.options_for(&self.database)
    }

    fn options_for(&self, database: &str) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port())
            .prefer_socket(false)
            .user(Some("root"))
            .db_name(Some(database))
            .init(vec!["SET SESSION time_zone = '+00:00'"])
    }

    async fn connect(&self, database: &str) -> Conn {
        let connection = Conn::new(self.options_for(database)).await;
        connection.expect("the test's server answers")
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run_in("mysql", &format!("DROP DATABASE `{}`", self.database));
        }
    }
}
