//! A pipe's Transforms: which plugins its tables go through, what these do with each column, and what rows look like before and after.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::fields::Asked;
use super::{Frame, Head, Page, show, words};
use crate::lifecycle::report::{Plan, Preview, PreviewAfter, PreviewRow};
use crate::pipe::Pipe;
use crate::service::Service;
use crate::service::auth::{Caller, Operator, Viewer};
use crate::service::looks::table_name;
use crate::service::problem::Problem;

/// Rows of a preview.
const ROWS: usize = 10;

/// A table and the plugins that its rows go through, by the settings.
struct Chain {
    source: String,
    destination: String,
    plugins: Vec<String>,
}

#[derive(Template)]
#[template(path = "transforms.html")]
struct Transforms {
    frame: Frame,
    page: Head,
    chains: Vec<Chain>,
    drift: Vec<String>,
    /// Whether the servers were asked for the plan.
    asked: bool,
    plan: Option<Plan>,
    problem: Option<Problem>,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let (frame, page) = Head::new(&service, &caller, &name, "transforms", &query)?;
    // To see what is bound both servers are asked, which takes its time and is an operator's matter.
    let asked = query.get("plan").is_some() && frame.operates();
    let (plan, problem) = match asked {
        false => (None, None),
        true => match service.plan(&caller, &name, Vec::new()).await {
            Ok(plan) => (Some(plan), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    let made = move |service: &Arc<Service>, caller: &Caller| {
        let (id, pipe) = service.pipe_of(caller, &name)?;
        show(&Transforms {
            chains: chains(&pipe),
            drift: service.status_of(&id, &pipe)?.drift,
            asked,
            plan,
            problem,
            frame,
            page,
        })
    };
    service.on_disk(&caller, made).await
}

fn chains(pipe: &Pipe) -> Vec<Chain> {
    let chains = pipe.tables.iter().map(|table| Chain {
        source: table.source.to_string(),
        destination: table.destination.clone(),
        plugins: table
            .transforms
            .iter()
            .map(|used| used.plugin.clone())
            .collect(),
    });
    chains.collect()
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    frame: Frame,
    page: Head,
    source: String,
    /// The columns before, then those that only come out.
    columns: Vec<String>,
    rows: Vec<PreviewedRow>,
}

/// A row in the columns of the page.
struct PreviewedRow {
    before: Vec<Cell>,
    after: Result<Vec<Cell>, String>,
}

/// A value.
struct Cell {
    text: String,
    /// Whether it is a value, or a word in its place.
    is_value: bool,
    /// Whether the transforms have made it another one.
    differs: bool,
}

impl Cell {
    /// The value of a row; none: the row has no such column.
    fn new(value: Option<&Option<String>>, before: Option<&Option<String>>) -> Self {
        let (text, is_value) = match value {
            None => ("–", false),
            Some(None) => ("NULL", false),
            Some(Some(text)) => (text.as_str(), true),
        };
        Self {
            text: text.to_owned(),
            is_value,
            differs: value != before,
        }
    }
}

/// The columns of both sides, and each row in them.
fn previewed(preview: Preview) -> (Vec<String>, Vec<PreviewedRow>) {
    let Preview {
        columns_before,
        columns_after,
        ..
    } = &preview;
    let (before, after) = (places(columns_before), places(columns_after));
    let new = columns_after
        .iter()
        .filter(|name| !before.contains_key(name.as_str()));
    let columns: Vec<String> = columns_before.iter().chain(new).cloned().collect();
    let value = |places: &HashMap<&str, usize>, values: &[Option<String>], column: &String| {
        values.get(*places.get(column.as_str())?).cloned()
    };
    let row = |row: PreviewRow| {
        let cells = |names: &HashMap<&str, usize>, values: &[Option<String>]| {
            let cell = |column: &String| {
                let before = value(&before, &row.before, column);
                Cell::new(value(names, values, column).as_ref(), before.as_ref())
            };
            columns.iter().map(cell).collect()
        };
        PreviewedRow {
            before: cells(&before, &row.before),
            after: match &row.after {
                PreviewAfter::Row(values) => Ok(cells(&after, values)),
                PreviewAfter::Filtered => Err("It is left out.".to_owned()),
                PreviewAfter::Rejected(reason) => Err(format!("It is rejected: {reason}")),
                PreviewAfter::Stops(reason) => Err(format!("It stops the load: {reason}")),
            },
        }
    };
    let rows = preview.rows.iter().cloned().map(row).collect();
    (columns, rows)
}

/// Where each column is in a row.
fn places(names: &[String]) -> HashMap<&str, usize> {
    let names = names.iter().enumerate();
    names.map(|(at, name)| (name.as_str(), at)).collect()
}

/// Shows what becomes of some rows.
pub(super) async fn preview(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let (frame, page) = Head::new(&service, &caller, &name, "transforms", &query)?;
    let table = table_name(query.needed("table")?)?;
    let preview = service.preview(&caller, &name, table, ROWS).await?;
    let source = preview.source.clone();
    let (columns, rows) = previewed(preview);
    show(&PreviewPage {
        frame,
        page,
        source,
        columns,
        rows,
    })
}
