//! Requests of clients that go, wait, ask again or ask for too much.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::receiver::Receiver;
use crate::support::{Client, Service, root};

/// A pipe whose servers aren't there.
fn settings(name: &str) -> String {
    format!(
        "name = \"{name}\"\n[source]\nhost = \"203.0.113.9\"\nuser = \"u\"\n[destination]\nurl = \"http://203.0.113.9\"\ndatabase = \"d\"\n[[table]]\nsource = \"a.b\"\n"
    )
}

/// A connection to the service.
fn connect(client: &Client) -> TcpStream {
    let address = client.url.trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("it listens");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a time to wait");
    stream
}

/// A request's bytes.
fn request(
    client: &Client,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    if !client.token.is_empty() {
        head += &format!("authorization: Bearer {}\r\n", client.token);
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends a request and goes.
fn send_and_go(
    client: &Client,
    asked: (&str, &str),
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) {
    let mut stream = connect(client);
    let request = request(client, asked, headers, body);
    stream.write_all(&request).expect("it is sent");
}

/// The status of an answer that begins; what comes behind its headers is left.
fn status(from: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    from.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {line:?}"));
    loop {
        line.clear();
        from.read_line(&mut line).expect("a header");
        if line.trim().is_empty() {
            return status;
        }
    }
}

/// Asks for a list until it has what is wanted.
#[track_caller]
fn await_items(client: &Client, path: &str, what: &str, is: impl Fn(&[Value]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = client.get(path).is(200).json;
        if is(list["items"].as_array().expect("a list")) {
            return;
        }
        assert!(Instant::now() < deadline, "not {what}: {list:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn of(items: &[Value], action: &str) -> usize {
    items.iter().filter(|item| item["action"] == action).count()
}

#[test]
fn a_change_is_done_and_audited_though_its_client_goes() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.create(&settings("p")).is(201);
    let json = ("content-type", "application/json");
    let toml = ("content-type", "application/toml");
    let stop = r#"{"state": "stop"}"#;
    let key = |key: usize| format!("gone-{key}");
    for at in 0..20 {
        let key = key(at);
        let headers = [json, ("idempotency-key", key.as_str())];
        send_and_go(&client, ("PATCH", "/v1/pipes/p/state"), &headers, stop);
    }
    for at in 0..5 {
        let name = format!("made-{at}");
        let headers = [toml, ("idempotency-key", name.as_str())];
        send_and_go(&client, ("POST", "/v1/pipes"), &headers, settings(&name));
    }
    // Loading a plugin takes longer than it takes to see that the client has gone.
    let plugin = std::fs::read(root().join("target/plugins/passthrough.wasm"));
    let plugin = plugin.expect("it is built");
    let upload = ("POST", "/v1/plugins?name=passthrough");
    let wasm = [
        ("content-type", "application/wasm"),
        ("idempotency-key", "upload"),
    ];
    send_and_go(&client, upload, &wasm, &plugin);
    await_items(&client, "/v1/audit?limit=200", "audited", |items| {
        of(items, "PATCH /v1/pipes/{pipe}/state") == 20
            && of(items, "POST /v1/pipes") == 6
            && of(items, "POST /v1/plugins") == 1
    });
    client.get("/v1/plugins/passthrough").is(200);
    client.send(upload.0, upload.1, &wasm, Some(plugin)).is(201);
    // What was done isn't done again: the answer is the one that nobody has read.
    for at in 0..20 {
        let key = key(at);
        let headers = [json, ("idempotency-key", key.as_str())];
        let body = Some(stop.into());
        let again = client.send("PATCH", "/v1/pipes/p/state", &headers, body);
        again.is(202);
    }
    for at in 0..5 {
        let name = format!("made-{at}");
        let headers = [toml, ("idempotency-key", name.as_str())];
        let body = Some(settings(&name).into_bytes());
        client.send("POST", "/v1/pipes", &headers, body).is(201);
    }
    assert_stops(&client, 20);
}

/// The pipe `p` was stopped so many times.
#[track_caller]
fn assert_stops(client: &Client, wanted: usize) {
    let path = "/v1/pipes/p/events";
    await_items(client, path, "stopped as often", |items| {
        let stopped = |event: &&Value| event["message"].to_string().contains("stop");
        items.iter().filter(stopped).count() == wanted
    });
}

#[test]
fn a_form_is_done_and_audited_though_its_browser_goes() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.create(&settings("p")).is(201);
    let nobody = client.with("");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = format!("token={}", client.token).into_bytes();
    let entered = nobody.send("POST", "/login", &[form], Some(body)).is(303);
    let cookie = entered.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("its value").to_owned();
    let cookie = ("cookie", cookie.as_str());
    let page = nobody.send("GET", "/access", &[cookie], None).is(200);
    let (_, csrf) = page
        .text
        .split_once("name=\"csrf\" value=\"")
        .expect("a form");
    let csrf = csrf.split('"').next().expect("its token");
    let body = format!("csrf={csrf}&state=stop");
    for _ in 0..20 {
        let asked = ("POST", "/pipes/p/state");
        send_and_go(&nobody, asked, &[form, cookie], &body);
    }
    await_items(&client, "/v1/audit?limit=200", "audited", |items| {
        of(items, "POST /pipes/{pipe}/state") == 20
    });
    assert_stops(&client, 20);
}

#[test]
fn the_audit_log_has_the_beginning_of_a_long_address() {
    let service = Service::start();
    let client = service.tenant("acme");
    let path = format!("/v1/pipes/%C3%A9{}", "x".repeat(60_000));
    client.delete(&path).problem(404, "not_found");
    let audit = client.get("/v1/audit").is(200).json;
    let target = audit["items"][0]["target"].as_str().expect("a target");
    assert!(target.starts_with("pipes/%C3%A9xxx"), "{target}");
    assert!(target.len() <= 300, "{}", target.len());
}

/// Asks over one connection, as often as it is wanted.
struct Line {
    client: Client,
    stream: BufReader<TcpStream>,
}

impl Line {
    fn new(client: &Client) -> Self {
        let stream = BufReader::new(connect(client));
        Self {
            client: client.clone(),
            stream,
        }
    }

    /// The status of an answer without a body.
    fn put(&mut self, path: &str, key: &str, value: &str) -> u16 {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = json!({ "value": value }).to_string();
        let request = request(&self.client, ("PUT", path), &headers, &body);
        self.stream.get_mut().write_all(&request).expect("sent");
        status(&mut self.stream)
    }
}

#[test]
fn the_oldest_of_1000_idempotency_keys_goes_first() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.create(&settings("p")).is(201);
    let path = "/v1/pipes/p/secrets/source.password";
    let mut line = Line::new(&client);
    for key in 0..1_001 {
        assert_eq!(line.put(path, &format!("key-{key}"), "v"), 204, "{key}");
    }
    // A key that is known came with another request; one that is forgotten is new.
    assert_eq!(Line::new(&client).put(path, "key-1", "other"), 422);
    assert_eq!(Line::new(&client).put(path, "key-1000", "other"), 422);
    assert_eq!(Line::new(&client).put(path, "key-0", "other"), 204);
    assert_eq!(Line::new(&client).put(path, "key-1", "other"), 204);
}

#[test]
fn an_answer_with_a_secret_is_given_once_and_done_once() {
    let service = Service::start();
    let client = service.tenant("acme");
    let receiver = Receiver::start(&[]);
    let token = json!({ "name": "t", "role": "viewer" });
    let made = client.post("/v1/tokens", &token).is(201).json;
    let rotate = format!("/v1/tokens/{}/rotate", made["id"].as_str().expect("an id"));
    let asked = [
        ("/v1/tokens", token, 201),
        (&rotate, json!({}), 200),
        ("/v1/webhooks", json!({ "url": receiver.url }), 201),
    ];
    for (path, body, status) in asked {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", path),
        ];
        let ask = || client.send("POST", path, &headers, Some(body.to_string().into()));
        ask().is(status);
        let again = ask().problem(409, "done");
        let detail = again.json["detail"].as_str().expect("a detail");
        assert!(detail.contains("shown once"), "{detail}");
    }
    let count = |path: &str| client.get(path).json["items"].as_array().map(Vec::len);
    assert_eq!(count("/v1/tokens"), Some(3));
    assert_eq!(count("/v1/webhooks"), Some(1));
}

#[test]
fn an_answer_that_is_too_large_to_be_kept_is_told_of() {
    let service = Service::start();
    let client = service.tenant("acme");
    let large = format!("# {}\n{}", "x".repeat(70_000), settings("p"));
    let headers = [
        ("content-type", "application/toml"),
        ("idempotency-key", "large"),
    ];
    let ask = || client.send("POST", "/v1/pipes", &headers, Some(large.clone().into()));
    assert!(ask().is(201).text.len() > 64 << 10);
    let again = ask().problem(409, "done");
    let detail = again.json["detail"].as_str().expect("a detail");
    assert!(detail.contains("too large"), "{detail}");
}

#[test]
fn a_refusal_that_did_nothing_is_not_kept() {
    let service = Service::start();
    let client = service.tenant("acme");
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "early"),
    ];
    let body = || Some(r#"{"state": "stop"}"#.into());
    let ask = || client.send("PATCH", "/v1/pipes/p/state", &headers, body());
    ask().problem(404, "not_found");
    client.create(&settings("p")).is(201);
    ask().is(202);
}

#[test]
fn secrets_and_tokens_are_bounded() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.create(&settings("p")).is(201);
    let put = |name: &str, value: &str| {
        let path = format!("/v1/pipes/p/secrets/{name}");
        client.put(&path, &json!({ "value": value }))
    };
    put("large", &"x".repeat(65_536)).is(204);
    put("large", &"x".repeat(65_537)).problem(422, "invalid");
    let names: serde_json::Map<_, _> = (0..199).map(|at| (format!("s{at}"), json!("v"))).collect();
    let mut whole: Value =
        serde_json::to_value(settings("p").parse::<toml::Table>().expect("TOML")).expect("JSON");
    whole["secrets"] = names.into();
    client.put("/v1/pipes/p", &whole).is(200);
    put("one-more", "v").problem(403, "quota");
    put("large", "v").is(204);
    whole["secrets"] = json!({ "a": "v", "b": "v" });
    client.put("/v1/pipes/p", &whole).problem(403, "quota");

    let make = || client.post("/v1/tokens", &json!({ "name": "t", "role": "viewer" }));
    (0..199).for_each(|_| drop(make().is(201)));
    make().problem(403, "quota");
    let (mut ids, mut path) = (BTreeSet::new(), "/v1/tokens?limit=70".to_owned());
    for wanted in [70, 70, 60] {
        let page = client.get(&path).is(200).json;
        let items = page["items"].as_array().expect("a list");
        assert_eq!(items.len(), wanted);
        ids.extend(items.iter().map(|token| token["id"].to_string()));
        let next = page["next"].as_str().unwrap_or_default();
        path = format!("/v1/tokens?limit=70&cursor={next}");
    }
    assert_eq!(ids.len(), 200);
    assert!(path.ends_with("cursor="), "{path}");
    // The operator can always give one: all admins' may be lost.
    service.tenant_command(&["token", "acme"]);
}

#[test]
fn a_rotation_ends_the_sessions_that_were_begun_with_the_token() {
    let service = Service::start();
    let admin = service.tenant("acme");
    let made = admin.post("/v1/tokens", &json!({ "name": "t", "role": "viewer" }));
    let made = made.is(201).json;
    let (id, token) = (&made["id"], made["token"].as_str().expect("a token"));
    let nobody = admin.with("");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let entered = nobody.send(
        "POST",
        "/login",
        &form,
        Some(format!("token={token}").into()),
    );
    let entered = entered.is(303);
    let cookie = entered.header("set-cookie").expect("a cookie");
    let cookie = [("cookie", cookie.split(';').next().expect("its value"))];
    nobody.send("GET", "/access", &cookie, None).is(200);
    let path = format!("/v1/tokens/{}/rotate", id.as_str().expect("an id"));
    admin.post(&path, &json!({})).is(200);
    nobody.send("GET", "/access", &cookie, None).is(303);
    admin.with(token).get("/v1/tenant").is(200);
}

/// A stream of events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(client: &Client, path: &str, last: Option<i64>) -> Result<Self, u16> {
        let last = last.map(|last| last.to_string());
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last.as_deref().map(|last| ("last-event-id", last)));
        let mut stream = connect(client);
        stream
            .write_all(&request(client, ("GET", path), &headers, ""))
            .expect("it is sent");
        let mut stream = BufReader::new(stream);
        match status(&mut stream) {
            200 => Ok(Self(stream)),
            refused => Err(refused),
        }
    }

    /// The next event; none where the stream ends.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a line in time");
            if line.is_empty() || line == "0\r\n" {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).expect("JSON"));
            }
        }
    }
}

fn stop(client: &Client, pipe: &str) {
    client.order(pipe, &json!({ "state": "stop" })).is(202);
}

#[test]
fn a_tenant_has_50_streams_of_events_at_a_time() {
    let service = Service::start();
    let (client, other) = (service.tenant("acme"), service.tenant("other"));
    let open = |client: &Client| Events::open(client, "/v1/events", None);
    let mut streams: Vec<_> = (0..50).map(|_| open(&client).map_err(drop)).collect();
    assert!(streams.iter().all(Result::is_ok));
    assert_eq!(open(&client).err(), Some(403));
    assert!(open(&other).is_ok());
    let accept = [("accept", "text/event-stream")];
    let refused = client.send("GET", "/v1/events", &accept, None);
    refused.problem(403, "quota");
    client.get("/v1/events").is(200);
    // A place is free once a client has gone.
    streams.pop();
    let deadline = Instant::now() + Duration::from_secs(60);
    while open(&client).is_err() {
        assert!(Instant::now() < deadline, "no place becomes free");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_stream_ends_with_its_token() {
    let service = Service::start();
    let admin = service.tenant("acme");
    let make = || {
        admin.post(
            "/v1/tokens",
            &json!({ "name": "t", "role": "viewer", "days": 1 }),
        )
    };
    let [revoked, expired] = [make().is(201).json, make().is(201).json];
    let open = |token: &Value| {
        let client = admin.with(token["token"].as_str().expect("a token"));
        Events::open(&client, "/v1/events", None).expect("it may listen")
    };
    let mut streams = [open(&revoked), open(&expired)];
    let id = |token: &Value| token["id"].as_str().expect("an id").to_owned();
    admin
        .delete(&format!("/v1/tokens/{}", id(&revoked)))
        .is(204);
    // Nobody waits for a day here.
    let store = rusqlite::Connection::open(service.data().join("service.sqlite")).expect("a store");
    let over = jiff::Timestamp::now().to_string();
    let sql = "UPDATE tokens SET record = json_set(record, '$.expires', ?2) WHERE id = ?1";
    let changed = store.execute(sql, [id(&expired), over]).expect("writable");
    assert_eq!(changed, 1);
    for stream in &mut streams {
        assert_eq!(stream.next(), None);
    }
}

#[test]
fn a_stream_of_a_pipe_has_its_events_alone_and_goes_on_behind_the_last_one() {
    let service = Service::start();
    let client = service.tenant("acme");
    client.create(&settings("a")).is(201);
    client.create(&settings("b")).is(201);
    let has = |pipe: &str| {
        let path = format!("/v1/pipes/{pipe}/events");
        await_items(&client, &path, "told", |items| !items.is_empty());
    };
    has("a");
    has("b");
    let mut stream = Events::open(&client, "/v1/pipes/b/events", None).expect("it may listen");
    for pipe in ["a", "b", "a", "b"] {
        stop(&client, pipe);
    }
    let first = stream.next().expect("an event");
    let second = stream.next().expect("an event");
    assert_eq!(
        (&first["pipe"], &second["pipe"]),
        (&json!("b"), &json!("b"))
    );
    let at = first["id"].as_i64().expect("a number");
    let again = Events::open(&client, "/v1/pipes/b/events", Some(at));
    assert_eq!(again.expect("it may listen").next(), Some(second));
    // One that has heard of more than there is, as before a backup was restored, hears what is new.
    let mut ahead = Events::open(&client, "/v1/events", Some(1 << 40)).expect("it may listen");
    stop(&client, "a");
    assert_eq!(ahead.next().expect("an event")["pipe"], "a");
}

#[test]
fn numbers_tell_nothing_of_other_tenants() {
    let service = Service::start();
    let (client, other) = (service.tenant("acme"), service.tenant("other"));
    let receiver = Receiver::start(&[]);
    for client in [&client, &other] {
        client.create(&settings("p")).is(201);
        await_items(client, "/v1/events", "told", |items| items.len() == 1);
        let webhook = json!({ "url": receiver.url });
        client.post("/v1/webhooks", &webhook).is(201);
    }
    for _ in 0..3 {
        stop(&client, "p");
        (0..4).for_each(|_| stop(&other, "p"));
    }
    let is_dense = |path: &str, wanted: usize| {
        await_items(&client, path, "there", |items| items.len() == wanted);
        let list = client.get(path).json;
        let ids: Vec<_> = list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| item["id"].as_u64())
            .collect();
        let expected: Vec<_> = (1..=wanted as u64).rev().map(Some).collect();
        assert_eq!(ids, expected, "{path}");
    };
    is_dense("/v1/events", 4);
    is_dense("/v1/audit", 5);
    let webhooks = client.get("/v1/webhooks").json;
    let webhook = webhooks["items"][0]["id"].as_str().expect("an id");
    is_dense(&format!("/v1/webhooks/{webhook}/deliveries"), 3);
    // What was sent says which of the tenant's events it is, and is another message for each.
    let got = receiver.await_got("told", |got| got.len() >= 15);
    let ids: BTreeSet<_> = got
        .iter()
        .map(|got| got.header("webhook-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 15);
}

#[test]
fn headers_that_dont_come_end_the_connection() {
    let service = Service::start();
    let client = service.tenant("acme");
    let (mut dripping, mut silent) = (connect(&client), connect(&client));
    let begun = Instant::now();
    dripping
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .expect("sent");
    let ended = std::thread::spawn({
        let mut reader = dripping.try_clone().expect("a handle");
        move || reader.read_to_end(&mut Vec::new()).map(|_| begun.elapsed())
    });
    while !ended.is_finished() && begun.elapsed() < Duration::from_secs(50) {
        std::thread::sleep(Duration::from_secs(1));
        // It fails once the service has closed the connection.
        let _ = dripping.write_all(b"x: y\r\n");
    }
    let took = ended.join().expect("no panic").unwrap_or(begun.elapsed());
    assert!((25..45).contains(&took.as_secs()), "{took:?}");
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0);
    client.get("/v1/tenant").is(200);
}
