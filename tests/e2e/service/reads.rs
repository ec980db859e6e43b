//! What is read of a pipe and its plugins: pages of its history, texts without the machine's folders, passwords that go nowhere else.

use serde_json::{Value, json};

use crate::support::{Client, Flavor, Reply, Service, World};

fn items(settings: &str) -> World {
    let world = World::new(Flavor::MySql).table("items", settings);
    world.mysql.run(
        "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(9)); INSERT INTO items VALUES (1, 'a'), (2, 'b');\n",
    );
    world
}

/// Changes the settings of the pipe `shop`.
fn put(client: &Client, toml: &str) -> Reply {
    let headers = [("content-type", "application/toml")];
    client.send("PUT", "/v1/pipes/shop", &headers, Some(toml.into()))
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list");
    let ids = items.iter().map(|item| item["id"].as_str());
    ids.map(|id| id.expect("an id").to_owned()).collect()
}

#[test]
fn resyncs_are_read_by_pages_and_alone() {
    let (world, service) = (items(""), Service::start());
    let client = service.tenant("acme");
    client.create(&world.pipe_text("shop")).is(201);
    let resyncs = "/v1/pipes/shop/resyncs";
    let none = client.get(resyncs).is(200).json;
    assert_eq!(none, json!({ "items": [], "next": null }));
    client
        .get(&format!("{resyncs}?cursor=none"))
        .problem(422, "invalid");

    client.order("shop", &json!({ "state": "start" })).is(202);
    let mut last = client.await_state("shop", "completed")["last_resync"]["id"].clone();
    for _ in 0..2 {
        client.order("shop", &json!({ "state": "resync" })).is(202);
        let done = client.await_pipe("shop", "resynced", |pipe| {
            pipe["last_resync"]["id"] != last && pipe["state"] == "completed"
        });
        last = done["last_resync"]["id"].clone();
    }
    let all = client.get(resyncs).is(200).json;
    let all_ids = ids(&all);
    assert_eq!((all_ids.len(), &all["next"]), (3, &Value::Null));
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = client.get(&format!("{resyncs}?limit=2{next}")).is(200).json;
        paged.extend(ids(&page));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, all_ids);
    let first = client.get(&format!("{resyncs}/{}", all_ids[2])).is(200);
    assert_eq!(first.json, all["items"][2]);
    client
        .get(&format!("{resyncs}/none"))
        .problem(404, "not_found");
    let status = client.get("/v1/pipes/shop/status").is(200).json;
    assert_eq!(status["resync"]["id"], all_ids[0].as_str());
}

/// What a tenant can read of a pipe.
fn told(client: &Client) -> Vec<(&'static str, String)> {
    let paths = [
        "/v1/pipes",
        "/v1/pipes/shop",
        "/v1/pipes/shop/status",
        "/v1/pipes/shop/tables",
        "/v1/pipes/shop/resyncs",
        "/v1/pipes/shop/events",
    ];
    let read = paths.map(|path| (path, client.get(path).is(200).text));
    read.into()
}

#[test]
fn errors_that_were_journalled_tell_nothing_of_the_machine() {
    let (mut world, service) = (items("").following(), Service::start());
    let client = service.tenant("acme");
    client.create(&world.pipe_text("shop")).is(201);
    // The copies of what a load is made with can't be kept where a file is.
    let state = service.data().join("tenants/acme/pipes/shop/state");
    std::fs::create_dir_all(&state).expect("the folder is writable");
    std::fs::write(state.join("pinned"), "").expect("the folder is writable");
    client.order("shop", &json!({ "state": "start" })).is(202);
    client.await_state("shop", "failed");
    let error = client.get("/v1/pipes/shop/status").is(200).json["resync"]["error"].clone();
    assert!(error.to_string().contains("state/pinned"), "{error}");
    let data = service.data().display().to_string();
    for (path, text) in told(&client) {
        assert!(!text.contains(&data), "{path}: {text}");
    }

    // Of a plugin that isn't there a tenant learns what to do, and not where the service has looked.
    world.clear_tables();
    world.add_table("items", "[[table.transform]]\nplugin = \"own\"\n");
    put(&client, &world.pipe_text("shop")).is(200);
    let refused = client
        .post("/v1/pipes/shop/plan", &json!({}))
        .problem(422, "transform");
    assert!(
        refused.text.contains("upload the plugin"),
        "{}",
        refused.text
    );
    for word in ["plugin build", "looked for", ".wasm", "/"] {
        let detail = refused.json["detail"].to_string();
        assert!(!detail.contains(word), "{word}: {detail}");
    }
    for (path, text) in told(&client) {
        assert!(
            !text.contains("plugin build") && !text.contains(&data),
            "{path}: {text}"
        );
    }
}

#[test]
fn a_kept_password_goes_to_no_other_server() {
    let service = Service::start();
    let client = service.tenant("acme");
    let pipe = |host: &str, url: &str, passwords: [&str; 2]| {
        let [source, destination] = passwords;
        format!(
            "name = \"shop\"\n[source]\nhost = \"{host}\"\nuser = \"u\"\n{source}\n[destination]\nurl = \"{url}\"\ndatabase = \"d\"\n{destination}\n[[table]]\nsource = \"a.b\"\n"
        )
    };
    let (host, url) = ("mysql.example.com", "http://clickhouse.example.com:8123");
    let password = "password = \"hunter2\"";
    client
        .create(&pipe(host, url, [password, password]))
        .is(201);
    let change = |text: &str| put(&client, text);
    change(&pipe(host, url, ["", ""])).is(200);
    change(&pipe(host, url, ["tls = \"required\"", ""])).is(200);
    for (host, url, end) in [
        ("elsewhere.example.com", url, "source"),
        ("mysql.example.com\"\nport = 3307\n#\"", url, "source"),
        (host, "http://elsewhere.example.com:8123", "destination"),
    ] {
        let refused = change(&pipe(host, url, ["", ""])).problem(422, "invalid");
        let detail = refused.json["detail"].to_string();
        assert!(
            detail.contains(&format!("the {end} is another server")),
            "{detail}"
        );
        let suggestion = refused.json["suggestion"].to_string();
        assert!(suggestion.contains(&format!("[{end}]")), "{suggestion}");
        let kept = client.get("/v1/pipes/shop").is(200).json;
        assert!(!kept["toml"].to_string().contains("elsewhere"), "{kept}");
    }
    change(&pipe("elsewhere.example.com", url, [password, ""])).is(200);
    // Where no password is kept, none can be sent on.
    client
        .delete("/v1/pipes/shop/secrets/destination.password")
        .is(204);
    change(&pipe(
        "elsewhere.example.com",
        "http://elsewhere.example.com",
        ["", ""],
    ))
    .is(200);
}

#[test]
fn a_plugin_is_told_of_as_it_was_when_it_was_uploaded() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.upload("passthrough");
    let uploaded = client.get("/v1/plugins/passthrough").is(200).json;
    assert!(uploaded["summary"].is_string() && uploaded["config_schema"].is_object());
    let listed = client.get("/v1/plugins").is(200).json;
    assert_eq!(listed["items"][0]["digest"], uploaded["digest"]);
    assert_eq!(listed["items"][0].get("about"), None);
    // It isn't loaded for that: its file may be anything.
    let file = service.data().join("tenants/acme/plugins/passthrough.wasm");
    std::fs::write(file, "nothing").expect("the folder is writable");
    assert_eq!(client.get("/v1/plugins/passthrough").is(200).json, uploaded);

    // What has no room isn't even looked at.
    service.tenant_command(&["set", "acme", "--uploads", "1KiB"]);
    let headers = [("content-type", "application/wasm")];
    let junk = Some(vec![b'x'; 2048]);
    let refused = client.send("POST", "/v1/plugins?name=junk", &headers, junk);
    refused.problem(403, "quota");
}
