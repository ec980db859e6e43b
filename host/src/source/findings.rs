//! Findings: what stands in the way of a copy, or makes it less than it could be, before anything is copied.

mod binlog;

use super::connect::{Control, Source, cell};
use super::error::SourceError;
use super::keys::{quoted, quoted_table};
use crate::schema::{Form, MysqlType, SourceColumn, SourceTable};
use mysql_common::value::convert::FromValue;

use crate::schema::finding::{Finding, Severity};

impl Source {
    /// Looks for what stands in the way of copying these tables: privileges, keys, engines, values. Reads the TINYINT(1) columns.
    /// Of a pipe that follows, also what the binlog would not tell.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn findings(
        &self,
        tables: &[SourceTable],
        follows: bool,
    ) -> Result<Vec<Finding>, SourceError> {
        let mut control = self.control().await?;
        let mut findings = Vec::new();
        let grants = Grants(column(&mut control, "SHOW GRANTS", "the user's grants").await?);
        snapshot_findings(&grants, &mut findings);
        for table in tables {
            table_findings(&mut control, table, &mut findings).await?;
        }
        if follows {
            self.binlog_findings(&mut control, &grants, tables, &mut findings)
                .await?;
        } else {
            position_findings(&mut control, &grants, &mut findings).await?;
        }
        control.close().await;
        findings.sort_by_key(|finding| finding.severity);
        Ok(findings)
    }
}

/// What a snapshot of all tables at one moment needs.
fn snapshot_findings(grants: &Grants, findings: &mut Vec<Finding>) {
    if grants.has("RELOAD") {
        return;
    }
    let unsure = grants.unsure();
    findings.push(match grants.has_anywhere("LOCK TABLES") {
        true => Finding::new(
            Severity::Info,
            "source",
            format!("without the privilege RELOAD{unsure} the tables are locked one by one for the moment of the snapshot"),
        ),
        false => Finding::new(
            Severity::Warning,
            "source",
            format!(
                "the user has neither RELOAD nor LOCK TABLES{unsure}: the tables may be copied at different moments; \
                 GRANT RELOAD ON *.* for a copy of one moment"
            ),
        ),
    });
}

/// What keeps a snapshot from knowing its place in the binlog, which a pipe that doesn't follow can do without.
async fn position_findings(
    control: &mut Control,
    grants: &Grants,
    findings: &mut Vec<Finding>,
) -> Result<(), SourceError> {
    if !grants.see_position() {
        let unsure = grants.unsure();
        findings.push(Finding::new(
            Severity::Warning,
            "source",
            format!("without the privilege REPLICATION CLIENT{unsure} the snapshot's binlog position is unknown"),
        ));
    }
    let log_bin: Vec<u8> = column(
        control,
        "SELECT @@global.log_bin",
        "whether there is a binlog",
    )
    .await?;
    if log_bin.first() == Some(&0) {
        findings.push(Finding::new(
            Severity::Info,
            "source",
            "the server writes no binlog, so the snapshot has no position in it",
        ));
    }
    Ok(())
}

/// The lines of SHOW GRANTS.
struct Grants(Vec<String>);

impl Grants {
    /// Whether the user has a privilege on everything.
    fn has(&self, privilege: &str) -> bool {
        let global = |grant: &&String| grant.contains(" ON *.* ");
        self.0
            .iter()
            .filter(global)
            .any(|grant| grants_privilege(grant, privilege))
    }

    /// Whether it has one of several that serve.
    fn has_any(&self, privileges: &[&str]) -> bool {
        privileges.iter().any(|privilege| self.has(privilege))
    }

    /// Whether the user may see where the binlog is.
    fn see_position(&self) -> bool {
        self.has_any(&["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"])
    }

    /// Whether it has a privilege on anything.
    fn has_anywhere(&self, privilege: &str) -> bool {
        self.0
            .iter()
            .any(|grant| grants_privilege(grant, privilege))
    }

    /// Whether all that the user has is seen: a role's privileges may not show.
    fn complete(&self) -> bool {
        self.0.iter().all(|grant| grant.contains(" ON "))
    }

    /// What is said behind a privilege that isn't seen.
    fn unsure(&self) -> &'static str {
        match self.complete() {
            true => "",
            false => " (unless a role has it)",
        }
    }
}

/// Whether a line of SHOW GRANTS gives a privilege.
fn grants_privilege(grant: &str, privilege: &str) -> bool {
    let list = grant
        .strip_prefix("GRANT ")
        .and_then(|rest| rest.split_once(" ON "))
        .map_or("", |(list, _)| list);
    list.split(',')
        .map(str::trim)
        .any(|one| one == privilege || one == "ALL PRIVILEGES" || one == "ALL")
}

async fn table_findings(
    control: &mut Control,
    table: &SourceTable,
    findings: &mut Vec<Finding>,
) -> Result<(), SourceError> {
    let readable = control
        .rows(
            &format!("SELECT 1 FROM {} LIMIT 0", quoted_table(&table.name)),
            vec![],
            "a look at the table",
        )
        .await;
    match readable {
        Err(error) if error.is_privilege() => {
            let message = "the user has no SELECT on it; GRANT SELECT";
            findings.push(Finding::new(Severity::Error, &table.name, message));
            return Ok(());
        }
        other => other?,
    };
    if table.key.is_empty() {
        let message = "it has no primary key and no unique key without NULL: it is read as one chunk, and its destination has to be a \
                       MergeTree";
        findings.push(Finding::new(Severity::Warning, &table.name, message));
    } else if table.key_index.is_none() {
        let message = "its key has prefixes of columns or columns in both directions: it is read as one chunk";
        findings.push(Finding::new(Severity::Info, &table.name, message));
    }
    if let Some(column) = table.key.iter().find_map(|&i| ambiguous(&table.columns[i])) {
        let message = format!(
            "the ENUM `{column}` of its key has a member '', which is also the text of the error value (index 0): two rows that differ in \
             nothing else would be one, and the load would stop at its verification"
        );
        findings.push(Finding::new(Severity::Warning, &table.name, message));
    }
    engine_findings(control, table, findings).await?;
    for column in table
        .columns
        .iter()
        .filter(|column| column.mysql_type == MysqlType::Bool && column.form == Form::Native)
    {
        let name = quoted(&column.name);
        let sql = format!(
            "SELECT 1 FROM {} WHERE {name} NOT IN (0, 1) LIMIT 1",
            quoted_table(&table.name)
        );
        if !control
            .rows(&sql, vec![], "a look at the table's values")
            .await?
            .is_empty()
        {
            findings.push(Finding::new(
                Severity::Error,
                format!("{}.{}", table.name, column.name),
                format!(
                    "this TINYINT(1) has values other than 0 and 1; copy it as a number with types = {{ {} = \"Int8\" }}",
                    toml_key(&column.name)
                ),
            ));
        }
    }
    Ok(())
}

/// The name of a column with two values of one text: an ENUM with a member that is written as its error value is.
fn ambiguous(column: &SourceColumn) -> Option<&str> {
    match &column.mysql_type {
        MysqlType::Enum { values } if values.iter().any(String::is_empty) => Some(&column.name),
        _ => None,
    }
}

/// A name as a key of the pipe file.
fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => toml::Value::String(name.to_owned()).to_string(),
    }
}

async fn engine_findings(
    control: &mut Control,
    table: &SourceTable,
    findings: &mut Vec<Finding>,
) -> Result<(), SourceError> {
    let sql = "SELECT t.engine, e.transactions FROM information_schema.tables t LEFT JOIN information_schema.engines e \
               ON e.engine = t.engine WHERE t.table_schema = ? AND t.table_name = ?";
    let parameters = vec![
        table.name.database.as_str().into(),
        table.name.name.as_str().into(),
    ];
    let rows = control.rows(sql, parameters, "the table's engine").await?;
    let Some(engine) = rows.first().and_then(|row| cell::<String>(row, 0)) else {
        return Ok(());
    };
    if rows
        .first()
        .and_then(|row| cell::<String>(row, 1))
        .is_none_or(|transactions| transactions != "YES")
    {
        let message = format!(
            "its engine {engine} has no transactions: rows that are written while it is read may or may not be in the copy"
        );
        findings.push(Finding::new(Severity::Warning, &table.name, message));
    }
    Ok(())
}

/// The first column of an answer.
async fn column<T: FromValue>(
    control: &mut Control,
    sql: &str,
    action: &str,
) -> Result<Vec<T>, SourceError> {
    Ok(control
        .rows(sql, vec![], action)
        .await?
        .iter()
        .filter_map(|row| cell(row, 0))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{grants_privilege, toml_key};

    #[test]
    fn a_proposed_key_can_be_pasted() {
        assert_eq!(toml_key("is_new"), "is_new");
        for name in ["is new?", "1\"2", "schön", "a.b"] {
            let line = format!("types = {{ {} = \"Int8\" }}", toml_key(name));
            let table: toml::Table = line.parse().expect(&line);
            assert_eq!(table["types"][name].as_str(), Some("Int8"));
        }
    }

    #[test]
    fn grants_are_read() {
        assert!(grants_privilege(
            "GRANT SELECT, RELOAD ON *.* TO `a`@`%`",
            "RELOAD"
        ));
        assert!(grants_privilege(
            "GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`",
            "LOCK TABLES"
        ));
        assert!(!grants_privilege(
            "GRANT SELECT ON *.* TO `RELOAD`@`%`",
            "RELOAD"
        ));
        assert!(!grants_privilege("GRANT `role`@`%` TO `a`@`%`", "RELOAD"));
    }
}
