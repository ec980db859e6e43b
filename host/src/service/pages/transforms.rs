//! A pipe's Transforms: which plugins its tables go through, what these do with each column, and what rows look like before and after.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::fields::Asked;
use super::{Frame, Head, Page, show, words};
use crate::lifecycle::report::{Plan, Preview, PreviewAfter};
use crate::service::Service;
use crate::service::auth::{Operator, Viewer};
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
    let (id, pipe) = service.pipe_of(&caller, &name)?;
    let chains = pipe.tables.iter().map(|table| Chain {
        source: table.source.to_string(),
        destination: table.destination.clone(),
        plugins: table
            .transforms
            .iter()
            .map(|used| used.plugin.clone())
            .collect(),
    });
    let chains = chains.collect();
    // To see what is bound both servers are asked, which takes its time and is an operator's matter.
    let asked = query.get("plan").is_some() && frame.operates();
    let (plan, problem) = match asked {
        false => (None, None),
        true => match service.plan(&caller, &name, Vec::new()).await {
            Ok(plan) => (Some(plan), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    show(&Transforms {
        chains,
        drift: service.status_of(&id)?.drift,
        asked,
        plan,
        problem,
        frame,
        page,
    })
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    frame: Frame,
    page: Head,
    preview: Preview,
}

pub(super) async fn preview(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let (frame, page) = Head::new(&service, &caller, &name, "transforms", &query)?;
    let table = table_name(query.needed("table")?)?;
    let preview = service.preview(&caller, &name, table, ROWS).await?;
    show(&PreviewPage {
        frame,
        page,
        preview,
    })
}
