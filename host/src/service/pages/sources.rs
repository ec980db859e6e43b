//! Data Sources: all pipes of the tenant.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::fields::Asked;
use super::{Frame, Page, show, words};
use crate::service::Service;
use crate::service::auth::Viewer;
use crate::service::pipes::PipeSummary;

/// Pipes of a page.
const PIPES: usize = 50;

#[derive(Template)]
#[template(path = "sources.html")]
struct Sources {
    frame: Frame,
    pipes: Vec<PipeSummary>,
    /// The pipe behind which this page begins.
    after: String,
    next: Option<String>,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Asked(query): Asked,
) -> Page {
    let after = query.get("after").unwrap_or_default();
    let mut records = caller.store(&service).pipes(after, PIPES + 1)?;
    let more = records.len() > PIPES;
    records.truncate(PIPES);
    let summary = |record| service.summary(&caller.tenant, record);
    let pipes: Vec<PipeSummary> = records.into_iter().map(summary).collect();
    show(&Sources {
        frame: Frame::new(&caller, "pipes").done(&query),
        next: pipes.last().filter(|_| more).map(|pipe| pipe.name.clone()),
        after: after.to_owned(),
        pipes,
    })
}
