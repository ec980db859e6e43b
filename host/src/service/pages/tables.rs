//! A pipe's Tables: the Initial Load Stats of each, live, and what has become of its changes since.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::fields::{Asked, Fields};
use super::{Frame, Head, Page, show, words};
use crate::lifecycle::report::{FollowedTable, ResyncSummary, TableStatistics};
use crate::pipe::VerifyMode;
use crate::schema::Ledger;
use crate::service::Service;
use crate::service::auth::{Caller, Viewer};

/// A table of the pipe.
struct Row {
    source: String,
    destination: String,
    /// Its statistics in the last load or resync; none: it had no part in it.
    load: Option<TableStatistics>,
    followed: Option<FollowedTable>,
}

impl Row {
    /// Whether there is more to say of it than its load's numbers.
    fn has_more(&self) -> bool {
        let load = self.load.as_ref();
        let carried = load.and_then(|load| load.carried_over).unwrap_or_default();
        self.followed.is_some() || carried > 0 || load.is_some_and(|load| load.reason.is_some())
    }
}

#[derive(Template)]
#[template(path = "tables.html")]
struct Tables {
    frame: Frame,
    page: Head,
    rows: Vec<Row>,
    resync: Option<ResyncSummary>,
    /// How far copies are proved.
    proof: &'static str,
    sum: Ledger,
    bytes: u64,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let made = move |service: &Arc<Service>, caller: &Caller| made(service, caller, &name, &query);
    service.on_disk(&caller, made).await
}

fn made(service: &Service, caller: &Caller, name: &str, query: &Fields) -> Page {
    let (frame, page) = Head::new(service, caller, name, "tables", query)?;
    let (id, pipe) = service.pipe_of(caller, name)?;
    let status = service.status_of(&id, &pipe)?;
    let loads = status
        .resync
        .as_ref()
        .map(|resync| resync.tables.as_slice());
    let loads = loads.unwrap_or_default();
    let followed = status.cdc.as_ref().map(|cdc| cdc.report.tables.as_slice());
    let followed = followed.unwrap_or_default();
    let load_of = loads.iter().map(|load| (load.source.as_str(), load));
    let load_of: HashMap<&str, &TableStatistics> = load_of.collect();
    let followed = followed.iter().map(|table| (table.source.as_str(), table));
    let followed: HashMap<&str, &FollowedTable> = followed.collect();
    let row = |source: String, destination: &str| Row {
        load: load_of.get(source.as_str()).copied().cloned(),
        followed: followed.get(source.as_str()).copied().cloned(),
        destination: destination.to_owned(),
        source,
    };
    let mut rows: Vec<Row> = pipe
        .tables
        .iter()
        .map(|table| row(table.source.to_string(), &table.destination))
        .collect();
    let shown: HashSet<String> = rows.iter().map(|row| row.source.clone()).collect();
    let gone = loads.iter().filter(|load| !shown.contains(&load.source));
    let gone: Vec<Row> = gone
        .map(|load| row(load.source.clone(), &load.destination))
        .collect();
    rows.extend(gone);
    let mut sum = Ledger::default();
    loads.iter().for_each(|load| sum += load.ledger);
    show(&Tables {
        bytes: loads.iter().map(|load| load.bytes).sum(),
        sum,
        proof: match pipe.verify {
            VerifyMode::Counts => "rows and keys are counted",
            VerifyMode::Full => "every column is read back and compared",
        },
        rows,
        resync: status.resync,
        frame,
        page,
    })
}
