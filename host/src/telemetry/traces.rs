//! Traces by OTLP, if the environment names a collector: protobuf over HTTP, as `OTEL_EXPORTER_OTLP_ENDPOINT` and the other standard variables say.

use std::time::Duration;

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Variables that name a collector.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// How long the collector is waited for when the process ends.
const LAST: Duration = Duration::from_secs(5);

/// Where spans go. When it is dropped those that wait are sent.
#[derive(Debug)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Nowhere.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// To the collector of the environment, if it names one.
    pub(crate) fn of_environment() -> Result<Self, ExporterBuildError> {
        let named = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value == "true");
        if disabled || !ENDPOINTS.iter().any(&named) {
            return Ok(Self(None));
        }
        // The client needs one in the process; that there is one already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder().build();
        let client =
            client.map_err(|cause| ExporterBuildError::InternalFailure(cause.to_string()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()?;
        let mut resource = Resource::builder();
        if !named(&"OTEL_SERVICE_NAME") {
            resource = resource.with_service_name("tidemill");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Self(Some(provider)))
    }

    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer("tidemill");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(filter_fn(is_traced)))
    }
}

/// Spans of this crate are traced. Lines of the log are not: they may have what a plugin writes. The span of a pipe lasts for years, and would be no one's parent.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && *metadata.level() <= Level::INFO
        && metadata.target().starts_with("tidemill")
        && metadata.name() != "pipe"
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(LAST)
        {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Puts a request's span into the trace that the request belongs to, if its header `traceparent` names one.
pub(crate) fn follow(span: &Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let context = TraceContextPropagator::new().extract(&Headers(headers));
        // Where nothing is traced there is no place for it.
        let _ = span.set_parent(context);
    }
}

/// Tells a request's span what it was and how it was answered, in the names of OpenTelemetry's conventions.
pub(crate) fn answer(span: &Span, (method, route): (&'static str, &str), status: u16) {
    span.set_attribute("http.request.method", method);
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(format!("answered {status}")));
    }
}
