//! A pipe's Metrics: how fast it goes, and how far it is behind, in the last hour.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};

use super::charts::{Chart, Series};
use super::fields::Asked;
use super::{Frame, Head, Page, show, words};
use crate::service::Service;
use crate::service::auth::Viewer;
use crate::service::metrics::Sample;

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
    let samples = service.metrics.pipe(&caller.pipe(&name)).samples().all();
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

/// What the style sheet calls the lines of a chart, in order.
const CLASSES: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "sixth"];

fn charts(samples: &[Sample]) -> Vec<Chart> {
    let series = |name: &str, at: usize, of: &dyn Fn(&Sample) -> Option<f64>| Series {
        name: name.to_owned(),
        class: CLASSES[at % CLASSES.len()],
        values: samples
            .iter()
            .map(|sample| (sample.at, of(sample)))
            .collect(),
    };
    let rows = vec![
        series("Rows of loads", 0, &|sample| Some(sample.rows_per_second)),
        series("Row events of the binlog", 1, &|sample| {
            Some(sample.events_per_second)
        }),
    ];
    let lag = |sample: &Sample| sample.lag_seconds.map(|lag| lag as f64);
    let lag = vec![series("Lag", 2, &lag)];
    let mut charts = vec![
        Chart::new("rows", "Throughput", "rows a second", rows, |rate| {
            words::rate(&rate)
        }),
        Chart::new("lag", "Lag behind the source", "seconds", lag, |lag| {
            words::rate(&lag)
        }),
    ];
    let plugins: BTreeSet<&String> = samples
        .iter()
        .flat_map(|sample| sample.plugin_cpu.keys())
        .collect();
    let cpu = plugins.into_iter().enumerate().map(|(at, plugin)| {
        let of = |sample: &Sample| {
            Some(100.0 * sample.plugin_cpu.get(plugin).copied().unwrap_or_default())
        };
        series(plugin, at, &of)
    });
    let cpu: Vec<Series> = cpu.collect();
    if !cpu.is_empty() {
        let text = |percent: f64| format!("{} %", words::rate(&percent));
        charts.push(Chart::new(
            "cpu",
            "CPU by plugin",
            "percent of a core",
            cpu,
            text,
        ));
    }
    charts
}
