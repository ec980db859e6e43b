//! A pipe's life by the API: made, started, followed, resynced, changed, removed.

use serde_json::{Value, json};

use crate::support::{Flavor, Service, World};

/// A shop with so many orders, followed, with masked addresses.
pub(super) fn shop(orders: u32) -> World {
    let world = World::new(Flavor::MySql).with_sentinel("").table(
        "orders",
        "[[table.transform]]\nplugin = \"mask\"\n\
         config = { key = { secret = \"mask_key\" }, columns = [{ column = \"email\", method = \"hash\", length = 24 }] }\n",
    );
    world.mysql.run(&format!(
        "CREATE TABLE orders (id INT PRIMARY KEY, email VARCHAR(60), total DECIMAL(10, 2)); \
         SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {orders}) \
         SELECT i, CONCAT('buyer', i, '@example.com'), i / 4 FROM n;\n"
    ));
    world
}

pub(super) const SECRETS: &str = "\n[secrets]\nmask_key = \"00112233445566778899aabbccddeeff\"\n";

fn rows(world: &World, table: &str) -> String {
    world
        .clickhouse
        .query(&format!("SELECT count() FROM {{db}}.{table} FINAL"))
}

#[test]
fn a_pipe_is_made_loaded_followed_and_resynced() {
    let (world, service) = (shop(5_000), Service::start());
    let client = service.tenant("acme");
    let made = client.create(&(world.pipe_text("shop") + SECRETS)).is(201);
    assert_eq!(made.header("location"), Some("/v1/pipes/shop"));
    assert_eq!(made.json["state"], "new");
    assert_eq!(made.json["secrets"], json!(["mask_key"]));
    assert!(!made.text.contains("00112233"), "{}", made.text);

    let plan = client.post("/v1/pipes/shop/plan", &json!({})).is(200).json;
    assert_eq!(plan["tables"].as_array().map(Vec::len), Some(2));
    let table = format!("{}.orders", world.mysql.database);
    let preview = json!({ "table": table, "rows": 3 });
    let preview = client.post("/v1/pipes/shop/preview", &preview).is(200);
    assert_eq!(preview.json["rows"].as_array().map(Vec::len), Some(3));

    client.order("shop", &json!({ "state": "start" })).is(202);
    client.await_state("shop", "running");
    assert_eq!(rows(&world, "orders"), "5000");
    let masked = "SELECT countIf(email LIKE '%@%') FROM {db}.orders FINAL";
    assert_eq!(world.clickhouse.query(masked), "0");
    world
        .mysql
        .run("INSERT INTO orders VALUES (7777, 'a@b.c', 1);\n");
    world
        .clickhouse
        .await_query("SELECT count() FROM {db}.orders FINAL WHERE id = 7777", "1");

    world.mysql.run(
        "ALTER TABLE orders DROP COLUMN total, ADD COLUMN note VARCHAR(20) NOT NULL DEFAULT 'new';\n",
    );
    let ordered = client.order("shop", &json!({ "state": "resync" })).is(202);
    let resync = ordered.json["resync"].as_str().expect("its id").to_owned();
    let path = format!("/v1/pipes/shop/resyncs/{resync}");
    client.await_pipe("shop", "resynced", |pipe| {
        pipe["last_resync"]["id"] == *resync && pipe["last_resync"]["phase"] == "running"
    });
    let record = client.get(&path).is(200).json;
    assert_eq!(record["kind"], "resync");
    let noted = "SELECT count() FROM {db}.orders FINAL WHERE note = 'new'";
    assert_eq!(world.clickhouse.query(noted), "5001");
    let events = client.get("/v1/pipes/shop/events").is(200).json;
    let mut phases: Vec<&Value> = events["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["resync"] == *resync && event["kind"] == "phase")
        .map(|event| &event["phase"])
        .collect();
    phases.reverse();
    assert_eq!(phases, ["setup", "snapshot", "resync", "running"]);

    let tables = client.get("/v1/pipes/shop/tables").is(200).json;
    let loaded: u64 = tables["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|table| table["ledger"]["written"].as_u64())
        .sum();
    assert!(loaded >= 5001, "{tables}");

    client.order("shop", &json!({ "state": "stop" })).is(202);
    client.await_state("shop", "stopped");
    client.delete("/v1/pipes/shop").is(204);
    client.get("/v1/pipes/shop").problem(404, "not_found");
    assert_eq!(rows(&world, "orders"), "5001");
}

#[test]
fn settings_are_json_as_well_and_may_change_while_a_pipe_runs() {
    let (world, service) = (shop(100), Service::start());
    let client = service.tenant("acme");
    let toml: toml::Table = world.pipe_text("shop").parse().expect("TOML");
    let mut settings = serde_json::to_value(toml).expect("JSON");
    settings["secrets"] = json!({ "mask_key": "00112233445566778899aabbccddeeff" });
    settings["source"]["password"] = json!("");
    let made = client.post("/v1/pipes", &settings).is(201);
    assert_eq!(made.json["secrets"], json!(["mask_key", "source.password"]));
    client
        .post("/v1/pipes", &settings)
        .problem(409, "nothing_to_do");
    client.order("shop", &json!({ "state": "start" })).is(202);
    client.await_state("shop", "running");

    settings["snapshot"] = json!({ "parallel_chunks": 3 });
    client.put("/v1/pipes/shop", &settings).is(200);
    client.await_pipe("shop", "told of its settings", |_| {
        let events = client.get("/v1/pipes/shop/events").json.to_string();
        events.contains("settings of the pipe file have changed")
    });
    settings["snapshot"] = json!({ "parallel_chunks": 0 });
    let refused = client.put("/v1/pipes/shop", &settings);
    let refused = refused.problem(422, "pipe").json;
    assert_eq!(refused["place"]["key"], "snapshot.parallel_chunks");
    assert_eq!(refused["class"], "configuration");
    let text = refused.to_string();
    let data = service.data().display().to_string();
    assert!(!text.contains(&data), "{text}");
    let kept = client.get("/v1/pipes/shop").is(200).json;
    assert_eq!(kept["settings"]["snapshot"]["parallel_chunks"], 3);
    settings["snapshot"] = json!({});
    settings["name"] = json!("other");
    client
        .put("/v1/pipes/shop", &settings)
        .problem(422, "invalid");
}

#[test]
fn a_request_with_an_idempotency_key_is_done_once() {
    let (world, service) = (shop(10), Service::start());
    let client = service.tenant("acme");
    let body = || Some((world.pipe_text("shop") + SECRETS).into_bytes());
    let headers = [
        ("content-type", "application/toml"),
        ("idempotency-key", "one"),
    ];
    let first = client.send("POST", "/v1/pipes", &headers, body()).is(201);
    let again = client.send("POST", "/v1/pipes", &headers, body()).is(201);
    assert_eq!(first.text, again.text);
    assert_eq!(again.header("location"), Some("/v1/pipes/shop"));
    let other = Some(b"name = \"other\"".to_vec());
    client
        .send("POST", "/v1/pipes", &headers, other)
        .problem(422, "invalid");
    // A token is shown once, whatever is sent again.
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "two"),
    ];
    let token = || Some(br#"{"name": "t", "role": "viewer"}"#.to_vec());
    let first = client.send("POST", "/v1/tokens", &headers, token()).is(201);
    let again = client.send("POST", "/v1/tokens", &headers, token());
    again.problem(409, "done");
    let store = std::fs::read(service.data().join("service.sqlite-wal")).unwrap_or_default();
    let secret = first.json["token"].as_str().expect("a token");
    let secret = secret.rsplit('_').next().expect("its secret");
    assert!(!store.windows(64).any(|bytes| bytes == secret.as_bytes()));
}

#[test]
fn a_plugin_is_uploaded_used_and_removed_once_it_is_unused() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.upload("passthrough");
    let world =
        World::new(Flavor::MySql).table("items", "[[table.transform]]\nplugin = \"passthrough\"\n");
    world.mysql.run(
        "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(9)); INSERT INTO items VALUES (1, 'a'), (2, 'b');\n",
    );
    let headers = [("content-type", "application/wasm")];
    let junk = Some(b"no component".to_vec());
    let refused = client.send("POST", "/v1/plugins?name=junk", &headers, junk);
    refused.problem(422, "transform");
    let climb = client.send("POST", "/v1/plugins?name=..%2Fx", &headers, Some(vec![0]));
    climb.problem(422, "invalid");
    let inspected = client.get("/v1/plugins/passthrough").is(200).json;
    assert_eq!(inspected["pipes"], json!([]));
    assert!(inspected["config_schema"].is_object());

    client.create(&world.pipe_text("items")).is(201);
    let used = client.delete("/v1/plugins/passthrough");
    used.problem(409, "nothing_to_do");
    client.order("items", &json!({ "state": "start" })).is(202);
    client.await_state("items", "completed");
    client.delete("/v1/pipes/items").is(204);
    client.delete("/v1/plugins/passthrough").is(204);
    client.get("/v1/plugins/passthrough").is(404);
}

#[test]
fn what_a_tenants_pipe_may_not_name_of_the_machine_is_refused_with_its_key() {
    let service = Service::start();
    let client = service.tenant("acme");
    let pipe = |source: &str, destination: &str, table: &str| {
        format!(
            "name = \"p\"\n{}\n[source]\nuser = \"u\"\n{source}\n[destination]\ndatabase = \"d\"\n{destination}\n[[table]]\nsource = \"a.b\"\n{table}\n",
            ""
        )
    };
    let url = "url = \"http://clickhouse.example.com\"";
    let transform = |toml: &str| format!("[[table.transform]]\nplugin = \"mask\"\n{toml}");
    let cases = [
        (
            "source.socket",
            pipe("socket = \"/run/mysqld.sock\"", url, ""),
        ),
        ("source", pipe("password_env = \"TIDEMILL_KEY\"", url, "")),
        ("source", pipe("password_file = \"/etc/shadow\"", url, "")),
        (
            "source.ca",
            pipe(
                "tls = \"verify_ca\"\nca = \"/etc/ssl/certs/ca-certificates.crt\"",
                url,
                "",
            ),
        ),
        (
            "state",
            format!("state = \"/tmp/x\"\n{}", pipe("", url, "")),
        ),
        (
            "table[0].transform[0].plugin",
            pipe(
                "",
                url,
                "[[table.transform]]\nplugin = \"../../other/plugins/x.wasm\"\n",
            ),
        ),
        (
            "table[0].transform[0].grants.environment",
            pipe(
                "",
                url,
                &transform("grants = { environment = [\"TIDEMILL_KEY\"] }"),
            ),
        ),
        (
            "table[0].transform[0].grants.files",
            pipe("", url, &transform("grants = { files = [\"/etc\"] }")),
        ),
        (
            "table[0].transform[0].tables.t.file",
            pipe(
                "",
                url,
                &transform("tables = { t = { file = \"../../../../key.csv\" } }"),
            ),
        ),
        (
            "table[0].transform[0].config",
            pipe(
                "",
                url,
                &transform("config = { key = { secret = \"none\" } }"),
            ),
        ),
    ];
    for (key, toml) in cases {
        let refused = client.create(&toml).problem(422, "pipe").json;
        assert_eq!(refused["place"]["key"], key, "{refused}");
        assert!(!refused.to_string().contains("/data/tenants"), "{refused}");
    }
    assert_eq!(client.get("/v1/pipes").is(200).json["items"], json!([]));
}
