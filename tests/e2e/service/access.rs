//! Who may do what: without a token, with another tenant's, with each role, on every route of the document.

use serde_json::{Value, json};

use crate::support::{Client, Flavor, Service, World};

/// The methods and paths of the API's document, with names of things that exist.
pub(super) fn routes(client: &Client, names: &[(&str, &str)]) -> Vec<(String, String)> {
    let document = client.get("/v1/openapi.json").is(200).json;
    let paths = document["paths"].as_object().expect("paths").clone();
    let mut routes = Vec::new();
    for (path, methods) in paths {
        let mut named = path.clone();
        for (name, value) in names {
            named = named.replace(&format!("{{{name}}}"), value);
        }
        assert!(
            !named.contains('{'),
            "{named} has a part that the test doesn't know"
        );
        for method in methods.as_object().expect("methods").keys() {
            routes.push((method.to_uppercase(), named.clone()));
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    routes
}

/// A body that each route with one can read.
pub(super) fn body(method: &str, path: &str) -> Option<Value> {
    if method == "GET" || method == "DELETE" {
        return None;
    }
    Some(match path.rsplit('/').next().unwrap_or_default() {
        "state" => json!({ "state": "stop" }),
        "preview" | "tables" if path.contains("/pipes/") => json!({ "table": "a.b" }),
        "tables" => json!({ "host": "203.0.113.1", "user": "u" }),
        "query" => json!({ "sql": "SELECT 1" }),
        "tokens" => json!({ "name": "t", "role": "viewer" }),
        "source.password" => json!({ "value": "v" }),
        _ => json!({}),
    })
}

pub(super) const PIPE: &str = "name = \"secret-pipe\"\n[source]\nhost = \"203.0.113.9\"\nuser = \"u\"\n[destination]\nurl = \"http://203.0.113.9\"\ndatabase = \"d\"\n[[table]]\nsource = \"a.b\"\n";

#[test]
fn without_a_token_every_route_answers_401() {
    let service = Service::start();
    let client = service.tenant("acme");
    let names = [
        ("pipe", "p"),
        ("id", "i"),
        ("name", "source.password"),
        ("table", "a.b"),
        ("plugin", "x"),
    ];
    let routes = routes(&client, &names);
    for token in ["", "tm_0000_1111", "nonsense", "tm__"] {
        let nobody = client.with(token);
        for (method, path) in &routes {
            let reply = nobody.ask(method, path, body(method, path).as_ref());
            assert_eq!(reply.status, 401, "{method} {path}: {reply:#?}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
    }
    for path in ["/healthz", "/readyz", "/v1/openapi.json"] {
        client.with("").get(path).is(200);
    }
}

#[test]
fn a_role_may_do_what_its_name_says_and_no_more() {
    let service = Service::start();
    let admin = service.tenant("acme");
    admin.create(PIPE).is(201);
    let names = [
        ("pipe", "secret-pipe"),
        ("id", "none"),
        ("name", "source.password"),
        ("table", "a.b"),
        ("plugin", "none"),
    ];
    let routes = routes(&admin, &names);
    let (viewer, operator) = (admin.role("viewer"), admin.role("operator"));
    let admins = ["/v1/tokens", "/v1/audit", "/v1/webhooks"];
    let rows = [
        "/check",
        "/plan",
        "/preview",
        "/query",
        "/rejected",
        "/sources/",
    ];
    for (method, path) in routes {
        let needs_admin = admins.iter().any(|start| path.starts_with(start));
        let needs_operator = method != "GET" || rows.iter().any(|part| path.contains(part));
        let ask = |client: &Client| client.ask(&method, &path, body(&method, &path).as_ref());
        let may = |client: &Client| ask(client).json["code"] != "role";
        assert_eq!(
            may(&viewer),
            !needs_admin && !needs_operator,
            "viewer: {method} {path}"
        );
        // What an operator may do isn't done here: it would reach for servers that aren't there.
        if needs_admin {
            assert!(!may(&operator), "operator: {method} {path}");
        }
    }
    operator.get("/v1/pipes/secret-pipe").is(200);
    operator.delete("/v1/pipes/secret-pipe").is(204);
}

#[test]
fn tokens_end_when_they_are_rotated_revoked_or_over() {
    let service = Service::start();
    let admin = service.tenant("acme");
    let made = admin.post(
        "/v1/tokens",
        &json!({ "name": "ci", "role": "operator", "days": 1 }),
    );
    let made = made.is(201).json;
    let client = admin.with(made["token"].as_str().expect("a token"));
    client.get("/v1/tenant").is(200);
    let id = made["id"].as_str().expect("an id");
    let rotated = admin
        .post(&format!("/v1/tokens/{id}/rotate"), &json!({}))
        .is(200)
        .json;
    let new = admin.with(rotated["token"].as_str().expect("a token"));
    // The one before is good for an hour more.
    client.get("/v1/tenant").is(200);
    new.get("/v1/tenant").is(200);
    admin.delete(&format!("/v1/tokens/{id}")).is(204);
    client.get("/v1/tenant").is(401);
    new.get("/v1/tenant").is(401);
    let listed = admin.get("/v1/tokens").is(200);
    for secret in [&made["token"], &rotated["token"]] {
        let secret = secret.as_str().and_then(|token| token.rsplit('_').next());
        assert!(!listed.text.contains(secret.expect("its secret")));
    }
    let audit = admin.get("/v1/audit").is(200).json;
    let actions: Vec<_> = audit["items"].as_array().expect("a list").iter().collect();
    let last = actions.first().expect("an entry");
    assert_eq!(last["action"], "DELETE /v1/tokens/{id}");
    assert_eq!(last["status"], 204);
    assert_eq!(last["target"], format!("tokens/{id}"));
}

#[test]
fn quotas_bound_pipes_and_uploads() {
    let service = Service::start();
    let client = service.tenant("small");
    service.tenant_command(&["set", "small", "--pipes", "1", "--uploads", "1KiB"]);
    client.create(PIPE).is(201);
    let second = PIPE.replace("secret-pipe", "second");
    client.create(&second).problem(403, "quota");
    let file = crate::support::root().join("target/plugins/passthrough.wasm");
    let bytes = Some(std::fs::read(file).expect("it is built"));
    let headers = [("content-type", "application/wasm")];
    let refused = client.send("POST", "/v1/plugins?name=passthrough", &headers, bytes);
    refused.problem(403, "quota");
    client.get("/v1/plugins/passthrough").is(404);
}

#[test]
fn a_pipe_that_cant_reach_its_servers_is_tried_until_it_is_stopped() {
    let service = Service::start();
    let client = service.tenant("acme");
    let world = World::new(Flavor::MySql).table("t", "").source_through(1);
    client.create(&world.pipe_text("p")).is(201);
    let refused = client.post("/v1/pipes/p/check", &json!({}));
    let refused = refused.problem(424, "source").json;
    assert_eq!(refused["class"], "source");
    client.order("p", &json!({ "state": "start" })).is(202);
    let pipe = client.await_pipe("p", "told why", |pipe| pipe["error"].is_string());
    assert!(pipe["error"].to_string().contains("tried again"), "{pipe}");
    assert_eq!(pipe["wanted"], "running");
    client.order("p", &json!({ "state": "stop" })).is(202);
    client.await_pipe("p", "stopped", |pipe| {
        pipe["wanted"] == "stopped" && pipe["state"] != "starting"
    });
    client.delete("/v1/pipes/p").is(204);
}
