//! Webhooks: events are posted, signed, in order, and again until they are taken.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::receiver::{Got, Receiver, SILENCE};
use crate::support::{Client, Flavor, Service, World};

/// A pipe `numbers` of the client, with a few rows, not started.
fn pipe(client: &Client) -> World {
    let world = World::new(Flavor::MySql)
        .with_sentinel("")
        .table("numbers", "");
    world
        .mysql
        .run("CREATE TABLE numbers (id INT PRIMARY KEY); INSERT INTO numbers VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9);\n");
    client.create(&world.pipe_text("numbers")).is(201);
    world
}

#[track_caller]
fn make(client: &Client, webhook: &Value) -> Value {
    client.post("/v1/webhooks", webhook).is(201).json
}

fn start(client: &Client) {
    client
        .order("numbers", &json!({ "state": "start" }))
        .is(202);
}

fn body(got: &Got) -> Value {
    serde_json::from_slice(&got.body).expect("JSON")
}

/// Checks a signature as a receiver does.
#[track_caller]
fn assert_signed(got: &Got, secret: &str) {
    let key = secret.strip_prefix("whsec_").expect("a secret of webhooks");
    let key = STANDARD.decode(key).expect("base64");
    let at = got.header("webhook-timestamp");
    let age = jiff::Timestamp::now().as_second() - at.parse::<i64>().expect("a number");
    assert!((0..300).contains(&age), "{age}");
    let text = String::from_utf8(got.body.to_vec()).expect("text");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(format!("{}.{at}.{text}", got.header("webhook-id")).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(got.header("webhook-signature"), expected);
}

fn taken(got: &[Got]) -> Vec<&Got> {
    got.iter().filter(|got| got.is_taken()).collect()
}

/// Whether the phase Running was taken.
fn has_run(got: &[Got]) -> bool {
    taken(got)
        .iter()
        .any(|got| body(got)["data"]["phase"] == "running")
}

#[test]
fn events_are_posted_signed_in_order_and_again_until_they_are_taken() {
    let service = Service::start();
    let client = service.tenant("acme");
    let _world = pipe(&client);
    let receiver = Receiver::start(&[500, 302]);
    let url = format!("{}/hook", receiver.url);
    let webhook = make(
        &client,
        &json!({ "url": url, "events": ["phase", "failure"], "pipe": "numbers" }),
    );
    let (id, secret) = (
        &webhook["id"],
        webhook["secret"].as_str().expect("a secret"),
    );
    start(&client);
    let got = receiver.await_got("all phases", has_run);

    // The first one was tried three times: as the same message, whose redirect wasn't followed.
    let first: Vec<&Got> = got.iter().take(3).collect();
    assert_eq!(
        first.iter().map(|got| got.status).collect::<Vec<_>>(),
        [500, 302, 200]
    );
    for again in &first[1..] {
        assert_eq!(again.header("webhook-id"), first[0].header("webhook-id"));
        assert_eq!(again.body, first[0].body);
    }
    for got in &got {
        assert_eq!(got.path, "/hook");
        assert_eq!(got.header("content-type"), "application/json");
        assert_signed(got, secret);
    }
    let bodies: Vec<Value> = taken(&got).into_iter().map(body).collect();
    let phases: Vec<&Value> = bodies.iter().map(|body| &body["data"]["phase"]).collect();
    assert_eq!(phases, ["setup", "snapshot", "resync", "running"]);
    assert!(
        bodies
            .iter()
            .all(|body| body["type"] == "pipe.phase" && body["data"]["pipe"] == "numbers")
    );

    let path = format!("/v1/webhooks/{}/deliveries", id.as_str().expect("an id"));
    let deliveries = client.get(&path).is(200).json;
    let deliveries = deliveries["items"].as_array().expect("a list");
    assert_eq!(deliveries.len(), 4);
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery["state"] == "delivered" && delivery["status"] == 200)
    );
    assert_eq!(deliveries[3]["attempts"], 3);
    assert_eq!(deliveries[0]["attempts"], 1);

    let listed = client.get("/v1/webhooks").is(200);
    assert!(!listed.text.contains("whsec_"), "{}", listed.text);
    let log = service.log();
    assert!(!log.contains(secret) && !log.contains(&url), "{log}");
    client
        .delete(&format!("/v1/webhooks/{}", id.as_str().expect("an id")))
        .is(204);
    client.get(&path).problem(404, "not_found");
}

#[test]
fn what_waits_is_posted_after_a_kill_and_a_restart() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let _world = pipe(&client);
    let receiver = Receiver::start(&[]);
    receiver.answer(503);
    let webhook = make(
        &client,
        &json!({ "url": receiver.url, "events": ["phase"] }),
    );
    let secret = webhook["secret"].as_str().expect("a secret").to_owned();
    start(&client);
    client.await_state("numbers", "running");
    receiver.await_got("tried", |got| !got.is_empty());
    service.kill();
    let tried = receiver.got().len();
    service.start_again();
    // Its own pause goes on.
    receiver.await_got("tried again", |got| got.len() > tried);
    receiver.answer(200);
    let got = receiver.await_got("all phases", has_run);
    let taken = taken(&got);
    let phases: Vec<Value> = taken
        .iter()
        .map(|got| body(got)["data"]["phase"].clone())
        .collect();
    assert_eq!(phases, ["setup", "snapshot", "resync", "running"]);
    assert_eq!(taken[0].header("webhook-id"), got[0].header("webhook-id"));
    taken.iter().for_each(|got| assert_signed(got, &secret));
}

#[test]
fn dead_addresses_of_one_tenant_do_not_hold_another_up() {
    let service = Service::start();
    let (dead, alive) = (service.tenant("dead"), service.tenant("alive"));
    let (_one, _other) = (pipe(&dead), pipe(&alive));
    let (silent, receiver) = (Receiver::start(&[]), Receiver::start(&[]));
    silent.answer(SILENCE);
    for _ in 0..20 {
        make(&dead, &json!({ "url": silent.url }));
    }
    let refused = dead.post("/v1/webhooks", &json!({ "url": silent.url }));
    refused.problem(403, "quota");
    start(&dead);
    // No more of the tenant's are under way than it may have at a time.
    silent.await_got("busy", |got| got.len() >= 4);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(silent.got().len(), 4);
    make(&alive, &json!({ "url": receiver.url }));
    start(&alive);
    let begun = Instant::now();
    receiver.await_got("told", |got| !got.is_empty());
    // Each of the dead ones is waited for for 15 seconds.
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn an_address_out_of_reach_is_refused() {
    let service = Service::start();
    let client = service.tenant("acme");
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/hook",
        "https://[fd00::1]/hook",
        "https://user:password@example.com/hook",
        "ftp://example.com/hook",
        "not a URL",
    ] {
        let refused = client.post("/v1/webhooks", &json!({ "url": url }));
        refused.problem(422, "invalid");
    }
    let url = "http://127.0.0.1:9/hook";
    for webhook in [
        json!({ "url": url, "events": ["webhook"] }),
        json!({ "url": url, "events": ["phase"], "pipe": "none" }),
    ] {
        let refused = client.post("/v1/webhooks", &webhook);
        assert!(matches!(refused.status, 404 | 422), "{refused:#?}");
    }
    client
        .role("operator")
        .get("/v1/webhooks")
        .problem(403, "role");
    assert_eq!(client.get("/v1/webhooks").is(200).json["items"], json!([]));
}

#[test]
fn a_table_that_waits_for_approval_is_told() {
    let service = Service::start();
    let client = service.tenant("acme");
    let world = pipe(&client);
    let receiver = Receiver::start(&[]);
    start(&client);
    client.await_state("numbers", "running");
    make(
        &client,
        &json!({ "url": receiver.url, "events": ["needs_approval"] }),
    );
    let filter = "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"id > 8\" }\n";
    client.upload("filter");
    let settings = world.pipe_text("numbers") + filter;
    let headers = [("content-type", "application/toml")];
    let path = "/v1/pipes/numbers";
    client
        .send("PUT", path, &headers, Some(settings.into()))
        .is(200);
    client
        .order("numbers", &json!({ "state": "resync" }))
        .is(202);
    let got = receiver.await_got("told", |got| !got.is_empty());
    assert_eq!(body(&got[0])["type"], "pipe.needs_approval");
    assert!(body(&got[0])["data"]["resync"].is_string());
}
