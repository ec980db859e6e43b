//! The rows that a plugin is given: those of a test, of a file, or of a table of a pipe's source.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use super::arguments::RowsArguments;
use crate::cli::exit::Failure;
use crate::kit::{self, Case, FILE, Project};
use crate::lifecycle;
use crate::pipe::Pipe;
use crate::rows::Reference;

/// Rows, and the test that they are for.
pub(super) struct Given {
    pub(super) case: Case,
    pub(super) rows: RecordBatch,
}

/// Whether the command line says which rows.
pub(super) fn are_given(arguments: &RowsArguments) -> bool {
    arguments.input.is_some() || arguments.table.is_some()
}

/// The rows that the command line names; what it doesn't say is as in the folder's first test.
pub(super) fn given(
    arguments: &RowsArguments,
    project: Option<&Project>,
    pipe: &Path,
) -> Result<Given, Failure> {
    let first = project.and_then(|project| project.cases.first());
    let settings = settings(arguments, first)?;
    if let Some(table) = &arguments.table {
        let pipe = Pipe::load(pipe)?;
        let runtime = tokio::runtime::Runtime::new().map_err(|cause| Failure::internal(&cause))?;
        let sample = runtime.block_on(lifecycle::sample(&pipe, table, arguments.rows))?;
        let case = Case {
            key: sample.key,
            ..case(
                table.to_string(),
                (table.database.clone(), table.name.clone()),
                settings,
            )
        };
        return Ok(Given {
            case,
            rows: sample.rows,
        });
    }
    let file = arguments.input.clone().unwrap_or_default();
    let columns = match &arguments.columns[..] {
        [] if crate::rows::has_types(&file) => None,
        [] => first.and_then(|case| case.columns.clone()),
        words => Some(crate::rows::columns(words).map_err(Failure::usage)?),
    };
    let rows = crate::rows::read(&file, columns.as_ref()).map_err(kit::Error::from)?;
    let table = first.map_or_else(
        || ("test".to_owned(), "rows".to_owned()),
        |case| case.table.clone(),
    );
    let key = match &arguments.key[..] {
        [] => first.map(|case| case.key.clone()).unwrap_or_default(),
        key => key.to_vec(),
    };
    let case = Case {
        key,
        rows: file.clone(),
        ..case(file.display().to_string(), table, settings)
    };
    Ok(Given { case, rows })
}

fn case(name: String, table: (String, String), settings: Settings) -> Case {
    Case {
        name,
        table,
        config: settings.config,
        tables: settings.tables,
        columns: None,
        key: Vec::new(),
        rows: PathBuf::new(),
        expected: None,
        error: None,
    }
}

/// How a plugin is configured.
struct Settings {
    config: serde_json::Value,
    tables: Vec<Reference>,
}

fn settings(arguments: &RowsArguments, first: Option<&Case>) -> Result<Settings, Failure> {
    let alone = |config| Settings {
        config,
        tables: Vec::new(),
    };
    match (&arguments.config, first) {
        (None, None) => Ok(alone(serde_json::json!({}))),
        (None, Some(case)) => Ok(Settings {
            config: case.config.clone(),
            tables: case.tables.clone(),
        }),
        (Some(text), _) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(config) if config.is_object() => Ok(alone(config)),
            Ok(_) => Err(Failure::usage("--config is no JSON object")),
            Err(cause) => Err(Failure::usage(format!("--config is no JSON: {cause}"))),
        },
    }
}

/// The tests of a folder, or those of them that are named.
pub(super) fn cases(
    project: Option<&Project>,
    path: &Path,
    names: &[String],
) -> Result<Vec<Case>, Failure> {
    let cases = project
        .map(|project| project.cases.clone())
        .unwrap_or_default();
    if let Some(unknown) = names
        .iter()
        .find(|name| cases.iter().all(|case| case.name != **name))
    {
        let known: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "there is no test `{unknown}`; there are: {}",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        )));
    }
    let chosen: Vec<Case> = cases
        .into_iter()
        .filter(|case| names.is_empty() || names.contains(&case.name))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::usage(format!(
            "`{}` has no tests: describe one in `{FILE}`, or say `--input FILE` or `--table DATABASE.TABLE`",
            path.display()
        )));
    }
    Ok(chosen)
}

/// The first test, with its rows.
pub(super) fn of_first_case(project: Option<&Project>, path: &Path) -> Result<Given, Failure> {
    let case = cases(project, path, &[])?.swap_remove(0);
    let rows = crate::rows::read(&case.rows, case.columns.as_ref()).map_err(kit::Error::from)?;
    Ok(Given { case, rows })
}
