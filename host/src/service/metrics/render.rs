//! The text that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The type of the text.
pub(in crate::service) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric: its name (a counter's without `_total`), what it is, and how it is to be read.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
}

/// The labels of a series.
pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
enum Value {
    Number(f64),
    Histogram(Histogram),
}

/// Metrics with their series, by name.
#[derive(Debug, Default)]
pub(super) struct Exposition(BTreeMap<&'static str, (&'static Metric, Series)>);

/// The values of a metric, by their labels.
type Series = Vec<(Labels, Value)>;

impl Exposition {
    /// Adds a series of a counter or gauge.
    pub(super) fn add(&mut self, metric: &'static Metric, labels: Labels, value: f64) {
        self.put(metric, labels, Value::Number(value));
    }

    /// Adds a series of a histogram.
    pub(super) fn add_histogram(
        &mut self,
        metric: &'static Metric,
        labels: Labels,
        value: Histogram,
    ) {
        self.put(metric, labels, Value::Histogram(value));
    }

    fn put(&mut self, metric: &'static Metric, labels: Labels, value: Value) {
        let series = self.0.entry(metric.name);
        series
            .or_insert((metric, Vec::new()))
            .1
            .push((labels, value));
    }

    /// The text.
    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, series) in self.0.values() {
            let kind = metric.kind;
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in series {
                let encoder = family.encode_family(labels)?;
                match (value, kind) {
                    (Value::Histogram(histogram), _) => histogram.encode(encoder)?,
                    (Value::Number(number), MetricType::Counter) => {
                        ConstCounter::new(*number).encode(encoder)?;
                    }
                    (Value::Number(number), _) => ConstGauge::new(*number).encode(encoder)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROWS: Metric = Metric {
        name: "tidemill_rows",
        help: "Rows",
        kind: MetricType::Counter,
    };

    #[test]
    fn names_of_tables_are_quoted() {
        let mut exposition = Exposition::default();
        let labels = |table: &str| vec![("table", table.to_owned())];
        exposition.add(&ROWS, labels("a\"b\\c\nd"), 3.0);
        exposition.add(&ROWS, labels("e"), 4.5);
        let text = exposition.text().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..],
            [
                "# TYPE tidemill_rows_total counter",
                r#"tidemill_rows_total{table="a\"b\\c\nd"} 3.0"#,
                r#"tidemill_rows_total{table="e"} 4.5"#
            ]
        );
    }
}
