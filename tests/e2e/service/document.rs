//! Requests made from the API's own document: no fault of the service, and no answer that the document doesn't have.

use std::time::Duration;

use serde_json::json;

use crate::support::{Flavor, Schemathesis, Service, World, root};

#[test]
fn no_request_of_the_document_gets_a_fault_or_an_undocumented_answer() {
    let service = Service::start();
    let client = service.tenant("acme");
    let world = World::new(Flavor::MySql).table("items", "");
    world
        .mysql
        .run("CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(9)); INSERT INTO items VALUES (1, 'a');\n");
    client.create(&world.pipe_text("known")).is(201);
    client.order("known", &json!({ "state": "start" })).is(202);
    let known = client.await_state("known", "completed");
    client.upload("passthrough");
    let resync = known["last_resync"]["id"].as_str().expect("its id");
    let table = format!("{}.items", world.mysql.database);
    let token = client.post("/v1/tokens", &json!({ "name": "known", "role": "viewer" }));
    let token = token.is(201).json["id"]
        .as_str()
        .expect("its id")
        .to_owned();

    let folder = root().join("target/schemathesis");
    let document = format!("{}/v1/openapi.json", service.url);
    let run = Schemathesis {
        document: &document,
        token: &client.token,
        // What the others need would be gone; and a component can't be made up.
        excluded: &[
            "DELETE /v1/pipes/{pipe}",
            "DELETE /v1/tokens/{id}",
            "POST /v1/tokens/{id}/rotate",
            "POST /v1/plugins",
        ],
        known: &[
            ("path.pipe", &["known"]),
            ("path.table", &[&table]),
            ("query.table", &[&table]),
            ("body.table", &[&table]),
            ("path.plugin", &["passthrough"]),
            ("path.name", &["source.password"]),
            ("path.id", &[resync, &token]),
        ],
        examples: 15,
        seed: 1,
        limit: Duration::from_secs(300),
    };
    run.run(&folder)
        .unwrap_or_else(|failures| panic!("{failures}\nsee {folder:?}"));
    client.get("/v1/pipes/known").is(200);
    assert!(!service.log().contains("panicked"), "{}", service.log());
}
