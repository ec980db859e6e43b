//! What a tenant uploads: files that a pipe's settings name.

use serde_json::json;

use crate::support::{Client, Flavor, Reply, Service, World};

const COUNTRIES: &str = "code,name\nDE,Germany\nFR,France\n";

fn lookup(missing: &str) -> String {
    format!(
        "[[table.transform]]\nplugin = \"lookup\"\ntables = {{ countries = {{ file = \"files/countries.csv\" }} }}\n\
         [table.transform.config]\ntable = \"countries\"\non = {{ country = \"code\" }}\n\
         columns = {{ name = \"country_name\" }}\nmissing = \"{missing}\"\n"
    )
}

/// Orders of three countries, whose names are looked up.
fn orders(missing: &str) -> World {
    let world = World::new(Flavor::MySql)
        .with_sentinel("")
        .table("orders", &lookup(missing));
    world.mysql.run(
        "CREATE TABLE orders (id INT PRIMARY KEY, country CHAR(2)); INSERT INTO orders VALUES (1, 'DE'), (2, 'FR'), (3, 'XX');\n",
    );
    world
}

fn put(client: &Client, path: &str, kind: &str, bytes: &[u8]) -> Reply {
    client.send("PUT", path, &[("content-type", kind)], Some(bytes.to_vec()))
}

const FILE: &str = "application/octet-stream";

#[test]
fn a_transform_looks_up_what_was_uploaded_for_its_pipe() {
    let (world, service) = (orders("null"), Service::start());
    let client = service.tenant("acme");
    client.create(&world.pipe_text("shop")).is(201);
    let table = json!({ "table": format!("{}.orders", world.mysql.database) });
    let preview = client.post("/v1/pipes/shop/preview", &table);
    let refused = preview.is(422);
    assert!(refused.text.contains("countries.csv"), "{}", refused.text);
    let data = service.data().display().to_string();
    assert!(!refused.text.contains(&data), "{}", refused.text);

    let path = "/v1/pipes/shop/files/countries.csv";
    let kept = put(&client, path, FILE, COUNTRIES.as_bytes()).is(200).json;
    assert_eq!(kept["bytes"], COUNTRIES.len());
    let listed = client.get("/v1/pipes/shop/files").is(200).json;
    assert_eq!(listed, json!({ "items": [kept], "next": null }));

    client.order("shop", &json!({ "state": "start" })).is(202);
    client.await_state("shop", "running");
    let names = "SELECT groupArray(ifNull(country_name, '-')) FROM (SELECT country_name FROM {db}.orders FINAL ORDER BY id)";
    let names = || world.clickhouse.query(names);
    assert_eq!(names(), "['Germany','France','-']");

    // A newer one is drift, until the next resync.
    let newer = format!("{COUNTRIES}XX,Elsewhere\n");
    put(&client, path, FILE, newer.as_bytes()).is(200);
    let status = client.get("/v1/pipes/shop/status").is(200).json;
    assert!(status["drift"].to_string().contains("lookup"), "{status}");
    client.order("shop", &json!({ "state": "resync" })).is(202);
    client.await_pipe("shop", "resynced", |_| {
        names() == "['Germany','France','Elsewhere']"
    });
    client.delete(path).problem(409, "nothing_to_do");
    client.delete("/v1/pipes/shop").is(204);
    let files = std::fs::read_dir(service.data().join("tenants/acme/pipes")).expect("a folder");
    assert_eq!(files.count(), 0);
}

#[test]
fn files_are_their_tenants_and_bounded() {
    let (world, service) = (orders("null"), Service::start());
    let client = service.tenant("acme");
    client.create(&world.pipe_text("shop")).is(201);
    let path = "/v1/pipes/shop/files/notes.csv";
    for name in [
        ".hidden",
        "..",
        "a%2Fb",
        "%2E%2E%2Fpipe.toml",
        "a b",
        &"x".repeat(101),
    ] {
        let at = format!("/v1/pipes/shop/files/{name}");
        let refused = put(&client, &at, FILE, b"x");
        // `..` is taken out of a path by the client itself.
        assert!(
            [404, 405, 422].contains(&refused.status),
            "{name}: {refused:#?}"
        );
        assert!([404, 405].contains(&client.delete(&at).status), "{name}");
    }
    put(&client, path, "text/csv", b"x").problem(415, "body");
    put(&client.role("viewer"), path, FILE, b"x").problem(403, "role");
    put(&service.tenant("other"), path, FILE, b"x").problem(404, "not_found");
    put(&client, "/v1/pipes/none/files/a.csv", FILE, b"x").problem(404, "not_found");

    service.tenant_command(&["set", "acme", "--uploads", "1KiB"]);
    put(&client, path, FILE, &[b'x'; 1_000]).is(200);
    put(&client, path, FILE, &[b'y'; 1_024]).is(200);
    let second = "/v1/pipes/shop/files/more.csv";
    put(&client, second, FILE, b"z").problem(403, "quota");
    let listed = client.get("/v1/pipes/shop/files").is(200).json;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    client.delete(path).is(204);
    put(&client, second, FILE, b"z").is(200);
    client.delete(path).problem(404, "not_found");

    // A large body is an upload's alone, with an idempotency key as without one.
    let large = vec![b' '; 3 << 20];
    for key in [None, Some(("idempotency-key", "large"))] {
        let kind = [("content-type", "application/json")];
        let headers: Vec<_> = kind.into_iter().chain(key).collect();
        let refused = client.send("POST", "/v1/pipes", &headers, Some(large.clone()));
        refused.problem(413, "body");
    }
}

#[test]
fn the_command_line_uploads_plugins_and_files() {
    let (world, service) = (orders("null"), Service::start());
    let client = service.tenant("acme");
    let remote = |arguments: &[&str]| client.command(arguments);
    let folder = world.folder();
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).expect("it is writable");
        file.display().to_string()
    };
    let pipe = write("shop.toml", world.pipe_text("shop").as_bytes());
    let csv = write("countries.csv", COUNTRIES.as_bytes());
    let plugin = crate::support::root().join("target/plugins/passthrough.wasm");
    let plugin = plugin.display().to_string();

    assert_eq!(remote(&["pipe", "create", &pipe]).0, Some(0));
    let (code, kept) = remote(&["pipe", "upload", "shop", &csv]);
    assert_eq!(
        (code, &kept["result"]["name"]),
        (Some(0), &json!("countries.csv"))
    );
    assert_eq!(
        remote(&["pipe", "upload", "shop", &csv, "--as", "b.csv"]).0,
        Some(0)
    );
    assert_eq!(remote(&["pipe", "remove-file", "shop", "b.csv"]).0, Some(0));
    assert_eq!(
        remote(&["pipe", "remove-file", "shop", "countries.csv"]).0,
        Some(9)
    );
    let (_, files) = remote(&["pipe", "files", "shop"]);
    assert_eq!(files["result"].as_array().map(Vec::len), Some(1), "{files}");

    let (code, kept) = remote(&["plugin", "upload", &plugin, "--as", "mine"]);
    assert_eq!(
        (code, &kept["result"]["name"]),
        (Some(0), &json!("mine")),
        "{kept}"
    );
    let (_, plugins) = remote(&["plugin", "list"]);
    assert_eq!(plugins["result"][0]["digest"], kept["result"]["digest"]);
    assert_eq!(remote(&["plugin", "remove", "mine", "--yes"]).0, Some(0));
    let (_, plugins) = remote(&["plugin", "list"]);
    assert_eq!(plugins["result"], json!([]));
    let (code, refused) = remote(&["plugin", "upload", &csv]);
    assert_eq!(
        (code, &refused["error"]["code"]),
        (Some(5), &json!("transform")),
        "{refused}"
    );
}

#[test]
fn a_query_s_answer_is_bounded() {
    let (world, service) = (orders("null"), Service::start());
    let client = service.tenant("acme");
    client.create(&world.pipe_text("shop")).is(201);
    let query = |sql: &str| client.post("/v1/pipes/shop/query", &json!({ "sql": sql }));
    assert_eq!(query("SELECT 1 AS one").is(200).json["tsv"], "one\n1\n");
    let refused = query("SELECT number, repeat('x', 1000) FROM numbers(1000000000)");
    let refused = refused.problem(424, "destination");
    assert!(refused.text.contains("16.0 MiB"), "{}", refused.text);
}
