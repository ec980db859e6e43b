//! A pipe's Metrics: how fast it goes, and how far it is behind, in the last hour.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use jiff::Timestamp;

use super::charts::{Chart, Series};
use super::fields::Asked;
use super::{Frame, Head, Page, show, words};
use crate::service::Service;
use crate::service::auth::Viewer;
use crate::service::supervisor::observer::Sample;

#[derive(Template)]
#[template(path = "metrics.html")]
struct Metrics {
    frame: Frame,
    page: Head,
    charts: Vec<Chart>,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let (frame, page) = Head::new(&service, &caller, &name, "metrics", &query)?;
    let running = service.supervisor.running(&caller.pipe(&name));
    let samples = running.map(|running| running.observer.samples());
    let samples = samples.unwrap_or_default();
    let charts = match samples.is_empty() {
        true => Vec::new(),
        false => charts(&samples),
    };
    show(&Metrics {
        frame,
        page,
        charts,
    })
}

fn charts(samples: &[Sample]) -> Vec<Chart> {
    let values = |of: fn(&Sample) -> Option<f64>| -> Vec<(Timestamp, Option<f64>)> {
        samples
            .iter()
            .map(|sample| (sample.at, of(sample)))
            .collect()
    };
    let rows = vec![
        Series {
            name: "Rows of loads",
            class: "first",
            values: values(|sample| Some(sample.rows_per_second)),
        },
        Series {
            name: "Row events of the binlog",
            class: "second",
            values: values(|sample| Some(sample.events_per_second)),
        },
    ];
    let lag = vec![Series {
        name: "Lag",
        class: "third",
        values: values(|sample| sample.lag_seconds.map(|lag| lag as f64)),
    }];
    vec![
        Chart::new("rows", "Throughput", "rows a second", rows, |rate| {
            words::rate(&rate)
        }),
        Chart::new("lag", "Lag behind the source", "seconds", lag, |lag| {
            words::rate(&lag)
        }),
    ]
}
