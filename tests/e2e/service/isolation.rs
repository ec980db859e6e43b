//! What one tenant sees is the same whatever another one has and does: names of whatever kind, ids, counts.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use super::access::{PIPE, body, routes};
use crate::random::rng;
use crate::support::dice::Dice;
use crate::support::{Client, Service};

/// Sequences of what the other tenant does.
const CASES: u32 = 16;

/// What the other tenant does; its things are numbered.
#[derive(Clone, Copy, Debug)]
enum Act {
    Make,
    Change,
    Delete,
    Start,
    Stop,
    Secret,
    File,
    Plugin,
    RemovePlugin,
    Token,
    Webhook,
    Preview,
    Refused,
}

const ACTS: [Act; 13] = [
    Act::Make,
    Act::Change,
    Act::Delete,
    Act::Start,
    Act::Stop,
    Act::Secret,
    Act::File,
    Act::Plugin,
    Act::RemovePlugin,
    Act::Token,
    Act::Webhook,
    Act::Preview,
    Act::Refused,
];

/// A name that is found wherever it stands.
fn name(i: u8) -> String {
    format!("zebra{i}")
}

fn pipe(i: u8, user: &str) -> String {
    PIPE.replace("secret-pipe", &name(i))
        .replace("\"u\"", &format!("\"{user}\""))
}

impl Act {
    /// Does it. Some of it is refused, as it comes.
    fn perform(self, client: &Client, i: u8) {
        let (name, at) = (name(i), format!("/v1/pipes/{}", name(i)));
        let upload = |method: &str, path: &str, kind: &str, bytes: Vec<u8>| {
            client.send(method, path, &[("content-type", kind)], Some(bytes))
        };
        let wasm = || {
            let file = crate::support::root().join("target/plugins/passthrough.wasm");
            std::fs::read(file).expect("it is built")
        };
        let reply = match self {
            Self::Make => client.create(&pipe(i, "u")),
            Self::Change => upload("PUT", &at, "application/toml", pipe(i, "zebra").into()),
            Self::Delete => client.delete(&at),
            Self::Start => client.order(&name, &json!({ "state": "start" })),
            Self::Stop => client.order(&name, &json!({ "state": "stop" })),
            Self::Secret => client.put(&format!("{at}/secrets/{name}"), &json!({ "value": name })),
            Self::File => upload(
                "PUT",
                &format!("{at}/files/{name}.csv"),
                "application/octet-stream",
                name.into(),
            ),
            Self::Plugin => upload(
                "POST",
                &format!("/v1/plugins?name={name}"),
                "application/wasm",
                wasm(),
            ),
            Self::RemovePlugin => client.delete(&format!("/v1/plugins/{name}")),
            Self::Token => client.post("/v1/tokens", &json!({ "name": name, "role": "viewer" })),
            Self::Webhook => client.post(
                "/v1/webhooks",
                &json!({ "url": format!("http://127.0.0.1:1/{name}") }),
            ),
            Self::Preview => client.post(&format!("{at}/preview"), &json!({ "table": "a.b" })),
            Self::Refused => client.post("/v1/pipes", &json!({ "name": name })),
        };
        assert!(reply.status < 500, "{self:?}: {reply:#?}");
    }
}

/// The ids of a list.
fn ids(client: &Client, path: &str) -> Vec<Value> {
    let items = client.get(path).is(200).json["items"].take();
    let items = items.as_array().cloned().unwrap_or_default();
    items.into_iter().map(|item| item["id"].clone()).collect()
}

/// All that a tenant is shown: each route that reads, and its metrics but those of its own requests.
fn view(client: &Client, routes: &[(String, String)]) -> Vec<(String, u16, String)> {
    let reads = routes.iter().filter(|(method, _)| method == "GET");
    let answer = |(_, path): &(String, String)| {
        let path = match path.ends_with("rejected") {
            true => format!("{path}?table=a.b"),
            false => path.clone(),
        };
        let reply = client.get(&path);
        // What the problem says of a request has the request's own id alone.
        (path, reply.status, reply.text)
    };
    let mut view: Vec<_> = reads.map(answer).collect();
    let metrics = client.get("/metrics").is(200).text;
    let own = metrics
        .lines()
        .filter(|line| !line.contains("tidemill_http_"));
    view.push((
        "/metrics".to_owned(),
        200,
        own.collect::<Vec<_>>().join("\n"),
    ));
    view
}

/// The number of a list's first item: the newest.
fn newest(client: &Client, path: &str) -> Option<i64> {
    ids(client, path).first()?.as_i64()
}

/// Gives an order, and waits until it is told: the numbers of the newest entry of the audit log and of the newest event.
fn numbers_after_an_order(client: &Client) -> (i64, i64) {
    let before = newest(client, "/v1/events");
    client.order("mine", &json!({ "state": "stop" })).is(202);
    let deadline = Instant::now() + Duration::from_secs(10);
    while newest(client, "/v1/events") == before {
        assert!(Instant::now() < deadline, "the order is not told");
    }
    let number = |path| newest(client, path).expect("a number");
    (number("/v1/audit"), number("/v1/events"))
}

#[test]
fn no_route_shows_one_tenant_anothers_names_ids_or_counts() {
    let seed = Dice::seed();
    let service = Service::start();
    let (acme, other) = (service.tenant("acme"), service.tenant("other"));
    acme.create(&PIPE.replace("secret-pipe", "mine")).is(201);
    acme.upload("passthrough");
    let names = [
        ("pipe", "mine"),
        ("id", "i"),
        ("name", "source.password"),
        ("table", "a.b"),
        ("plugin", "passthrough"),
    ];
    let own = routes(&acme, &names);

    let act = |i: u8, act: Act| act.perform(&other, i);
    let property = |acts: Vec<(Act, u8)>| {
        let before = view(&acme, &own);
        acts.iter().for_each(|(what, i)| act(*i, *what));
        let after = view(&acme, &own);
        for (then, now) in before.iter().zip(&after) {
            prop_assert_eq!(then, now, "what the other tenant did is seen");
        }
        // What comes next has the next number, whatever the other one did meanwhile.
        let (audit, event) = numbers_after_an_order(&acme);
        acts.iter().for_each(|(what, i)| act(*i, *what));
        let next = numbers_after_an_order(&acme);
        prop_assert_eq!(next, (audit + 1, event + 1));
        untouched(&acme, &other)
    };
    let acts = vec((select(ACTS.as_slice()), 0..3u8), 1..10);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng(seed));
    if let Err(error) = runner.run(&acts, property) {
        panic!("repeat with TIDEMILL_SEED={seed}\n{error}");
    }
}

/// Nothing of the other tenant's can be touched, and what is refused is refused as if it didn't exist.
fn untouched(acme: &Client, other: &Client) -> Result<(), TestCaseError> {
    let lists = ["/v1/pipes", "/v1/plugins", "/v1/tokens", "/v1/webhooks"];
    let names = |path: &str| -> Vec<Value> {
        let items = other.get(path).is(200).json["items"].take();
        let items = items.as_array().cloned().unwrap_or_default();
        let name = |item: Value| match &item["name"] {
            Value::Null => item["id"].clone(),
            name => json!([name, item["id"]]),
        };
        items.into_iter().map(name).collect()
    };
    let before: Vec<_> = lists.iter().map(|path| names(path)).collect();
    let first = |of: usize| before[of].first().cloned().unwrap_or_default();
    // Where there is none yet, one that nothing has.
    let none = "0123456789abcdef";
    let id = |of: usize| match first(of) {
        Value::Array(both) => both[1].as_str().unwrap_or(none).to_owned(),
        one => one.as_str().unwrap_or(none).to_owned(),
    };
    let text = |of: usize| first(of)[0].as_str().unwrap_or("none").to_owned();
    for of in [2, 3] {
        let (pipe, plugin, id) = (text(0), text(1), id(of));
        let names = [
            ("pipe", pipe.as_str()),
            ("id", id.as_str()),
            ("name", "source.password"),
            ("table", "a.b"),
            ("plugin", plugin.as_str()),
        ];
        for (method, path) in routes(acme, &names) {
            let is_named =
                path.contains("/pipes/") || path.contains("/plugins/") || path.contains(&id);
            if !is_named {
                continue;
            }
            let mut sent = body(&method, &path);
            if method == "PUT" && path == format!("/v1/pipes/{pipe}") {
                let settings: toml::Table = PIPE.parse().expect("TOML");
                sent = Some(serde_json::to_value(settings).expect("JSON"));
            }
            let path = match path.ends_with("rejected") {
                true => format!("{path}?table=a.b"),
                false => path,
            };
            let reply = match path.contains("/files/") && method == "PUT" {
                true => {
                    let kind = [("content-type", "application/octet-stream")];
                    acme.send("PUT", &path, &kind, Some(b"x".to_vec()))
                }
                false => acme.ask(&method, &path, sent.as_ref()),
            };
            prop_assert_eq!(reply.status, 404, "{} {}: {:#?}", method, path, reply);
        }
    }
    let after: Vec<_> = lists.iter().map(|path| names(path)).collect();
    prop_assert_eq!(before, after);
    Ok(())
}
