//! What tenants' pipes may connect to: nothing near the service, unless the operator's policy names it.

use serde_json::{Value, json};

use crate::support::{Client, Flavor, Service, World};

fn world(host: &str) -> World {
    let login = format!("user = \"root\"\nhost = \"{host}\"\ntls = \"disabled\"");
    let world = World::new(Flavor::MySql).login(&login).table("t", "");
    world.mysql.run("CREATE TABLE t (id INT PRIMARY KEY);\n");
    world
}

/// A service whose policy opens this much.
fn service(reach: &[String]) -> Service {
    Service::start_with(&format!("[service]\nreach = {reach:?}\n"), &[], &[])
}

fn source(client: &Client, host: &str, port: u16) -> crate::support::Reply {
    let connection = json!({ "host": host, "port": port, "user": "root", "tls": "disabled" });
    client.post("/v1/sources/tables", &connection)
}

#[track_caller]
fn is_out_of_reach(problem: &Value, host: &str) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    for words in ["out of reach", "service.reach", host] {
        assert!(detail.contains(words), "{words}: {problem}");
    }
}

#[test]
fn loopback_is_refused_however_it_is_written() {
    let (world, service) = (world("127.0.0.1"), service(&[]));
    let client = service.tenant("acme");
    let port = world.mysql.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "localhost",
        "LocalHost",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "[::ffff:127.0.0.1]",
    ] {
        let refused = source(&client, host, port).is(424).json;
        assert_eq!(refused["class"], "source", "{refused}");
        is_out_of_reach(&refused, host);
    }
    // What is private is not even tried.
    for host in [
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "fd00::1",
        "100.64.0.1",
    ] {
        is_out_of_reach(&source(&client, host, port).is(424).json, host);
    }
}

#[test]
fn a_pipe_reaches_what_the_policy_names_at_both_of_its_ends() {
    let world = world("localhost");
    let source = format!("localhost:{}", world.mysql.port());
    let destination = format!("127.0.0.0/8:{}", world.clickhouse.http_port);
    let check = |service: &Service| {
        let client = service.tenant("acme");
        client.create(&world.pipe_text("near")).is(201);
        client.post("/v1/pipes/near/check", &json!({}))
    };
    let nothing = service(&[]);
    let refused = check(&nothing).is(424).json;
    is_out_of_reach(&refused, &source);
    // Started, it ends with the same, and isn't tried again and again.
    let client = nothing.tenant("other");
    client.create(&world.pipe_text("near")).is(201);
    client.order("near", &json!({ "state": "start" })).is(202);
    let ended = client.await_pipe("near", "ended", |pipe| pipe["error"].is_string());
    assert!(ended.to_string().contains("out of reach"), "{ended}");

    let refused = check(&service(std::slice::from_ref(&source))).is(424).json;
    assert_eq!(refused["class"], "destination", "{refused}");
    is_out_of_reach(
        &refused,
        &format!("127.0.0.1:{}", world.clickhouse.http_port),
    );
    check(&service(&[source, destination])).is(200);
}

#[test]
fn a_plugin_is_granted_no_address_out_of_reach_and_comes_from_no_registry_that_is_not_named() {
    let world = world("127.0.0.1");
    let transform = |plugin: &str, grants: &str| {
        let text = world.pipe_text("near");
        format!("{text}\n[[table.transform]]\nplugin = \"{plugin}\"\n{grants}\n")
    };
    let service = Service::start_with(
        "[plugins]\nallow = [\"network\"]\n[service]\nreach = [\"127.0.0.0/8\"]\n",
        &[],
        &[],
    );
    let client = service.tenant("acme");
    client.upload("passthrough");
    let grants = "grants = { network = [\"10.0.0.5:443\"] }";
    let refused = client
        .create(&transform("passthrough", grants))
        .is(422)
        .json;
    is_out_of_reach(&refused, "10.0.0.5:443");
    assert_eq!(
        refused["place"]["key"],
        "table[0].transform[0].grants.network[0]"
    );

    let digest = "0".repeat(64);
    let plugin = format!("oci://127.0.0.1:1/acme/mask@sha256:{digest}");
    client.create(&transform(&plugin, "")).is(201);
    let refused = client.post("/v1/pipes/near/check", &json!({})).is(422).json;
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("plugins.registries"), "{refused}");
}
