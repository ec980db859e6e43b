//! The log: an object of JSON a line, each with what it belongs to, and nothing secret.

use serde_json::{Value, json};

use crate::support::service::POLICY;
use crate::support::{Flavor, Service, World};

/// A field of a line or of one of its spans.
fn field<'l>(line: &'l Value, name: &str) -> &'l Value {
    let spans = line["spans"].as_array().map(Vec::as_slice);
    let mut all = std::iter::once(line).chain(spans.unwrap_or_default());
    let found = all.find(|part| !part[name].is_null());
    found.map_or(&Value::Null, |part| &part[name])
}

#[test]
fn lines_bear_the_request_the_pipe_and_the_resync() {
    let mut service = Service::start_with(POLICY, &["--log-format", "json"], &[]);
    let client = service.tenant("acme");
    let world = World::new(Flavor::MySql)
        .with_sentinel("")
        .table("numbers", "");
    world
        .mysql
        .run("CREATE TABLE numbers (id INT PRIMARY KEY); INSERT INTO numbers VALUES (1), (2);\n");
    let secret = "00112233445566778899aabbccddeeff";
    let toml = format!(
        "{}\n[secrets]\nmask_key = \"{secret}\"\n",
        world.pipe_text("numbers")
    );
    client.create(&toml).is(201);
    client
        .order("numbers", &json!({ "state": "start" }))
        .is(202);
    client.await_state("numbers", "running");
    let ordered = client
        .order("numbers", &json!({ "state": "resync" }))
        .is(202);
    let request = ordered.header("x-request-id").expect("an id").to_owned();
    let resync = ordered.json["resync"].as_str().expect("an id").to_owned();
    client.await_pipe("numbers", "resynced", |pipe| {
        pipe["last_resync"]["id"] == *resync && pipe["last_resync"]["phase"] == "running"
    });
    let nobody = client
        .with("")
        .get("/v1/pipes?token=tm_a_query_is_not_logged")
        .is(401);
    let refused = nobody.header("x-request-id").expect("an id").to_owned();
    assert_eq!(service.terminate(), Some(0));

    let log = service.log();
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let with = |name: &'static str, value: &str| {
        let lines = lines.iter().filter(|line| field(line, name) == value);
        lines.collect::<Vec<_>>()
    };
    let answered = with("request", &request);
    let answered = answered.iter().find(|line| line["message"] == "answered");
    let answered = answered.unwrap_or_else(|| panic!("no line of the request {request}: {log}"));
    assert_eq!(answered["level"], "INFO");
    assert_eq!(answered["method"], "PATCH");
    assert_eq!(answered["route"], "/v1/pipes/{pipe}/state");
    assert_eq!(answered["status"], 202);
    assert!(answered["ms"].as_f64() > Some(0.0));
    assert_eq!(field(answered, "tenant"), "acme");
    let refused = &with("request", &refused)[0];
    assert_eq!(refused["status"], 401);
    assert!(field(refused, "tenant").is_null());

    let of_resync = with("resync", &resync);
    for phase in [
        "phase Setup",
        "phase Snapshot",
        "phase Resync",
        "phase Running",
    ] {
        let line = of_resync.iter().find(|line| line["message"] == phase);
        let line = line.unwrap_or_else(|| panic!("no line `{phase}`: {of_resync:#?}"));
        assert_eq!(field(line, "tenant"), "acme");
        assert_eq!(field(line, "pipe"), "numbers");
    }
    let token = client.token.rsplit('_').next().expect("a secret part");
    for hidden in [token, secret, "a_query_is_not_logged"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}

#[test]
fn a_line_of_text_bears_them_too_and_no_colours() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let reply = client.get("/v1/pipes").is(200);
    let request = reply.header("x-request-id").expect("an id").to_owned();
    assert_eq!(service.terminate(), Some(0));
    let log = service.log();
    let line = log.lines().find(|line| line.contains(&request));
    let line = line.unwrap_or_else(|| panic!("no line of {request}: {log}"));
    for part in ["tenant=\"acme\"", "route=\"/v1/pipes\"", "status=200"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!log.contains('\u{1b}'), "{log}");
}
