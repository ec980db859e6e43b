//! Traces: spans arrive at a collector by OTLP, with what they belong to.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use super::receiver::Receiver;
use crate::support::service::POLICY;
use crate::support::{Flavor, Service, World};

/// All spans that have arrived, and the names of the services that they are of.
fn spans(collector: &Receiver) -> (Vec<Span>, Vec<Any>) {
    let (mut spans, mut services) = (Vec::new(), Vec::new());
    for got in collector.got() {
        assert_eq!(got.path, "/v1/traces");
        assert_eq!(got.header("content-type"), "application/x-protobuf");
        let request = ExportTraceServiceRequest::decode(got.body).expect("the protocol's message");
        for of_resource in request.resource_spans {
            let attributes = of_resource.resource.unwrap_or_default().attributes;
            let name = attributes
                .into_iter()
                .find(|pair| pair.key == "service.name");
            services.extend(name.and_then(|pair| pair.value?.value));
            spans.extend(
                of_resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans),
            );
        }
    }
    (spans, services)
}

fn attribute(span: &Span, name: &str) -> Option<Any> {
    let pair = span.attributes.iter().find(|pair| pair.key == name)?;
    pair.value.clone()?.value
}

fn number(span: &Span, name: &str) -> i64 {
    match attribute(span, name) {
        Some(Any::IntValue(number)) => number,
        other => panic!("{name}: {other:?} in {span:#?}"),
    }
}

fn text(text: &str) -> Option<Any> {
    Some(Any::StringValue(text.to_owned()))
}

#[test]
fn requests_resyncs_and_chunks_are_traced() {
    let collector = Receiver::start(&[]);
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let mut service = Service::start_with(POLICY, &[], &variables);
    let client = service.tenant("acme");
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let header = format!("00-{trace}-{parent}-01");
    client
        .send("GET", "/v1/pipes", &[("traceparent", &header)], None)
        .is(200);

    let world = World::new(Flavor::MySql)
        .with_sentinel("")
        .settings("[snapshot]\nchunk_rows = 1000\n")
        .table("numbers", "");
    world.mysql.run(
        "CREATE TABLE numbers (id INT PRIMARY KEY); SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO numbers WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n;\n",
    );
    client.create(&world.pipe_text("numbers")).is(201);
    client
        .order("numbers", &json!({ "state": "start" }))
        .is(202);
    let pipe = client.await_state("numbers", "running");
    let id = pipe["last_resync"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // What wasn't sent yet is sent at the end.
    assert_eq!(service.terminate(), Some(0));

    let (spans, services) = spans(&collector);
    assert!(!services.is_empty());
    assert!(
        services
            .iter()
            .all(|name| Some(name) == text("tidemill").as_ref()),
        "{services:?}"
    );
    let named = |name: &str| {
        spans
            .iter()
            .filter(move |span| span.name == name)
            .collect::<Vec<_>>()
    };
    let request = named("GET /v1/pipes");
    let request = request
        .iter()
        .find(|span| hex::encode(&span.trace_id) == trace);
    let request = request.unwrap_or_else(|| panic!("no span of the trace: {spans:#?}"));
    assert_eq!(hex::encode(&request.parent_span_id), parent);
    assert_eq!(request.kind, 2, "a server's");
    assert_eq!(number(request, "http.response.status_code"), 200);
    assert_eq!(attribute(request, "http.route"), text("/v1/pipes"));
    assert_eq!(attribute(request, "tenant"), text("acme"));

    let resync = named("resync");
    assert_eq!(resync.len(), 1, "{spans:#?}");
    let resync = resync[0];
    assert_eq!(attribute(resync, "resync"), text(&id));
    assert!(
        resync.parent_span_id.is_empty(),
        "a trace of its own: {resync:#?}"
    );
    assert_eq!(number(resync, "tables"), 2);
    assert_eq!(number(resync, "rows"), 5_000);
    assert_eq!(attribute(resync, "phase"), text("Running"));
    let phases = ["Setup", "Snapshot", "Resync"].map(|phase| {
        let of_phase = named(phase);
        assert_eq!(of_phase.len(), 1, "{phase}: {spans:#?}");
        assert_eq!(of_phase[0].parent_span_id, resync.span_id);
        of_phase[0]
    });
    assert!(named("Running").is_empty(), "nothing is done in it");
    assert!(phases.is_sorted_by_key(|phase| phase.start_time_unix_nano));
    let table = text(&format!("{}.numbers", world.mysql.database));
    let mut chunks = named("chunk");
    chunks.retain(|chunk| attribute(chunk, "table") == table);
    assert!(chunks.len() >= 5, "{chunks:#?}");
    for chunk in &chunks {
        assert_eq!(chunk.parent_span_id, phases[1].span_id);
        assert_eq!(chunk.trace_id, resync.trace_id);
        assert!(chunk.end_time_unix_nano > chunk.start_time_unix_nano);
    }
    assert_eq!(
        chunks
            .iter()
            .map(|chunk| number(chunk, "rows"))
            .sum::<i64>(),
        5_000
    );
    let bytes: i64 = chunks.iter().map(|chunk| number(chunk, "bytes")).sum();
    assert!(bytes > 0 && number(resync, "bytes") >= bytes);
    // Neither health nor anything else is a child of what it doesn't belong to, and a pipe's own span, which lasts, is none.
    assert!(named("pipe").is_empty());
}

#[test]
fn a_collector_that_is_not_there_is_no_obstacle() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let mut service = Service::start_with(POLICY, &[], &variables);
    let client = service.tenant("acme");
    for _ in 0..20 {
        client.get("/v1/pipes").is(200);
    }
    assert_eq!(service.terminate(), Some(0));
}
