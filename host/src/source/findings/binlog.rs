//! What the binlog of a source would not tell to a pipe that follows it: settings of the server, the user's rights, databases that are
//! left out, and rows that the server changes without a word.

use std::collections::HashMap;

use super::Grants;
use crate::schema::finding::{Finding, Severity};
use crate::schema::{SourceTable, TableName};
use crate::source::connect::{Control, Source, cell};
use crate::source::error::SourceError;
use crate::source::keys::quoted_table;

/// A binlog that is kept for less is gone after a night in which nobody looked.
const SHORT_RETENTION_SECONDS: f64 = 86_400.0;

/// The server's variables that matter, as far as this server has them.
struct Variables(HashMap<String, String>);

impl Variables {
    async fn read(control: &mut Control) -> Result<Self, SourceError> {
        let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'server_id', 'binlog_format', 'binlog_row_image', \
                   'binlog_row_value_options', 'binlog_row_metadata', 'binlog_expire_logs_seconds', 'binlog_expire_logs_auto_purge', \
                   'expire_logs_days', 'log_slave_updates', 'log_replica_updates', 'innodb_native_foreign_keys')";
        let rows = control
            .rows(sql, vec![], "the settings of the binlog")
            .await?;
        let pairs = rows.iter().filter_map(|row| {
            Some((
                cell::<String>(row, 0)?.to_ascii_lowercase(),
                cell::<String>(row, 1)?,
            ))
        });
        Ok(Self(pairs.collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn is_off(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value, "OFF" | "0"))
    }

    /// How long the binlog is kept, in seconds; none: for ever, or as long as somebody else decides.
    fn retention_seconds(&self) -> Option<f64> {
        if self.is_off("binlog_expire_logs_auto_purge") {
            return None;
        }
        let number = |name: &str| self.get(name)?.parse::<f64>().ok();
        let seconds = number("binlog_expire_logs_seconds").filter(|&seconds| seconds > 0.0);
        let days = number("expire_logs_days").filter(|&days| days > 0.0);
        seconds.or(days.map(|days| days * 86_400.0))
    }

    /// Whether rows that a foreign key changes are in the binlog: from MySQL 9.6 on, unless InnoDB is told to change them by itself.
    fn cascades_are_logged(&self) -> bool {
        self.is_off("innodb_native_foreign_keys")
    }
}

impl Source {
    /// What keeps a pipe from following these tables in the binlog, or would be missed there.
    pub(super) async fn binlog_findings(
        &self,
        control: &mut Control,
        grants: &Grants,
        tables: &[SourceTable],
        findings: &mut Vec<Finding>,
    ) -> Result<(), SourceError> {
        let variables = Variables::read(control).await?;
        setting_findings(&variables, findings);
        right_findings(grants, findings);
        if variables.is_off("log_slave_updates") || variables.is_off("log_replica_updates") {
            self.second_hand(control, findings).await?;
        }
        let status = self.binlog_status(control).await?;
        let list = |at| status.as_ref().and_then(|row| cell::<String>(row, at));
        let (only, ignored) = (list(2).unwrap_or_default(), list(3).unwrap_or_default());
        for table in tables {
            let database = &table.name.database;
            if !is_logged(database, &only, &ignored) {
                let message = format!(
                    "the server leaves the database {database} out of its binlog (binlog-do-db, binlog-ignore-db): its changes can't be \
                     followed"
                );
                findings.push(Finding::new(Severity::Error, &table.name, message));
            }
            if table.key.is_empty() {
                let message = "each of its changes is appended to the destination's MergeTree as a row of its own: without a key nothing tells \
                               which row it makes old";
                findings.push(Finding::new(Severity::Info, &table.name, message));
            }
            if !variables.cascades_are_logged() {
                cascade_findings(control, &table.name, findings).await?;
            }
        }
        Ok(())
    }

    /// A replica that keeps what it replicates out of its own binlog.
    async fn second_hand(
        &self,
        control: &mut Control,
        findings: &mut Vec<Finding>,
    ) -> Result<(), SourceError> {
        let replicates = match self.replica_status(control).await {
            Ok(channels) => !channels.is_empty(),
            Err(error) if error.is_privilege() => false,
            Err(error) => return Err(error),
        };
        if replicates {
            findings.push(Finding::new(
                Severity::Error,
                "source",
                "the server is a replica with log_replica_updates (log_slave_updates) off: its binlog has nothing of what it replicates; \
                 start it with log_replica_updates, or follow its own source",
            ));
        }
        Ok(())
    }
}

/// What of the server's settings is missing or unfit.
fn setting_findings(variables: &Variables, findings: &mut Vec<Finding>) {
    let mut find = |severity, message: String| {
        findings.push(Finding::new(severity, "source", message));
    };
    if variables.is_off("log_bin") {
        let message = "the server writes no binlog, so its changes can't be followed: start it with log_bin, or say cdc = false in the pipe \
                       file";
        find(Severity::Error, message.to_owned());
    }
    if variables.get("server_id") == Some("0") {
        let message = "server_id is 0, and with that the server gives its binlog to nobody: SET GLOBAL server_id = 1";
        find(Severity::Error, message.to_owned());
    }
    for setting in ["binlog_format", "binlog_row_image"] {
        if let Some(message) = unsuitable(setting, variables.get(setting)) {
            find(Severity::Error, message);
        }
    }
    let options = variables.get("binlog_row_value_options");
    if options.is_some_and(|options| options.contains("PARTIAL_JSON")) {
        let message = format!(
            "binlog_row_value_options is PARTIAL_JSON: of a changed JSON value the binlog has only the difference; {}",
            change("binlog_row_value_options", "")
        );
        find(Severity::Error, message);
    }
    let retention = variables.retention_seconds();
    if let Some(seconds) = retention.filter(|&seconds| seconds < SHORT_RETENTION_SECONDS) {
        let message = format!(
            "the binlog is kept for {seconds:.0} s (binlog_expire_logs_seconds, expire_logs_days): a pipe that stands still for longer has to \
             be loaded anew; keep it for some days"
        );
        find(Severity::Warning, message);
    }
    let metadata = variables.get("binlog_row_metadata");
    if metadata != Some("FULL") {
        let message = format!(
            "binlog_row_metadata is {}: the binlog doesn't name the columns, so that a renamed one is only known by the ALTER TABLE itself",
            metadata.unwrap_or("unknown to this server")
        );
        find(Severity::Info, message);
    }
}

/// The rights without which the binlog can't be read.
fn right_findings(grants: &Grants, findings: &mut Vec<Finding>) {
    let severity = match grants.complete() {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let unsure = grants.unsure();
    if !grants.has_any(&["REPLICATION SLAVE", "REPLICATION REPLICA"]) {
        let message = format!(
            "without the privilege REPLICATION SLAVE{unsure} the binlog can't be read; GRANT REPLICATION SLAVE ON *.*"
        );
        findings.push(Finding::new(severity, "source", message));
    }
    if !grants.see_position() {
        let message = format!(
            "without the privilege REPLICATION CLIENT{unsure} the snapshot's binlog position is unknown, and with it where to follow from; \
             GRANT REPLICATION CLIENT ON *.*"
        );
        findings.push(Finding::new(severity, "source", message));
    }
}

/// What is wrong with one of the settings that say what a change looks like in the binlog. A server that hasn't one has no choice in it.
fn unsuitable(setting: &str, value: Option<&str>) -> Option<String> {
    let (wanted, otherwise) = match setting {
        "binlog_format" => ("ROW", "the binlog has statements where rows are needed"),
        _ => (
            "FULL",
            "the binlog doesn't have all columns of a changed row",
        ),
    };
    let value = value.filter(|value| !value.eq_ignore_ascii_case(wanted))?;
    Some(format!(
        "{setting} is {value}: {otherwise}; {}",
        change(setting, wanted)
    ))
}

/// How a setting is changed.
fn change(setting: &str, value: &str) -> String {
    format!(
        "SET GLOBAL {setting} = '{value}' changes it for new sessions, and a line in the server's configuration for good"
    )
}

/// Whether the changes of a database are in the binlog, by what SHOW BINARY LOG STATUS says of databases that alone are in it, and of those
/// that are not.
fn is_logged(database: &str, only: &str, ignored: &str) -> bool {
    let among = |list: &str| list.split(',').any(|one| one == database);
    match only.is_empty() {
        true => !among(ignored),
        false => among(only),
    }
}

/// Foreign keys by which the server changes or deletes a table's rows itself: InnoDB does it below the binlog.
async fn cascade_findings(
    control: &mut Control,
    table: &TableName,
    findings: &mut Vec<Finding>,
) -> Result<(), SourceError> {
    // information_schema shows foreign keys only to who may do more than read.
    let sql = format!("SHOW CREATE TABLE {}", quoted_table(table));
    let rows = match control.rows(&sql, vec![], "the table's foreign keys").await {
        // That the table can't be read has been said.
        Err(error) if error.is_privilege() => return Ok(()),
        rows => rows?,
    };
    let statement = rows.first().and_then(|row| cell::<String>(row, 1));
    for (name, actions) in statement.iter().flat_map(|text| cascades(text)) {
        let message = format!(
            "its foreign key {name} has {actions}, and what the server changes by itself in that way is not in its binlog: such changes \
             are missed until the next resync"
        );
        findings.push(Finding::new(Severity::Warning, table, message));
    }
    Ok(())
}

/// The foreign keys of a CREATE TABLE, as the server writes it, that change rows: name and actions.
fn cascades(statement: &str) -> impl Iterator<Item = (&str, &str)> {
    statement.lines().filter_map(|line| {
        let constraint = line.trim_start().strip_prefix("CONSTRAINT ")?;
        let (name, definition) = constraint.split_once(" FOREIGN KEY (")?;
        definition.contains(") REFERENCES ").then_some(())?;
        let actions = definition.get(definition.rfind(')')? + 1..)?;
        let actions = actions.trim().trim_end_matches(',');
        let changes = actions.contains("CASCADE") || actions.contains("SET NULL");
        changes.then_some((name, actions))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_key_that_changes_rows_is_found() {
        let statement = "CREATE TABLE `c` (\n  `id` int NOT NULL COMMENT ' FOREIGN KEY (',\n  `p` int,\n  KEY `k` (`p`),\n  \
                         CONSTRAINT `a b` FOREIGN KEY (`p`) REFERENCES `p (x)` (`id`) ON DELETE CASCADE ON UPDATE SET NULL,\n  \
                         CONSTRAINT `plain` FOREIGN KEY (`p`) REFERENCES `p` (`id`),\n  \
                         CONSTRAINT `none` FOREIGN KEY (`p`) REFERENCES `p` (`id`) ON DELETE RESTRICT ON UPDATE NO ACTION,\n  \
                         CONSTRAINT `last` FOREIGN KEY (`p`) REFERENCES `p` (`id`) ON DELETE SET NULL,\n  \
                         CONSTRAINT `chk` CHECK (`id` > 0)\n) ENGINE=InnoDB";
        let found: Vec<_> = cascades(statement).collect();
        let expected = [
            ("`a b`", "ON DELETE CASCADE ON UPDATE SET NULL"),
            ("`last`", "ON DELETE SET NULL"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_database_is_in_the_binlog_or_not() {
        for (only, ignored, logged) in [
            ("", "", true),
            ("", "a,shop", false),
            ("", "shop2", true),
            ("a,shop", "shop", true),
            ("a", "", false),
        ] {
            assert_eq!(is_logged("shop", only, ignored), logged, "{only} {ignored}");
        }
    }

    #[test]
    fn retention_is_read_from_whichever_variable_a_server_has() {
        let kept = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Variables(pairs.collect()).retention_seconds()
        };
        let (seconds, days) = ("binlog_expire_logs_seconds", "expire_logs_days");
        assert_eq!(kept(&[(seconds, "3600"), (days, "0")]), Some(3600.0));
        assert_eq!(kept(&[(seconds, "0"), (days, "0.5")]), Some(43_200.0));
        assert_eq!(kept(&[(seconds, "0"), (days, "0.000000")]), None);
        assert_eq!(kept(&[(days, "7")]), Some(604_800.0));
        let unpurged = [(seconds, "3600"), ("binlog_expire_logs_auto_purge", "OFF")];
        assert_eq!(kept(&unpurged), None);
    }
}
