//! A new pipe file for a source: every setting, commented, with its default.

use std::fmt::Write;

use crate::schema::TableName;

/// A table of the source, as `init` found it.
#[derive(Clone, Debug)]
pub struct TemplateTable {
    /// Its name.
    pub name: TableName,
    /// Views are not copied.
    pub is_view: bool,
    /// The server's estimate.
    pub estimated_rows: u64,
    /// The key's columns; empty: none.
    pub key: Vec<String>,
}

/// What a new pipe file is made of.
#[derive(Clone, Debug)]
pub struct Template {
    /// The pipe's name.
    pub name: String,
    /// The lines of `[source]`, as TOML keys and values.
    pub source: Vec<(String, toml::Value)>,
    /// The destination's URL, or `embedded`.
    pub destination: String,
    /// The destination's database.
    pub database: String,
    /// The destination's user; none: the default one.
    pub user: Option<String>,
    /// The source's tables.
    pub tables: Vec<TemplateTable>,
}

const SETTINGS: &str = r#"
[snapshot]
# parallel_chunks = 2        # connections to the source that read at the same time
# chunk_rows = 500000        # rows that a chunk aims at
# block = "64MiB"            # the size of an insert
# batch_rows = 65536         # the most rows that a plugin sees at once
# batch = "8MiB"
# rows_per_second = 100000   # a ceiling; default: none

[apply]                      # how the source's changes are gathered and applied; an insert is made of a table's changes
# rows = 100000              # at so many of them,
# bytes = "64MiB"            # at so much memory,
# every = "1s"               # or after this time, whichever comes first
# on_truncate = "stop"       # or "apply" (the destination's table is emptied as well), "ignore": when a source table is truncated
# on_drop = "stop"           # or "ignore": when a source table is dropped
# server_id = 4101           # what the pipe calls itself at the source; default: made of the pipe's name and place
# heartbeat = "5s"           # how often an idle source says that it is alive

[brakes]                     # what holds a load to spare the source
# threads_running = 50       # while it runs more threads than these; default: none
# replica_lag = "10s"        # while it, or the replica that is asked about, is further behind; default: none
# replica_lag_query = "SELECT lag_seconds FROM ops.heartbeat"   # seconds; default: what the source says of itself as a replica
# every = "1s"               # how often it is asked

[verify]
# mode = "counts"            # or "full": every column is read back and compared

[swap]
# max_shrink = "10%"         # a table that shrinks by more waits for `tidemill approve`
# max_growth = "50%"         # default: any growth
# keep_old = "7d"            # how long `tidemill rollback` can go back
# on_table_error = "stop"    # or "continue": the other tables are swapped

[values]
# on_out_of_range = "error"  # or "null", "clamp", "reject": for values that the column's ClickHouse type has no place for; TYPES.md
# zero_dates = "null"        # or "error", "1970-01-01": for dates such as 0000-00-00; default: "null", or "error" where a column is NOT NULL

[metadata]
# synced_at = "_peerdb_synced_at"
# is_deleted = "_peerdb_is_deleted"
# version = "_peerdb_version"
"#;

const TABLE_HINTS: &str = r#"# destination = "another_name"
# order_by = ["column"]      # default: the primary key
# partition_by = "toYYYYMM(created_at)"
# primary_key = ["column"]   # default: order_by
# engine = "MergeTree"       # default: ReplacingMergeTree, which needs a key
# settings = { index_granularity = 8192 }
# ttl = "created_at + INTERVAL 1 YEAR"
# comment = "text"           # default: the source's
# indexes = [{ name = "by_status", expression = "status", type = "set(100)", granularity = 4 }]
# types = { flag = "Int8", note = { type = "LowCardinality(String)", codec = "ZSTD(3)" } }   # `tidemill types` lists them
# on_out_of_range, zero_dates: as in [values]
# on_truncate, on_drop: as in [apply]
# [[table.transform]]        # plugins, in order: columns, filter, mask, or your own
# plugin = "filter"
# config = { where = "status <> 'test'" }
# tables = { countries = { file = "countries.csv" } }        # rows of files that the configuration is given, for `lookup`
# on_error = "fail"          # rows that can't be transformed; or "reject", "skip"
# max_rejected = 1000        # of them in a load; default: no bound
# max_rejected_share = "10%" # of the rows of a window
# rejected_window = 10000    # rows of a window
# keep_row = true            # false: of a rejected row only its key is kept
# limits = { memory = "64MiB", deadline = "10s", cpu = "12h", output = "64MiB", growth = 16, batches = 4096, log_lines = 100 }
# grants = { environment = ["REGION"], files = ["/srv/geo"], network = ["10.0.0.5:443"] }     # default: nothing
# show_output = false        # what the plugin writes to its standard output; it may hold values of rows
"#;

impl Template {
    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# A Tidemill pipe: check it with `tidemill check`, look at it with `tidemill plan`, load it with `tidemill run`.\nname = {}\n# state = \".tidemill/{}\"\n# cdc = true                 # after the load the source's binlog is followed; false: the load is all\n# cdc_only = false           # true: no load, changes from now on\n\n[source]\n",
            value(&self.name),
            self.name
        );
        for (key, setting) in &self.source {
            let _ = writeln!(text, "{key} = {setting}");
        }
        text += "# password_env = \"MYSQL_PASSWORD\"   # or password_file = \"…\"\n# tls = \"verify_identity\"           # disabled, required, verify_ca, verify_identity\n# ca = \"ca.pem\"\n";
        let _ = write!(
            text,
            "\n[destination]\nurl = {}\ndatabase = {}\n{}\n# password_env = \"CLICKHOUSE_PASSWORD\"\n",
            value(&self.destination),
            value(&self.database),
            match &self.user {
                Some(user) => format!("user = {}", value(user)),
                None => "# user = \"default\"".to_owned(),
            }
        );
        text += SETTINGS;
        let mut hints = TABLE_HINTS;
        for table in &self.tables {
            if table.is_view {
                let _ = write!(
                    text,
                    "\n# {} is a view: its rows are not copied.\n",
                    one_line(&table.name.to_string())
                );
                continue;
            }
            let key = if table.key.is_empty() {
                "no key".to_owned()
            } else {
                format!("key {}", one_line(&table.key.join(", ")))
            };
            let _ = write!(
                text,
                "\n[[table]]  # about {} rows, {key}\nsource = {}\n{hints}",
                table.estimated_rows,
                value(&table.name.to_string())
            );
            hints = "";
        }
        text
    }
}

/// A text for a comment, which ends with its line: names may have lines in them.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

fn value(text: &str) -> toml::Value {
    toml::Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::Pipe;

    #[test]
    fn what_it_writes_can_be_loaded() {
        let table = |name: &str, is_view| TemplateTable {
            name: TableName::new("my.shop", name),
            is_view,
            estimated_rows: 7,
            key: vec!["id".to_owned(), "line\nbreak\u{7}".to_owned()],
        };
        let template = Template {
            name: "shop".to_owned(),
            source: vec![
                ("host".to_owned(), "db.example".into()),
                ("port".to_owned(), 3307.into()),
                ("user".to_owned(), "reader".into()),
            ],
            destination: "embedded".to_owned(),
            database: "shop".to_owned(),
            user: None,
            tables: vec![
                table("orders", false),
                table("a \"b\"", false),
                table("sums", true),
                table("two\nlines", true),
                table("two\nlines, too", false),
            ],
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe.toml");
        std::fs::write(&path, template.render()).expect("writable");
        let pipe = Pipe::load(&path).expect("it loads");
        assert_eq!(pipe.tables.len(), 3);
        assert_eq!(pipe.tables[2].source.name, "two\nlines, too");
        assert_eq!(pipe.tables[1].source, TableName::new("my.shop", "a \"b\""));
        // Each commented setting is one that exists.
        let opened: Vec<String> = template
            .render()
            .lines()
            .map(|line| {
                let bare = line.strip_prefix("# ").unwrap_or(line);
                let is_setting = [
                    "snapshot",
                    "chunk",
                    "block",
                    "batch",
                    "rows_per",
                    "mode",
                    "max_",
                    "keep",
                    "on_table",
                    "synced",
                    "is_del",
                    "version",
                    "parallel",
                    "cdc",
                    "rows =",
                    "bytes",
                    "every",
                    "on_truncate =",
                    "on_drop =",
                    "server_id",
                    "heartbeat",
                    "threads",
                    "replica_lag",
                    "[[table.transform]]",
                    "plugin =",
                    "config =",
                    "tables =",
                    "on_error =",
                    "rejected_window",
                    "keep_row",
                    "limits",
                    "grants",
                    "show_output",
                ]
                .iter()
                .any(|start| bare.starts_with(start));
                if is_setting {
                    bare.to_owned()
                } else {
                    line.to_owned()
                }
            })
            .collect();
        std::fs::write(&path, opened.join("\n")).expect("writable");
        let pipe = Pipe::load(&path).expect("it loads with every setting stated");
        assert_eq!(pipe.apply.server_id, 4101);
        assert_eq!(pipe.brakes.threads_running, Some(50));
        let transform = &pipe.tables[0].transforms[0];
        assert_eq!(transform.limits.batches, Some(4096));
        assert_eq!(transform.rejected_window, Some(10_000));
    }
}
