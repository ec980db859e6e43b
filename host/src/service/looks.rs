//! What changes nothing: check, plan, preview, and the look at a source of which a pipe is to be made. The API and the pages both come here.

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Service;
use super::auth::Caller;
use super::problem::Problem;
use crate::lifecycle;
use crate::lifecycle::report::{CheckReport, Plan, Preview};
use crate::pipe::template::TemplateTable;
use crate::schema::TableName;

/// Rows of a preview, at most.
const PREVIEW_ROWS: usize = 100;

/// Where a source is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    /// Its name or address.
    pub(super) host: String,
    /// Its port; 3306 by default.
    pub(super) port: Option<u16>,
    /// The user.
    pub(super) user: String,
    /// The password.
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) password: Option<SecretString>,
    /// `disabled`, `required` (the default), `verify_ca` or `verify_identity`.
    pub(super) tls: Option<String>,
}

impl Connection {
    /// The lines of a pipe's `[source]`, without the password.
    pub(super) fn settings(&self) -> Vec<(String, toml::Value)> {
        let mut settings = vec![("host".to_owned(), self.host.clone().into())];
        if let Some(port) = self.port {
            settings.push(("port".to_owned(), i64::from(port).into()));
        }
        settings.push(("user".to_owned(), self.user.clone().into()));
        if let Some(tls) = &self.tls {
            settings.push(("tls".to_owned(), tls.clone().into()));
        }
        settings
    }
}

/// A table of a source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct FoundTable {
    /// `database.table`.
    pub(super) table: String,
    /// Whether it is a view, which can't be followed.
    pub(super) is_view: bool,
    /// The source's estimate of rows.
    pub(super) estimated_rows: u64,
    /// The key's columns; none: rows can't be told apart.
    pub(super) key: Vec<String>,
}

/// The name of a table of the source.
pub(super) fn table_name(text: &str) -> Result<TableName, Problem> {
    text.parse()
        .map_err(|reason: String| Problem::unusable(format!("`{text}`: {reason}")))
}

impl Service {
    /// Checks a pipe against its servers and plugins.
    pub(super) async fn check(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<CheckReport, Problem> {
        let (id, pipe) = self.read_pipe(caller, name).await?;
        let environment = self.environment_of(&caller.tenant);
        let looked = async move { lifecycle::check(&pipe, &environment).await };
        let report = self.look(caller, looked).await?;
        let report = report.map_err(|error| self.problem(&id, error))?;
        Ok(self.told_check(&id, report))
    }

    /// Says what a resync of these tables, or of all if there are none, would do.
    pub(super) async fn plan(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        tables: Vec<TableName>,
    ) -> Result<Plan, Problem> {
        let (id, pipe) = self.read_pipe(caller, name).await?;
        let environment = self.environment_of(&caller.tenant);
        let looked = async move { lifecycle::plan(&pipe, &environment, &tables).await };
        let plan = self.look(caller, looked).await?;
        let plan = plan.map_err(|error| self.problem(&id, error))?;
        Ok(self.told_plan(&id, plan))
    }

    /// Shows some rows of a table before and after its transforms.
    pub(super) async fn preview(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
        rows: usize,
    ) -> Result<Preview, Problem> {
        let (id, pipe) = self.read_pipe(caller, name).await?;
        if !(1..=PREVIEW_ROWS).contains(&rows) {
            let detail = format!("a preview has 1 to {PREVIEW_ROWS} rows");
            return Err(Problem::unusable(detail));
        }
        let environment = self.environment_of(&caller.tenant);
        let looked = async move { lifecycle::preview(&pipe, &environment, &table, rows).await };
        let looked = self.look(caller, looked).await?;
        looked.map_err(|error| self.problem(&id, error))
    }

    /// The tables of a source.
    pub(super) async fn source_tables(
        &self,
        caller: &Caller,
        connection: Connection,
    ) -> Result<Vec<FoundTable>, Problem> {
        let source = connection.settings().into_iter().collect();
        let settings = self.source_settings(caller, source, connection.password)?;
        let looked = async move { lifecycle::init(&settings, &[]).await };
        let found = self.look(caller, looked).await??;
        let table = |found: TemplateTable| FoundTable {
            table: found.name.to_string(),
            is_view: found.is_view,
            estimated_rows: found.estimated_rows,
            key: found.key,
        };
        Ok(found.into_iter().map(table).collect())
    }
}
